"""Labels needed: FIRE on a tenth of the training frames beside scratch on all of them.

``python -m benchmarks.efficiency [--work FOLDER] [--quick]``. Li10GeP2S12 with PBE
labels, 50 atoms a frame, several temperatures; the last fifth of the file is the test.
Everything goes through `fire study run`, three seeds, so a stopped benchmark goes on.
Scratch starts from fire-mini's architecture with new weights. FIRE's frames are chosen
by SOAP, PCA and K-means, and Materials Project trajectories are rehearsed.

All trainings have as many target frames in each optimiser step. On a tenth of the
frames FIRE and scratch take the same steps; scratch on all of them takes four times as
many, since labels are what is compared and it is to be trained well.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.data import SHARED
from fire_core.children import python_command

DATA: Final = SHARED / "lgps" / "train.extxyz"
REPLAY: Final = SHARED / "replay" / "mptrj_random.extxyz"
FULL: Final = {
    "seeds": [0, 1, 2],
    "every": 1,
    "all_epochs": 12,
    "tenth_epochs": 30,
    "tenth": 0.1,
}
BATCH_FRAMES: Final = 2
"""Target frames in an optimiser step."""
QUICK: Final = {
    "seeds": [0],
    "every": 20,
    "all_epochs": 1,
    "tenth_epochs": 1,
    "tenth": 4,
}


def studies(size: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the two studies: all frames from scratch, and a tenth with FIRE."""
    shared: dict[str, Any] = {
        "data": [{"path": str(DATA), "every": size["every"]}],
        "test": {"fraction": 0.2, "gap": 1},
        "backbone": {"name": "fire-mini", "device": "auto"},
        "forgetting": str(REPLAY),
        "seeds": size["seeds"],
        "threads": 0,
    }
    train = {"batch_frames": BATCH_FRAMES}
    scratch = {"strategy": "scratch", "learning_rate": 0.01}
    fire = {
        "strategy": "replay",
        "replay": {"source": str(REPLAY), "ratio": 2.0, "weight": 0.25},
    }
    return {
        "lgps-all": {
            **shared,
            "name": "lgps-all",
            "train": {**train, "epochs": size["all_epochs"]},
            "variants": {"scratch": scratch},
            "sizes": [1.0],
            "selection": ["random"],
        },
        "lgps-tenth": {
            **shared,
            "name": "lgps-tenth",
            "train": {**train, "learning_rate": 0.004, "epochs": size["tenth_epochs"]},
            "variants": {"fire": fire, "scratch": scratch},
            "sizes": [size["tenth"]],
            "selection": ["kmeans"],
        },
    }


def run_study(folder: Path, study: dict[str, Any]) -> dict[str, Any]:
    """Run a study in a folder with the console command; return its `study.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study['name']}.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    root = Path(__file__).resolve().parents[1]
    command = python_command("cli.main", "study", "run", quiet=True)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run([*command, path.name], cwd=folder, env=environment, check=True)
    results = folder / "results" / f"study-{study['name']}" / "study.json"
    return dict(json.loads(results.read_text(encoding="utf-8")))


def main() -> None:
    """Run what is missing; print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.efficiency", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/efficiency"))
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    parser.add_argument("--study", action="append", help="only this one", default=[])
    arguments = parser.parse_args()
    if not (DATA.is_file() and REPLAY.is_file()):
        parser.exit(1, "the real DFT data (shared/data beside the project) is absent\n")
    size = QUICK if arguments.quick else FULL
    work = arguments.work / ("quick" if arguments.quick else "full")
    rows = []
    for name, study in studies(size).items():
        if not arguments.study or name in arguments.study:
            found = run_study(work.resolve(), study)
            rows += found["points"]
            foundation = found["baseline"]
    print(f"foundation model: {json.dumps(foundation)}")
    for row in rows:
        energy, force = (
            row["spreads"][f"{what}_rmse_mev_per_{per}"]
            for what, per in (("energy", "atom"), ("force", "angstrom"))
        )
        print(
            f"{row['variant']:10s} {row['labels']:5d} labels  "
            f"energy {energy['mean']:7.2f} [{energy['low']:.2f}, {energy['high']:.2f}] "
            f"meV/atom  force {force['mean']:7.1f} "
            f"[{force['low']:.1f}, {force['high']:.1f}] meV/Å  "
            f"{force['n']} seeds ({force['kind']})"
        )
    print(json.dumps({"foundation": foundation, "points": rows}))


if __name__ == "__main__":
    main()
