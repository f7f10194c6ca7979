"""The files of each format that a MACE model is exported as."""

from __future__ import annotations

import contextlib
import copy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.export import ExportFormat
from fire_core.backbones.mace_neutral import mace_to_neutral
from fire_core.backbones.neutral import SUFFIX, pack_neutral
from fire_core.backbones.torch_types import dtype_name
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from fire_core.backbones.mace_graphs import LoadedMace

MODEL_FILE: Final = "model.mace"
NEUTRAL_FILE: Final = f"model{SUFFIX}"
"""The same weights, for when mace-torch's pickle can no longer be read."""
ENTRY: Final = {
    ExportFormat.ASE: "calculator.py",
    ExportFormat.TORCH_SIM: "torch_sim_model.py",
}
"""Python file of a folder, beside the model."""

CALCULATOR: Final = '''"""ASE calculator of {name} (sha256 {sha})."""

from pathlib import Path

from mace.calculators import MACECalculator


def calculator(device="cpu", dtype="{dtype}"):
    """Return the calculator: atoms.calc = calculator()."""
    return MACECalculator(
        model_paths=str(Path(__file__).parent / "{file}"),
        device=device,
        default_dtype=dtype,
        head={head!r},
    )
'''
TORCH_SIM: Final = '''"""torch-sim model of {name} (sha256 {sha})."""

from pathlib import Path

import torch
import mace.modules  # must come before e3nn; unpickling needs its classes
from torch_sim.models.mace import MaceModel


def load_model(device="cpu", dtype=torch.{dtype}):
    """Return the model: torch_sim.integrate(model=load_model(), ...)."""
    network = torch.load(
        Path(__file__).parent / "{file}", map_location="cpu", weights_only=False
    )
    return MaceModel(network, device=torch.device(device), dtype=dtype)
'''
USAGE: Final = {
    ExportFormat.MACE: "mace.calculators.MACECalculator(model_paths='{path}')",
    ExportFormat.ASE: (
        "sys.path.insert(0, '{path}'); from calculator import calculator; "
        "atoms.calc = calculator()"
    ),
    ExportFormat.TORCH_SIM: (
        "sys.path.insert(0, '{path}'); from torch_sim_model import load_model; "
        "torch_sim.integrate(model=load_model(), ...)"
    ),
    ExportFormat.LAMMPS: (
        "LAMMPS with ML-MACE, units metal, atom_style atomic, newton on: "
        "pair_style mace no_domain_decomposition; pair_coeff * * {path} with your "
        "types' symbols, of {elements}"
    ),
    ExportFormat.LAMMPS_MLIAP: (
        "LAMMPS with ML-IAP, PYTHON and KOKKOS, mace-torch importable, units metal: "
        "pair_style mliap unified {path} 0; pair_coeff * * with your types' symbols, "
        "of {elements}"
    ),
}


def write_format(
    backbone: LoadedMace, format_: ExportFormat, path: Path, source: Path | None
) -> None:
    """Write a model as one of the formats, without checking it."""
    if format_ is ExportFormat.MACE:
        if source is None:
            backbone.save(path)
        else:
            shutil.copyfile(source, path)
    elif format_ is ExportFormat.LAMMPS:
        _write_torchscript(backbone, path)
    elif format_ is ExportFormat.LAMMPS_MLIAP:
        _write_mliap(backbone, path)
    else:
        text = CALCULATOR if format_ is ExportFormat.ASE else TORCH_SIM
        _write_folder(backbone, path, ENTRY[format_], text)


def _write_folder(backbone: LoadedMace, path: Path, entry: str, text: str) -> None:
    path.mkdir()
    backbone.save(path / MODEL_FILE)
    with contextlib.suppress(BackboneError):  # the folder is of use without it
        neutral = mace_to_neutral(backbone.model)
        (path / NEUTRAL_FILE).write_bytes(pack_neutral(neutral))
    filled = text.format(
        name=Path(backbone.name).name,
        sha=backbone.sha256,
        file=MODEL_FILE,
        dtype=dtype_name(backbone.dtype),
        head=first_head(backbone.model),
    )
    (path / entry).write_text(filled, encoding="utf-8")


def _write_torchscript(backbone: LoadedMace, path: Path) -> None:
    """Compile mace-torch's wrapper for LAMMPS' ML-MACE package."""
    from e3nn.util import jit
    from mace.calculators import LAMMPS_MACE

    network = _with_named_head(backbone)
    jit.compile(LAMMPS_MACE(network, head=first_head(network))).save(str(path))


def _write_mliap(backbone: LoadedMace, path: Path) -> None:
    """Pickle mace-torch's object for LAMMPS' ML-IAP package."""
    import torch
    from mace.calculators.lammps_mliap_mace import LAMMPS_MLIAP_MACE

    network = _with_named_head(backbone)
    network.lammps_mliap = True
    wrapped = LAMMPS_MLIAP_MACE(
        network,
        head=first_head(network),
        total_charge=torch.zeros(1, dtype=backbone.dtype),
        total_spin=torch.ones(1, dtype=backbone.dtype),
    )
    # An attribute of LAMMPS' base class, which is an empty one where LAMMPS is absent.
    wrapped.interface = None
    torch.save(wrapped, path)


def _with_named_head(backbone: LoadedMace) -> Any:
    """Return a copy on the CPU that names its head, as files of 2023 do not."""
    network = copy.deepcopy(backbone.model).to("cpu")
    if not getattr(network, "heads", None):
        network.heads = ["Default"]
    return network


def first_head(network: Any) -> Any:
    """Return the name of the readout head that predictions here use.

    mace-torch's own converters take the last one.
    """
    return getattr(network, "heads", None) and network.heads[0]
