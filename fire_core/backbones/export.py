"""Write a model for other programs, and check what was written by loading it."""

from __future__ import annotations

import copy
import shutil
import warnings
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from fire_core.backbones.mace import MaceBackbone, load_mace
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.records import Label


class ExportFormat(StrEnum):
    """Who the written model is for."""

    MACE = "mace"
    ASE = "ase"
    TORCH_SIM = "torch-sim"
    LAMMPS = "lammps"
    LAMMPS_MLIAP = "lammps-mliap"


TOLERANCES: Final = {"float64": (1e-8, 1e-7), "float32": (1e-5, 1e-3)}
"""How far an exported model may be from the original: eV/atom and eV/Å."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """An exported model and how its check went.

    Attributes
    ----------
    format
        What it was written as.
    path
        File or folder.
    n_structures
        Structures that the written model was compared on.
    energy_difference
        Largest difference from the original, eV/atom.
    force_difference
        The same of force components, eV/Å.
    checked
        How the written file was loaded and run.
    unchecked
        What could not be checked here; empty when nothing is left.
    usage
        How to use it, for a person.
    """

    format: ExportFormat
    path: Path
    n_structures: int
    energy_difference: float
    force_difference: float
    checked: str
    unchecked: str
    usage: str


def export_model(
    backbone: Backbone,
    format_: ExportFormat,
    path: Path,
    *,
    frames: Sequence[Atoms] = (),
    source: Path | None = None,
) -> ExportResult:
    """Write a MACE model in the backbone's floating-point type, and check it.

    The file is written aside, loaded as its users will load it, compared with the
    original, and only then moved to `path`.

    Parameters
    ----------
    backbone
        What to write.
    format_
        Who it is for.
    path
        File to write; a folder for `ase` and `torch-sim`. Must not exist.
    frames
        Periodic structures to compare on; made of the model's elements when empty.
    source
        The model's own file, which `mace` copies byte for byte.

    Raises
    ------
    BackboneError
        The model is no MACE model, the path exists, or what was written does not
        predict the same.
    """
    from fire_core.backbones.export_checks import check_export
    from fire_core.backbones.export_files import USAGE, write_format

    if not isinstance(backbone, MaceBackbone):
        msg = f"only MACE models can be exported; {backbone.name} is none"
        raise BackboneError(msg)
    if path.exists():
        msg = f"{path} exists; delete it or choose another path"
        raise BackboneError(msg)
    compared = list(frames) or example_frames(backbone)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    _remove(partial)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notes of torch and mace on each other
            write_format(backbone, format_, partial, source)
            check = check_export(backbone, format_, partial, compared)
        energy, force = largest_differences(check.predicted, check.expected)
        _refuse_difference(backbone, format_, energy, force)
        partial.replace(path)
    finally:
        _remove(partial)
    return ExportResult(
        format_,
        path,
        len(check.expected),
        energy,
        force,
        check.how,
        check.unchecked,
        USAGE[format_].format(path=path, elements=_types(backbone)),
    )


def save_model(backbone: MaceBackbone, path: Path) -> None:
    """Write the model as mace-torch reads it."""
    import torch

    torch.save(copy.deepcopy(backbone.model).to("cpu").eval(), path)


def reload(backbone: MaceBackbone, path: Path) -> MaceBackbone:
    """Load a model file on the device and in the type of a backbone."""
    return load_mace(
        path,
        name=backbone.name,
        device=str(backbone.device),
        dtype=dtype_name(backbone),
    )


def dtype_name(backbone: MaceBackbone) -> str:
    """Return the backbone's floating-point type as `float32` or `float64`."""
    return str(backbone.dtype).removeprefix("torch.")


def largest_differences(
    labels: Sequence[Label], others: Sequence[Label]
) -> tuple[float, float]:
    """Return the largest differences of energies, eV/atom, and of forces, eV/Å."""
    pairs = list(zip(labels, others, strict=True))
    energy = max(abs(a.energy - b.energy) / len(a.forces) for a, b in pairs)
    force = max(float(np.abs(a.forces - b.forces).max()) for a, b in pairs)
    return float(energy), force


def example_frames(backbone: Backbone) -> list[Atoms]:
    """Make rattled rock salts in which each of the model's elements occurs."""
    from ase.build import bulk  # a second of imports

    symbols = sorted(backbone.elements, key=lambda s: atomic_numbers[s])
    partners = [*symbols[1:], symbols[0]]
    rng = np.random.default_rng(0)
    frames = []
    for pair in list(zip(symbols, partners, strict=True))[:: len(symbols) // 12 + 1]:
        contact = sum(covalent_radii[atomic_numbers[s]] for s in pair)
        cell = bulk("".join(pair), "rocksalt", a=2.1 * contact, cubic=True)
        cell.positions += rng.normal(0, 0.05, cell.positions.shape)
        frames.append(cell)
    return frames


def _types(backbone: MaceBackbone) -> str:
    from ase.data import chemical_symbols

    return " ".join(chemical_symbols[z] for z in backbone.numbers)


def _refuse_difference(
    backbone: MaceBackbone, format_: ExportFormat, energy: float, force: float
) -> None:
    limits = TOLERANCES[dtype_name(backbone)]
    if not (energy <= limits[0] and force <= limits[1]):
        msg = (
            f"{backbone.name} written as {format_} does not predict the same: energies "
            f"differ by {energy:.2g} eV/atom (limit {limits[0]:g}), forces by "
            f"{force:.2g} eV/Å (limit {limits[1]:g}); nothing was left behind. Try "
            "another --format, and report this"
        )
        raise BackboneError(msg)


def _remove(path: Path) -> None:
    """Remove what an export wrote aside."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
