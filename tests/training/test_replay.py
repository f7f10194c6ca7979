"""Replay draws: fresh, seeded, fair, and what the configuration says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fire_core.backbones.registry import load_backbone
from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.errors import TrainingError
from fire_core.storage.exchange import frame_text
from fire_core.training.replay import choose_source, draw_replay, prepare_replay
from fire_core.training.sources import PUBLIC, load_replay_source
from tests.training.conftest import labelled, make_backbone, rattled

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.records import LabelledStructure


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


def test_shared_elements_keeps_only_what_has_an_element_in_common() -> None:
    backbone = make_backbone()
    replay = labelled(rattled("LiF", 2, 0) + rattled("LiCl", 2, 1))
    target = labelled(rattled("LiF", 1, 2))
    config = ReplayConfig(draw="shared_elements")
    assert len(choose_source(backbone, replay, target, config)) == 4
    for item in target:
        item.atoms.symbols[:] = "F"
    assert len(choose_source(backbone, replay, target, config)) == 2
    for item in target:
        item.atoms.symbols[:] = "Na"
    with pytest.raises(TrainingError, match=r"shares an element with Na.*draw: all"):
        choose_source(backbone, replay, target, config)


def test_a_diverse_pool_has_the_odd_structure_a_random_one_would_miss() -> None:
    backbone = make_backbone()
    replay = labelled(rattled("LiF", 30, 0) + rattled("LiCl", 1, 1))
    config = ReplayConfig(draw="diverse", pool=3)
    pool = choose_source(backbone, replay, [], config)
    assert len({item.key for item in pool}) == 3
    assert replay[30].key in {item.key for item in pool}
    assert pool == choose_source(backbone, replay, [], config)


def test_pseudo_labels_are_what_the_foundation_model_says() -> None:
    backbone = make_backbone(dtype="float64")
    replay = labelled(rattled("LiCl", 3, 1), offset=500.0)
    config = TrainConfig(strategy="pseudolabel_replay")
    said = prepare_replay(backbone, replay, [], config)
    for item, old, label in zip(
        said, replay, backbone.predict([i.atoms for i in replay]), strict=True
    ):
        assert item.key == old.key
        assert item.label.energy == pytest.approx(label.energy, abs=1e-9)
        assert np.allclose(item.label.forces, label.forces, atol=1e-9)
        assert item.theory != old.theory


def test_a_foreign_set_is_brought_to_the_foundations_energy_scale() -> None:
    backbone = make_backbone(dtype="float64")
    frames = rattled("LiCl", 3, 1)
    replay = [
        replace(item, label=replace(item.label, energy=label.energy + 8 * 500.0))
        for item, label in zip(labelled(frames), backbone.predict(frames), strict=True)
    ]
    config = TrainConfig(replay=ReplayConfig(source="mine.extxyz"))
    for item, label in zip(
        prepare_replay(backbone, replay, [], config),
        backbone.predict(frames),
        strict=True,
    ):
        assert item.label.energy == pytest.approx(label.energy, abs=1e-6)


def test_a_replay_strategy_without_a_set_is_not_silently_naive() -> None:
    with pytest.raises(TrainingError, match=r"needs a replay set.*strategy: naive"):
        prepare_replay(make_backbone(), [], [], TrainConfig())


def write_frames(path: Path, items: list[LabelledStructure]) -> None:
    path.write_text(
        "".join(
            frame_text(i.atoms, energy=i.label.energy, forces=i.label.forces)
            for i in items
        )
    )


def test_a_file_is_a_source_with_its_own_held_out_part(tmp_path: Path) -> None:
    items = labelled(rattled("LiF", 12, 0))
    path = tmp_path / "mine.extxyz"
    write_frames(path, items)
    source = load_replay_source(ReplayConfig(source=str(path)), ["Li", "F"]).data
    keys = {i.key for i in source.train}, {i.key for i in source.heldout}
    assert keys[0] | keys[1] == {i.key for i in items}
    assert not keys[0] & keys[1]
    assert keys[1]


def test_frames_of_unknown_elements_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "mine.extxyz"
    write_frames(path, labelled(rattled("LiF", 6, 0) + rattled("LiCl", 3, 1)))
    config = ReplayConfig(source=str(path))
    source = load_replay_source(config, ["Li", "F"])
    assert source.left_out == 3
    assert len(source.data.train) + len(source.data.heldout) == 6
    with pytest.raises(TrainingError, match=r"9 frames, of which 0 have only elements"):
        load_replay_source(config, ["Na"])


def test_the_store_is_a_source() -> None:
    items = labelled(rattled("LiF", 12, 0))
    config = ReplayConfig(source="store:abc")
    source = load_replay_source(config, ["Li", "F"], items).data
    assert len(source.train) + len(source.heldout) == 12


def test_a_missing_source_says_what_is_expected(tmp_path: Path) -> None:
    config = ReplayConfig(source=str(tmp_path / "nowhere.extxyz"))
    with pytest.raises(TrainingError, match=r"no replay set at .*nowhere.*bundled"):
        load_replay_source(config, ["Li"])


def test_a_public_set_that_cannot_be_fetched_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is replaced by one on this machine where nobody listens."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setitem(PUBLIC, "mptrj", "http://127.0.0.1:9/mp_traj_combined.xyz")
    with pytest.raises(
        TrainingError, match=r"cannot be fetched .*On a machine with internet"
    ):
        load_replay_source(ReplayConfig(source="mptrj"), ["Li"])
    assert not list(tmp_path.rglob("*.extxyz"))


def test_the_bundled_set_shares_no_composition_with_its_held_out_part() -> None:
    elements = load_backbone("fire-mini").elements
    source = load_replay_source(ReplayConfig(), elements)
    formulas = [
        {f"{i.atoms.symbols.formula.reduce()[0]:hill}" for i in part}
        for part in (source.data.train, source.data.heldout)
    ]
    assert source.left_out == 0
    assert len(source.data.train) > 500
    assert len(source.data.heldout) > 100
    assert not formulas[0] & formulas[1]
