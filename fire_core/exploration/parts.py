"""Force calls on many replicas, in parts that fit into memory."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fire_core.backbones.base import BATCH_ATOMS, pack
from fire_core.backbones.memory import is_out_of_memory
from fire_core.backbones.systems import BatchState, Systems
from fire_core.errors import OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

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
    state: BatchState
    atoms: slice
    replicas: slice


class Parts:
    """A batched model on all replicas of a batch.

    Where memory runs out, the part that did not fit is halved and everything is
    computed again. Replicas do not interact, so results depend on the parts by
    rounding alone.

    Parameters
    ----------
    model
        Called with the systems of a part; each part calls a shallow copy, which may
        keep what it knows of its part.
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
        state = replace(
            part.state,
            positions=positions[part.atoms].to(dtype),
            cells=cells[part.replicas].to(dtype),
        )
        output = part.model(state)
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
            state = model_input(self.model, self.states[first:last])
            atoms = slice(bounds[first], bounds[last])
            model = copy.copy(self.model)
            parts.append(_Part(model, state, atoms, slice(first, last)))
        return parts


def model_input(model: Any, states: Sequence[ReplicaState]) -> BatchState:
    """Return replicas as the systems that a model is called with."""
    import torch

    def tensor(arrays: list[NDArray[np.float64]]) -> torch.Tensor:
        joined = np.concatenate(arrays)
        return torch.as_tensor(joined, dtype=model.dtype, device=model.device)

    return BatchState(
        systems_of(states, model.device),
        tensor([s.positions for s in states]),
        tensor([s.cell[None] for s in states]),
    )


def systems_of(states: Sequence[ReplicaState], device: torch.device) -> Systems:
    """Return which atoms replicas are made of."""
    return Systems.of([s.numbers for s in states], [s.pbc for s in states], device)


def _join(outputs: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    import torch

    if len(outputs) == 1:
        return outputs[0]
    return {name: torch.cat([out[name] for out in outputs]) for name in outputs[0]}


def _empty_cache(device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
