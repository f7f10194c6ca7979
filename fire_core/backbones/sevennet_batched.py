"""A SevenNet on torch-sim's batched states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase.data import atomic_numbers

from fire_core.backbones.batched_network import BatchedNetwork
from fire_core.backbones.sevennet_graphs import (
    SevennetGraph,
    evaluate,
    reference_energies,
)

if TYPE_CHECKING:
    import torch


class BatchedSevennet(BatchedNetwork["torch.Tensor"]):
    """A `kernels.nequip.NequipStack`, as torch-sim calls it."""

    once = True

    def cutoff(self) -> float:
        """Return the radius of the network's neighbourhoods, Å."""
        return float(self.model.setting.cutoff)

    def describe(
        self,
        numbers: torch.Tensor,
        owner: torch.Tensor,  # noqa: ARG002 - atoms alone
        n_systems: int,  # noqa: ARG002 - as above
    ) -> torch.Tensor:
        """Return the place of each atom's element in the network's list, (n_atoms,)."""
        import torch

        known = [atomic_numbers[symbol] for symbol in self.model.setting.elements]
        places = torch.full((max(known) + 1,), -1, device=self.device)
        places[known] = torch.arange(len(known), device=self.device)
        return places[numbers]

    def __call__(self, state: Any) -> dict[str, torch.Tensor]:
        """Return energies, forces and stresses; see `BatchedNetwork`."""
        import torch

        systems = self.systems_of(state)
        pairs = self.pairs.find(state, systems.ptr)
        volumes = torch.linalg.det(state.row_vector_cell.double()).abs()
        graph = SevennetGraph(
            systems.facts,
            pairs.vectors.to(self.dtype),
            pairs.index,
            systems.owner,
            tuple(systems.ptr.diff().tolist()),
            volumes.to(self.dtype),
        )
        found = evaluate(self.model, graph, stress=self.compute_stress, training=False)
        energy = found.energy.double() + reference_energies(self.model, graph)
        results = {"energy": energy, "forces": found.forces}
        if found.stress is not None:
            results["stress"] = found.stress
        return results
