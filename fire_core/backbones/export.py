"""Write a model for other programs, and check what was written by loading it."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeGuard

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from fire_core.backbones.base import Backbone
from fire_core.backbones.neutral import pack_neutral, read_neutral
from fire_core.backbones.torch_types import dtype_name
from fire_core.backbones.trainable import need_trainable
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms

    from fire_core.backbones.trainable import Trainable
    from fire_core.records import Label


class ExportFormat(StrEnum):
    """Who the written model is for."""

    MACE = "mace"
    CHGNET = "chgnet"
    ASE = "ase"
    TORCH_SIM = "torch-sim"
    LAMMPS = "lammps"
    LAMMPS_MLIAP = "lammps-mliap"
    NEUTRAL = "neutral"


TOLERANCES: Final = {"float64": (1e-8, 1e-7), "float32": (1e-5, 1e-3)}
"""How far an exported model may be from the original: eV/atom and eV/Å."""
SHORTEST_EDGE: Final = 3.5
LONGEST_EDGE: Final = 8.4
"""Å, of the rock salts made up for the comparison: hydrogen and helium at their radii
would have thousands of neighbours, caesium and francium none within some cutoffs."""


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


@dataclass(frozen=True, slots=True, eq=False)
class ExportCheck:
    """What an exported model predicts, and what the original does.

    Attributes
    ----------
    predicted, expected
        Labels of the same structures by the written file and by the original.
    how
        How the written file was loaded and run.
    unchecked
        What could not be checked here; empty when nothing is left.
    dtype
        Type that the written file computes in, where it is not the original's; decides
        how well the two agree.
    """

    predicted: list[Label]
    expected: list[Label]
    how: str
    unchecked: str = ""
    dtype: str = ""


class Exportable(Backbone, Protocol):
    """A backbone that can be written for other programs.

    Attributes
    ----------
    dtype
        torch's floating-point type, which decides how well the written model agrees.
    formats
        What it can be written as.
    """

    dtype: Any
    formats: frozenset[ExportFormat]

    def write(self, format_: ExportFormat, path: Path, source: Path | None) -> None:
        """Write the model for another program, without checking it.

        `source` is the model's own file, if there is one.
        """

    def check(
        self, format_: ExportFormat, path: Path, frames: Sequence[Atoms]
    ) -> ExportCheck:
        """Predict structures with what was written and with the model itself."""

    def usage(self, format_: ExportFormat, path: Path) -> str:
        """Return how the written model is used, for a person."""


def is_exportable(backbone: Backbone) -> TypeGuard[Exportable]:
    """Return whether a backbone can be written for other programs."""
    return all(
        hasattr(backbone, name) for name in ("formats", "write", "check", "usage")
    )


class NeutralWeights:
    """Any backbone that is trained, as neutral weights: an `Exportable`."""

    def __init__(self, backbone: Trainable) -> None:
        self.backbone = backbone
        self.name, self.dtype = backbone.name, backbone.dtype

    def write(self, _: ExportFormat, path: Path, source: Path | None) -> None:
        """Write the neutral file, or copy the one that there is."""
        if source is None:
            path.write_bytes(pack_neutral(self.backbone.neutral()))
        else:
            shutil.copyfile(source, path)

    def check(
        self, _: ExportFormat, path: Path, frames: Sequence[Atoms]
    ) -> ExportCheck:
        """Predict structures with the network that is built from the file alone."""
        again = self.backbone.reload(path)
        return ExportCheck(
            again.predict(frames),
            self.backbone.predict(frames),
            "built again from the tensors and the JSON in it, without a pickle",
        )

    def usage(self, _: ExportFormat, path: Path) -> str:
        """Return what to set, for a person."""
        family = read_neutral(path).family
        name = path if family == "mace" else f"{family}:{path}"
        return f"backbone.name: {name}; other programs read it with safetensors"


def export_model(
    backbone: Backbone,
    format_: ExportFormat,
    path: Path,
    *,
    frames: Sequence[Atoms] = (),
    source: Path | None = None,
) -> ExportResult:
    """Write a model in the backbone's floating-point type, and check it.

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
        The model's own file in that format, which is copied byte for byte.

    Raises
    ------
    BackboneError
        The model cannot be written so, the path exists, or what was written does not
        predict the same.
    """
    model = _need_exportable(backbone, format_)
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
            model.write(format_, partial, source)
            check = model.check(format_, partial, compared)
        energy, force = largest_differences(check.predicted, check.expected)
        _refuse_difference(model, format_, check.dtype, energy, force)
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
        model.usage(format_, path),
    )


def _need_exportable(
    backbone: Backbone, format_: ExportFormat
) -> Exportable | NeutralWeights:
    if format_ is ExportFormat.NEUTRAL:
        return NeutralWeights(need_trainable(backbone))
    offered = backbone.formats if is_exportable(backbone) else frozenset()
    if not is_exportable(backbone) or format_ not in offered:
        others = sorted({*offered, ExportFormat.NEUTRAL})
        msg = (
            f"{backbone.name} cannot be written as {format_}: nothing that reads that "
            f"runs it; use --format {' or '.join(others)}"
        )
        raise BackboneError(msg)
    return backbone


def largest_differences(
    labels: Sequence[Label], others: Sequence[Label]
) -> tuple[float, float]:
    """Return the largest differences of energies, eV/atom, and of forces, eV/Å."""
    pairs = list(zip(labels, others, strict=True))
    energy = max(abs(a.energy - b.energy) / len(a.forces) for a, b in pairs)
    force = max(float(np.abs(a.forces - b.forces).max()) for a, b in pairs)
    return float(energy), force


def example_frames(backbone: Backbone) -> list[Atoms]:
    """Make rattled rock salts in which each of the model's elements occurs twice.

    Elements of like size share a cell of eight atoms, so that all feel each other.
    """
    from ase.build import bulk  # a second of imports

    numbers = sorted(atomic_numbers[symbol] for symbol in backbone.elements)
    numbers.sort(key=lambda number: covalent_radii[number])
    rng = np.random.default_rng(0)
    frames = []
    for first in (0, 4):
        order = numbers[first % len(numbers) :] + numbers[: first % len(numbers)]
        for start in range(0, len(order), 8):
            cell = bulk("NaCl", "rocksalt", a=1.0, cubic=True)
            cell.numbers = np.resize(order[start : start + 8], 8)
            diameter = 2.0 * float(np.mean(covalent_radii[cell.numbers]))
            edge = float(np.clip(2.1 * diameter, SHORTEST_EDGE, LONGEST_EDGE))
            cell.set_cell(edge * cell.cell[:], scale_atoms=True)
            cell.positions += rng.normal(0, 0.05, cell.positions.shape)
            frames.append(cell)
    return frames


def _refuse_difference(
    backbone: Exportable | NeutralWeights,
    format_: ExportFormat,
    dtype: str,
    energy: float,
    force: float,
) -> None:
    limits = TOLERANCES[dtype or dtype_name(backbone.dtype)]
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
