"""What campaigns and the dashboard ask of a store, timed, with PostgreSQL's plans."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import event, text

from benchmarks.scale_fill import LEASE, THEORIES
from fire_core.storage.selections import LabelScope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from benchmarks.scale_fill import Filled
    from fire_core.storage.store import Store

REPEATS = 21
ENOUGH_S = 3.0  # of one query
N_READ = 1000  # labelled structures of one training
ELEMENTS = ("Ca", "Cl", "Cs", "F", "Li", "Mg", "Na", "O")


def list_queries(store: Store, filled: Filled) -> dict[str, Callable[[], Any]]:
    """Return the queries by name; one choice or run is as large at any size."""
    theory = THEORIES[0]
    campaign = filled.campaigns[0]
    choice = LabelScope(campaign, 1, "label")
    selection = store.selections.get(campaign, 1, "label")
    assert selection is not None
    chosen = selection.keys
    read = filled.keys[: filled.every * N_READ : filled.every]
    return {
        "label_counts, whole theory": lambda: store.labels.counts(theory),
        "label_counts of a choice": lambda: store.labels.counts(theory, choice),
        "claim, none is free": lambda: store.labels.claim(
            theory, "idle", terms=LEASE, choice=choice
        ),
        "label_rows of a choice": lambda: store.labels.rows(theory, chosen),
        "failed_labels": lambda: store.labels.failed(theory),
        "get_labelled of 1000": lambda: store.labels.labelled(read, theory),
        "list_labelled_keys": lambda: store.labels.labelled_keys(theory),
        "label_costs": lambda: store.labels.costs(theory),
        "label_spending of a choice": lambda: store.labels.spending(theory, [choice]),
        "has_claimed, nobody's": lambda: store.labels.has_claimed("nobody"),
        "newest_labels, 200": lambda: store.labels.newest(theory, 0.0, ELEMENTS, 200),
        "list_campaigns": store.campaigns.list,
        "get_campaign": lambda: store.campaigns.get(campaign),
        "get_selection": lambda: store.selections.get(campaign, 1, "label"),
        "get_dataset": lambda: store.datasets.get(campaign, "train"),
        "get_frames of 20000": lambda: store.runs.frames(filled.run_id),
        "last_segment of 40": lambda: store.runs.last_segment(filled.run_id),
        "count_structures": store.structures.count,
    }


def time_queries(queries: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median time of each query, ms, the first call not counted."""
    medians = {}
    for name, ask in queries.items():
        ask()
        took: list[float] = []
        while len(took) < REPEATS and (not took or sum(took) < 1e3 * ENOUGH_S):
            start = time.perf_counter()
            ask()
            took.append(1e3 * (time.perf_counter() - start))
        medians[name] = float(np.median(took))
    return medians


def fit_exponents(
    sizes: Sequence[int], by_size: Sequence[Mapping[str, float]]
) -> dict[str, float]:
    """Return x of time ∝ size^x for each query, least squares; empty for one size."""
    if len(sizes) < 2:
        return {}
    return {
        name: float(
            np.polyfit(np.log(sizes), np.log([times[name] for times in by_size]), 1)[0]
        )
        for name in by_size[0]
    }


def explain(store: Store, ask: Callable[[], Any]) -> list[str]:
    """Return PostgreSQL's plan of every SELECT that a call sends."""
    sent: list[tuple[str, Any]] = []

    def note(_c: Connection, _u: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            sent.append((statement, values))

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        event.remove(store.engine, "before_cursor_execute", note)
    with store.engine.connect() as connection:
        plans = [
            connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {s}", v).scalars()
            for s, v in sent
        ]
        return ["\n".join(plan) for plan in plans]


def sizes_on_disk(store: Store) -> dict[str, int]:
    """Return bytes of tables, of their indexes, and of the whole database."""
    tables = (
        "SELECT relname, pg_total_relation_size(oid), pg_indexes_size(oid)"
        " FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    with store.engine.connect() as connection:
        found = connection.execute(text(tables)).all()
        whole = connection.scalar(text("SELECT pg_database_size(current_database())"))
    sizes = {name: int(total) for name, total, _ in found}
    indexes = {f"{name}, indexes": int(size) for name, _, size in found}
    return sizes | indexes | {"database": int(whole or 0)}
