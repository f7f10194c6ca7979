"""What an epoch's batches hold, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.training.batches import Examples, epoch_batches, interleave
from tests.training.conftest import labelled, make_backbone, make_network, rattled

N_TARGET, N_REPLAY = 20, 20


@pytest.fixture(scope="module")
def caches() -> tuple[Examples, Examples]:
    network = make_network(make_backbone())
    target = Examples(network, labelled(rattled("LiF", N_TARGET, 1)))
    replay = Examples(network, labelled(rattled("LiCl", 30, 2)), weight=0.5)
    return target, replay


def kinds(caches: tuple[Examples, Examples], **settings: Any) -> list[tuple[int, int]]:
    """Return the target and replay graphs of each batch."""
    config = TrainConfig(**({"batch_atoms": 32} | settings))
    batches = epoch_batches(*caches, list(range(N_REPLAY)), config, [0])
    return [
        (sum(e.weight == 1.0 for e in b), sum(e.weight == 0.5 for e in b))
        for b in batches
    ]


def ordered(order: str) -> dict[str, Any]:
    return {"replay": ReplayConfig.model_validate({"order": order})}


def test_spread_shows_both_to_every_step(
    caches: tuple[Examples, Examples],
) -> None:
    found = kinds(caches, **ordered("spread"))
    assert all(t >= 1 and r >= 1 for t, r in found)
    assert [sum(column) for column in zip(*found, strict=True)] == [N_TARGET, N_REPLAY]


def test_alternate_takes_turns_batch_by_batch(
    caches: tuple[Examples, Examples],
) -> None:
    found = kinds(caches, **ordered("alternate"))
    assert found == [(4, 0), (0, 4)] * 5


def test_after_rehearses_when_the_target_is_done(
    caches: tuple[Examples, Examples],
) -> None:
    assert kinds(caches, **ordered("after")) == [(4, 0)] * 5 + [(0, 4)] * 5


def test_atoms_and_edges_each_limit_a_batch(
    caches: tuple[Examples, Examples],
) -> None:
    edges = max(caches[0][i].n_edges for i in range(N_TARGET))
    config = TrainConfig(batch_atoms=10_000, batch_edges=3 * edges)
    batches = epoch_batches(*caches, list(range(N_REPLAY)), config, [0])
    assert len(batches) > 1
    for batch in batches:
        assert sum(example.n_edges for example in batch) <= 3 * edges


def test_each_epoch_has_its_own_order_and_the_same_seed_repeats_it(
    caches: tuple[Examples, Examples],
) -> None:
    config = TrainConfig(batch_atoms=32)

    def order(epoch: int) -> list[int]:
        batches = epoch_batches(*caches, list(range(N_REPLAY)), config, [7, epoch])
        return [id(example) for batch in batches for example in batch]

    assert order(0) == order(0) != order(1)
    assert sorted(order(0)) == sorted(order(1))


def test_a_graph_is_built_once(caches: tuple[Examples, Examples]) -> None:
    assert caches[0][3] is caches[0][3]


def test_interleaving_keeps_both_orders_and_spreads_them() -> None:
    mixed = interleave(list(range(40)), [-1 - i for i in range(40)])
    assert [c for c in mixed if c >= 0] == list(range(40))
    assert [c for c in mixed if c < 0] == [-1 - i for i in range(40)]
    for start in range(0, 80, 8):
        assert 3 <= sum(c < 0 for c in mixed[start : start + 8]) <= 5
