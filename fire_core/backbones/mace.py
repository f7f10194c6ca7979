"""MACE models: the one door to mace-torch for prediction."""

from __future__ import annotations

import contextlib
import io
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import chemical_symbols

from fire_core.backbones.base import (
    BATCH_ATOMS,
    pack_by_atoms,
    refuse_unknown_elements,
)
from fire_core.backbones.calculator import BackboneCalculator
from fire_core.errors import BackboneError, StructureError
from fire_core.files import file_sha256
from fire_core.progress import tracked
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from fire_core.config.steps import Kernels

UNREADABLE: Final = (RuntimeError, AttributeError, EOFError, ValueError, ImportError)
VOIGT: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


class MaceBackbone:
    """A MACE model in memory.

    Parameters
    ----------
    model
        A `mace.modules.MACE`; moved to `device` and `dtype`, set to evaluation.
    name
        How it was asked for.
    sha256
        Hash of its file.
    device, dtype
        torch's names for them.
    kernels
        What computes its layers: `fire` (`kernels.accelerate`), or `cuequivariance`
        (`kernels.cuequivariance`).

    Attributes
    ----------
    model, fast
        The model as mace-torch has it, to be saved; and one of equal weights that
        computes the same in less time.
    atomic_energies
        Reference energy of each element, eV; of the first head if there are more.
    """

    trainable = True

    def __init__(
        self,
        model: Any,
        *,
        name: str,
        sha256: str,
        device: str,
        dtype: str,
        kernels: Kernels = "fire",
    ) -> None:
        import torch

        from fire_core.backbones.kernels.accelerate import accelerate
        from fire_core.backbones.kernels.cuequivariance import to_cuequivariance

        self.name = name
        self.kernels = kernels
        self.sha256 = sha256
        self.device = torch.device(device)
        self.dtype = getattr(torch, dtype)
        self.model = model.to(device=self.device, dtype=self.dtype).eval()
        for parameter in self.model.parameters():
            parameter.requires_grad_(requires_grad=False)
        change = accelerate if kernels == "fire" else to_cuequivariance
        self.fast = change(self.model)
        for parameter in self.fast.parameters():
            parameter.requires_grad_(requires_grad=False)
        self.numbers = [int(z) for z in self.model.atomic_numbers]
        self.elements = frozenset(chemical_symbols[z] for z in self.numbers)
        self.cutoff = float(self.model.r_max)
        e0 = self.model.atomic_energies_fn.atomic_energies.detach().cpu().double()
        self.atomic_energies = {
            chemical_symbols[z]: float(e)
            for z, e in zip(self.numbers, e0.reshape(-1).tolist(), strict=False)
        }

    def calculator(self) -> Calculator:
        """Return an ASE calculator of the model."""
        return BackboneCalculator(self)

    def graph(
        self,
        atoms: Atoms,
        label: Label | None = None,
        *,
        weight: float = 1.0,
        head: int = 0,
    ) -> Any:
        """Return a structure, with its label if given, as MACE's graph.

        Parameters
        ----------
        atoms
            The structure.
        label
            What to train on; its stress may be None, which `stress_weight` 0 tells.
        weight
            Weight of the whole frame in the loss.
        head
            Number of the readout head that it belongs to.

        Raises
        ------
        StructureError
            A position or the cell is not finite.
        """
        import torch
        from mace.data import AtomicData, Configuration
        from mace.tools import AtomicNumberTable

        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell).all()):
            # the neighbour list would search through NaN for minutes
            msg = (
                f"{atoms.get_chemical_formula()} has a position or cell that is not "
                "finite; leave the structure out, or look where it came from"
            )
            raise StructureError(msg)
        properties: dict[str, Any] = {}
        has_stress = label is not None and label.stress is not None
        if label is not None:
            properties = {"energy": label.energy, "forces": label.forces}
            if has_stress:
                properties["stress"] = label.stress
        config = Configuration(
            atomic_numbers=atoms.numbers,
            positions=atoms.positions,
            properties=properties,
            property_weights={"stress": 1.0 if has_stress else 0.0},
            cell=atoms.cell.array,
            pbc=tuple(bool(p) for p in atoms.pbc),
            weight=weight,
        )
        with default_dtype(self.dtype):
            graph = AtomicData.from_config(
                config, z_table=AtomicNumberTable(self.numbers), cutoff=self.cutoff
            )
        graph.head = torch.tensor(head)
        return graph

    def predict(
        self, frames: Sequence[Atoms], *, batch_atoms: int = BATCH_ATOMS
    ) -> list[Label]:
        """Return energies (eV), forces (eV/Å) and stresses (eV/Å³) in order.

        The reference energies of the atoms are added in double precision, so that
        a large total energy does not cost digits.

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        """
        refuse_unknown_elements(frames, self.elements, self.name)
        labels: list[Label] = []
        parts = list(pack_by_atoms([len(f) for f in frames], batch_atoms))
        for part in tracked(parts, "Predicting"):
            graphs = [self.graph(frames[i]) for i in part]
            labels += predict_graphs(self.fast, graphs, self.device)
        return labels

    def features(
        self, frames: Sequence[Atoms], *, batch_atoms: int = BATCH_ATOMS
    ) -> NDArray[np.float64]:
        """Return the mean invariant node features of each frame, (n_frames, k)."""
        atoms = self.atom_features(frames, batch_atoms=batch_atoms)
        return np.array([values.mean(axis=0) for values in atoms])

    def atom_features(
        self, frames: Sequence[Atoms], *, batch_atoms: int = BATCH_ATOMS
    ) -> list[NDArray[np.float64]]:
        """Return the invariant node features of each frame's atoms, (n_atoms, k).

        They are what the model's readouts see: of every layer the features that
        rotations leave alone, side by side.

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        """
        import torch
        from mace.tools.torch_geometric import Batch

        refuse_unknown_elements(frames, self.elements, self.name)
        keep = _invariant_columns(self.model)
        features: list[NDArray[np.float64]] = []
        for part in pack_by_atoms([len(f) for f in frames], batch_atoms):
            graphs = [self.graph(frames[i]) for i in part]
            batch = Batch.from_data_list(graphs).to(self.device)
            with torch.no_grad():
                output = self.fast(batch.to_dict(), compute_force=False)
            values = output["node_feats"][:, keep].cpu().double().numpy()
            features += [values[a:b] for a, b in pairwise(batch.ptr.tolist())]
        return features

    def torch_sim_model(self, *, stress: bool = False) -> Any:
        """Return the model for torch-sim's states; see `backbones.batched`."""
        from fire_core.backbones.batched import BatchedMace

        return BatchedMace(
            self.fast, device=self.device, dtype=self.dtype, compute_stress=stress
        )


def predict_graphs(model: Any, graphs: Sequence[Any], device: Any) -> list[Label]:
    """Return the labels of graphs in one forward pass of a MACE model."""
    from mace.tools.torch_geometric import Batch

    batch = Batch.from_data_list(list(graphs)).to(device)
    output = model(batch.to_dict(), compute_force=True, compute_stress=True)
    e0 = model.atomic_energies_fn.atomic_energies.detach().cpu().double()
    e0 = e0.reshape(-1, e0.shape[-1])[batch.head[batch.batch].cpu()]
    per_atom = (batch.node_attrs.cpu().double() * e0).sum(dim=1).numpy()
    forces = output["forces"].detach().cpu().double().numpy()
    stress = output["stress"].detach().cpu().double().numpy()
    interaction = output["interaction_energy"].detach().cpu().double().numpy()
    return [
        Label(
            float(interaction[i] + per_atom[a:b].sum()),
            np.array(forces[a:b]),
            np.array([stress[i][j] for j in VOIGT]),
        )
        for i, (a, b) in enumerate(pairwise(batch.ptr.cpu().tolist()))
    ]


def _invariant_columns(model: Any) -> list[int]:
    """Return the columns of a MACE model's node features that rotations leave alone."""
    columns: list[int] = []
    start = 0
    for product in model.products:
        irreps = product.linear.irreps_out
        for block, (_, irrep) in zip(irreps.slices(), irreps, strict=True):
            if irrep.l == 0:
                columns += range(start + block.start, start + block.stop)
        start += irreps.dim
    return columns


class default_dtype:  # noqa: N801 - reads as a statement
    """Set torch's default floating-point type for a block; MACE's data wants it."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __enter__(self) -> None:
        import torch

        self.before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)

    def __exit__(self, *_: object) -> None:
        import torch

        torch.set_default_dtype(self.before)


def read_model(path: Path) -> Any:
    """Unpickle a MACE model; only from a file that is trusted or verified.

    Raises
    ------
    BackboneError
        The file is not a MACE model that this mace-torch can read.
    """
    import_mace()
    import pickle

    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's notes on old pickles
            model = torch.load(path, map_location="cpu", weights_only=False)
    except (*UNREADABLE, pickle.UnpicklingError) as error:
        msg = (
            f"{path} is not a MACE model of mace-torch 0.3, or is damaged ({error}); "
            "copy or fetch it again"
        )
        raise BackboneError(msg) from error
    if not hasattr(model, "atomic_energies_fn"):
        msg = f"{path} holds a {type(model).__name__}, expected a MACE model"
        raise BackboneError(msg)
    return model


def load_mace(
    path: Path, *, name: str, device: str, dtype: str, kernels: Kernels = "fire"
) -> MaceBackbone:
    """Return the backbone of a MACE model file.

    Of several readout heads the first that is not `pt_head` (mace-torch's name for
    the pre-training's) is taken.
    """
    model = read_model(path)
    if len(getattr(model, "heads", ())) > 1:
        from mace.tools.scripts_utils import remove_pt_head

        with default_dtype(next(model.parameters()).dtype):
            model = remove_pt_head(model)
    sha256 = file_sha256(path)
    return MaceBackbone(
        model, name=name, sha256=sha256, device=device, dtype=dtype, kernels=kernels
    )


def download_mace(name: str) -> Path:
    """Return the local file of a published MACE model, fetched when it is not there.

    Raises
    ------
    BackboneError
        It cannot be fetched; the message says how to do it by hand.
    """
    import_mace()
    from pathlib import Path as FilePath

    from mace.calculators.foundations_models import download_mace_mp_checkpoint

    try:
        return FilePath(download_mace_mp_checkpoint(name))
    except (OSError, RuntimeError) as error:
        msg = (
            f"the MACE model {name!r} is not here and cannot be fetched ({error}). On "
            "a machine with internet download it from the releases of "
            "github.com/ACEsuit/mace-foundations, copy the file here, and set "
            "backbone.name to its path; or use the bundled fire-mini"
        )
        raise BackboneError(msg) from error


def import_mace() -> None:
    """Import mace, which must come before e3nn, without its import-time notes."""
    quiet = contextlib.redirect_stdout(io.StringIO())  # it prints what it lacks
    with warnings.catch_warnings(), quiet:
        warnings.simplefilter("ignore")
        import mace.modules  # noqa: F401 - unpickling needs its classes
