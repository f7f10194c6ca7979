"""The replicas that are alive, as one batch of tensors under a Langevin step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray

    from fire_core.config.steps import DynamicsConfig
    from fire_core.exploration.states import ReplicaState

FAR: Final = 1e3
"""Å; neighbour searches count cells in 32 bits, so no atom is sent further."""


class ReplicaBatch:
    """Positions, momenta and forces of all replicas, float64 on the model's device.

    Only the model sees its own floating-point type. Nothing is folded into the
    cell.

    Parameters
    ----------
    model
        torch-sim model; called once for each step.
    states
        Replicas to gather, in the order that results keep.
    """

    def __init__(self, model: Any, states: Sequence[ReplicaState]) -> None:
        import torch

        self.model = model
        self.states = list(states)
        sizes = [len(s.numbers) for s in states]
        self.bounds = np.cumsum([0, *sizes]).tolist()
        owner = np.repeat(np.arange(len(sizes)), sizes)
        self.owner = torch.as_tensor(owner, device=model.device)
        self.positions = self._gather([s.positions for s in states])
        self.momenta = self._gather([s.momenta for s in states])
        self.origin = self._gather([s.start_positions for s in states])
        self.masses = self._gather([s.masses for s in states])[:, None]
        self.kT = self._gather([np.full(1, s.temperature * units.kB) for s in states])
        self.forces = torch.zeros_like(self.positions)
        self.energies = torch.zeros_like(self.kT)
        self.broken = torch.zeros_like(self.kT, dtype=torch.bool)
        self._sim = self._model_input()

    def evaluate(self) -> None:
        """Compute energies and forces; a replica that has exploded gets nan."""
        import torch

        positions = self.positions
        inside = (positions - self.origin).abs() < FAR  # nan compares false
        if not inside.all():
            self.broken[self.owner[~inside.all(dim=1)]] = True
        if self.broken.any():
            dead = self.broken[self.owner][:, None]
            positions = torch.where(dead, self.origin, positions)
        self._sim.positions = positions.to(self.model.dtype)
        output = self.model(self._sim)
        self.energies = output["energy"].detach().to(torch.float64)
        self.energies[self.broken] = torch.nan
        self.forces = output["forces"].detach().to(torch.float64)

    def start(self) -> None:
        """Make the first force call; a new replica's energy is kept as its start."""
        self.evaluate()
        energies = self.energies.tolist()
        self.states = [
            replace(s, energy=e, start_energy=e) if np.isnan(s.start_energy) else s
            for s, e in zip(self.states, energies, strict=True)
        ]

    def advance(
        self,
        n_steps: int,
        config: DynamicsConfig,
        noise: Mapping[int, np.random.Generator],
    ) -> None:
        """Take `n_steps` steps of BAOAB (Leimkuhler and Matthews 2013).

        O is exact: p ← c p + √((1 - c²) m k_B T) ξ with c = exp(-friction × dt).
        """
        half = 0.5 * config.timestep * units.fs
        keep = float(np.exp(-config.friction * config.timestep))
        width = ((1 - keep**2) * self.masses * self.kT[self.owner][:, None]).sqrt()
        drift = half / self.masses
        drawn = [
            noise[s.replica].standard_normal((n_steps, len(s.numbers), 3))
            for s in self.states
        ]
        for kick in self._gather(drawn, axis=1) * width:
            self.momenta += half * self.forces
            self.positions += drift * self.momenta
            self.momenta = keep * self.momenta + kick
            self.positions += drift * self.momenta
            self.evaluate()
            self.momenta += half * self.forces
        self._read(n_steps)

    def split_forces(self) -> list[NDArray[np.float64]]:
        """Return the forces on each replica's atoms, (n_atoms, 3), eV/Å."""
        return self._split(self.forces)

    def keep(self, states: Sequence[ReplicaState]) -> ReplicaBatch:
        """Make the batch of the replicas that go on, without a new force call."""
        kept = {s.replica for s in states}
        which = [i for i, s in enumerate(self.states) if s.replica in kept]
        batch = ReplicaBatch(self.model, states)
        forces = self.split_forces()
        batch.forces = self._gather([forces[i] for i in which])
        batch.energies = self.energies[which]
        return batch

    def _read(self, n_steps: int) -> None:
        positions = self._split(self.positions)
        momenta = self._split(self.momenta)
        energies = self.energies.tolist()
        self.states = [
            replace(
                state,
                step=state.step + n_steps,
                energy=energies[i],
                positions=positions[i],
                momenta=momenta[i],
            )
            for i, state in enumerate(self.states)
        ]

    def _model_input(self) -> Any:
        import torch
        import torch_sim

        numbers = np.concatenate([s.numbers for s in self.states])
        cells = self._gather([s.cell.T[None] for s in self.states])
        sim = torch_sim.SimState(
            positions=self.positions.to(self.model.dtype),
            masses=self.masses[:, 0].to(self.model.dtype),
            cell=cells.to(self.model.dtype),
            pbc=bool(self.states[0].pbc.any()),
            atomic_numbers=torch.as_tensor(numbers, device=self.model.device),
            system_idx=self.owner,
        )
        if hasattr(self.model, "setup_from_system_idx"):
            # torch-sim 0.3.0's MaceModel sets its batch up again only when the
            # atomic numbers change, not when the same ones form other systems
            self.model.setup_from_system_idx(sim.atomic_numbers, sim.system_idx)
        return sim

    def _gather(
        self, arrays: Sequence[NDArray[np.float64]], *, axis: int = 0
    ) -> torch.Tensor:
        import torch

        joined = np.concatenate(arrays, axis=axis)
        return torch.tensor(joined, dtype=torch.float64, device=self.model.device)

    def _split(self, tensor: torch.Tensor) -> list[NDArray[np.float64]]:
        array = tensor.detach().cpu().numpy()
        bounds = zip(self.bounds, self.bounds[1:], strict=False)
        return [array[first:last].copy() for first, last in bounds]
