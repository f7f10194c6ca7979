"""What the batched models of all families share: systems and pairs that are kept.

In dynamics the atoms of a batch, and the neighbours of each, seldom change.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from fire_core.backbones.verlet import SKIN, KeptPairs

if TYPE_CHECKING:
    import torch

    from fire_core.backbones.systems import BatchState, Systems

Facts = TypeVar("Facts")


class BatchedNetwork(ABC, Generic[Facts]):
    """A network that is called with the systems of a batch.

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
        self._known: tuple[Systems, Facts] | None = None

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
    def describe(self, systems: Systems) -> Facts:
        """Return what the network needs of atoms beside where they are."""

    @abstractmethod
    def __call__(self, state: BatchState) -> dict[str, torch.Tensor]:
        """Return energies, forces and stresses of the systems of a batch.

        Returns
        -------
        dict
            `energy`, (n_systems,), eV, float64: reference energies are added in double
            precision; `forces`, (n_atoms, 3), eV/Å; with `compute_stress` also
            `stress`, (n_systems, 3, 3), eV/Å³, positive under tension.
        """

    def facts_of(self, systems: Systems) -> Facts:
        """Return what `describe` said of these systems, asked when they are new.

        Whether they are is seen without the device as long as they are one object.
        """
        known = self._known
        if known is not None and known[0].is_as(systems):
            facts = known[1]
        else:
            facts = self.describe(systems)
            self.pairs.forget()
        self._known = (systems, facts)
        return facts
