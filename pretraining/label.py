"""Label the seed structures' surroundings with the teacher, in shares of seeds.

``python -m pretraining.label --jobs jobs.extxyz --out labels --part 0 --parts 2``.
Every share becomes one file, written whole and moved into place, so a killed run
repeats one share.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write

from fire_core.backbones.registry import load_backbone
from pretraining.enrich import enrich, is_usable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone

TEACHER: Final = "sevennet-l3i5"
DRIVER: Final = "sevennet-0"
"""Relaxes and heats: half as dear as the teacher, and near to it."""
SHARE: Final = 24
"""Seeds that go together."""


def label(frames: Sequence[Atoms], teacher: Backbone) -> list[Atoms]:
    """Return the frames with the teacher's results, without the useless ones."""
    labelled = []
    for frame, found in zip(frames, teacher.predict(frames), strict=True):
        if not is_usable(found) or found.stress is None:
            continue
        frame.calc = SinglePointCalculator(
            frame, energy=found.energy, forces=found.forces, stress=found.stress
        )
        labelled.append(frame)
    return labelled


def shares(jobs: Sequence[Atoms]) -> list[list[Atoms]]:
    """Return the seeds in shares, every one with all families, in a fixed order."""
    order = np.random.default_rng(0).permutation(len(jobs))
    return [
        [jobs[i] for i in order[first : first + SHARE]]
        for first in range(0, len(jobs), SHARE)
    ]


def main() -> int:
    """Label this part of the shares; return the exit status."""
    parser = argparse.ArgumentParser(prog="pretraining.label", description=__doc__)
    parser.add_argument("--jobs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    teacher, driver = (
        load_backbone(name, device=arguments.device) for name in (TEACHER, DRIVER)
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    parts = shares(read(arguments.jobs, index=":"))
    start, done = time.monotonic(), 0
    for number in range(arguments.part, len(parts), arguments.parts):
        target = arguments.out / f"share-{number:04d}.extxyz"
        if target.exists():
            continue
        digest = hashlib.sha256(target.stem.encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        frames = label(enrich(parts[number], driver, rng), teacher)
        partial = target.with_suffix(".partial")
        write(partial, frames, format="extxyz")
        partial.replace(target)
        done += sum(map(len, frames))
        elapsed = time.monotonic() - start
        sys.stdout.write(
            f"share {number} of {len(parts)}: {len(frames)} frames; {done} labelled "
            f"atoms in {elapsed:.0f} s\n"
        )
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
