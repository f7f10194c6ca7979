"""A moment of many replicas on the model's device, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from fire_core.exploration.states import ReplicaState


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A replica with what the model says of it, to go on without a new force call.

    Attributes
    ----------
    state
        The replica.
    forces
        (n_atoms, 3), eV/Å.
    stress
        (3,), diagonal of the stress tensor, eV/Å³; nan at constant volume.
    """

    state: ReplicaState
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """All replicas of a batch as they were at a step; nothing in it is ever changed.

    Attributes
    ----------
    states
        The replicas some steps earlier.
    ahead
        How many steps earlier that was.
    positions, momenta, forces
        (n_atoms, 3) of all replicas joined; Å, √(amu eV), eV/Å.
    cells
        (n_replicas, 3, 3), rows are lattice vectors, Å.
    stresses
        (n_replicas, 3), eV/Å³.
    energies
        (n_replicas,), eV.
    """

    states: tuple[ReplicaState, ...]
    ahead: int
    positions: torch.Tensor
    momenta: torch.Tensor
    forces: torch.Tensor
    cells: torch.Tensor
    stresses: torch.Tensor
    energies: torch.Tensor

    def read(self) -> list[Snapshot]:
        """Return the replicas in order; everything comes in one transfer."""
        import torch

        parts = [self.positions, self.momenta, self.forces, self.cells, self.stresses]
        flat = torch.cat([part.flatten() for part in (*parts, self.energies)])
        values = flat.cpu().numpy()
        ends = np.cumsum([part.numel() for part in parts])
        *blocks, energies = np.split(values, ends)
        positions, momenta, forces = (block.reshape(-1, 3) for block in blocks[:3])
        cells, stresses = blocks[3].reshape(-1, 3, 3), blocks[4].reshape(-1, 3)
        snapshots, first = [], 0
        for i, state in enumerate(self.states):
            end = first + len(state.numbers)
            moved = replace(
                state,
                step=state.step + self.ahead,
                energy=float(energies[i]),
                positions=positions[first:end].copy(),
                momenta=momenta[first:end].copy(),
                cell=cells[i].copy(),
            )
            stress = stresses[i].copy()
            snapshots.append(Snapshot(moved, forces[first:end].copy(), stress))
            first = end
        return snapshots
