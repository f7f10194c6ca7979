"""Speed of one training epoch, beside mace_run_train.

``python -m benchmarks.training [--quick]`` trains fire-mini on mixed data: large target
frames, small replay frames. ``--architecture mp0-medium --architecture mpa0`` trains
published architectures with random weights (`mini`: fire-mini) on rattled LiCl of
``--atoms 64 416``, in which every frame is as large.

Both sides train in single precision on the CPU, each in a process of its own with the
same threads, taking turns; the fastest epoch of each counts. Both validate on the same
frames after each epoch, and start from the same weights, loss and peak learning rate.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.data import mixed_set
from benchmarks.peers import Peer, run_mace
from fire_core.backbones.assets import bundled_model
from fire_core.backbones.mace_architectures import ARCHITECTURES, random_mace
from fire_core.backbones.registry import load_backbone
from fire_core.config.training import TrainConfig
from fire_core.evaluation.references import fit_references
from fire_core.records import LabelledStructure
from fire_core.structures.content import structure_key
from fire_core.structures.crystals import build_crystal
from fire_core.training.alignment import to_foundation_scale
from fire_core.training.data import TrainingData
from fire_core.training.trainer import fine_tune

if TYPE_CHECKING:
    from collections.abc import Sequence


MINI: Final = "mini"
SHORT: Final = {"mp0-small": "small", "mp0-medium": "medium", "mpa0": "medium-mpa-0"}
"""Names of architectures here, and in `backbones.mace_architectures`."""
ATOMS: Final = (64, 416)


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """What is trained, and on how much.

    Attributes
    ----------
    n_target, n_replay
        Frames to learn from.
    epochs, turns
        How often, in each process, and how many processes.
    batch
        Frames of a step; of fire-mini's mixed data, target frames.
    atoms
        In each frame; 0: mixed data.
    model
        File of the model; empty: fire-mini's.
    """

    n_target: int
    n_replay: int
    epochs: int
    turns: int
    batch: int = 4
    atoms: int = 0
    model: str = ""


FULL = Size(n_target=12, n_replay=96, epochs=3, turns=3)
QUICK = Size(n_target=3, n_replay=24, epochs=2, turns=1)
N_VALID = 2


def choose_size(atoms: int, model: str, *, quick: bool) -> Size:
    """Return how much an architecture is trained on, some seconds to minutes."""
    n, batch = max(1, 128 // atoms), max(1, 64 // atoms)
    turns, more = (1, 1) if quick else (3, 2)
    return Size(n * more, 0, 2, turns, batch=batch, atoms=atoms, model=model)


def model_of(architecture: str, folder: Path) -> str:
    """Return the file of an architecture's random weights, or of fire-mini."""
    if architecture == MINI:
        return str(bundled_model())
    name = SHORT.get(architecture, architecture)
    path = folder / f"{name}.model"
    random_mace(name).save(path)
    return str(path)


def rattled_salt(backbone: Any, n: int, atoms: int) -> list[LabelledStructure]:
    """Return rattled LiCl of about so many atoms.

    Its labels are the model's, with interactions a tenth stronger.
    """
    salt = build_crystal("LiCl")
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(n):
        frame = salt * (-(-atoms // (4 * len(salt))), 2, 2)
        frame.positions += rng.normal(0, 0.1, frame.positions.shape)
        frames.append(frame)
    items = []
    for frame, label in zip(frames, backbone.predict(frames), strict=True):
        symbols = frame.get_chemical_symbols()
        alone = sum(backbone.atomic_energies[symbol] for symbol in symbols)
        stronger = dataclasses.replace(
            label,
            energy=alone + 1.1 * (label.energy - alone),
            forces=1.1 * label.forces,
            stress=None if label.stress is None else 1.1 * label.stress,
        )
        key = structure_key(frame)
        items.append(LabelledStructure(key, frame, stronger, "the model's, scaled"))
    return items


def prepare(size: Size) -> tuple[Any, Any, Any, TrainConfig, str]:
    """Return model, training and validation structures, settings, and a name."""
    if size.atoms:
        backbone: Any = load_backbone(size.model, device="cpu")
        items = rattled_salt(backbone, size.n_target + 1, size.atoms)
        name = f"LiCl of {len(items[0].atoms)} atoms"
        return backbone, items[:-1], items[-1:], settings_of(size), name
    backbone = load_backbone("fire-mini", device="cpu")
    target, replay, name = mixed_set(backbone, size.n_target + N_VALID, size.n_replay)
    parts = []
    for items in (target, replay):
        predicted = backbone.predict([i.atoms for i in items])
        parts.append(to_foundation_scale(items, fit_references(items, predicted).shift))
    train, valid = [*parts[0][:-N_VALID], *parts[1]], parts[0][-N_VALID:]
    return backbone, train, valid, settings_of(size), name


def settings_of(size: Size) -> TrainConfig:
    """Return how both sides train."""
    return TrainConfig.model_validate(
        {
            "strategy": "naive",
            "epochs": size.epochs,
            "batch_frames": size.batch,
            "learning_rate": 1e-3,
            "references": {"method": "keep"},
        }
    )


def run_ours(size: Size) -> dict[str, Any]:
    """Train with FIRE; return its epochs."""
    backbone, train, valid, config, name = prepare(size)
    tuned = fine_tune(backbone, TrainingData(train, valid, [], []), config, seed=1)
    epochs = [
        {
            "seconds": r.seconds,
            "energy_rmse": r.valid.energy_rmse,
            "force_rmse": r.valid.force_rmse,
        }
        for r in tuned.records
    ]
    return {"epochs": epochs, "name": name, "frames": len(train)}


def run_theirs(size: Size) -> dict[str, Any]:
    """Train with mace_run_train; return its epochs."""
    _, train, valid, config, name = prepare(size)
    with tempfile.TemporaryDirectory() as folder:
        run = run_mace(
            Path(folder),
            (train, valid),
            config,
            peer=Peer(Path(size.model or bundled_model()), config.batch_frames),
        )
    return {
        "epochs": [dataclasses.asdict(e) for e in run.epochs],
        "name": name,
        "frames": len(train),
    }


def in_a_process(who: str, size: Size, threads: int) -> dict[str, Any]:
    """Run one side in a fresh interpreter with so many threads."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.training"]
    command += ["--side", who, "--size", json.dumps(dataclasses.asdict(size))]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(size: Size, threads: int) -> dict[str, Any]:
    """Run both sides in turns; return frames per second, errors and the ratio."""
    seconds: dict[str, list[float]] = {"fire": [], "mace_run_train": []}
    errors: dict[str, list[float]] = {}
    facts: dict[str, Any] = {}
    for _ in range(size.turns):
        for who, times in seconds.items():
            result = in_a_process(who, size, threads)
            times += [epoch["seconds"] for epoch in result["epochs"]]
            errors[who] = [round(e["force_rmse"], 1) for e in result["epochs"]]
            facts = {"data": result["name"], "frames": result["frames"]}
    best = {who: min(times) for who, times in seconds.items()}
    median = {who: float(np.median(times)) for who, times in seconds.items()}
    return {
        **facts,
        "threads": threads,
        "frames_per_second": {w: facts["frames"] / s for w, s in best.items()},
        "median_epoch_s": median,
        "force_rmse_by_epoch_mev_per_angstrom": errors,
        "ratio": best["mace_run_train"] / best["fire"],
        "ratio_of_medians": median["mace_run_train"] / median["fire"],
    }


def measure_architectures(
    names: Sequence[str], atoms: Sequence[int], threads: int, *, quick: bool
) -> dict[str, Any]:
    """Measure every architecture at every size, and print each as it is done.

    `ratio` holds of each architecture the smallest.
    """
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            model, by_atoms = model_of(name, Path(folder)), {}
            for n in atoms:
                size = choose_size(n, model, quick=quick)
                figures = measure(size, threads)
                show(f"{name}, {figures['data']}", figures)
                by_atoms[str(n)] = figures
            found[name] = by_atoms
    ratios = {
        name: {n: figures["ratio"] for n, figures in by_atoms.items()}
        for name, by_atoms in found.items()
    }
    return {
        "threads": threads,
        "ratio": {name: min(of.values()) for name, of in ratios.items()},
        "ratio_by_atoms": ratios,
        "figures": found,
    }


def show(title: str, figures: dict[str, Any]) -> None:
    """Print what was measured, for a person."""
    print(f"{title}, {figures['frames']} frames, {figures['threads']} threads")
    for who, rate in figures["frames_per_second"].items():
        errors = figures["force_rmse_by_epoch_mev_per_angstrom"][who]
        print(f"{who:16s} {rate:7.2f} frames/s   force RMSE by epoch {errors} meV/Å")
    ratio = f"ratio {figures['ratio']:.2f} (medians {figures['ratio_of_medians']:.2f})"
    print(ratio, flush=True)


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.training", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--architecture",
        action="append",
        choices=[MINI, *SHORT, *ARCHITECTURES],
        help="may be said several times",
    )
    parser.add_argument("--atoms", type=int, nargs="+", default=ATOMS)
    parser.add_argument("--side", choices=["fire", "mace_run_train"])
    parser.add_argument("--size", type=json.loads)
    arguments = parser.parse_args()
    if arguments.side:
        run = run_ours if arguments.side == "fire" else run_theirs
        print(json.dumps(run(Size(**arguments.size))))
        return
    if arguments.architecture:
        names, atoms = arguments.architecture, arguments.atoms
        figures = measure_architectures(
            names, atoms, arguments.threads, quick=arguments.quick
        )
    else:
        size = QUICK if arguments.quick else FULL
        figures = measure(size, arguments.threads)
        show(figures["data"], figures)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
