"""The replicas that are alive, as one batch of tensors under a Langevin step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import units

from fire_core.exploration.barostat import log_scales, n_noises, volumes
from fire_core.exploration.moments import Moment, Snapshot
from fire_core.exploration.parts import Parts, systems_of

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


class ReplicaBatch:
    """Positions, momenta and forces of all replicas, float64 on the model's device.

    Only the model sees its own floating-point type. Nothing is folded into the
    cell. Steps wait for the device where the model does, and nowhere else: what
    becomes of the replicas is read when it is asked for.

    Parameters
    ----------
    model
        Batched model (`DrivesDynamics`); called once for each step, in parts where
        memory is short.
    states
        Replicas to gather, in the order that results keep.
    limit
        Most in one force call.

    Attributes
    ----------
    systems
        The replicas' atoms.
    owner
        The replica of each atom, (n_atoms,).
    positions, momenta, forces
        (n_atoms, 3) of all replicas joined; Å, √(amu eV), eV/Å.
    cells
        (n_replicas, 3, 3), rows are lattice vectors, Å.
    energies
        (n_replicas,), eV; nan of a replica that has exploded.
    origin, first_cells
        Positions and cells at step 0 of the run.
    """

    def __init__(
        self, model: Any, states: Sequence[ReplicaState], limit: PartLimit
    ) -> None:
        import torch

        self.model = model
        self.limit = limit
        self.systems = systems_of(states, model.device)
        self.owner = self.systems.owner
        self.positions = self._gather([s.positions for s in states])
        self.momenta = self._gather([s.momenta for s in states])
        self.cells = self._gather([s.cell[None] for s in states])
        self.masses = self._gather([s.masses for s in states])[:, None]
        self.forces = torch.zeros_like(self.positions)
        self.energies = self._gather([np.array([s.energy]) for s in states])
        self.stresses = torch.full_like(self.cells[:, 0], torch.nan)
        self.broken = torch.zeros_like(self.energies, dtype=torch.bool)
        self.origin = self._gather([s.start_positions for s in states])
        self.first_cells = self._gather([s.start_cell[None] for s in states])
        self._states = tuple(states)
        self._ahead = 0
        self._read: list[Snapshot] | None = None
        self._parts = Parts(model, self._states, limit)
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

    @property
    def states(self) -> list[ReplicaState]:
        """The replicas as they are now, in order; read once for each place."""
        return [snapshot.state for snapshot in self.snapshots()]

    @property
    def steps(self) -> list[int]:
        """MD steps that each replica has done; known without asking the device."""
        return [state.step + self._ahead for state in self._states]

    def targets(self, n_steps: int) -> list[float]:
        """Return the present thermostat target of each replica, K, in a run of steps.

        Known without asking the device.
        """
        return [s.target(n_steps, ahead=self._ahead) for s in self._states]

    def start_energies(self) -> list[float]:
        """Return the energy of each replica at step 0, eV; nan before `start`."""
        return [state.start_energy for state in self._states]

    def evaluate(self) -> None:
        """Compute energies and forces; a replica that has exploded gets nan."""
        import torch

        near = (self.positions - self.origin).abs() < FAR  # nan compares false
        gone = (~near.all(dim=1)).to(torch.int64)
        lost = torch.zeros_like(self.broken, dtype=torch.int64)
        self.broken = self.broken | (lost.index_add_(0, self.owner, gone) > 0)
        output = self._parts.compute(*self._safe())
        self.energies = output["energy"].masked_fill(self.broken, torch.nan)
        self.forces = output["forces"]
        if "stress" in output:
            self.stresses = output["stress"].diagonal(dim1=1, dim2=2)
        self._read = None

    def predict(self, model: Any) -> dict[str, torch.Tensor]:
        """Return what another batched model gives for the present positions.

        In parts that fit into memory, float64: `energy` (n_replicas,) eV, `forces`
        (n_atoms, 3) eV/Å, and whatever else the model returns.
        """
        parts = self._others.setdefault(
            id(model), Parts(model, self._states, self.limit)
        )
        return parts.compute(*self._safe())

    def start(self) -> None:
        """Make the first force call; a new replica's energy is kept as its start."""
        self.evaluate()
        if any(np.isnan(s.start_energy) for s in self._states):
            energies = self.energies.tolist()
            self._states = tuple(
                replace(s, start_energy=e) if np.isnan(s.start_energy) else s
                for s, e in zip(self._states, energies, strict=True)
            )
            self._read = None

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
            for s in self._states
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
        self._ahead += n_steps

    def moment(self) -> Moment:
        """Return the replicas as they are now, on the device."""
        return Moment(
            self._states,
            self._ahead,
            self.positions.clone(),  # these two are moved in place, the rest is not
            self.momenta.clone(),
            self.forces,
            self.cells,
            self.stresses,
            self.energies,
        )

    def snapshots(self) -> list[Snapshot]:
        """Return the replicas as they are now, in order; read once for each place."""
        if self._read is None:
            self._read = self.moment().read()
        return self._read

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
            [
                s.target(config.steps, ahead=self._ahead + i + 0.5) * units.kB
                for s in self._states
            ]
            for i in range(n_steps)
        ]
        return self._gather([np.array(targets)])

    def _cell_noise(
        self, n_steps: int, config: DynamicsConfig, noise: Mapping[int, Noise]
    ) -> torch.Tensor:
        n = 0 if config.barostat is None else n_noises(config.barostat)
        shape = (n_steps, 1, n)
        drawn = [noise[s.replica].barostat.standard_normal(shape) for s in self._states]
        return self._gather(drawn, axis=1)

    def _safe(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return positions and cells, of exploded replicas those at the start."""
        import torch

        dead = self.broken[:, None]
        return (
            torch.where(dead[self.owner], self.origin, self.positions),
            torch.where(dead[..., None], self.first_cells, self.cells),
        )

    def _gather(
        self, arrays: Sequence[NDArray[np.float64]], *, axis: int = 0
    ) -> torch.Tensor:
        import torch

        joined = np.concatenate(arrays, axis=axis)
        return torch.tensor(joined, dtype=torch.float64, device=self.model.device)
