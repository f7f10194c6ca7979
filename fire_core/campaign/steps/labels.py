"""Label a choice of structures in child processes that claim work from the store."""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fire_core.campaign.names import ATOMS
from fire_core.campaign.observer import CampaignEvent
from fire_core.campaign.pricing import batch_size, estimate_core_seconds
from fire_core.campaign.steps.processes import follow, start_process, thread_limits
from fire_core.children import python_command
from fire_core.errors import LabellingError, StoreError
from fire_core.labelling.labeller import labeller_of
from fire_core.labelling.theory import theory_from_config
from fire_core.records import FailureKind, LabelState, TheoryId

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fire_core.campaign.state import CampaignState
    from fire_core.storage.label_queries import LabelRow
    from fire_core.storage.selections import LabelScope

LICENCES: Final = "fire-dft"
"""Name of the limit on processes that need a licence."""
OPEN: Final = (LabelState.WANTED, LabelState.CLAIMED)


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


def plan_labels(campaign: CampaignState, round_: int, purpose: str) -> LabelPlan:
    """Request the labels that are missing; return how many processes compute them."""
    register_theories(campaign)
    store, config = campaign.store, campaign.config
    keys = campaign.chosen_keys(round_, purpose)
    choice = campaign.paid_choice(round_, purpose)
    theory = campaign.theory(purpose)
    keys = keys[: choice.first]
    rows = store.labels.rows(theory, keys)
    settled = sum(row.state not in OPEN for row in rows)
    difference = _other_release(campaign, purpose)
    if difference is not None and settled < len(set(keys)):
        msg = (
            f"{difference}: {len(set(keys)) - settled} more labels would be of another "
            "theory level than those that are there; install that release again, or "
            "start the campaign under another name"
        )
        raise StoreError(msg)
    store.labels.want(keys, theory)
    counts = store.labels.counts(theory, choice)
    pending = sum(counts.get(state, 0) for state in OPEN)
    batch = config.label.batch or batch_size(_seconds_each(campaign, choice))
    lanes = min(config.label.workers, pending)
    campaign.observer.info(
        f"{len(keys)} structures: {len(keys) - pending} already settled, {pending} to "
        f"label in {lanes} lane(s), a fresh process every {batch} labels"
    )
    return LabelPlan(lanes, batch, store.now())


def register_theories(campaign: CampaignState) -> None:
    """Record the theory levels of a campaign, unless they were recorded before.

    They are those of the programs that are installed now, or of the release that
    computed the labels of a campaign of before. What was recorded gives way to another
    release while nothing is labelled; later on a warning says which it is.
    """
    record = campaign.store.campaigns.record_identity
    levels = {purpose: _level_to_record(campaign, purpose) for purpose in ("", ATOMS)}
    if any(level is not None for level in levels.values()):
        record(
            campaign.name, theory=levels[""], atom_theory=levels[ATOMS], replace=True
        )
    for purpose in levels:
        difference = _other_release(campaign, purpose)
        if difference is not None:
            campaign.observer.warning(difference)
            break


def _level_to_record(campaign: CampaignState, purpose: str) -> TheoryId | None:
    """Return the level that a campaign has to record, entered; None: it has it."""
    recorded = campaign.recorded_theory(purpose)
    if recorded is not None and campaign.count_first_labels(recorded) > 0:
        return None
    identity = campaign.find_theory(purpose)
    if identity == recorded:
        return None
    theory = theory_from_config(campaign.theory_of(purpose))
    if identity == theory.fingerprint:
        campaign.store.theories.add(
            theory.fingerprint, theory.code, theory.version, theory.settings_json
        )
    return TheoryId(identity)


def _other_release(campaign: CampaignState, purpose: str) -> str | None:
    """Return how the installed program differs from that of the labels; None: not."""
    installed = theory_from_config(campaign.theory_of(purpose))
    identity = campaign.theory(purpose)
    if identity == installed.fingerprint:
        return None
    level = campaign.store.theories.get(identity)
    was = identity if level is None else f"{level.code} {level.version} ({identity})"
    return (
        f"the labels of campaign {campaign.name!r} are of {was}; here is "
        f"{installed.code} {installed.version} ({installed.fingerprint})"
    )


def run_lane(
    campaign: CampaignState,
    round_: int,
    purpose: str,
    *,
    batch: int,
    lane: int = 1,
    licence: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> list[str]:
    """Run labelling processes, one after another, until a choice is settled.

    A process leads its own session, so it outlives a killed campaign and finishes the
    label it holds; whoever comes next waits for its lease or its result. One that
    dies is replaced: the store counts the attempts of the label it held.

    Parameters
    ----------
    campaign, round_, purpose
        Which choice.
    batch
        Labels after which a process is replaced.
    lane
        Number of this lane, for messages.
    licence
        Entered while a process runs.

    Returns
    -------
    list[str]
        Owners of the labels that its processes computed.

    Raises
    ------
    LabellingError
        A process ended without having claimed a label; the step may be tried again.
    """
    store, config, say = campaign.store, campaign.config, campaign.observer
    choice = campaign.paid_choice(round_, purpose)
    theory = campaign.theory(purpose)
    total = sum(store.labels.counts(theory, choice).values())

    def settled() -> int:
        counts = store.labels.counts(theory, choice)
        return counts.get(LabelState.DONE, 0) + counts.get(LabelState.FAILED, 0)

    owners: list[str] = []
    title = f"Labels of {purpose}, round {round_}"
    with say.progress(f"label-{campaign.name}", title, total) as progress:
        while (done := settled()) < total:
            if owners and config.label.batch is None:  # what it takes is known
                batch = batch_size(_seconds_each(campaign, choice))
            with licence():
                child, owner, log = _start_worker(campaign, choice, batch)
                owners.append(owner)
                status = follow(
                    child, log, say.info, on_look=lambda: progress.reach(settled())
                )
            if status == 0:
                continue
            text = f"a labelling process of lane {lane} died (exit status {status})"
            if not store.labels.has_claimed(owner):
                tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
                msg = f"{text} before it claimed a label; its log is {log}:\n{tail}"
                raise LabellingError(FailureKind.CRASHED, msg, tail)
            say.warning(f"{text}; its log is {log}; another takes its place")
        progress.reach(done)
    return owners


def count_labels(
    campaign: CampaignState,
    round_: int,
    purpose: str,
    made: LabelPlan,
    owners: list[str],
) -> LabelSummary:
    """Count the labels of a choice by state; add the cost of the owners' ones."""
    rows = _rows(campaign, round_, purpose)
    fresh = [row for row in rows if row.owner in owners]
    if fresh:
        campaign.store.usage.add(
            campaign.name,
            round_,
            "label",
            wall_s=campaign.store.now() - made.started,
            core_s=sum(row.core_seconds for row in fresh),
        )
    done = sum(row.state is LabelState.DONE for row in rows)
    failed = sum(row.state is LabelState.FAILED for row in rows)
    if failed:
        text = (
            f"{failed} of {len(rows)} labels of {purpose}, round {round_}, "
            "failed; `fire label failures` says why"
        )
        campaign.observer.event(CampaignEvent.FAILED_LABELS, campaign.ref, text)
    campaign.observer.info(f"labels of {purpose}: {done} done, {failed} failed")
    return LabelSummary(done, failed)


def failed_labels(
    campaign: CampaignState, round_: int, purpose: str
) -> Sequence[LabelRow]:
    """Return the labels of a choice that failed."""
    rows = _rows(campaign, round_, purpose)
    return [row for row in rows if row.state is LabelState.FAILED]


def _rows(campaign: CampaignState, round_: int, purpose: str) -> list[LabelRow]:
    keys = campaign.chosen_keys(round_, purpose)
    return campaign.store.labels.rows(campaign.theory(purpose), keys)


def _seconds_each(campaign: CampaignState, choice: LabelScope) -> float | None:
    """Return what a label of a choice will take, core-seconds; None: unknown."""
    store = campaign.store
    row = store.selections.get(choice.campaign, choice.round, choice.purpose)
    if row is None or not row.keys:
        return None
    size = len(store.structures.get(row.keys[:1])[0])
    costs = store.labels.costs(campaign.theory(choice.purpose))
    return estimate_core_seconds(costs, [size])


def _start_worker(
    campaign: CampaignState, choice: LabelScope, most: int
) -> tuple[subprocess.Popen[bytes], str, Path]:
    ref, label = campaign.ref, campaign.config.label
    owner = f"label-{uuid.uuid4().hex[:12]}"
    folder = ref.workdir / owner
    folder.mkdir(parents=True)
    theory = campaign.theory_of(choice.purpose)
    command = [
        *python_command(
            "fire_core.campaign.steps.label_worker",
            interpreter=labeller_of(theory).interpreter(theory),
        ),
        *("--db", ref.db, "--blobs", ref.blobs, "--owner", owner),
        *("--theory-json", theory.model_dump_json()),
        *("--theory-id", campaign.theory(choice.purpose)),
        *("--campaign", choice.campaign, "--round", str(choice.round)),
        *("--purpose", choice.purpose, "--most", str(most)),
        *("--workdir", str(folder), "--lease", str(label.lease)),
        *("--max-attempts", str(label.max_attempts)),
        *("--timeout", str(label.timeout)),
        *("--cores", str(label.cores)),
    ]
    if label.restart:
        command += ["--shelf", str(ref.workdir.parent / "shelf")]
    if choice.first is not None:
        command += ["--first", str(choice.first)]
    log = folder / "worker.log"
    return start_process(command, log, thread_limits(1)), owner, log
