"""Train a model in a child process: a committee's member, or on several devices."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING

from fire_core.backbones.registry import count_gpus
from fire_core.campaign import member_number, training_of
from fire_core.errors import TrainingError
from tasks.context import CampaignRef, available_cores, open_campaign
from tasks.naming import model_name
from tasks.processes import follow, start_process, thread_limits
from tasks.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable


def train_in_child(
    ref: CampaignRef,
    round_: int,
    kind: str,
    *,
    say: Callable[[str, str], None],
    devices: int = 1,
    beside: int = 1,
) -> str:
    """Train or continue a model in a child process; return its sha256.

    Parameters
    ----------
    ref, round_, kind
        Which model of which campaign.
    say
        Told each line that the child writes, as a logger is.
    devices
        Processes that share each step; without GPUs they share the cores.
    beside
        Trainings that run at once, among which the cores are divided.

    Raises
    ------
    TrainingError
        The process ended without a model; a new one goes on after the last committed
        epoch.
    """
    with open_campaign(ref) as (store, config):
        name = model_name(kind, round_)
        trained = store.models.get(ref.name, name)
        if trained is not None:
            return trained.blob_sha
        folder = ref.workdir / f"train-{uuid.uuid4().hex[:12]}"
        folder.mkdir(parents=True)
        log = folder / "worker.log"
        threads = max(1, available_cores() // (beside * devices))
        command = [sys.executable, "-m", "tasks.train_worker"]
        command += ["--name", ref.name, "--db", ref.db, "--blobs", ref.blobs]
        command += ["--round", str(round_), "--kind", kind]
        command += ["--threads", str(threads), "--devices", str(devices)]
        environment = thread_limits(threads)
        member, n_gpus = member_number(kind), count_gpus()
        if member is not None and n_gpus:  # they take turns on them
            environment["CUDA_VISIBLE_DEVICES"] = str((member - 1) % n_gpus)
        epochs = training_of(config, kind).epochs
        artifact = f"train-{ref.name}-{kind.replace('_', '-')}"
        with Progress(artifact, f"Training {name}", epochs) as progress:
            child = start_process(command, log, environment)

            def look() -> None:
                last = store.models.last_epoch(ref.name, name)
                progress.reach(0 if last is None else last.epoch + 1)

            status = follow(child, log, say, on_look=look)
        trained = store.models.get(ref.name, name)
    if trained is None:
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        msg = f"training {name} ended with exit status {status}; its log {log}: {tail}"
        raise TrainingError(msg)
    return trained.blob_sha


def count_devices(wanted: int, device: str) -> int:
    """Return how many devices to train on: as many as wanted, or for 0 every GPU.

    Raises
    ------
    TrainingError
        More are wanted than there are GPUs, or on a CPU than cores.
    """
    n_gpus = count_gpus() if device != "cpu" else 0
    most = n_gpus or available_cores()
    if wanted > most:
        what = f"{n_gpus} GPUs" if n_gpus else f"{most} cores and no GPU to train on"
        msg = f"devices is {wanted}, but this machine has {what}; lower it, or set 0"
        raise TrainingError(msg)
    return wanted or max(n_gpus, 1)
