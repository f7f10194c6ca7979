"""A campaign at full size with a teacher's labels: time and memory of each step.

``python -m benchmarks.rehearsal [--work FOLDER] [--quick]``. LiCl/GaF3, 20,000
candidates, CHGNet as the teacher in place of DFT. Steps as in the paper: 40 perturbed
configurations, pre-fine-tune, dynamics, SOAP - PCA - K-means, labels, replay fine-tune,
an independent trajectory, report. Stopped, it goes on where it was; then the times are
those of all its runs, and memory is the largest that was seen.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import yaml
from sqlalchemy import create_engine, text

from fire_core.children import python_command

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLE_S: Final = 1.0
NAME: Final = "rehearsal"


def describe(quick: bool) -> dict[str, Any]:
    """Return the campaign."""
    frames, picks, epochs = (200, 12, 1) if quick else (20000, 240, 6)
    replicas = 4 if quick else 40
    steps = 4 * frames // replicas
    training = {"strategy": "replay", "epochs": epochs, "batch_frames": 4}
    return {
        "name": NAME,
        "seed": 11,
        "system": {
            "kind": "interface",
            "bottom": {"crystal": "LiCl", "miller": [0, 0, 1], "layers": 2},
            "top": {"crystal": "GaF3", "miller": [0, 1, 2], "layers": 1},
            "max_strain": 0.08,
            "min_width": 7.0,
            "max_atoms": 48,
        },
        "theory": {"kind": "teacher", "backbone": "chgnet"},
        "label": {"workers": 2, "batch": 20},
        "backbone": {"name": "fire-mini"},
        "perturb": {"n": 8 if quick else 40},
        "pre_fine_tune": training | {"learning_rate": 0.004},
        "explore": {
            "temperatures": [300, 450, 600, 900],
            "replicas": replicas,
            "steps": steps,
            "timestep": 2.0,
            "save_every": 4,
            "segment": 100,
        },
        "select": {"n": picks, "soap": {"average": "species_region", "workers": 2}},
        "fine_tune": training
        | {"learning_rate": 0.008, "replay": {"ratio": 1.0, "weight": 0.2}},
        "evaluate": {
            "dynamics": {
                "temperatures": [500, 700],
                "replicas": 2,
                "steps": 400,
                "save_every": 20,
                "equilibration": 100,
                "segment": 100,
            },
            "n": 6 if quick else 24,
            "vanilla": False,
        },
    }


class Watch(threading.Thread):
    """Notes, each second, the memory of a process and all that it started."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.samples: list[tuple[float, float]] = []

    def run(self) -> None:
        """Sample until the process ends."""
        while self.process.is_running():
            total = 0.0
            try:
                family = [self.process, *self.process.children(recursive=True)]
            except psutil.Error:
                return
            for member in family:
                try:
                    total += member.memory_info().rss / 2**20
                except psutil.Error:
                    continue
            self.samples.append((time.time(), total))
            time.sleep(SAMPLE_S)


def run(work: Path, campaign: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Run the campaign by the console command; return times and MiB."""
    work.mkdir(parents=True, exist_ok=True)
    path = work / f"{NAME}.yaml"
    path.write_text(yaml.safe_dump(dict(campaign), sort_keys=False), encoding="utf-8")
    command = python_command("cli.main", "campaign", "run", quiet=True)
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([*command, path.name], cwd=work, env=environment) as process:
        watch = Watch(process.pid)
        watch.start()
        process.wait()
    if process.returncode:
        sys.exit(process.returncode)
    return watch.samples


def tabulate(work: Path, samples: list[tuple[float, float]]) -> list[dict[str, Any]]:
    """Return each step's seconds and, of what ran while it was watched, peak MiB."""
    engine = create_engine(f"sqlite:///{work}/.fire/fire.db")
    query = "SELECT round, step, wall_s, core_s, finished_at FROM usage ORDER BY id"
    steps: dict[str, dict[str, Any]] = {}
    with engine.connect() as connection:
        for row in connection.execute(text(query)):
            name = f"{row.step} {row.round}"
            step = steps.setdefault(
                name, {"step": name, "wall_s": 0.0, "core_s": 0.0, "peak_mib": 0.0}
            )
            step["wall_s"] += row.wall_s
            step["core_s"] += row.core_s
            begin = row.finished_at - row.wall_s
            during = [m for t, m in samples if begin <= t <= row.finished_at + SAMPLE_S]
            step["peak_mib"] = max([step["peak_mib"], *during])
    engine.dispose()
    return list(steps.values())


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.rehearsal", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/rehearsal"))
    parser.add_argument("--quick", action="store_true", help="200 candidates, minutes")
    arguments = parser.parse_args()
    work = (arguments.work / ("quick" if arguments.quick else "full")).resolve()
    samples = run(work, describe(arguments.quick))
    steps = tabulate(work, samples)
    for step in steps:
        print(
            f"{step['step']:28s} {step['wall_s']:8.0f} s  "
            f"{step['core_s']:8.0f} core s  {step['peak_mib']:6.0f} MiB"
        )
    results = json.loads((work / "results" / NAME / "results.json").read_text())
    models = results.get("models", {})
    figures = {
        "steps": steps,
        "wall_s": sum(step["wall_s"] for step in steps),
        "peak_mib": max(memory for _, memory in samples),
        "models": models,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
