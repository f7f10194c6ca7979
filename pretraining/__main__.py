"""Make fire-mini: generate, label, train, judge and bundle whatever is missing.

``python -m pretraining --workdir build/pretraining`` does everything; a second call
goes on where the first was stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import subprocess
import sys
import venv
from pathlib import Path

from pretraining.anneal import AnnealPlan, anneal
from pretraining.bundle import bundle
from pretraining.dataset import write_splits
from pretraining.generate import write_jobs
from pretraining.train import TrainingPlan, train

SEED = 2026
TEACHER_PACKAGES = ("torch==2.13.*", "sevenn==0.13.*", "ase==3.29.0")

logger = logging.getLogger(__name__)


def make_teacher(folder: Path) -> Path:
    """Install the teacher in its own environment; return its interpreter.

    SevenNet needs e3nn 0.5 or newer, mace-torch pins 0.4.4.
    """
    python = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        venv.create(folder, with_pip=True)
        command = [str(python), "-m", "pip", "install", "-q", *TEACHER_PACKAGES]
        subprocess.run(command, check=True)
        (folder / ".installed").touch()
    return python


def label_all(python: Path, workdir: Path, parts: int) -> None:
    """Run the labelling processes side by side until every job has its file."""
    script = Path(__file__).with_name("label.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    children = []
    for part in range(parts):
        command = [str(python), "-W", "ignore", str(script)]
        command += ["--jobs", str(workdir / "jobs.extxyz")]
        command += ["--out", str(workdir / "labels")]
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
    parser.add_argument("--teacher", type=Path, help="environment of the teacher")
    parser.add_argument("--epochs", type=int, default=TrainingPlan().epochs)
    parser.add_argument(
        "--anneal-minutes", type=float, default=AnnealPlan().minutes, metavar="M"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--parts", type=int, default=2, help="labelling processes")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    workdir: Path = arguments.workdir
    python = make_teacher(arguments.teacher or workdir / "teacher")
    if not (workdir / "jobs.extxyz").exists():
        write_jobs(workdir / "jobs.extxyz", SEED)
    label_all(python, workdir, arguments.parts)
    references = write_splits(workdir / "labels", workdir / "data")
    plan = TrainingPlan(epochs=arguments.epochs, device=arguments.device)
    model = train(workdir / "data", workdir / "training", references, plan)
    second = AnnealPlan(minutes=arguments.anneal_minutes)
    train_file = workdir / "data" / "train.extxyz"
    model = anneal(model, train_file, workdir / "anneal", second)
    stages = {
        "first_stage": dataclasses.asdict(plan),
        "second_stage": dataclasses.asdict(second),
    }
    bundle(model, workdir / "data", SEED, stages)
    return 0


if __name__ == "__main__":
    sys.exit(main())
