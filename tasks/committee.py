"""Train the members of a committee, each in a process of its own."""

from __future__ import annotations

import sys
import uuid

from prefect import get_run_logger, task

from fire_core.backbones.registry import count_gpus
from fire_core.campaign import member_kind
from fire_core.errors import TrainingError
from tasks.context import CampaignRef, available_cores, open_campaign
from tasks.explore import model_name
from tasks.processes import follow, start_process, thread_limits
from tasks.progress import Progress

AT_ONCE_ON_CPU = 2


def committee_width(ref: CampaignRef) -> int:
    """Return how many members are trained at once."""
    with open_campaign(ref) as (_, config):
        committee = config.committee
    width = committee.parallel or count_gpus() or min(AT_ONCE_ON_CPU, available_cores())
    return max(1, min(width, committee.members))


@task(name="train-member", task_run_name="train-{kind}-{round_}", retries=1)
def train_member(ref: CampaignRef, round_: int, kind: str, width: int) -> str:
    """Train one member in a child process; return its sha256.

    Without a GPU the cores are divided among the members that are trained at once;
    with several, members take turns on them.

    Raises
    ------
    TrainingError
        The process ended without a model; the task is tried once more and goes on
        after the last committed epoch.
    """
    number = int(kind.rpartition("-")[2])
    with open_campaign(ref) as (store, config):
        name = model_name(kind, round_)
        trained = store.get_model(ref.name, name)
        if trained is not None:
            return trained.blob_sha
        folder = ref.workdir / f"train-{uuid.uuid4().hex[:12]}"
        folder.mkdir(parents=True)
        log = folder / "worker.log"
        command = [sys.executable, "-m", "tasks.train_worker"]
        command += ["--name", ref.name, "--db", ref.db, "--blobs", ref.blobs]
        command += ["--round", str(round_), "--kind", kind]
        command += ["--threads", str(max(1, available_cores() // width))]
        environment = thread_limits(available_cores() // width)
        if n_gpus := count_gpus():
            environment["CUDA_VISIBLE_DEVICES"] = str((number - 1) % n_gpus)
        child = start_process(command, log, environment)
        epochs = config.fine_tune.epochs
        progress = Progress(f"train-{ref.name}-{kind}", f"Training {name}", epochs)

        def look() -> None:
            last = store.last_epoch(ref.name, name)
            progress.update(0 if last is None else last.epoch + 1)

        status = follow(child, log, get_run_logger().info, on_look=look)
        trained = store.get_model(ref.name, name)
    if trained is None:
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        msg = f"training {name} ended with exit status {status}; its log {log}: {tail}"
        raise TrainingError(msg)
    return trained.blob_sha


def list_members(ref: CampaignRef) -> list[str]:
    """Return the kinds of a committee's members."""
    with open_campaign(ref) as (_, config):
        return [member_kind(n + 1) for n in range(config.committee.members)]
