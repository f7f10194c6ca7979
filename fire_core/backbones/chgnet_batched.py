"""A CHGNet that computes many systems at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.backbones.batched_network import BatchedNetwork
from fire_core.backbones.chgnet_graphs import ChgnetBatch
from fire_core.backbones.chgnet_layers import compute, reference_energies

if TYPE_CHECKING:
    import torch

    from fire_core.backbones.systems import BatchState, Systems


class BatchedChgnet(BatchedNetwork["torch.Tensor"]):
    """A `chgnet.model.CHGNet`, called with the systems of a batch."""

    once = True

    def cutoff(self) -> float:
        """Return the radius of the network's neighbourhoods, Å."""
        return float(self.model.graph_converter.atom_graph_cutoff)

    def describe(self, systems: Systems) -> torch.Tensor:
        """Return the reference energies, (n_systems,), eV."""
        return reference_energies(self.model, systems.numbers, systems.owner)

    def __call__(self, state: BatchState) -> dict[str, torch.Tensor]:
        """Return energies, forces and stresses; see `BatchedNetwork`."""
        import torch

        systems, references = state.systems, self.facts_of(state.systems)
        pairs = self.pairs.find(state)
        batch = ChgnetBatch(
            systems.numbers,
            systems.owner,
            pairs.index,
            -pairs.vectors.double(),
            torch.linalg.det(state.cells.double()).abs(),
        )
        output = compute(self.model, batch, create_graph=False)
        energy = references.index_add(
            0, systems.owner, output.energies.detach().double()
        )
        results = {"energy": energy, "forces": output.forces.to(self.dtype)}
        if self.compute_stress:
            results["stress"] = output.stress.to(self.dtype)
        return results
