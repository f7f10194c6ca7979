"""A MACE model that computes many systems at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fire_core.backbones.batched_network import BatchedNetwork
from fire_core.backbones.mace_graphs import interaction_energies
from fire_core.backbones.torch_types import default_dtype

if TYPE_CHECKING:
    import torch

    from fire_core.backbones.systems import BatchState, Systems


@dataclass(frozen=True, slots=True, eq=False)
class MaceFacts:
    """One-hot elements, (n_atoms, n_elements); reference energies, (n_systems,), eV."""

    node_attrs: torch.Tensor
    e0: torch.Tensor


class BatchedMace(BatchedNetwork[MaceFacts]):
    """A `mace.modules.MACE`, called with the systems of a batch."""

    def cutoff(self) -> float:
        """Return the radius of the network's neighbourhoods, Å."""
        return float(self.model.r_max)

    def describe(self, systems: Systems) -> MaceFacts:
        """Return elements and reference energies."""
        table = self.model.atomic_numbers.to(self.device)
        matches = systems.numbers[:, None] == table[None]
        e0 = self.model.atomic_energies_fn.atomic_energies.detach().double()
        e0 = (matches.double() * e0.reshape(-1, len(table))[0]).sum(dim=1)
        totals = e0.new_zeros(len(systems)).index_add_(0, systems.owner, e0)
        return MaceFacts(matches.to(self.dtype), totals)

    def __call__(self, state: BatchState) -> dict[str, torch.Tensor]:
        """Return energies, forces and stresses; see `BatchedNetwork`."""
        systems, facts = state.systems, self.facts_of(state.systems)
        pairs = self.pairs.find(state)
        with default_dtype(self.dtype):
            output = self.model(
                {
                    "ptr": systems.starts,
                    "node_attrs": facts.node_attrs,
                    "batch": systems.owner,
                    "pbc": systems.periodic,
                    "cell": state.cells,
                    "positions": state.positions,
                    "edge_index": pairs.index,
                    "unit_shifts": pairs.unit_shifts,
                    "shifts": pairs.shifts,
                },
                compute_force=True,
                compute_stress=self.compute_stress,
            )
        energy = interaction_energies(output).detach().double() + facts.e0
        results = {"energy": energy, "forces": output["forces"].detach()}
        if self.compute_stress:
            results["stress"] = output["stress"].detach()
        return results
