"""A CHGNet on torch-sim's batched states, with bonds kept between calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fire_core.backbones.chgnet_graphs import ChgnetBatch
from fire_core.backbones.chgnet_layers import compute, reference_energies
from fire_core.backbones.verlet import SKIN, KeptPairs

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class _Systems:
    """What does not change while the same atoms move."""

    numbers: torch.Tensor
    owner: torch.Tensor
    ptr: torch.Tensor
    references: torch.Tensor


class BatchedChgnet:
    """What torch-sim calls a model, for CHGNet.

    Parameters
    ----------
    model
        A `chgnet.model.CHGNet` on `device` in `dtype`.
    device, dtype
        torch's.
    compute_stress
        Whether the stress is given, too.
    skin
        Å; 0 searches bonds at each call.
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
        cutoff = float(model.graph_converter.atom_graph_cutoff)
        self.pairs = KeptPairs(cutoff, skin=skin, once=True)
        self._systems: _Systems | None = None

    def __copy__(self) -> BatchedChgnet:
        """Return one of its own systems and pairs, as parts of a batch need it."""
        return BatchedChgnet(
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
            `energy`, (n_systems,), eV, float64; `forces`, (n_atoms, 3), eV/Å; with
            `compute_stress` also `stress`, (n_systems, 3, 3), eV/Å³, positive under
            tension.
        """
        import torch

        systems = self._same_systems(state)
        pairs = self.pairs.find(state, systems.ptr)
        batch = ChgnetBatch(
            systems.numbers,
            systems.owner,
            pairs.index,
            -pairs.vectors.double(),
            torch.linalg.det(state.row_vector_cell.double()).abs(),
        )
        output = compute(self.model, batch, create_graph=False)
        energy = systems.references.index_add(
            0, systems.owner, output.energies.detach().double()
        )
        results = {"energy": energy, "forces": output.forces.to(self.dtype)}
        if self.compute_stress:
            results["stress"] = output.stress.to(self.dtype)
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
        numbers, owner = state.atomic_numbers.clone(), state.system_idx.clone()
        ends = torch.cumsum(torch.bincount(owner), 0)
        self._systems = _Systems(
            numbers,
            owner,
            torch.cat([ends.new_zeros(1), ends]),
            reference_energies(self.model, numbers, owner),
        )
        self.pairs.forget()
        return self._systems
