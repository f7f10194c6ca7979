"""Label chosen structures in child processes, each claiming work from the store."""

from __future__ import annotations

import sys
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.concurrency.sync import concurrency

from fire_core.errors import LabellingError, StoreError
from fire_core.labelling.isolated import atom_theory
from fire_core.labelling.theory import theory_from_config
from fire_core.records import FailureKind, LabelState
from fire_core.spending import batch_size, estimate_core_seconds
from fire_core.storage.selections import Choice
from tasks.context import CampaignRef, open_campaign
from tasks.events import FAILED_LABELS, tell
from tasks.processes import follow, start_process, thread_limits
from tasks.progress import Progress

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from fire_core.config.campaign import CampaignConfig
    from fire_core.config.theory import TheoryConfig
    from fire_core.storage.store import Store

ATOMS = "isolated_atoms"
LICENCES = "fire-dft"
OPEN = (LabelState.WANTED, LabelState.CLAIMED)


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """How labels are computed: in `lanes` processes, replaced after `batch` labels.

    `started` is in seconds since 1970 by the database's clock.
    """

    lanes: int
    batch: int
    started: float


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """How the labels of one choice of structures ended."""

    done: int
    failed: int


def chosen_keys(store: Store, ref: CampaignRef, round_: int, purpose: str) -> list[str]:
    """Return the keys of a stored choice of structures, in its order."""
    row = store.selections.get(ref.name, round_, purpose)
    if row is None:
        msg = (
            f"campaign {ref.name!r} has chosen nothing for {purpose!r} in round "
            f"{round_}; run that step first"
        )
        raise StoreError(msg)
    return list(row.keys)


def label_theory(config: CampaignConfig, purpose: str = "") -> TheoryConfig:
    """Return the theory level at which a choice of structures is labelled."""
    return atom_theory(config.theory) if purpose == ATOMS else config.theory


def theory_fingerprint(store: Store, config: CampaignConfig, purpose: str = "") -> str:
    """Enter a choice's theory level in the store; return its fingerprint."""
    theory = theory_from_config(label_theory(config, purpose))
    store.theories.add(
        theory.fingerprint, theory.code, theory.version, theory.settings_json
    )
    return theory.fingerprint


def paid_choice(store: Store, ref: CampaignRef, round_: int, purpose: str) -> Choice:
    """Return what is labelled of a choice: all, or the first ones approved."""
    approval = store.approvals.get(ref.name, round_, purpose)
    first = None if approval is None else approval.n_approved
    return Choice(ref.name, round_, purpose, first)


def want_missing(
    store: Store, config: CampaignConfig, choice: Choice
) -> tuple[str, int, int]:
    """Ask for the labels of a choice; return (theory, structures, labels open)."""
    theory = theory_fingerprint(store, config, choice.purpose)
    row = store.selections.get(choice.campaign, choice.round, choice.purpose)
    keys = [] if row is None else row.keys[: choice.first]
    store.labels.want(keys, theory)
    counts = store.labels.counts(theory, choice)
    return theory, len(keys), sum(counts.get(state, 0) for state in OPEN)


@task(name="plan-labels", task_run_name="plan-labels-{purpose}")
def plan_labels(ref: CampaignRef, round_: int, purpose: str) -> LabelPlan:
    """Ask for the labels that are missing; return how many tasks compute them."""
    with open_campaign(ref) as (store, config):
        chosen_keys(store, ref, round_, purpose)
        choice = paid_choice(store, ref, round_, purpose)
        theory, total, pending = want_missing(store, config, choice)
        batch = config.label.batch or batch_size(_seconds_each(store, theory, choice))
        lanes = min(config.label.workers, pending)
        get_run_logger().info(
            "%d structures: %d already settled, %d to label in %d lane(s), a fresh "
            "process every %d labels",
            total, total - pending, pending, lanes, batch,
        )  # fmt: skip
        return LabelPlan(lanes, batch, store.now())


@task(
    name="label-lane",
    task_run_name="label-{purpose}-{round_}-lane-{lane}",
    retries=2,
    retry_delay_seconds=2,
)
def label_lane(
    ref: CampaignRef, round_: int, purpose: str, lane: int, batch: int
) -> list[str]:
    """Run labelling processes, one after another, until a choice is settled.

    A process leads its own session, so it outlives a killed flow and finishes the
    label it holds; whoever comes next waits for its lease or its result. One that
    dies is replaced: the store counts the attempts of the label it held.

    Parameters
    ----------
    ref, round_, purpose
        Which choice.
    lane
        Number of this lane.
    batch
        Labels after which a process is replaced.

    Returns
    -------
    list[str]
        Owners of the labels that its processes computed.

    Raises
    ------
    LabellingError
        A process ended without having claimed a label; the task is retried.
    """
    logger = get_run_logger()
    with open_campaign(ref) as (store, config):
        choice = paid_choice(store, ref, round_, purpose)
        theory = theory_fingerprint(store, config, purpose)
        total = sum(store.labels.counts(theory, choice).values())
        title = f"Labels of {purpose}, round {round_}"

        def settled() -> int:
            counts = store.labels.counts(theory, choice)
            return counts.get(LabelState.DONE, 0) + counts.get(LabelState.FAILED, 0)

        owners: list[str] = []
        with Progress(f"label-{ref.name}", title, total) as progress:

            def look() -> None:
                progress.reach(settled())

            while (done := settled()) < total:
                if owners and config.label.batch is None:  # what it takes is known
                    batch = batch_size(_seconds_each(store, theory, choice))
                # A limit of this name is made by `fire deploy` where licences are few.
                with concurrency(LICENCES, occupy=1, strict=False):
                    child, owner, log = _start_worker(ref, config, choice, batch)
                    owners.append(owner)
                    status = follow(child, log, logger.info, on_look=look)
                if status == 0:
                    continue
                text = f"a labelling process of lane {lane} died (exit status {status})"
                if not store.labels.has_claimed(owner):
                    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                    msg = f"{text} before it claimed a label; its log is {log}:\n{tail}"
                    raise LabellingError(FailureKind.CRASHED, msg, tail)
                logger.warning("%s; its log is %s; another takes its place", text, log)
            progress.reach(done)
    return owners


@task(name="summarise-labels", task_run_name="summarise-{purpose}")
def summarise_labels(
    ref: CampaignRef, round_: int, purpose: str, started: float, owners: list[str]
) -> LabelSummary:
    """Count the labels by state, the cost of the owners' ones, and show failures."""
    with open_campaign(ref) as (store, config):
        keys = chosen_keys(store, ref, round_, purpose)
        rows = store.labels.rows(theory_fingerprint(store, config, purpose), keys)
        fresh = [row for row in rows if row.owner in owners]
        if fresh:
            store.usage.add(
                ref.name,
                round_,
                "label",
                wall_s=store.now() - started,
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
        tell(
            FAILED_LABELS,
            ref,
            f"{len(failed)} of {len(rows)} labels of {purpose}, round {round_}, "
            "failed; `fire label failures` says why",
        )
    done = sum(row.state is LabelState.DONE for row in rows)
    summary = LabelSummary(done=done, failed=len(failed))
    get_run_logger().info("labels of %s: %s", purpose, asdict(summary))
    return summary


def _seconds_each(store: Store, theory: str, choice: Choice) -> float | None:
    """Return what a label of a choice will take, core-seconds; None: unknown."""
    row = store.selections.get(choice.campaign, choice.round, choice.purpose)
    if row is None or not row.keys:
        return None
    size = len(store.structures.get(row.keys[:1])[0])
    return estimate_core_seconds(store.labels.costs(theory), [size])


def _start_worker(
    ref: CampaignRef, config: CampaignConfig, choice: Choice, most: int
) -> tuple[subprocess.Popen[bytes], str, Path]:
    owner = f"label-{uuid.uuid4().hex[:12]}"
    folder = ref.workdir / owner
    folder.mkdir(parents=True)
    command = [
        *(sys.executable, "-m", "tasks.label_worker"),
        *("--db", ref.db, "--blobs", ref.blobs, "--owner", owner),
        *("--theory-json", label_theory(config, choice.purpose).model_dump_json()),
        *("--campaign", choice.campaign, "--round", str(choice.round)),
        *("--purpose", choice.purpose, "--most", str(most)),
        *("--workdir", str(folder), "--lease", str(config.label.lease)),
        *("--max-attempts", str(config.label.max_attempts)),
        *("--timeout", str(config.label.timeout)),
        *("--cores", str(config.label.cores)),
    ]
    if config.label.restart:
        command += ["--shelf", str(ref.workdir.parent / "shelf")]
    if choice.first is not None:
        command += ["--first", str(choice.first)]
    log = folder / "worker.log"
    return start_process(command, log, thread_limits(1)), owner, log
