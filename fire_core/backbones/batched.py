"""A MACE model on torch-sim's batched states, with neighbours kept between calls.

torch-sim's own wrapper searches neighbours in each system at each call, on the CPU. In
dynamics the atoms of one call are those of the last, a little moved: pairs within the
cutoff and a skin are kept until an atom may have crossed the skin (Verlet, Phys. Rev.
159 (1967) 98), and each call picks those within the cutoff on the model's device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.mace_graphs import interaction_energies
from fire_core.backbones.torch_types import default_dtype

if TYPE_CHECKING:
    import torch

SKIN: Final = 0.6
"""Å beyond the cutoff; changes the time, not the result."""


@dataclass(frozen=True, slots=True, eq=False)
class _Systems:
    """What does not change while the same atoms move."""

    numbers: torch.Tensor
    owner: torch.Tensor
    ptr: torch.Tensor
    node_attrs: torch.Tensor
    e0: torch.Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """Pairs within cutoff and skin, and where the atoms were when they were found."""

    edge_index: torch.Tensor
    unit_shifts: torch.Tensor
    positions: torch.Tensor
    cells: torch.Tensor


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
        self.skin = skin
        self.cutoff = float(model.r_max)
        self.searches = 0
        self._systems: _Systems | None = None
        self._candidates: _Candidates | None = None

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
        cells = state.row_vector_cell
        edge_index, unit_shifts, shifts = self._edges(state, systems)
        with default_dtype(self.dtype):
            output = self.model(
                {
                    "ptr": systems.ptr,
                    "node_attrs": systems.node_attrs,
                    "batch": systems.owner,
                    "pbc": state.pbc,
                    "cell": cells,
                    "positions": state.positions,
                    "edge_index": edge_index,
                    "unit_shifts": unit_shifts,
                    "shifts": shifts,
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
        self._candidates = None
        return self._systems

    def _edges(
        self, state: Any, systems: _Systems
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return pairs within the cutoff, their cell shifts as numbers and in Å."""
        import torch

        positions, cells = state.positions.detach(), state.row_vector_cell
        kept = self._candidates
        if kept is None or not self._still_holds(kept, positions, cells, systems):
            kept = self._candidates = self._search(positions, cells, state.pbc, systems)
        sender, receiver = kept.edge_index
        shifts = torch.einsum(
            "ei,eij->ej", kept.unit_shifts, cells[systems.owner[sender]]
        )
        vectors = positions[receiver] - positions[sender] + shifts
        near = (vectors.square().sum(dim=1) < self.cutoff**2).nonzero()[:, 0]
        return (
            kept.edge_index.index_select(1, near),
            kept.unit_shifts.index_select(0, near),
            shifts.index_select(0, near),
        )

    def _still_holds(
        self,
        kept: _Candidates,
        positions: torch.Tensor,
        cells: torch.Tensor,
        systems: _Systems,
    ) -> bool:
        """Return whether no pair from beyond the skin can have come within the cutoff.

        With F = h₀⁻¹ h, the deformation of a cell since the search, and d the largest
        movement of an atom beside it, a pair that was at r₀ is now at least at
        s r₀ − 2 d, s being the smallest singular value of F.
        """
        import torch

        expected, shrunk = kept.positions, 1.0
        if not torch.equal(kept.cells, cells):
            deformation = torch.linalg.solve(kept.cells, cells)
            shrunk = float(torch.linalg.svdvals(deformation).min())
            expected = torch.einsum("ai,aij->aj", expected, deformation[systems.owner])
        moved = float((positions - expected).square().sum(dim=1).max().sqrt())
        return 2 * moved < shrunk * (self.cutoff + self.skin) - self.cutoff

    def _search(
        self,
        positions: torch.Tensor,
        cells: torch.Tensor,
        pbc: bool,
        systems: _Systems,
    ) -> _Candidates:
        import torch
        from torch_sim.neighbors import vesin_nl_ts

        self.searches += 1
        places, boxes = positions.cpu().double(), cells.cpu().double()
        reach = torch.tensor(self.cutoff + self.skin, dtype=torch.float64)
        bounds = systems.ptr.tolist()
        pairs, shifts = [], []
        for i, first in enumerate(bounds[:-1]):
            found = vesin_nl_ts(
                positions=places[first : bounds[i + 1]],
                cell=boxes[i],
                pbc=pbc,
                cutoff=reach,
            )
            pairs.append(found[0] + first)
            shifts.append(found[1])
        return _Candidates(
            torch.cat(pairs, dim=1).to(self.device),
            torch.cat(shifts).to(device=self.device, dtype=self.dtype),
            positions.clone(),
            cells.clone(),
        )
