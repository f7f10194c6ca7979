"""Errors of a fire-mini candidate, or of any model, against labelled frames."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.io import read

from fire_core.backbones.registry import load_backbone

if TYPE_CHECKING:
    from ase import Atoms

logger = logging.getLogger(__name__)


def evaluate(
    model: Path | str, frames: Path, *, refit: bool = False, family: str | None = None
) -> dict[str, float]:
    """Return mean absolute errors on labelled frames.

    Parameters
    ----------
    model
        File of a model, or a name that `load_backbone` knows.
    frames
        extxyz with energies and forces, and stresses if there are any.
    refit
        Take out a per-element energy offset first, for labels of another theory.
    family
        Only frames of this family; None for all.

    Returns
    -------
    dict
        Energy in meV/atom, force in meV/Å per component, stress in meV/Å³, and the
        number of frames; frames with elements the model lacks are left out.
    """
    backbone = load_backbone(str(model), device="cpu", dtype="float32")
    known = [
        f
        for f in read(frames, index=":")
        if set(f.get_chemical_symbols()) <= backbone.elements
        and family in (None, f.info.get("family"))
    ]
    predicted = backbone.predict(known)
    truth = [_labels(frame) for frame in known]
    sizes = np.array([len(f) for f in known])
    residual = np.array([t[0] for t in truth]) - [p.energy for p in predicted]
    if refit:
        symbols = sorted({s for f in known for s in f.get_chemical_symbols()})
        counts = np.array([[f.symbols.count(s) for s in symbols] for f in known])
        per_atom = counts / sizes[:, None]
        offset, *_ = np.linalg.lstsq(per_atom, residual / sizes, rcond=None)
        residual = residual - counts @ offset
    forces = np.concatenate(
        [(t[1] - p.forces).ravel() for t, p in zip(truth, predicted, strict=True)]
    )
    errors = {
        "frames": float(len(known)),
        "energy_mae_mev_per_atom": float(np.abs(residual / sizes).mean() * 1e3),
        "force_mae_mev_per_angstrom": float(np.abs(forces).mean() * 1e3),
        "force_rmse_mev_per_angstrom": float(np.sqrt((forces**2).mean()) * 1e3),
    }
    stresses = [
        np.abs(t[2] - p.stress).mean()
        for t, p in zip(truth, predicted, strict=True)
        if t[2] is not None and p.stress is not None
    ]
    if stresses:
        errors["stress_mae_mev_per_cubic_angstrom"] = float(np.mean(stresses) * 1e3)
    return errors


def _labels(frame: Atoms) -> tuple[float, np.ndarray, np.ndarray | None]:
    results = frame.calc.results
    return results["energy"], results["forces"], results.get("stress")


def main() -> int:
    """Print the errors of a model on a file as JSON."""
    parser = argparse.ArgumentParser(prog="pretraining.evaluate", description=__doc__)
    parser.add_argument("model", help="file, or a backbone's name")
    parser.add_argument("frames", type=Path)
    parser.add_argument("--refit", action="store_true", help="per-element energy fit")
    parser.add_argument("--family", help="only this family of structures")
    arguments = parser.parse_args()
    errors = evaluate(
        arguments.model,
        arguments.frames,
        refit=arguments.refit,
        family=arguments.family,
    )
    sys.stdout.write(json.dumps(errors, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
