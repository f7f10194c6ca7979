"""Force calls on many replicas, in parts that fit into memory."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fire_core.backbones.base import BATCH_ATOMS, pack
from fire_core.backbones.memory import is_out_of_memory
from fire_core.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from fire_core.exploration.states import ReplicaState


@dataclass(slots=True)
class PartLimit:
    """Most replicas and atoms in one force call; 0: no limit. Shrinks as one learns."""

    replicas: int
    atoms: int

    @classmethod
    def of(cls, batch: Literal["auto"] | int, device: torch.device) -> PartLimit:
        """Return where to begin: see `DynamicsConfig.batch`.

        A CPU gains nothing by more than some hundred atoms at once, and where its
        memory runs out the system ends the process and raises nothing.
        """
        if batch == "auto":
            return cls(0, BATCH_ATOMS if device.type == "cpu" else 0)
        return cls(batch, 0)


@dataclass(frozen=True, slots=True)
class _Part:
    model: Any
    sim: Any
    atoms: slice
    replicas: slice


class Parts:
    """A torch-sim model on all replicas of a batch.

    Where memory runs out, the part that did not fit is halved and everything is
    computed again. Replicas do not interact, so results depend on the parts by
    rounding alone.

    Parameters
    ----------
    model
        torch-sim model; each part calls a shallow copy, which may keep what it knows
        of its part.
    states
        Replicas.
    limit
        Shared by the batches of a run, so that what was learnt is kept.
    """

    def __init__(
        self, model: Any, states: Sequence[ReplicaState], limit: PartLimit
    ) -> None:
        self.model = model
        self.states = states
        self.limit = limit
        self._parts = self._divide()

    def compute(
        self, positions: torch.Tensor, cells: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return what the model gives, joined over the parts, float64.

        Parameters
        ----------
        positions
            (n_atoms, 3), Å.
        cells
            (n_replicas, 3, 3), rows are lattice vectors, Å.

        Raises
        ------
        OutOfMemoryError
            One replica alone does not fit.
        """
        while True:
            outputs = self._attempt(positions, cells)
            if outputs is not None:
                return _join(outputs)
            self._parts = self._divide()

    def _attempt(
        self, positions: torch.Tensor, cells: torch.Tensor
    ) -> list[dict[str, torch.Tensor]] | None:
        outputs: list[dict[str, torch.Tensor]] = []
        for part in self._parts:
            try:
                outputs.append(self._call(part, positions, cells))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._shrink(part, error)
                break
        else:
            return outputs
        outputs.clear()  # the error and its frames are gone: give the memory back
        _empty_cache(self.model.device)
        return None

    def _call(
        self, part: _Part, positions: torch.Tensor, cells: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        import torch

        dtype = self.model.dtype
        part.sim.positions = positions[part.atoms].to(dtype)
        part.sim.cell = cells[part.replicas].to(dtype).mT.contiguous()
        output = part.model(part.sim)
        return {
            name: value.detach().to(torch.float64) for name, value in output.items()
        }

    def _shrink(self, part: _Part, error: BaseException) -> None:
        sizes = [len(s.numbers) for s in self.states[part.replicas]]
        if len(sizes) == 1:
            msg = (
                f"one replica of {sizes[0]} atoms does not fit into the memory of "
                f"{self.model.device}; take a smaller cell, backbone.dtype: float32, "
                "or another device"
            )
            raise OutOfMemoryError(msg) from error
        self.limit.atoms = max(sum(sizes) // 2, *sizes)

    def _divide(self) -> list[_Part]:
        sizes = [len(s.numbers) for s in self.states]
        bounds = np.cumsum([0, *sizes]).tolist()
        costs = [(1, size) for size in sizes]
        limits = (self.limit.replicas, self.limit.atoms)
        parts = []
        for which in pack(costs, limits):
            first, last = which[0], which[-1] + 1
            model = copy.copy(self.model)
            sim = model_input(model, self.states[first:last])
            atoms = slice(bounds[first], bounds[last])
            parts.append(_Part(model, sim, atoms, slice(first, last)))
        return parts


def model_input(model: Any, states: Sequence[ReplicaState]) -> Any:
    """Return replicas as the torch-sim state that a model is called with."""
    import torch
    import torch_sim

    def tensor(arrays: list[Any], dtype: Any) -> torch.Tensor:
        joined = torch.as_tensor(np.concatenate(arrays), device=model.device)
        return joined.to(dtype)

    owner = np.repeat(np.arange(len(states)), [len(s.numbers) for s in states])
    sim = torch_sim.SimState(
        positions=tensor([s.positions for s in states], model.dtype),
        masses=tensor([s.masses for s in states], model.dtype),
        cell=tensor([s.cell.T[None] for s in states], model.dtype),
        pbc=bool(states[0].pbc.any()),
        atomic_numbers=tensor([s.numbers for s in states], torch.int64),
        system_idx=tensor([owner], torch.int64),
    )
    if hasattr(model, "setup_from_system_idx"):
        # torch-sim 0.3.0's MaceModel sets its batch up again only when the
        # atomic numbers change, not when the same ones form other systems
        model.setup_from_system_idx(sim.atomic_numbers, sim.system_idx)
    return sim


def _join(outputs: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    import torch

    if len(outputs) == 1:
        return outputs[0]
    return {name: torch.cat([out[name] for out in outputs]) for name in outputs[0]}


def _empty_cache(device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()


def split_rows(
    array: np.ndarray[Any, Any], states: Sequence[ReplicaState]
) -> list[Any]:
    """Return copies of the rows of each replica."""
    bounds = np.cumsum([0, *(len(s.numbers) for s in states)]).tolist()
    return [array[first:last].copy() for first, last in pairwise(bounds)]
