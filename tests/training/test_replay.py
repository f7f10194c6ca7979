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
from fire_core.structures import frame_index
from fire_core.structures.frame_index import FrameIndex, formula_place
from fire_core.training import alignment, sources
from fire_core.training import replay as replay_module
from fire_core.training.rehearsal import leaving_out
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


@pytest.fixture
def indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as large, in a cache of its own."""
    monkeypatch.setenv("FIRE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "LARGE_FILE", 1000)
    path = tmp_path / "mine.extxyz"
    frames = rattled("LiF", 40, 0) + rattled("LiCl", 20, 1) + rattled("NaCl", 10, 2)
    write_frames(path, labelled(frames))
    return path


def test_a_large_file_is_the_same_source_as_a_small_one(
    indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, known = ReplayConfig(source=str(indexed)), ["Li", "F", "Cl"]
    large = load_replay_source(config, known)
    assert isinstance(large.data.train, FrameIndex)
    assert list((indexed.parent / "cache" / "replay").iterdir())
    monkeypatch.setattr(sources, "LARGE_FILE", 2**30)
    small = load_replay_source(config, known)
    assert isinstance(small.data.train, list)
    assert large.left_out == small.left_out == 10
    for ours, theirs in (
        (large.data.train, small.data.train),
        (large.data.heldout, small.data.heldout),
    ):
        assert [i.key for i in ours] == [i.key for i in theirs]
        assert [i.label.energy for i in ours] == [i.label.energy for i in theirs]


def test_a_file_is_indexed_once_and_anew_when_it_has_changed(indexed: Path) -> None:
    config = ReplayConfig(source=str(indexed))
    cache = indexed.parent / "cache" / "replay"
    load_replay_source(config, ["Li", "F", "Cl"])
    (first,) = cache.iterdir()
    written = first.stat().st_mtime_ns
    load_replay_source(config, ["Li", "F", "Cl"])
    assert [p.stat().st_mtime_ns for p in cache.iterdir()] == [written]
    write_frames(indexed, labelled(rattled("LiF", 50, 7)))
    source = load_replay_source(config, ["Li", "F", "Cl"])
    assert len(source.data.train) + len(source.data.heldout) == 50


def test_a_frame_without_a_label_in_a_large_file_is_named(indexed: Path) -> None:
    text = indexed.read_text().splitlines(keepends=True)
    text[31] = text[31].replace("energy=", "energie=")
    indexed.write_text("".join(text))
    with pytest.raises(TrainingError, match=r"mine.extxyz: frame 3: .* no energy"):
        load_replay_source(ReplayConfig(source=str(indexed)), ["Li", "F"])
    assert not list((indexed.parent / "cache" / "replay").iterdir())


def test_of_a_file_no_frame_is_read_that_is_not_wanted(
    indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters, shifts and predictions; only sampled or drawn frames are decoded."""
    monkeypatch.setattr(sources, "HELDOUT_FRAMES", 4)
    for module in (replay_module, alignment):
        monkeypatch.setattr(module, "SAMPLE", 8)
    read: list[int] = []
    decode = frame_index._decode
    monkeypatch.setattr(
        frame_index, "_decode", lambda *a: (read.append(1), decode(*a))[1]
    )
    source = load_replay_source(ReplayConfig(source=str(indexed)), ["Li", "F", "Cl"])
    assert len(read) == len(source.data.heldout) <= 6
    backbone, target = make_backbone(dtype="float64"), labelled(rattled("LiF", 1, 9))
    read.clear()
    for strategy in ("replay", "pseudolabel_replay"):
        config = TrainConfig(
            strategy=strategy,
            replay=ReplayConfig(source="mine.extxyz", draw="shared_elements"),
        )
        prepared = prepare_replay(backbone, source.data.train, target, config)
        assert len(prepared) > 40
        assert prepared[5].label.forces.shape == (8, 3)
    assert len(read) <= 8 + 3 * 20 + 2 + 3


def test_predictions_of_a_file_are_made_once_for_all_trainings(
    indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone(dtype="float64")
    source = load_replay_source(ReplayConfig(source=str(indexed)), backbone.elements)
    config = TrainConfig(strategy="pseudolabel_replay")
    said = prepare_replay(backbone, source.data.train, [], config)
    said.prepare([3, 1, 3, 7])
    expected = backbone.predict([source.data.train[i].atoms for i in (1, 3, 7)])

    def refuse(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(backbone, "predict", refuse)
    again = prepare_replay(backbone, source.data.train, [], config)
    for i, label in zip((1, 3, 7), expected, strict=True):
        assert again[i].label.energy == pytest.approx(label.energy, abs=1e-9)
        assert np.allclose(again[i].label.forces, label.forces, atol=1e-9)
        assert again[i].key == source.data.train[i].key
    with pytest.raises(AssertionError):
        again[2]


def test_structures_that_are_judged_are_left_out_of_lists_and_files(
    indexed: Path,
) -> None:
    index = sources.read_frames(indexed)
    judged = {index[i].key: index[i].atoms for i in (0, 41, 69)}
    formulas = {formula_place(index[65].atoms)}
    for items in (index, list(index)):
        left = [item.key for item in leaving_out(items, judged)]
        assert left == [i.key for n, i in enumerate(index) if n not in {0, 41, 69}]
        left = [item.key for item in leaving_out(items, judged, formulas)]
        assert left == [i.key for n, i in enumerate(index[:60]) if n not in {0, 41}]


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
