"""A MACE model on torch-sim's batched states, with neighbours kept between calls.

torch-sim's own wrapper searches neighbours in each system at each call, on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fire_core.backbones.mace_graphs import interaction_energies
from fire_core.backbones.torch_types import default_dtype
from fire_core.backbones.verlet import SKIN, KeptPairs

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class _Systems:
    """What does not change while the same atoms move."""

    numbers: torch.Tensor
    owner: torch.Tensor
    ptr: torch.Tensor
    node_attrs: torch.Tensor
    e0: torch.Tensor


class BatchedMace:
    """What torch-sim calls a model, for MACE.

    Parameters
    ----------
    model
        A `mace.modules.MACE` on `device` in `dtype`.
    device, dtype
        torch's.
    compute_stress
        Whether the stress is computed too.
    skin
        Å; 0 searches neighbours at each call.
    """

    compute_forces = True
    memory_scales_with = "n_atoms_x_density"

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
        self.pairs = KeptPairs(float(model.r_max), skin=skin)
        self._systems: _Systems | None = None

    def __copy__(self) -> BatchedMace:
        """Return one of its own systems and pairs, as parts of a batch need it."""
        return BatchedMace(
            self.model,
            device=self.device,
            dtype=self.dtype,
            compute_stress=self.compute_stress,
            skin=self.pairs.skin,
        )

    def __call__(self, state: Any) -> dict[str, torch.Tensor]:
        """Return energies, forces and stresses of the systems of a torch-sim state.

        Returns
        -------
        dict
            `energy`, (n_systems,), eV, float64: reference energies are added in double
            precision; `forces`, (n_atoms, 3), eV/Å; with `compute_stress` also
            `stress`, (n_systems, 3, 3), eV/Å³, positive under tension.
        """
        systems = self._same_systems(state)
        pairs = self.pairs.find(state, systems.ptr)
        with default_dtype(self.dtype):
            output = self.model(
                {
                    "ptr": systems.ptr,
                    "node_attrs": systems.node_attrs,
                    "batch": systems.owner,
                    "pbc": state.pbc,
                    "cell": state.row_vector_cell,
                    "positions": state.positions,
                    "edge_index": pairs.index,
                    "unit_shifts": pairs.unit_shifts,
                    "shifts": pairs.shifts,
                },
                compute_force=True,
                compute_stress=self.compute_stress,
            )
        energy = interaction_energies(output).detach().double() + systems.e0
        results = {"energy": energy, "forces": output["forces"].detach()}
        if self.compute_stress:
            results["stress"] = output["stress"].detach()
        return results

    def _same_systems(self, state: Any) -> _Systems:
        """Return what is known of the systems, found out when they are new."""
        import torch

        known = self._systems
        if (
            known is not None
            and torch.equal(known.numbers, state.atomic_numbers)
            and torch.equal(known.owner, state.system_idx)
        ):
            return known
        table = self.model.atomic_numbers.to(self.device)
        matches = state.atomic_numbers[:, None] == table[None]
        counts = torch.bincount(state.system_idx)
        ends = torch.cumsum(counts, 0)
        e0 = self.model.atomic_energies_fn.atomic_energies.detach().double()
        e0 = (matches.double() * e0.reshape(-1, len(table))[0]).sum(dim=1)
        self._systems = _Systems(
            state.atomic_numbers.clone(),
            state.system_idx.clone(),
            torch.cat([ends.new_zeros(1), ends]),
            matches.to(self.dtype),
            e0.new_zeros(len(counts)).index_add_(0, state.system_idx, e0),
        )
        self.pairs.forget()
        return self._systems
