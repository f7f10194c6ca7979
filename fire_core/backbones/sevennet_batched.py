"""A SevenNet on torch-sim's batched states, with neighbours kept between calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ase.data import atomic_numbers

from fire_core.backbones.sevennet_graphs import (
    SevennetGraph,
    evaluate,
    reference_energies,
)
from fire_core.backbones.verlet import SKIN, KeptPairs

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True, eq=False)
class _Systems:
    """What does not change while the same atoms move."""

    numbers: torch.Tensor
    owner: torch.Tensor
    ptr: torch.Tensor
    kinds: torch.Tensor


class BatchedSevennet:
    """What torch-sim calls a model, for SevenNet.

    Parameters
    ----------
    model
        A `kernels.nequip.NequipStack` on `device` in `dtype`.
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
        import torch

        self.model = model
        self.device = device
        self.dtype = dtype
        self.compute_stress = compute_stress
        self.pairs = KeptPairs(model.setting.cutoff, skin=skin, once=True)
        numbers = [atomic_numbers[symbol] for symbol in model.setting.elements]
        self._kinds = torch.full((max(numbers) + 1,), -1, device=device)
        self._kinds[numbers] = torch.arange(len(numbers), device=device)
        self._systems: _Systems | None = None

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
        volumes = torch.linalg.det(state.row_vector_cell.double()).abs()
        graph = SevennetGraph(
            systems.kinds,
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
        ptr = torch.cat([ends.new_zeros(1), ends])
        self._systems = _Systems(numbers, owner, ptr, self._kinds[numbers])
        self.pairs.forget()
        return self._systems
