"""Choose the candidates worth a label."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from prefect import get_run_logger, task

from fire_core.campaign import sub_seed
from fire_core.exploration.harvest import spread
from fire_core.selection.descriptors import soap_features
from fire_core.selection.reduce import fit_pca
from fire_core.selection.screen import screen
from fire_core.selection.selectors import find_duplicates, select
from fire_core.storage.campaigns import SelectionRow
from tasks.context import CampaignRef, count_usage, hold_step, open_campaign
from tasks.explore import TEST, RunPlan
from tasks.label import chosen_keys
from tasks.prepare import PERTURB, SELECTED, START
from tasks.uncertainty import narrow_choice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.config.campaign import CampaignConfig
    from fire_core.records import Pick
    from fire_core.storage.runs import FrameRow
    from fire_core.storage.store import Store


@task(name="select", task_run_name="select-round-{plan.round}")
def select_candidates(ref: CampaignRef, plan: RunPlan) -> int:
    """Choose from a run's frames by SOAP, PCA and the selector; return how many."""
    with (
        open_campaign(ref) as (store, config),
        hold_step(store, ref, f"select-{plan.round}", get_run_logger().info),
    ):
        done = store.get_selection(ref.name, plan.round, SELECTED)
        if done is not None:
            return len(done.keys)
        with count_usage(
            store, ref, plan.round, "select", cores=config.select.soap.workers
        ):
            return _select(store, config, ref, plan)


def _select(
    store: Store, config: CampaignConfig, ref: CampaignRef, plan: RunPlan
) -> int:
    rows = store.get_frames(plan.run_id)
    keys = [row.key for row in rows]
    frames = store.get_structures(keys)
    problems = screen(frames, config.select.screen)
    allowed = np.array([problem is None for problem in problems])
    refused = Counter(problem.kind for problem in problems if problem is not None)
    known_keys = [
        key
        for round_ in range(plan.round)
        for key in chosen_keys(store, ref, round_, SELECTED if round_ else PERTURB)
    ]
    known = store.get_structures(known_keys)
    features = soap_features(
        [*frames, *known], config.select.soap, regions=_regions(store, ref)
    )
    pca = fit_pca(
        features[: len(frames)],
        config.select.pca_components,
        config.select.pca_variance,
    )
    reduced = pca.project(features)
    points, labelled = reduced[: len(frames)], reduced[len(frames) :]
    fresh = allowed & ~find_duplicates(points, labelled)
    sound = [key for key, is_fresh in zip(keys, fresh, strict=True) if is_fresh]
    pool, n = narrow_choice(store, config, ref, plan.round, sound)
    picks = select(
        points,
        config.select.model_copy(update={"n": n}),
        rng_seed=sub_seed(config, "select", plan.round),
        known=labelled,
        allowed=np.array([key in pool for key in keys]),
    )
    get_run_logger().info(
        "%d of %d candidates chosen; refused: %s",
        len(picks),
        len(frames),
        dict(refused),
    )
    ordered = sorted(picks, key=lambda pick: pick.rank)
    chosen = [keys[pick.index] for pick in ordered]
    meta = {
        "candidates": len(frames),
        "refused": dict(refused),
        "explained_variance": [float(v) for v in pca.explained_ratio],
        "map_blob": store.blobs.put_bytes(_map_bytes(reduced, rows, picks)),
    }
    store.save_selection(
        ref.name,
        plan.round,
        SELECTED,
        SelectionRow(str(config.select.method), chosen, ordered, json.dumps(meta)),
    )
    return len(chosen)


def _map_bytes(
    reduced: NDArray[np.float64], rows: list[FrameRow], picks: list[Pick]
) -> bytes:
    """Pack what the PCA map shows: coordinates, temperatures, picks."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        coordinates=reduced[: len(rows), :2].astype(np.float32),
        temperatures=np.array([row.temperature for row in rows]),
        picked=np.array([pick.index for pick in picks]),
    )
    return buffer.getvalue()


def _regions(store: Store, ref: CampaignRef) -> NDArray[np.int64] | None:
    """Return each atom's side of the interface; None where there is none."""
    row = store.get_selection(ref.name, 0, START)
    regions = None if row is None else json.loads(row.meta_json)["regions"]
    return None if regions is None else np.array(regions)


@task(name="choose-test", task_run_name="choose-test-{ref.name}")
def choose_test_frames(ref: CampaignRef, plan: RunPlan) -> int:
    """Take evenly spaced frames of the independent trajectory as the test set."""
    with open_campaign(ref) as (store, config):
        done = store.get_selection(ref.name, plan.round, TEST)
        if done is not None:
            return len(done.keys)
        keys = [row.key for row in store.get_frames(plan.run_id)]
        chosen = [keys[i] for i in spread(len(keys), config.evaluate.n)]
        store.save_selection(
            ref.name, plan.round, TEST, SelectionRow("evenly_spaced", chosen)
        )
        return len(chosen)
