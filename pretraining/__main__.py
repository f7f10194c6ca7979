"""Make fire-mini: generate, label, train, judge and bundle whatever is missing.

``python -m pretraining --workdir build/pretraining`` does everything; a second call
goes on where the first was stopped. The teacher's weights are fetched once by
``fire backbone install``.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import subprocess
import sys
from pathlib import Path

from fire_core.backbones.sevennet_install import install_sevennet, installed_path
from fire_core.children import python_command
from pretraining.bundle import bundle
from pretraining.dataset import write_splits
from pretraining.generate import write_jobs
from pretraining.label import DRIVER, TEACHER
from pretraining.train import TrainingPlan, train_in_processes

SEED = 2026

logger = logging.getLogger(__name__)


def label_all(workdir: Path, parts: int, device: str) -> None:
    """Run the labelling processes side by side until every share has its file."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    children = []
    for part in range(parts):
        command = python_command("pretraining.label", quiet=True)
        command += ["--jobs", str(workdir / "jobs.extxyz")]
        command += ["--out", str(workdir / "labels"), "--device", device]
        command += ["--part", str(part), "--parts", str(parts)]
        children.append(subprocess.Popen(command, env=environment))
    codes = [child.wait() for child in children]
    if any(codes):
        msg = f"labelling processes ended with {codes}; call again to go on"
        raise RuntimeError(msg)


def main() -> int:
    """Do what is missing; return the exit status."""
    parser = argparse.ArgumentParser(prog="pretraining", description=__doc__)
    parser.add_argument("--workdir", type=Path, default=Path("build/pretraining"))
    parser.add_argument("--epochs", type=int, default=TrainingPlan().epochs)
    parser.add_argument(
        "--start", default=TrainingPlan().start, help="weights; '' none"
    )
    parser.add_argument("--device", default="cpu", help="of the teacher")
    parser.add_argument("--parts", type=int, default=2, help="processes side by side")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    workdir: Path = arguments.workdir
    for name in (TEACHER, DRIVER):
        if not installed_path(name).is_file():
            install_sevennet(name)
    if not (workdir / "jobs.extxyz").exists():
        write_jobs(workdir / "jobs.extxyz", SEED)
    label_all(workdir, arguments.parts, arguments.device)
    data = workdir / "data"
    if not (data / "references.json").exists():
        write_splits(workdir / "labels", data)
    plan = TrainingPlan(epochs=arguments.epochs, start=arguments.start)
    model = train_in_processes(data, workdir / "training", plan, arguments.parts)
    bundle(model, data, SEED, dataclasses.asdict(plan))
    return 0


if __name__ == "__main__":
    sys.exit(main())
