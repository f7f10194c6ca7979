"""Replay draws: fresh, seeded, fair, and what the configuration says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from fire_core.config.steps import ReplayConfig
from fire_core.errors import TrainingError
from fire_core.storage.exchange import frame_text
from fire_core.training.batches import interleave
from fire_core.training.replay import choose_source, draw_replay, load_replay_source
from tests.training.conftest import labelled, rattled

if TYPE_CHECKING:
    from pathlib import Path


def test_each_epoch_draws_anew_and_repeats_with_the_seed() -> None:
    draws = [draw_replay(1000, 50, seed=4, epoch=e) for e in range(5)]
    assert len({d.digest for d in draws}) == 5
    assert draws == [draw_replay(1000, 50, seed=4, epoch=e) for e in range(5)]
    assert draw_replay(1000, 50, seed=5, epoch=0).digest != draws[0].digest


def test_a_draw_has_no_repeats_while_the_set_suffices() -> None:
    draw = draw_replay(60, 50, seed=1, epoch=3)
    assert len(set(draw.indices)) == 50


def test_a_small_set_is_gone_through_evenly_and_not_silently_shortened() -> None:
    draw = draw_replay(7, 30, seed=1, epoch=0)
    counts = Counter(draw.indices)
    assert len(draw.indices) == 30
    assert set(counts) == set(range(7))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_over_many_epochs_every_structure_is_rehearsed_about_equally() -> None:
    counts = Counter(
        i for e in range(400) for i in draw_replay(100, 25, seed=2, epoch=e).indices
    )
    # binomial: mean 100, standard deviation 8.7; five of them is one in 10⁶
    assert min(counts.values()) > 100 - 5 * 8.7
    assert max(counts.values()) < 100 + 5 * 8.7


def test_interleaving_spreads_replay_over_the_whole_epoch() -> None:
    order = interleave(40, list(range(40)), [0, 0])
    assert sorted(c for c in order if c >= 0) == list(range(40))
    assert sorted(-1 - c for c in order if c < 0) == list(range(40))
    for start in range(0, 80, 8):  # every batch of 8 holds both kinds, about evenly
        replayed = sum(c < 0 for c in order[start : start + 8])
        assert 3 <= replayed <= 5


def test_shared_elements_keeps_only_what_has_an_element_in_common() -> None:
    replay = labelled(rattled("LiF", 2, 0) + rattled("LiCl", 2, 1))
    target = labelled(rattled("LiF", 1, 2))
    config = ReplayConfig(draw="shared_elements")
    assert len(choose_source(replay, target, config)) == 4
    for item in target:
        item.atoms.symbols[:] = "F"
    assert len(choose_source(replay, target, config)) == 2
    for item in target:
        item.atoms.symbols[:] = "Na"
    with pytest.raises(TrainingError, match=r"shares an element with Na.*draw: all"):
        choose_source(replay, target, config)


def test_a_file_is_a_source_with_its_own_held_out_part(tmp_path: Path) -> None:
    items = labelled(rattled("LiF", 12, 0))
    path = tmp_path / "mine.extxyz"
    path.write_text(
        "".join(
            frame_text(i.atoms, energy=i.label.energy, forces=i.label.forces)
            for i in items
        )
    )
    source = load_replay_source(ReplayConfig(source=str(path)))
    keys = {i.key for i in source.train}, {i.key for i in source.heldout}
    assert keys[0] | keys[1] == {i.key for i in items}
    assert not keys[0] & keys[1]
    assert keys[1]


def test_a_missing_source_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no replay set at .*nowhere.*bundled"):
        load_replay_source(ReplayConfig(source=str(tmp_path / "nowhere.extxyz")))


def test_the_bundled_set_shares_no_composition_with_its_held_out_part() -> None:
    source = load_replay_source(ReplayConfig())
    formulas = [
        {f"{i.atoms.symbols.formula.reduce()[0]:hill}" for i in part}
        for part in (source.train, source.heldout)
    ]
    assert len(source.train) > 500
    assert len(source.heldout) > 100
    assert not formulas[0] & formulas[1]
