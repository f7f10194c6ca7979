"""Anneal fire-mini: a second stage that weighs energies and lets the rate fall.

The first stage (`pretraining.train`) learns forces; this one goes on from its weights
with a heavier energy, MACE's universal loss and a cosine schedule that ends after a
number of steps or of minutes, whichever comes first.  It writes its state every few
minutes; a second call goes on from there.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ase.io import read

from fire_core.backbones.mace import read_model

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

SAVE_EVERY: Final = 120.0  # seconds of work a kill may cost
STATE: Final = "anneal.pt"


@dataclass(frozen=True, slots=True)
class AnnealPlan:
    """Weights of the loss and length of the schedule; minutes cap the steps."""

    steps: int = 40000
    minutes: float = 120.0
    batch_size: int = 16
    learning_rate: float = 4e-3
    warmup: float = 0.02
    energy_weight: float = 4.0
    forces_weight: float = 10.0
    stress_weight: float = 40.0
    ema_decay: float = 0.998
    seed: int = 2026
    threads: int = 1


def rate_at(progress: float, plan: AnnealPlan) -> float:
    """Return the learning rate at a progress of 0 to 1: warm-up, then cosine."""
    warm = min(1.0, progress / plan.warmup)
    return plan.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * progress))


def anneal(model: Path, data: Path, workdir: Path, plan: AnnealPlan) -> Path:
    """Run or continue the second stage; return the file of the averaged model.

    Parameters
    ----------
    model
        Whole MACE model of the first stage.
    data
        extxyz with the labels of `pretraining.dataset`.
    workdir
        Gets the state and `fire-mini.model`.
    plan
        Loss and schedule.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    network = read_model(model).float()  # imports mace before e3nn
    import torch
    from mace.modules.loss import UniversalLoss
    from torch_ema import ExponentialMovingAverage

    torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    loss = UniversalLoss(
        energy_weight=plan.energy_weight,
        forces_weight=plan.forces_weight,
        stress_weight=plan.stress_weight,
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=plan.learning_rate)
    average = ExponentialMovingAverage(network.parameters(), decay=plan.ema_decay)
    parts = {"network": network, "optimizer": optimizer, "average": average}
    step, spent = _restore(workdir / STATE, parts)
    start = saved = time.monotonic()
    running = 0.0
    batches = _batches(data, network, plan)
    progress = 0.0
    while progress < 1.0:
        elapsed = spent + time.monotonic() - start
        progress = max(step / plan.steps, elapsed / (60.0 * plan.minutes))
        for group in optimizer.param_groups:
            group["lr"] = rate_at(min(progress, 1.0), plan)
        value = _take_step(network, optimizer, loss, batches())
        average.update()
        running = value if step == 0 else 0.98 * running + 0.02 * value
        step += 1
        if step % 100 == 0:
            logger.info("step %d, %.3f done, loss %.6f", step, progress, running)
        if time.monotonic() - saved > SAVE_EVERY or progress >= 1.0:
            saved = time.monotonic()
            _store(workdir / STATE, parts, step, spent + saved - start)
    target = workdir / "fire-mini.model"
    with average.average_parameters():
        torch.save(network, target)
    return target


def _take_step(network: Any, optimizer: Any, loss: Any, batch: Any) -> float:
    import torch

    optimizer.zero_grad(set_to_none=True)
    output = network(
        batch.to_dict(), training=True, compute_force=True, compute_stress=True
    )
    value = loss(ref=batch, pred=output)
    value.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return float(value.detach())


def _batches(data: Path, network: Any, plan: AnnealPlan) -> Callable[[], Any]:
    """Return a function that gives one shuffled batch after another, for ever."""
    import torch
    from mace import data as mace_data
    from mace.tools import AtomicNumberTable
    from mace.tools.torch_geometric.dataloader import DataLoader

    table = AtomicNumberTable([int(z) for z in network.atomic_numbers])
    keys = mace_data.KeySpecification.from_defaults()
    previous = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    graphs = [
        mace_data.AtomicData.from_config(
            mace_data.config_from_atoms(frame, key_specification=keys),
            z_table=table,
            cutoff=float(network.r_max),
        )
        for frame in read(data, index=":")
    ]
    torch.set_default_dtype(previous)
    logger.info("%d graphs; %s", len(graphs), asdict(plan))
    loader = DataLoader(
        graphs, batch_size=plan.batch_size, shuffle=True, drop_last=True
    )
    source = iter(loader)

    def draw() -> Any:
        nonlocal source
        batch = next(source, None)
        if batch is None:
            source = iter(loader)
            batch = next(source)
        return batch

    return draw


def _store(path: Path, parts: dict[str, Any], step: int, spent: float) -> None:
    import torch

    state = {name: part.state_dict() for name, part in parts.items()}
    partial = path.with_suffix(".partial")
    torch.save({**state, "step": step, "spent": spent}, partial)
    partial.replace(path)


def _restore(path: Path, parts: dict[str, Any]) -> tuple[int, float]:
    import torch

    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=False)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"], state["spent"]


def main() -> int:
    """Anneal one model; return the exit status."""
    parser = argparse.ArgumentParser(prog="pretraining.anneal", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path, help="train.extxyz")
    parser.add_argument("workdir", type=Path)
    parser.add_argument("--steps", type=int, default=AnnealPlan().steps)
    parser.add_argument("--minutes", type=float, default=AnnealPlan().minutes)
    parser.add_argument("--rate", type=float, default=AnnealPlan().learning_rate)
    parser.add_argument("--threads", type=int, default=AnnealPlan().threads)
    arguments = parser.parse_args()
    logger.addHandler(logging.StreamHandler())
    logger.setLevel(logging.INFO)
    plan = AnnealPlan(
        steps=arguments.steps,
        minutes=arguments.minutes,
        learning_rate=arguments.rate,
        threads=arguments.threads,
    )
    anneal(arguments.model, arguments.data, arguments.workdir, plan)
    return 0


if __name__ == "__main__":
    sys.exit(main())
