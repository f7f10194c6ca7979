"""Label chosen structures in child processes, each claiming work from the store."""

from __future__ import annotations

import json
import sys
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact

from fire_core.errors import LabellingError, StoreError
from fire_core.labelling.theory import theory_from_config
from fire_core.records import FailureKind, LabelState
from tasks.context import CampaignRef, open_campaign
from tasks.processes import follow, start_process, thread_limits
from tasks.progress import Progress

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from fire_core.config.campaign import CampaignConfig
    from fire_core.storage.store import Store


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """Labels to compute, in batches of keys; `started` in seconds since 1970."""

    batches: list[list[str]]
    started: float


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """How the labels of one choice of structures ended."""

    done: int
    failed: int


def chosen_keys(store: Store, ref: CampaignRef, round_: int, purpose: str) -> list[str]:
    """Return the keys of a stored choice of structures, in its order."""
    row = store.get_selection(ref.name, round_, purpose)
    if row is None:
        msg = (
            f"campaign {ref.name!r} has chosen nothing for {purpose!r} in round "
            f"{round_}; run that step first"
        )
        raise StoreError(msg)
    return list(row.keys)


def theory_fingerprint(store: Store, config: CampaignConfig) -> str:
    """Enter the campaign's theory level in the store; return its fingerprint."""
    theory = theory_from_config(config.theory)
    store.add_theory(
        theory.fingerprint, theory.code, theory.version, theory.settings_json
    )
    return theory.fingerprint


@task(name="plan-labels", task_run_name="plan-labels-{purpose}")
def plan_labels(ref: CampaignRef, round_: int, purpose: str) -> LabelPlan:
    """Ask for the labels that are missing; return them in batches of keys."""
    with open_campaign(ref) as (store, config):
        keys = chosen_keys(store, ref, round_, purpose)
        theory = theory_fingerprint(store, config)
        new = store.want_labels(keys, theory)
        open_states = {LabelState.WANTED, LabelState.CLAIMED}
        pending = [
            row.key
            for row in store.label_rows(theory, keys)
            if row.state in open_states
        ]
        get_run_logger().info(
            "%d structures: %d already settled, %d to label (%d asked for just now)",
            len(keys), len(keys) - len(pending), len(pending), new,
        )  # fmt: skip
        size = config.label.batch
        batches = [pending[i : i + size] for i in range(0, len(pending), size)]
        return LabelPlan(batches, time.time())


@task(name="label-batch", retries=2, retry_delay_seconds=2)
def label_batch(ref: CampaignRef, keys: list[str], title: str) -> int:
    """Run one labelling process until each of the keys is done or failed.

    The process leads its own session, so it outlives a killed flow and finishes
    the label it holds; whoever comes next waits for its lease or its result.

    Raises
    ------
    LabellingError
        The process ended before its labels did; the task is retried.
    """
    logger = get_run_logger()
    with open_campaign(ref) as (store, config):
        theory = theory_fingerprint(store, config)
        child, log = _start_worker(ref, config, keys)
        progress = Progress(f"label-{ref.name}", title, len(keys))
        follow(
            child,
            log,
            logger.info,
            on_look=lambda: progress.update(_settled(store, theory, keys)),
        )
        settled = _settled(store, theory, keys)
        progress.update(settled)
    if settled < len(keys):
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise LabellingError(
            FailureKind.CRASHED,
            f"a labelling process left {len(keys) - settled} of {len(keys)} labels "
            f"open (exit status {child.returncode}); its log is {log}",
            tail,
        )
    return settled


@task(name="summarise-labels", task_run_name="summarise-{purpose}")
def summarise_labels(
    ref: CampaignRef, round_: int, purpose: str, started: float
) -> LabelSummary:
    """Count the labels by state, their cost since `started`, and show failures."""
    with open_campaign(ref) as (store, config):
        keys = chosen_keys(store, ref, round_, purpose)
        rows = store.label_rows(theory_fingerprint(store, config), keys)
        fresh = [row for row in rows if (row.finished_at or 0.0) >= started]
        if fresh:
            store.add_usage(
                ref.name,
                round_,
                "label",
                wall_s=time.time() - started,
                core_s=sum(row.core_seconds for row in fresh),
            )
    failed = [row for row in rows if row.state is LabelState.FAILED]
    if failed:
        create_table_artifact(
            [
                {"structure": row.key[:12], "kind": row.kind, "reason": row.reason}
                for row in failed
            ],
            key=f"label-failures-{ref.name}",
            description=f"Failed labels of {purpose}, round {round_}",
        )
    done = sum(row.state is LabelState.DONE for row in rows)
    summary = LabelSummary(done=done, failed=len(failed))
    get_run_logger().info("labels of %s: %s", purpose, asdict(summary))
    return summary


def _start_worker(
    ref: CampaignRef, config: CampaignConfig, keys: list[str]
) -> tuple[subprocess.Popen[bytes], Path]:
    owner = f"label-{uuid.uuid4().hex[:12]}"
    folder = ref.workdir / owner
    folder.mkdir(parents=True)
    (folder / "keys.json").write_text(json.dumps(keys), encoding="utf-8")
    command = [
        *(sys.executable, "-m", "tasks.label_worker"),
        *("--db", ref.db, "--blobs", ref.blobs, "--owner", owner),
        *("--theory-json", config.theory.model_dump_json()),
        *("--keys-file", str(folder / "keys.json"), "--workdir", str(folder)),
        *("--lease", str(config.label.lease)),
        *("--max-attempts", str(config.label.max_attempts)),
        *("--timeout", str(config.label.timeout)),
    ]
    log = folder / "worker.log"
    return start_process(command, log, thread_limits(1)), log


def _settled(store: Store, theory: str, keys: list[str]) -> int:
    counts = store.label_counts(theory, keys)
    return counts.get(LabelState.DONE, 0) + counts.get(LabelState.FAILED, 0)
