"""SevenNet under FIRE beside its own package: numbers, seconds, memory.

``python -m benchmarks.sevennet [--quick] [--peer PYTHON] [--model NAME]``. PYTHON is an
interpreter whose environment has the package (`pip install sevenn==0.13.0`); without it
only FIRE is measured. Both take one frame, 416 atoms of Li6PS5Cl where the data are
there, in single precision on the CPU, each in a process of its own with the same
threads, in turns; the least time of each counts. The weights have to be installed
(`fire backbone install sevennet-0`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.io import read

from benchmarks.data import SHARED
from fire_core.backbones.registry import load_backbone
from fire_core.config.steps import DynamicsConfig
from fire_core.config.training import TrainConfig
from fire_core.exploration.batch import ReplicaBatch
from fire_core.exploration.dynamics import start_states
from fire_core.exploration.noise import noise_of
from fire_core.exploration.parts import PartLimit
from fire_core.structures.crystals import build_crystal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

PEER: Final = Path(__file__).with_name("sevennet_peer.py")
TASKS: Final = ("infer", "dynamics", "train")
MD_STEPS: Final = 5

Seconds = tuple[float, float]
"""Of the wall, and of the processor: other programs hardly change the latter."""


def frame(*, quick: bool) -> tuple[Atoms, str]:
    """Return the structure that is measured, and what it is."""
    path = SHARED / "li6ps5cl" / "600K.extxyz"
    if path.is_file() and not quick:
        return read(path, index=0), "Li6PS5Cl AIMD"
    atoms = build_crystal("LiCl") * ((2, 2, 2) if quick else (4, 4, 3))
    rng = np.random.default_rng(0)
    atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
    return atoms, "LiCl, rattled"


def request_of(atoms: Atoms, name: str, repeats: int, threads: int) -> dict[str, Any]:
    """Return what both sides are asked."""
    found = {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
    }
    return {
        "task": "measure",
        "model": name,
        "dtype": "float32",
        "cutoff": 5.0,
        "frames": [found],
        "repeats": repeats,
        "threads": threads,
        "md_steps": MD_STEPS,
    }


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Return seconds of a prediction, a step of dynamics and one of training."""
    import torch
    from ase import Atoms as Structure

    backbone: Any = load_backbone(
        request["model"], device="cpu", threads=request["threads"]
    )
    atoms = Structure(**request["frames"][0])
    config = TrainConfig(strategy="naive", adapt="all")
    network = backbone.network(config, [], seed=0)
    graph = backbone.graph(atoms)
    weights = [p for p in network.module.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=1e-9)

    def infer() -> None:
        backbone.predict([atoms])

    def step() -> None:
        found = network.forward([graph], stress=True)
        optimiser.zero_grad()
        loss = found.forces.square().mean() + (found.energy / 1e3).square().sum()
        (loss + found.stress.square().mean()).backward()
        optimiser.step()

    seconds = {
        "infer": least(infer, request["repeats"]),
        "dynamics": seconds_of_dynamics(backbone, atoms, request),
        "train": least(step, request["repeats"]),
    }
    return flat(seconds)


def flat(seconds: dict[str, Seconds]) -> dict[str, float]:
    """Return seconds under two names each, and the most memory so far."""
    wall = {task: value for task, (value, _) in seconds.items()}
    processor = {f"{task}_cpu": value for task, (_, value) in seconds.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return wall | processor | {"peak_gb": peak}


def seconds_of_dynamics(
    backbone: Any, atoms: Atoms, request: dict[str, Any]
) -> Seconds:
    """Return seconds of a step of the dynamics of explorations at 300 K."""
    config = DynamicsConfig(temperatures=(300.0,), replicas=1, timestep=1.0)
    states = start_states([atoms], config, seed=0)
    noise = {0: noise_of(states[0], 0, 0)}
    model = backbone.batched_model()
    batch = ReplicaBatch(model, states, PartLimit.of("auto", model.device))
    batch.start()
    n_steps = request["md_steps"]
    wall, processor = least(
        lambda: batch.advance(n_steps, config, noise), request["repeats"]
    )
    return wall / n_steps, processor / n_steps


def least(call: Callable[[], None], repeats: int) -> Seconds:
    """Return the least wall and processor seconds of several calls after a first."""
    call()
    wall, processor = [], []
    for _ in range(repeats):
        begin, used = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    return min(wall), min(processor)


def ask(command: list[str], request: dict[str, Any]) -> Any:
    """Return what a process of its own answers."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(request["threads"])}
    done = subprocess.run(
        command,
        input=json.dumps(request),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def differences(peer: str, request: dict[str, Any]) -> dict[str, float]:
    """Return the largest differences of numbers from the package's."""
    from ase import Atoms as Structure

    found = {}
    for dtype in ("float32", "float64"):
        backbone = load_backbone(request["model"], device="cpu", dtype=dtype)
        (ours,) = backbone.predict([Structure(**request["frames"][0])])
        asked = request | {"task": "predict", "dtype": dtype}
        (theirs,) = ask([peer, str(PEER)], asked)
        force = np.abs(ours.forces - theirs["forces"]).max()
        found[f"energy_ev_{dtype}"] = abs(ours.energy - theirs["energy"])
        found[f"force_ev_per_angstrom_{dtype}"] = float(force)
    return found


def compare(atoms: Atoms, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure both sides in turns, with each number of threads."""
    ours = [sys.executable, "-W", "ignore", "-m", "benchmarks.sevennet", "--side"]
    turns, repeats = (1, 1) if arguments.quick else (2, 3)
    sides = {"fire": ours}
    if arguments.peer:
        sides["sevenn"] = [arguments.peer, str(PEER)]
    rows = []
    for threads in arguments.threads:
        request = request_of(atoms, name, repeats, threads)
        best: dict[str, dict[str, float]] = {}
        for _ in range(turns):
            for side, command in sides.items():
                answer = ask(command, request)
                old = best.get(side, answer)
                best[side] = {key: min(answer[key], old[key]) for key in answer}
        rows.append({"threads": threads, **best})
    figures: dict[str, Any] = {"rows": rows}
    if arguments.peer:
        figures |= differences(arguments.peer, request)
        both = [*TASKS, *(f"{task}_cpu" for task in TASKS)]
        figures["ratios"] = [
            {task: row["sevenn"][task] / row["fire"][task] for task in both}
            for row in rows
        ]
    return figures


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.sevennet", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--peer", help="interpreter that has the package sevenn")
    parser.add_argument("--model", default="sevennet-0")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--side", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measure(json.load(sys.stdin))))
        return
    if arguments.quick:
        arguments.threads = arguments.threads[:1]
    atoms, what = frame(quick=arguments.quick)
    figures = compare(atoms, arguments.model, arguments)
    print(
        f"{arguments.model}, {what}, {len(atoms)} atoms; seconds of one step "
        "(of the processor)"
    )
    for row in figures["rows"]:
        for side in [key for key in row if key != "threads"]:
            times = "  ".join(
                f"{task} {row[side][task]:6.3f} ({row[side][f'{task}_cpu']:6.3f})"
                for task in TASKS
            )
            peak = row[side]["peak_gb"]
            print(f"{row['threads']} threads  {side:7s} {times}  peak {peak:.1f} GB")
    for ratio in figures.get("ratios", []):
        print("ratio", "  ".join(f"{t} {r:.2f}" for t, r in ratio.items()))
    print(json.dumps({"model": arguments.model, "n_atoms": len(atoms), **figures}))


if __name__ == "__main__":
    main()
