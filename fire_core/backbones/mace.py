"""MACE models in memory, and how they come there."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final

from ase.data import chemical_symbols

from fire_core.backbones.base import (
    refuse_unknown_elements,
)
from fire_core.backbones.batch_sizes import BatchSizes, sizes_of
from fire_core.backbones.calculator import BackboneCalculator
from fire_core.backbones.export import ExportFormat
from fire_core.backbones.mace_graphs import (
    invariant_columns,
    predict_graphs,
    to_batch,
    to_graph,
)
from fire_core.backbones.neutral import is_neutral, read_neutral
from fire_core.backbones.torch_types import default_dtype, dtype_name
from fire_core.errors import BackboneError
from fire_core.files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from fire_core.backbones.export import ExportCheck
    from fire_core.backbones.mace_training import MaceNetwork
    from fire_core.backbones.neutral import NeutralModel
    from fire_core.backbones.trainable import Trainable
    from fire_core.config.steps import Kernels
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label, LabelledStructure

UNREADABLE: Final = (RuntimeError, AttributeError, EOFError, ValueError, ImportError)

LAYOUTS: Final[dict[str, Kernels]] = {"": "fire", "cuequivariance": "cuequivariance"}
"""Whose layers hold the weights in each `layout`."""


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
    sizes
        What is known of how many atoms its device's memory holds.
    layout
        Whose layers hold the trained weights, unless they are MACE's own.
    """

    formats = frozenset(ExportFormat) - {ExportFormat.CHGNET, ExportFormat.NEUTRAL}

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
        self.layout: str = "" if kernels == "fire" else kernels
        self.sha256 = sha256
        self.device = torch.device(device)
        self.dtype = getattr(torch, dtype)
        self.sizes = BatchSizes.of(self.device)
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

    def graph(self, atoms: Atoms, *, head: int = 0) -> Any:
        """Return a structure as MACE's graph; see `mace_graphs.to_graph`."""
        return to_graph(
            atoms,
            numbers=self.numbers,
            cutoff=self.cutoff,
            dtype=self.dtype,
            head=head,
        )

    def predict(
        self, frames: Sequence[Atoms], *, batch_atoms: int | None = None
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

        def compute(batch: list[int]) -> list[Label]:
            graphs = [self.graph(frames[i]) for i in batch]
            return predict_graphs(self.fast, graphs, self.device)

        return self.sizes.compute(sizes_of(frames), compute, most=batch_atoms)

    def atom_features(
        self, frames: Sequence[Atoms], *, batch_atoms: int | None = None
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

        refuse_unknown_elements(frames, self.elements, self.name)
        keep = invariant_columns(self.model)
        sizes = sizes_of(frames)

        def compute(part: list[int]) -> list[NDArray[np.float64]]:
            batch = to_batch([self.graph(frames[i]) for i in part], self.device)
            with torch.no_grad():
                output = self.fast(batch.to_dict(), compute_force=False)
            values = output["node_feats"][:, keep].cpu().double().numpy()
            bounds = pairwise(accumulate((sizes[i] for i in part), initial=0))
            return [values[a:b] for a, b in bounds]

        return self.sizes.compute(
            sizes, compute, most=batch_atoms, title="Features of atoms"
        )

    def batched_model(self, *, stress: bool = False) -> Any:
        """Return what computes many systems at once; see `backbones.batched`."""
        from fire_core.backbones.batched import BatchedMace

        return BatchedMace(
            self.fast, device=self.device, dtype=self.dtype, compute_stress=stress
        )

    def network(
        self,
        config: TrainConfig,
        train: Sequence[LabelledStructure],
        *,
        seed: int,
        start: Trainable | None = None,
    ) -> MaceNetwork:
        """Return a network to train; see `backbones.mace_training`."""
        from fire_core.backbones.mace_training import MaceNetwork

        return MaceNetwork(self, config, train, seed, start)

    def save(self, path: Path) -> None:
        """Write the model as mace-torch reads it."""
        import torch

        torch.save(copy.deepcopy(self.model).to("cpu").eval(), path)

    def reload(self, path: Path) -> MaceBackbone:
        """Return the model of another file on the same device, in the same type."""
        return load_mace(
            path,
            name=self.name,
            device=str(self.device),
            dtype=dtype_name(self.dtype),
        )

    def with_layout(self, layout: str) -> MaceBackbone:
        """Return the same model computed by the layers of a `layout`.

        Raises
        ------
        BackboneError
            They are not installed, or there are none of that name.
        """
        kernels = LAYOUTS.get(layout)
        if kernels is None:
            msg = f"a training began with the layers {layout!r}, which no FIRE has"
            raise BackboneError(msg)
        try:
            return MaceBackbone(
                copy.deepcopy(self.model),
                name=self.name,
                sha256=self.sha256,
                device=str(self.device),
                dtype=dtype_name(self.dtype),
                kernels=kernels,
            )
        except BackboneError as error:
            msg = (
                f"a training began with {kernels}'s layers and can only go on with "
                f"them ({error}); go on where they are installed, or start it again "
                "under another name with backbone.kernels: fire"
            )
            raise BackboneError(msg) from error

    def neutral(self) -> NeutralModel:
        """Return the model as tensors and JSON; see `backbones.mace_neutral`."""
        from fire_core.backbones.mace_neutral import mace_to_neutral

        return mace_to_neutral(self.model)

    def write(self, format_: ExportFormat, path: Path, source: Path | None) -> None:
        """Write the model for another program, without checking it."""
        from fire_core.backbones.mace_export_files import write_format

        write_format(self, format_, path, source)

    def check(
        self, format_: ExportFormat, path: Path, frames: Sequence[Atoms]
    ) -> ExportCheck:
        """Predict structures with what was written and with the model itself."""
        from fire_core.backbones.mace_export_checks import check_export

        return check_export(self, format_, path, frames)

    def usage(self, format_: ExportFormat, path: Path) -> str:
        """Return how the written model is used, for a person."""
        from fire_core.backbones.mace_export_files import USAGE

        elements = " ".join(chemical_symbols[z] for z in self.numbers)
        return USAGE[format_].format(path=path, elements=elements)


def read_model(path: Path) -> Any:
    """Read a MACE model: neutral weights, or mace-torch's pickle.

    Only from a file that is trusted or verified: unpickling runs code.

    Raises
    ------
    BackboneError
        The file is not a MACE model that this mace-torch can read.
    """
    import_mace()
    if is_neutral(path):
        from fire_core.backbones.mace_neutral import FAMILY, mace_from_neutral

        return mace_from_neutral(read_neutral(path, family=FAMILY))
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

        own = next(model.parameters()).dtype
        with default_dtype(own), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's notes on how mace-torch copies
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
