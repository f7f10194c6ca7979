"""A pair potential of a few parameters that FIRE can fine-tune.

`load_pair` is what the entry point in `fire.backbones` names.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch  # noqa: TID253 - a module of torch, as an outsider writes it
from ase.neighborlist import neighbor_list

from fire_core.backbones.base import BATCH_ATOMS, pack_by_atoms, refuse_unknown_elements
from fire_core.backbones.calculator import BackboneCalculator
from fire_core.backbones.neutral import NeutralModel, is_neutral, read_neutral
from fire_core.backbones.trainable import Prediction, refuse_settings
from fire_core.errors import BackboneError, TrainingError
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ase import Atoms

    from fire_core.backbones.trainable import Trainable
    from fire_core.config.training import TrainConfig
    from fire_core.records import LabelledStructure

SYMBOLS = ("Li", "F", "Cl")
CUTOFF = 4.0
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


class PairPotential(torch.nn.Module):
    """Depth and radius of a smoothly cut 12-6 potential for each pair of elements."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        shape = (len(SYMBOLS), len(SYMBOLS))
        self.depth = torch.nn.Parameter(torch.full(shape, 0.1, dtype=dtype))
        self.radius = torch.nn.Parameter(torch.full(shape, 2.0, dtype=dtype))
        self.register_buffer("references", torch.tensor([-1.0, -2.0, -3.0]).double())

    def forward(self, one: Any, other: Any, distance: Any) -> Any:
        """Return the energies of pairs, eV, each pair being there twice."""
        depth, radius = (p + p.T for p in (self.depth, self.radius))
        sixth = (0.5 * radius[one, other] / distance) ** 6
        smooth = (1 - (distance / CUTOFF) ** 2) ** 2
        return depth[one, other] * (sixth**2 - sixth) * smooth


@dataclass(frozen=True)
class PairGraph:
    """A structure with its neighbour pairs."""

    species: Any
    positions: Any
    cell: Any
    pairs: Any
    shifts: Any

    @property
    def num_nodes(self) -> int:
        return len(self.species)

    @property
    def num_edges(self) -> int:
        return int(self.pairs.shape[1])


class PairNetwork:
    """The potential while it is trained."""

    def __init__(self, module: PairPotential, dtype: torch.dtype) -> None:
        self.module, self.dtype = module, dtype

    def graph(self, atoms: Atoms, *, replay: bool = False) -> PairGraph:
        i, j, shifts = neighbor_list("ijS", atoms, CUTOFF)
        return PairGraph(
            torch.tensor([SYMBOLS.index(s) for s in atoms.get_chemical_symbols()]),
            torch.tensor(atoms.positions, dtype=self.dtype),
            torch.tensor(atoms.cell.array, dtype=self.dtype),
            torch.tensor(np.array([i, j])),
            torch.tensor(shifts, dtype=self.dtype),
        )

    def forward(self, graphs: Sequence[Any], *, stress: bool) -> Prediction:
        parts = [self._one(graph, keep=True) for graph in graphs]
        references = [self.module.references[g.species].sum() for g in graphs]
        return Prediction(
            torch.stack([p[0] + r for p, r in zip(parts, references, strict=True)]),
            torch.cat([p[1] for p in parts]),
            torch.stack([p[2] for p in parts]) if stress else None,
        )

    def predict(self, graphs: Sequence[Any]) -> list[Label]:
        labels = []
        for graph in graphs:
            found = self._one(graph, keep=False)
            energy, forces, stress = (p.detach().double() for p in found)
            energy = energy + self.module.references[graph.species].sum()
            labels.append(Label(float(energy), forces.numpy(), stress[VOIGT].numpy()))
        return labels

    def export(self, weights: Sequence[Any], shift: Mapping[str, float]) -> bytes:
        state = {k: v.detach().clone() for k, v in self.module.state_dict().items()}
        names = [k for k, p in self.module.named_parameters() if p.requires_grad]
        state |= dict(zip(names, weights, strict=True))
        moved = torch.tensor([shift.get(s, 0.0) for s in SYMBOLS])
        state["references"] = state["references"] + moved.double()
        buffer = io.BytesIO()
        torch.save(state, buffer)
        return buffer.getvalue()

    def _one(self, graph: PairGraph, *, keep: bool) -> tuple[Any, Any, Any]:
        """Return energy without references, forces and stress of one structure."""
        positions = graph.positions.clone().requires_grad_()
        strain = torch.zeros(3, 3, dtype=self.dtype, requires_grad=True)
        deform = torch.eye(3, dtype=self.dtype) + strain
        i, j = graph.pairs
        vectors = positions[j] - positions[i] + graph.shifts @ graph.cell
        distance = torch.linalg.norm(vectors @ deform, dim=1)
        energy = self.module(graph.species[i], graph.species[j], distance).sum()
        slopes = torch.autograd.grad(energy, (positions, strain), create_graph=keep)
        volume = torch.linalg.det(graph.cell).abs()
        return energy, -slopes[0], (slopes[1] + slopes[1].T) / (2 * volume)


class PairBackbone:
    """The potential in memory."""

    name, elements, cutoff, layout = "pair", frozenset(SYMBOLS), CUTOFF, ""

    def __init__(self, module: PairPotential, dtype: torch.dtype) -> None:
        self.module, self.dtype = module, dtype
        self.device = torch.device("cpu")
        self.atomic_energies = dict(
            zip(SYMBOLS, module.references.tolist(), strict=True)
        )
        values = b"".join(v.numpy().tobytes() for v in module.state_dict().values())
        self.sha256 = hashlib.sha256(values).hexdigest()

    def calculator(self) -> BackboneCalculator:
        return BackboneCalculator(self)

    def predict(
        self, frames: Sequence[Atoms], *, batch_atoms: int = BATCH_ATOMS
    ) -> list[Label]:
        refuse_unknown_elements(frames, self.elements, self.name)
        network, labels = PairNetwork(self.module, self.dtype), []
        for part in pack_by_atoms([len(f) for f in frames], batch_atoms):
            labels += network.predict([network.graph(frames[i]) for i in part])
        return labels

    def network(
        self,
        config: TrainConfig,
        train: Sequence[LabelledStructure],
        *,
        seed: int,
        start: Trainable | None = None,
    ) -> PairNetwork:
        refuse_settings(self.name, config, supported={"warm_start"})
        module = PairPotential(self.dtype)
        module.load_state_dict(self.module.state_dict())
        if start is not None:
            if not isinstance(start, PairBackbone):
                msg = f"{start.name} is no pair potential to go on from"
                raise TrainingError(msg)
            module.depth.data = start.module.depth.detach().clone()
            module.radius.data = start.module.radius.detach().clone()
        return PairNetwork(module, self.dtype)

    def save(self, path: Path) -> None:
        torch.save(self.module.state_dict(), path)

    def reload(self, path: Path) -> PairBackbone:
        return read_pair(path, self.dtype)

    def neutral(self) -> NeutralModel:
        return NeutralModel("pair", {"cutoff": CUTOFF}, self.module.state_dict())


def read_pair(path: Path, dtype: torch.dtype) -> PairBackbone:
    """Return the potential of a file."""
    module = PairPotential(dtype)
    if is_neutral(path):
        module.load_state_dict(read_neutral(path, family="pair").tensors)
    else:
        module.load_state_dict(torch.load(path, weights_only=True))
    return PairBackbone(module, dtype)


def load_pair(model: str, *, device: str, dtype: str) -> PairBackbone:
    """Return the potential, or that of a file."""
    kind = getattr(torch, dtype)
    if not model:
        return PairBackbone(PairPotential(kind), kind)
    if not Path(model).is_file():
        msg = f"expected pair, or pair: and the path of its file, got pair:{model}"
        raise BackboneError(msg)
    return read_pair(Path(model), kind)
