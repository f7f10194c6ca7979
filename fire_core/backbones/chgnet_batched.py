"""A CHGNet on torch-sim's batched states."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fire_core.backbones.batched_network import BatchedNetwork
from fire_core.backbones.chgnet_graphs import ChgnetBatch
from fire_core.backbones.chgnet_layers import compute, reference_energies

if TYPE_CHECKING:
    import torch


class BatchedChgnet(BatchedNetwork["torch.Tensor"]):
    """A `chgnet.model.CHGNet`, as torch-sim calls it."""

    once = True

    def cutoff(self) -> float:
        """Return the radius of the network's neighbourhoods, Å."""
        return float(self.model.graph_converter.atom_graph_cutoff)

    def describe(
        self,
        numbers: torch.Tensor,
        owner: torch.Tensor,
        n_systems: int,  # noqa: ARG002 - its references are the atoms'
    ) -> torch.Tensor:
        """Return the reference energies."""
        return reference_energies(self.model, numbers, owner)

    def __call__(self, state: Any) -> dict[str, torch.Tensor]:
        """Return energies, forces and stresses; see `BatchedNetwork`."""
        import torch

        systems = self.systems_of(state)
        pairs = self.pairs.find(state, systems.ptr)
        batch = ChgnetBatch(
            systems.numbers,
            systems.owner,
            pairs.index,
            -pairs.vectors.double(),
            torch.linalg.det(state.row_vector_cell.double()).abs(),
        )
        output = compute(self.model, batch, create_graph=False)
        energy = systems.facts.index_add(
            0, systems.owner, output.energies.detach().double()
        )
        results = {"energy": energy, "forces": output.forces.to(self.dtype)}
        if self.compute_stress:
            results["stress"] = output.stress.to(self.dtype)
        return results
