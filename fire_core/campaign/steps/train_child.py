"""Train a model in a child process.

A committee's member, on several devices, or with a backbone of another environment.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Final

from fire_core.backbones.registry import backbone_interpreter, count_gpus
from fire_core.campaign.names import member_number, model_name, training_of
from fire_core.campaign.steps.processes import follow, start_process, thread_limits
from fire_core.campaign.usage import available_cores
from fire_core.children import python_command
from fire_core.errors import TrainingError

if TYPE_CHECKING:
    from fire_core.campaign.state import CampaignState

AT_ONCE_ON_CPU: Final = 2
VISIBLE: Final = "CUDA_VISIBLE_DEVICES"


def train_in_child(
    campaign: CampaignState,
    round_: int,
    kind: str,
    *,
    devices: int = 1,
    beside: int = 1,
) -> str:
    """Train or continue a model in a child process; return its sha256.

    Parameters
    ----------
    campaign, round_, kind
        Which model of which campaign.
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
    store, ref = campaign.store, campaign.ref
    name = model_name(kind, round_)
    trained = store.models.get(ref.name, name)
    if trained is not None:
        return trained.blob_sha
    folder = ref.workdir / f"train-{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    log = folder / "worker.log"
    threads = max(1, available_cores() // (beside * devices))
    command = python_command(
        "fire_core.campaign.steps.train_worker",
        *("--name", ref.name),
        interpreter=backbone_interpreter(campaign.config.backbone.name),
    )
    command += ["--db", ref.db, "--blobs", ref.blobs]
    command += ["--round", str(round_), "--kind", kind]
    command += ["--threads", str(threads), "--devices", str(devices)]
    environment = thread_limits(threads) | environment_of_member(member_number(kind))
    epochs = training_of(campaign.config, kind).epochs
    key = f"train-{ref.name}-{kind.replace('_', '-')}"
    with campaign.observer.progress(key, f"Training {name}", epochs) as progress:
        child = start_process(command, log, environment)

        def look() -> None:
            last = store.models.last_epoch(ref.name, name)
            progress.reach(0 if last is None else last.epoch + 1)

        status = follow(child, log, campaign.observer.info, on_look=look)
    trained = store.models.get(ref.name, name)
    if trained is None:
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        msg = f"training {name} ended with exit status {status}; its log {log}: {tail}"
        raise TrainingError(msg)
    return trained.blob_sha


def environment_of_member(member: int | None) -> dict[str, str]:
    """Return what a member's process is told of GPUs, on which members take turns.

    Nothing where there are none, or the model is no member of a committee.
    """
    n_gpus = count_gpus()
    if member is None or not n_gpus:
        return {}
    return {VISIBLE: gpu_of_member(member, n_gpus, os.environ.get(VISIBLE))}


def gpu_of_member(member: int, n_gpus: int, visible: str | None) -> str:
    """Return the `CUDA_VISIBLE_DEVICES` of a committee's member: one GPU.

    It is one of those that this process was given, by the name that it was given under:
    a number of the machine, as Slurm's `2,3`; `GPU-` and a UUID; or `MIG-` and that of
    a part of a GPU, of which CUDA shows a process one, however many are named.

    Parameters
    ----------
    member
        Number of the member, 1 first.
    n_gpus
        GPUs that torch sees in this process, at least one.
    visible
        This process's `CUDA_VISIBLE_DEVICES`; None: it has none and sees all GPUs.
    """
    names = [name.strip() for name in (visible or "").split(",") if name.strip()]
    if visible is None or not names:
        names = [str(number) for number in range(n_gpus)]
    elif not names[0].startswith("MIG-"):
        names = names[:n_gpus]  # CUDA ends at the first name that it does not know
    return names[(member - 1) % len(names)]


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


def committee_width(campaign: CampaignState) -> int:
    """Return how many members of the committee are trained at once."""
    committee = campaign.config.committee
    width = committee.parallel or count_gpus() or min(AT_ONCE_ON_CPU, available_cores())
    return max(1, min(width, committee.members))
