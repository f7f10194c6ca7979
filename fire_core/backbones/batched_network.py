"""What the torch-sim models of all families share: systems and pairs that are kept.

torch-sim's own wrappers find out anew at each call which atoms there are, and search
their neighbours on the CPU. In dynamics both seldom change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from fire_core.backbones.verlet import SKIN, KeptPairs

if TYPE_CHECKING:
    import torch

Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True, eq=False)
class Systems(Generic[Facts]):
    """What does not change while the same atoms move.

    Attributes
    ----------
    numbers, owner
        Atomic number and system of each atom, (n_atoms,).
    ptr
        Where the atoms of each system begin, and the last ones end, (n_systems + 1,).
    facts
        What a family derives from the numbers.
    """

    numbers: torch.Tensor
    owner: torch.Tensor
    ptr: torch.Tensor
    facts: Facts


class BatchedNetwork(ABC, Generic[Facts]):
    """What torch-sim calls a model.

    Parameters
    ----------
    model
        A network on `device` in `dtype`.
    device, dtype
        torch's.
    compute_stress
        Whether the stress is computed too.
    skin
        Å; 0 searches neighbours at each call.

    Attributes
    ----------
    once
        Whether the network takes each pair of atoms once; else both ways.
    """

    compute_forces = True
    memory_scales_with = "n_atoms_x_density"
    once = False

    def __init__(
        self,
        model: Any,
        *,
        device: torch.device,
        dtype: torch.dtype,
        compute_stress: bool = False,
        skin: float = SKIN,
    ) -> None:
        self.model = model
        self.device = device
        self.dtype = dtype
        self.compute_stress = compute_stress
        self.pairs = KeptPairs(self.cutoff(), skin=skin, once=self.once)
        self._systems: Systems[Facts] | None = None

    def __copy__(self) -> Self:
        """Return one of its own systems and pairs, as parts of a batch need it."""
        return type(self)(
            self.model,
            device=self.device,
            dtype=self.dtype,
            compute_stress=self.compute_stress,
            skin=self.pairs.skin,
        )

    @abstractmethod
    def cutoff(self) -> float:
        """Return the radius of the network's neighbourhoods, Å."""

    @abstractmethod
    def describe(
        self, numbers: torch.Tensor, owner: torch.Tensor, n_systems: int
    ) -> Facts:
        """Return what the network needs of atoms beside where they are."""

    @abstractmethod
    def __call__(self, state: Any) -> dict[str, torch.Tensor]:
        """Return energies, forces and stresses of the systems of a torch-sim state.

        Returns
        -------
        dict
            `energy`, (n_systems,), eV, float64: reference energies are added in double
            precision; `forces`, (n_atoms, 3), eV/Å; with `compute_stress` also
            `stress`, (n_systems, 3, 3), eV/Å³, positive under tension.
        """

    def systems_of(self, state: Any) -> Systems[Facts]:
        """Return what is known of a state's systems, found out when they are new."""
        import torch

        known = self._systems
        if (
            known is not None
            and torch.equal(known.numbers, state.atomic_numbers)
            and torch.equal(known.owner, state.system_idx)
        ):
            return known
        numbers, owner = state.atomic_numbers.clone(), state.system_idx.clone()
        ends = torch.cumsum(torch.bincount(owner), 0)
        ptr = torch.cat([ends.new_zeros(1), ends])
        facts = self.describe(numbers, owner, len(ends))
        self._systems = Systems(numbers, owner, ptr, facts)
        self.pairs.forget()
        return self._systems
