"""A SevenNet that computes many systems at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ase.data import atomic_numbers

from fire_core.backbones.batched_network import BatchedNetwork
from fire_core.backbones.sevennet_graphs import (
    SevennetGraph,
    evaluate,
    reference_energies,
)

if TYPE_CHECKING:
    import torch

    from fire_core.backbones.systems import BatchState, Systems


class BatchedSevennet(BatchedNetwork["torch.Tensor"]):
    """A `kernels.nequip.NequipStack`, called with the systems of a batch."""

    once = True

    def cutoff(self) -> float:
        """Return the radius of the network's neighbourhoods, Å."""
        return float(self.model.setting.cutoff)

    def describe(self, systems: Systems) -> torch.Tensor:
        """Return the place of each atom's element in the network's list, (n_atoms,)."""
        import torch

        known = [atomic_numbers[symbol] for symbol in self.model.setting.elements]
        places = torch.full((max(known) + 1,), -1, device=self.device)
        places[known] = torch.arange(len(known), device=self.device)
        return places[systems.numbers]

    def __call__(self, state: BatchState) -> dict[str, torch.Tensor]:
        """Return energies, forces and stresses; see `BatchedNetwork`."""
        import torch

        systems, kinds = state.systems, self.facts_of(state.systems)
        pairs = self.pairs.find(state)
        volumes = torch.linalg.det(state.cells.double()).abs()
        graph = SevennetGraph(
            kinds,
            pairs.vectors.to(self.dtype),
            pairs.index,
            systems.owner,
            systems.sizes,
            volumes.to(self.dtype),
        )
        found = evaluate(self.model, graph, stress=self.compute_stress, training=False)
        energy = found.energy.double() + reference_energies(self.model, graph)
        results = {"energy": energy, "forces": found.forces}
        if found.stress is not None:
            results["stress"] = found.stress
        return results
