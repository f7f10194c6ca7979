"""The replicas that are alive, as one batch of tensors under a Langevin step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import units

from fire_core.exploration.barostat import log_scales, n_noises, volumes
from fire_core.exploration.parts import Parts, split_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from fire_core.config.ensemble import BarostatConfig
    from fire_core.config.steps import DynamicsConfig
    from fire_core.exploration.noise import Noise
    from fire_core.exploration.parts import PartLimit
    from fire_core.exploration.states import ReplicaState

FAR: Final = 1e3
"""Å; neighbour searches count cells in 32 bits, so no atom is sent further."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A replica with what the model says of it, to go on without a new force call.

    Attributes
    ----------
    state
        The replica.
    forces
        (n_atoms, 3), eV/Å.
    stress
        (3,), diagonal of the stress tensor, eV/Å³; nan at constant volume.
    """

    state: ReplicaState
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]


class ReplicaBatch:
    """Positions, momenta and forces of all replicas, float64 on the model's device.

    Only the model sees its own floating-point type. Nothing is folded into the
    cell.

    Parameters
    ----------
    model
        torch-sim model; called once for each step, in parts where memory is short.
    states
        Replicas to gather, in the order that results keep.
    limit
        Most in one force call.

    Attributes
    ----------
    states
        Replicas as they were after the last `advance`.
    positions, momenta, forces
        (n_atoms, 3) of all replicas joined; Å, √(amu eV), eV/Å.
    cells
        (n_replicas, 3, 3), rows are lattice vectors, Å.
    """

    def __init__(
        self, model: Any, states: Sequence[ReplicaState], limit: PartLimit
    ) -> None:
        import torch

        self.model = model
        self.limit = limit
        self.states = list(states)
        owner = np.repeat(np.arange(len(states)), [len(s.numbers) for s in states])
        self.owner = torch.as_tensor(owner, device=model.device)
        self.positions = self._gather([s.positions for s in states])
        self.momenta = self._gather([s.momenta for s in states])
        self.cells = self._gather([s.cell[None] for s in states])
        self.masses = self._gather([s.masses for s in states])[:, None]
        self.forces = torch.zeros_like(self.positions)
        self.energies = self._gather([np.array([s.energy]) for s in states])
        self.stresses = torch.full_like(self.cells[:, 0], torch.nan)
        self.broken = torch.zeros_like(self.energies, dtype=torch.bool)
        self._origin = self._gather([s.start_positions for s in states])
        self._first_cells = self._gather([s.start_cell[None] for s in states])
        self._parts = Parts(model, self.states, limit)
        self._others: dict[int, Parts] = {}

    @classmethod
    def of(
        cls, model: Any, snapshots: Sequence[Snapshot], limit: PartLimit
    ) -> ReplicaBatch:
        """Gather replicas whose forces are known."""
        batch = cls(model, [s.state for s in snapshots], limit)
        batch.forces = batch._gather([s.forces for s in snapshots])
        batch.stresses = batch._gather([s.stress[None] for s in snapshots])
        return batch

    def evaluate(self) -> None:
        """Compute energies and forces; a replica that has exploded gets nan."""
        import torch

        inside = (self.positions - self._origin).abs() < FAR  # nan compares false
        if not inside.all():
            self.broken[self.owner[~inside.all(dim=1)]] = True
        positions, cells = self._safe()
        output = self._parts.compute(positions, cells)
        self.energies = output["energy"].clone()
        self.energies[self.broken] = torch.nan
        self.forces = output["forces"]
        if "stress" in output:
            self.stresses = output["stress"].diagonal(dim1=1, dim2=2)

    def predict(self, model: Any) -> dict[str, torch.Tensor]:
        """Return what another torch-sim model gives for the present positions.

        In parts that fit into memory, float64: `energy` (n_replicas,) eV, `forces`
        (n_atoms, 3) eV/Å, and whatever else the model returns.
        """
        parts = self._others.setdefault(
            id(model), Parts(model, self.states, self.limit)
        )
        return parts.compute(*self._safe())

    def start(self) -> None:
        """Make the first force call; a new replica's energy is kept as its start."""
        self.evaluate()
        energies = self.energies.tolist()
        self.states = [
            replace(s, energy=e, start_energy=e) if np.isnan(s.start_energy) else s
            for s, e in zip(self.states, energies, strict=True)
        ]

    def advance(
        self, n_steps: int, config: DynamicsConfig, noise: Mapping[int, Noise]
    ) -> None:
        """Take `n_steps` steps of BAOAB (Leimkuhler and Matthews 2013).

        O is exact: p ← c p + √((1 - c²) m k_B T) ξ with c = exp(-friction × dt). With
        a barostat the cell is rescaled next to O, by the stress of the last force
        call.
        """
        half = 0.5 * config.timestep * units.fs
        keep = float(np.exp(-config.friction * config.timestep))
        kT = self._targets(n_steps, config)
        width = ((1 - keep**2) * self.masses * kT[:, self.owner, None]).sqrt()
        drift = half / self.masses
        drawn = [
            noise[s.replica].thermostat.standard_normal((n_steps, len(s.numbers), 3))
            for s in self.states
        ]
        moves = self._cell_noise(n_steps, config, noise)
        for step, kick in enumerate(self._gather(drawn, axis=1) * width):
            self.momenta += half * self.forces
            self.positions += drift * self.momenta
            self.momenta = keep * self.momenta + kick
            if config.barostat is not None:
                self._rescale(config.barostat, config.timestep, kT[step], moves[step])
            self.positions += drift * self.momenta
            self.evaluate()
            self.momenta += half * self.forces
        self._read(n_steps)

    def snapshots(self) -> list[Snapshot]:
        """Return the replicas as they are now, in order."""
        stresses = self.stresses.detach().cpu().numpy()
        forces = split_rows(self.forces.detach().cpu().numpy(), self.states)
        return [
            Snapshot(state, forces[i], stresses[i].copy())
            for i, state in enumerate(self.states)
        ]

    def _rescale(
        self,
        barostat: BarostatConfig,
        timestep: float,
        kT: torch.Tensor,
        noise: torch.Tensor,
    ) -> None:
        import torch

        volume = volumes(self.cells)
        twice_kinetic = torch.zeros_like(self.stresses).index_add_(
            0, self.owner, self.momenta**2 / self.masses
        )
        pressure = twice_kinetic / volume[:, None] - self.stresses
        scales = log_scales(
            barostat, pressure, kT / volume, timestep * units.fs, noise
        ).exp()
        self.cells = self.cells * scales[:, None, :]
        self.positions *= scales[self.owner]
        self.momenta /= scales[self.owner]

    def _targets(self, n_steps: int, config: DynamicsConfig) -> torch.Tensor:
        """Return k_B T of each step, in its middle, and replica, eV."""
        targets = [
            [s.target(config.steps, ahead=i + 0.5) * units.kB for s in self.states]
            for i in range(n_steps)
        ]
        return self._gather([np.array(targets)])

    def _cell_noise(
        self, n_steps: int, config: DynamicsConfig, noise: Mapping[int, Noise]
    ) -> torch.Tensor:
        n = 0 if config.barostat is None else n_noises(config.barostat)
        shape = (n_steps, 1, n)
        drawn = [noise[s.replica].barostat.standard_normal(shape) for s in self.states]
        return self._gather(drawn, axis=1)

    def _safe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return positions and cells, of exploded replicas those at the start."""
        import torch

        if not self.broken.any():
            return self.positions, self.cells
        dead = self.broken[:, None]
        return (
            torch.where(dead[self.owner], self._origin, self.positions),
            torch.where(dead[..., None], self._first_cells, self.cells),
        )

    def _read(self, n_steps: int) -> None:
        positions = split_rows(self.positions.cpu().numpy(), self.states)
        momenta = split_rows(self.momenta.cpu().numpy(), self.states)
        cells = self.cells.cpu().numpy()
        energies = self.energies.tolist()
        self.states = [
            replace(
                state,
                step=state.step + n_steps,
                energy=energies[i],
                positions=positions[i],
                momenta=momenta[i],
                cell=cells[i].copy(),
            )
            for i, state in enumerate(self.states)
        ]

    def _gather(
        self, arrays: Sequence[NDArray[np.float64]], *, axis: int = 0
    ) -> torch.Tensor:
        import torch

        joined = np.concatenate(arrays, axis=axis)
        return torch.tensor(joined, dtype=torch.float64, device=self.model.device)
