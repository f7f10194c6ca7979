"""The rehearsal at a size at which its sums can be checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks import scale_copy
from benchmarks.scale_claims import Load, run_load
from benchmarks.scale_fill import LEASE, THEORIES, Filled, grow, make_frames, refill
from benchmarks.scale_queries import fit_exponents, list_queries
from fire_core.records import LabelState
from fire_core.storage.selections import LabelScope, SelectionRow
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from pathlib import Path

N_STRUCTURES = 500
N_QUEUE = 60


@pytest.fixture
def url(postgres_database: str) -> str:
    return postgres_database


def test_states_add_up_and_every_claim_is_handed_out_once(
    url: str, tmp_path: Path
) -> None:
    filled = Filled()
    with Store.open(url, tmp_path) as store:
        tally = grow(store, filled, N_STRUCTURES)
        assert store.structures.count() == len(set(filled.keys)) == N_STRUCTURES
        before = store.labels.counts(THEORIES[0])
        assert sum(before.values()) == filled.n_labels == N_STRUCTURES // 5
        assert set(before) == set(LabelState)
        assert min(tally.rates().values()) > 0
        for ask in list_queries(store, filled).values():
            ask()
        choice = refill(store, filled, N_QUEUE)
    outcome = run_load(url, tmp_path, Load(4, 2, seconds=60.0), choice)
    assert (outcome.labels, outcome.handed_out_twice, outcome.lost) == (N_QUEUE, 0, 0)
    with Store.open(url, tmp_path) as store:
        after = store.labels.counts(THEORIES[0])
        assert store.labels.counts(THEORIES[0], choice) == {LabelState.DONE: N_QUEUE}
    assert after[LabelState.DONE] == before[LabelState.DONE] + N_QUEUE
    assert sum(after.values()) == sum(before.values()) + N_QUEUE


def test_copied_structures_are_what_the_store_would_have_written(
    url: str, tmp_path: Path
) -> None:
    frames = make_frames(0, 12)
    with Store.open(url, tmp_path) as store:
        keys = scale_copy.copy_structures(store, frames, "copied")
        assert store.structures.add(frames, source="again") == keys
        assert store.structures.count() == len(keys)
        for there, made in zip(store.structures.get(keys), frames, strict=True):
            assert np.array_equal(there.positions, made.positions)


def test_what_was_chosen_first_is_claimed_first_and_once(
    url: str, tmp_path: Path
) -> None:
    with Store.open(url, tmp_path) as store:
        store.campaigns.open("c", "{}")
        store.theories.add(THEORIES[0], "rehearsal", "1", "{}")
        keys = store.structures.add(make_frames(0, 6), source="test")
        store.labels.want(keys, THEORIES[0])
        chosen = [keys[4], keys[1], keys[1], keys[3]]
        store.selections.save("c", 1, "label", SelectionRow("test", chosen))
        choice = LabelScope("c", 1, "label")
        claims = [
            claim.key
            for _ in range(4)
            for claim in store.labels.claim(
                THEORIES[0], "me", terms=LEASE, limit=2, choice=choice
            )
        ]
    assert claims == [keys[1], keys[4], keys[3]]  # of two claimed, the older first


def test_exponent_of_a_linear_query_is_one() -> None:
    assert fit_exponents((10, 100), ({"q": 2.0}, {"q": 20.0}))["q"] == pytest.approx(1)
