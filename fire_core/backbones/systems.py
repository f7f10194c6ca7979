"""Many systems at once: which atoms they are made of, and where these are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Systems:
    """What stays as it is while the atoms of several systems move.

    As long as a model is called with the same object, it need not look what is in it;
    nothing in it is ever changed.

    Attributes
    ----------
    numbers, owner
        Atomic number of each atom and the system that it belongs to, (n_atoms,),
        int64. The atoms of a system stand together, the systems are in order.
    starts
        Where the atoms of each system begin, and the last ones end, (n_systems + 1,).
    periodic
        Directions in which each system repeats, (n_systems, 3), bool.
    sizes
        Number of atoms of each system, known without asking the device.
    directions
        `periodic`, known without asking the device.
    """

    numbers: torch.Tensor
    owner: torch.Tensor
    starts: torch.Tensor
    periodic: torch.Tensor
    sizes: tuple[int, ...]
    directions: tuple[tuple[bool, bool, bool], ...]

    @classmethod
    def of(
        cls,
        numbers: Sequence[NDArray[np.int64]],
        periodic: Sequence[NDArray[np.bool_]],
        device: torch.device,
    ) -> Systems:
        """Return systems of these atomic numbers, (n_atoms,) and (3,) for each."""
        import torch

        def tensor(values: Any, dtype: torch.dtype) -> torch.Tensor:
            return torch.as_tensor(np.asarray(values), dtype=dtype, device=device)

        sizes = tuple(len(part) for part in numbers)
        return cls(
            tensor(np.concatenate(list(numbers)), torch.int64),
            tensor(np.repeat(np.arange(len(sizes)), sizes), torch.int64),
            tensor(list(accumulate(sizes, initial=0)), torch.int64),
            tensor(periodic, torch.bool),
            sizes,
            tuple((bool(x), bool(y), bool(z)) for x, y, z in periodic),
        )

    def __len__(self) -> int:
        """Count the systems."""
        return len(self.sizes)

    def is_as(self, other: Systems) -> bool:
        """Return whether both are of the same atoms in the same order."""
        import torch

        return self is other or (
            self.sizes == other.sizes
            and self.directions == other.directions
            and torch.equal(self.numbers, other.numbers)
        )

    def bounds(self) -> list[tuple[int, int]]:
        """Return the first atom of each system and the one after its last."""
        return list(pairwise(accumulate(self.sizes, initial=0)))


@dataclass(frozen=True, slots=True, eq=False)
class BatchState:
    """Where the atoms of several systems are: what a batched model is called with.

    Attributes
    ----------
    systems
        The atoms.
    positions
        (n_atoms, 3), Å; they may lie outside of their cell.
    cells
        (n_systems, 3, 3), rows are lattice vectors, Å; zeros where there is none.
    """

    systems: Systems
    positions: torch.Tensor
    cells: torch.Tensor


def frames_to_state(
    frames: Sequence[Atoms], *, device: torch.device, dtype: torch.dtype
) -> BatchState:
    """Return structures as systems of one batch.

    Parameters
    ----------
    frames
        Structures.
    device, dtype
        torch's, of positions and cells.
    """
    import torch

    def tensor(values: Any) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values), dtype=dtype, device=device)

    return BatchState(
        Systems.of([f.numbers for f in frames], [f.pbc for f in frames], device),
        tensor(np.concatenate([f.positions for f in frames])),
        tensor([f.cell.array for f in frames]),
    )


def state_to_frames(state: BatchState) -> list[Atoms]:
    """Return the systems of a batch as structures."""
    numbers = state.systems.numbers.cpu().numpy()
    positions = state.positions.detach().cpu().double().numpy()
    cells = state.cells.detach().cpu().double().numpy()
    return [
        Atoms(numbers[a:b], positions=positions[a:b], cell=cells[i], pbc=directions)
        for i, ((a, b), directions) in enumerate(
            zip(state.systems.bounds(), state.systems.directions, strict=True)
        )
    ]
