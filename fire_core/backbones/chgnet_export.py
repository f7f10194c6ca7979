"""A CHGNet written for its own package, and checked by loading it there."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from fire_core.backbones.export import ExportCheck, ExportFormat
from fire_core.errors import BackboneError
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

MODEL_FILE: Final = "model.pth.tar"
ENTRY: Final = "calculator.py"
CALCULATOR: Final = '''"""ASE calculator of {name} (sha256 {sha}).

It computes in single precision. Magnetic moments are not to be relied on once the model
has been fine-tuned: its training data had none.
"""

from pathlib import Path

from chgnet.model import CHGNetCalculator


def calculator(device="cpu"):
    """Return the calculator: atoms.calc = calculator()."""
    path = Path(__file__).parent / "{file}"
    return CHGNetCalculator.from_file(str(path), use_device=device)
'''
USAGE: Final = {
    ExportFormat.CHGNET: (
        "chgnet.model.CHGNet.from_file('{path}'), or "
        "chgnet.model.CHGNetCalculator.from_file('{path}') for ASE; single precision; "
        "after fine-tuning do not rely on its magnetic moments"
    ),
    ExportFormat.ASE: (
        "sys.path.insert(0, '{path}'); from calculator import calculator; "
        "atoms.calc = calculator()"
    ),
}


class LoadedChgnet(Protocol):
    """What export needs of `backbones.chgnet.ChgnetBackbone`."""

    name: str
    sha256: str
    device: Any

    def predict(self, frames: Sequence[Atoms]) -> list[Label]:
        """Return energies (eV), forces (eV/Å) and stresses (eV/Å³) in order."""

    def save(self, path: Path) -> None:
        """Write the model as `CHGNet.from_file` reads it."""


def write_format(
    backbone: LoadedChgnet, format_: ExportFormat, path: Path, source: Path | None
) -> None:
    """Write a model as one of the formats, without checking it."""
    if format_ is ExportFormat.ASE:
        path.mkdir()
        backbone.save(path / MODEL_FILE)
        filled = CALCULATOR.format(
            name=Path(backbone.name).name, sha=backbone.sha256, file=MODEL_FILE
        )
        (path / ENTRY).write_text(filled, encoding="utf-8")
    elif source is None:
        backbone.save(path)
    else:
        shutil.copyfile(source, path)


def check_export(
    backbone: LoadedChgnet, format_: ExportFormat, path: Path, frames: Sequence[Atoms]
) -> ExportCheck:
    """Predict structures with the package's calculator and with the original."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if format_ is ExportFormat.ASE:
            calculator = _run_file(path / ENTRY).calculator(device=str(backbone.device))
            how = f"loaded by its own {ENTRY}"
        else:
            from chgnet.model import CHGNetCalculator

            calculator = CHGNetCalculator.from_file(
                str(path), use_device=str(backbone.device)
            )
            how = "loaded as the package's own ASE calculator"
        predicted = [_label(frame, calculator) for frame in frames]
    expected = backbone.predict(frames)
    return ExportCheck(predicted, expected, how, dtype="float32")


def _label(frame: Atoms, calculator: Any) -> Label:
    atoms = frame.copy()
    atoms.calc = calculator
    forces = np.asarray(atoms.get_forces(), np.float64)
    return Label(float(atoms.get_potential_energy()), forces)


def _run_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        msg = f"{path} cannot be imported"
        raise BackboneError(msg)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
