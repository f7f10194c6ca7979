"""What an epoch's batches hold, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.training.batches import GraphCache, epoch_batches, interleave
from tests.training.conftest import labelled, make_backbone, rattled

N_TARGET, N_REPLAY = 20, 20


@pytest.fixture(scope="module")
def caches() -> tuple[GraphCache, GraphCache]:
    backbone = make_backbone()
    target = GraphCache(backbone, labelled(rattled("LiF", N_TARGET, 1)))
    replay = GraphCache(backbone, labelled(rattled("LiCl", 30, 2)), weight=0.5)
    return target, replay


def kinds(
    caches: tuple[GraphCache, GraphCache], **settings: Any
) -> list[tuple[int, int]]:
    """Return the target and replay graphs of each batch."""
    config = TrainConfig(**({"batch_atoms": 32} | settings))
    batches = epoch_batches(*caches, list(range(N_REPLAY)), config, [0])
    return [
        (sum(float(g.weight) == 1.0 for g in b), sum(float(g.weight) == 0.5 for g in b))
        for b in batches
    ]


def ordered(order: str) -> dict[str, Any]:
    return {"replay": ReplayConfig.model_validate({"order": order})}


def test_spread_shows_both_to_every_step(
    caches: tuple[GraphCache, GraphCache],
) -> None:
    found = kinds(caches, **ordered("spread"))
    assert all(t >= 1 and r >= 1 for t, r in found)
    assert [sum(column) for column in zip(*found, strict=True)] == [N_TARGET, N_REPLAY]


def test_alternate_takes_turns_batch_by_batch(
    caches: tuple[GraphCache, GraphCache],
) -> None:
    found = kinds(caches, **ordered("alternate"))
    assert found == [(4, 0), (0, 4)] * 5


def test_after_rehearses_when_the_target_is_done(
    caches: tuple[GraphCache, GraphCache],
) -> None:
    assert kinds(caches, **ordered("after")) == [(4, 0)] * 5 + [(0, 4)] * 5


def test_atoms_and_edges_each_limit_a_batch(
    caches: tuple[GraphCache, GraphCache],
) -> None:
    edges = max(int(caches[0][i].edge_index.shape[1]) for i in range(N_TARGET))
    config = TrainConfig(batch_atoms=10_000, batch_edges=3 * edges)
    batches = epoch_batches(*caches, list(range(N_REPLAY)), config, [0])
    assert len(batches) > 1
    for batch in batches:
        assert sum(int(g.edge_index.shape[1]) for g in batch) <= 3 * edges


def test_each_epoch_has_its_own_order_and_the_same_seed_repeats_it(
    caches: tuple[GraphCache, GraphCache],
) -> None:
    config = TrainConfig(batch_atoms=32)

    def order(epoch: int) -> list[int]:
        batches = epoch_batches(*caches, list(range(N_REPLAY)), config, [7, epoch])
        return [id(graph) for batch in batches for graph in batch]

    assert order(0) == order(0) != order(1)
    assert sorted(order(0)) == sorted(order(1))


def test_a_graph_is_built_once(caches: tuple[GraphCache, GraphCache]) -> None:
    assert caches[0][3] is caches[0][3]


def test_interleaving_keeps_both_orders_and_spreads_them() -> None:
    mixed = interleave(list(range(40)), [-1 - i for i in range(40)])
    assert [c for c in mixed if c >= 0] == list(range(40))
    assert [c for c in mixed if c < 0] == [-1 - i for i in range(40)]
    for start in range(0, 80, 8):
        assert 3 <= sum(c < 0 for c in mixed[start : start + 8]) <= 5
