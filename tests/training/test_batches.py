"""What each optimiser step of an epoch is made of, whatever the sizes of frames."""

from __future__ import annotations

import io

import pytest

from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.training import batches
from fire_core.training.batches import (
    Examples,
    Steps,
    count_replay,
    count_steps,
    deal,
    epoch_steps,
)
from fire_core.training.data import TrainingData
from fire_core.training.trainer import fine_tune
from tests.training.conftest import labelled, make_backbone, make_network, rattled

N_TARGET, N_REPLAY = 20, 20


@pytest.fixture(scope="module")
def caches() -> tuple[Examples, Examples]:
    network = make_network(make_backbone())
    target = Examples(network, labelled(rattled("LiF", N_TARGET, 1)))
    replay = Examples(network, labelled(rattled("LiCl", 30, 2)), replay=True)
    return target, replay


def large_and_small() -> tuple[Examples, Examples]:
    """Eleven target frames of 216 atoms, and replay frames of eight."""
    network = make_network(make_backbone())
    large = [atoms.repeat(3) for atoms in rattled("LiF", 11, 1)]
    target = Examples(network, labelled(large))
    return target, Examples(network, labelled(rattled("LiCl", 60, 2)), replay=True)


def kinds(steps: Steps) -> list[tuple[int, int]]:
    """Return the target and replay frames of each step."""
    return [
        (sum(not e.replay for e in step), sum(e.replay for e in step)) for step in steps
    ]


@pytest.mark.parametrize("batch_frames", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0, 2.5, 4.0])
def test_every_step_learns_from_both_at_the_ratio(
    caches: tuple[Examples, Examples], batch_frames: int, ratio: float
) -> None:
    config = TrainConfig(batch_frames=batch_frames, replay=ReplayConfig(ratio=ratio))
    n_replay = count_replay(N_TARGET, config)
    drawn = [i % 30 for i in range(n_replay)]
    found = kinds(epoch_steps(*caches, drawn, batch_frames, [0]))
    assert len(found) == count_steps(N_TARGET, batch_frames)
    assert min(r for _, r in found) >= 1
    assert max(t for t, _ in found) - min(t for t, _ in found) <= 1
    assert max(r for _, r in found) - min(r for _, r in found) <= 1
    assert [sum(column) for column in zip(*found, strict=True)] == [N_TARGET, n_replay]


def test_large_target_frames_share_their_steps_with_small_replay_frames() -> None:
    target, replay = large_and_small()
    steps = epoch_steps(target, replay, list(range(44)), 1, [3])
    assert kinds(steps) == [(1, 4)] * 11
    makeup = steps.describe()
    assert makeup.n_steps == 11
    assert makeup.target_frames == (1, 1)
    assert makeup.replay_frames == (4, 4)
    assert (makeup.target_atoms, makeup.replay_atoms) == (11 * 216, 44 * 8)


def test_replay_changes_neither_the_steps_nor_the_order_of_the_target(
    caches: tuple[Examples, Examples],
) -> None:
    naive = epoch_steps(*caches, [], 3, [5, 2])
    replay = epoch_steps(*caches, list(range(N_REPLAY)), 3, [5, 2])
    assert [[id(e) for e in step] for step in naive] == [
        [id(e) for e in step if not e.replay] for step in replay
    ]


def test_each_epoch_has_its_own_order_and_the_same_seed_repeats_it(
    caches: tuple[Examples, Examples],
) -> None:
    def order(epoch: int) -> list[int]:
        steps = epoch_steps(*caches, list(range(N_REPLAY)), 2, [7, epoch])
        return [id(example) for step in steps for example in step]

    assert order(0) == order(0) != order(1)
    assert sorted(order(0)) == sorted(order(1))


def test_a_graph_is_built_once(caches: tuple[Examples, Examples]) -> None:
    assert caches[0][3] is caches[0][3]


def test_dealing_loses_nothing_and_spreads_the_rest() -> None:
    parts = deal(list(range(11)), 4)
    assert [len(p) for p in parts] == [2, 3, 3, 3]
    assert [i for p in parts for i in p] == list(range(11))
    assert [len(p) for p in deal([1, 2], 5)].count(1) == 2


def test_graphs_are_kept_while_there_is_room_and_built_again_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = labelled(rattled("LiF", 6, 1))
    one = Examples(make_network(make_backbone()), items)[0].n_edges
    monkeypatch.setattr(batches, "KEPT_EDGES", round(2.5 * one))
    examples = Examples(make_network(make_backbone()), items)
    none = Examples(make_network(make_backbone()), [])
    for _ in range(3):  # epochs
        steps = epoch_steps(examples, none, [], 2, [0])
        assert sorted(len(step) for step in steps) == [2, 2, 2]
        kept = [i for i in range(6) if examples.has(i)]
        assert len(kept) == 2
    assert examples[kept[0]] is examples[kept[0]]
    other = next(i for i in range(6) if i not in kept)
    assert examples[other] is not examples[other]
    assert steps.describe().target_atoms == 6 * 8


def test_what_is_kept_changes_nothing_that_is_learnt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Graphs built anew for each step, by a thread, give the same bits."""
    import torch

    backbone = make_backbone()
    replay = labelled(rattled("LiCl", 12, 2))
    data = TrainingData(labelled(rattled("LiF", 6, 1)), [], replay, [])
    config = TrainConfig(epochs=3)
    models = []
    for room in (batches.KEPT_EDGES, 0):
        monkeypatch.setattr(batches, "KEPT_EDGES", room)
        models.append(fine_tune(backbone, data, config, seed=1))
    assert models[0].records[-1].valid == models[1].records[-1].valid
    one, two = (
        torch.load(io.BytesIO(tuned.model), weights_only=False).state_dict()
        for tuned in models
    )
    assert all(torch.equal(one[name], two[name]) for name in one)
