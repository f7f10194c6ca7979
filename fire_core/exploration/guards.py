"""Stop a replica that has left physics: all replicas judged at once on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase import units

from fire_core.backbones.cells import displacement_gradients, move_along
from fire_core.backbones.systems import BatchState
from fire_core.exploration.contacts import Contacts
from fire_core.records import StopReason

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from fire_core.config.guards import GuardConfig
    from fire_core.exploration.batch import ReplicaBatch

    Array = NDArray[np.float64]

REASONS: Final = (
    StopReason.NOT_FINITE,
    StopReason.VOLUME,
    StopReason.TOO_CLOSE,
    StopReason.ENERGY_DRIFT,
    StopReason.TOO_HOT,
    StopReason.LOST_ATOM,
)
"""In the order in which they are given where several hold."""


def kinetic_temperature(momenta: Array, masses: Array) -> float:
    """Compute 2 K / (3 N k_B), K, from momenta in ASE units.

    Langevin noise drives all 3 N degrees of freedom, so none is subtracted.
    """
    twice_kinetic = float(np.sum(momenta**2 / masses[:, None]))
    return twice_kinetic / (momenta.size * float(units.kB))


class Guards:
    """The limits of the replicas of one batch.

    Parameters
    ----------
    batch
        Replicas, their first force call done.
    config
        Limits.
    n_steps
        MD steps of the run, for the thermostat target of a ramp.
    """

    def __init__(self, batch: ReplicaBatch, config: GuardConfig, n_steps: int) -> None:
        self.config = config
        self.n_steps = n_steps
        self.contacts = Contacts(batch.systems, factor=config.min_distance_factor)
        self._start_energies = batch.energies.new_tensor(batch.start_energies())
        self._sizes = batch.energies.new_tensor(batch.systems.sizes)

    def judge(self, batch: ReplicaBatch) -> list[StopReason | None]:
        """Return for each replica what is wrong with it; None: it may go on.

        The device is waited for once, and once more where pairs of atoms have to be
        searched anew.
        """
        import torch

        gradients = displacement_gradients(batch.first_cells, batch.cells)
        wild = ~_is_finite(batch)
        grown = (gradients + torch.eye(3).to(gradients)).det().abs()
        swollen = torch.maximum(grown, 1 / grown) > self.config.max_volume_factor
        places = _sane(batch, wild | swollen)
        rest = [
            self._drifts(batch),
            self._is_hot(batch),
            self._has_lost(batch, gradients),
        ]
        while True:
            look = self.contacts.look(places)
            rows = torch.stack([wild, swollen, look.too_close, *rest])
            *flags, all_seen = torch.cat([rows.flatten(), look.all_seen[None]]).tolist()
            if all_seen:
                break
            self.contacts.search(places)
        n = len(batch.systems)
        table = [flags[i * n : (i + 1) * n] for i in range(len(REASONS))]
        return [
            next((r for r, holds in zip(REASONS, column, strict=True) if holds), None)
            for column in zip(*table, strict=True)
        ]

    def _drifts(self, batch: ReplicaBatch) -> torch.Tensor:
        """Return whose potential energy has changed too much."""
        rise = (batch.energies - self._start_energies).abs() / self._sizes
        return rise > self.config.max_energy_rise

    def _is_hot(self, batch: ReplicaBatch) -> torch.Tensor:
        """Return whose 2 K / (3 N k_B) is beyond a multiple of the target."""
        twice = _totals(batch, (batch.momenta**2 / batch.masses).sum(dim=1))
        heat = twice / (3 * self._sizes * units.kB)
        targets = heat.new_tensor(batch.targets(self.n_steps))
        return heat > self.config.max_temperature_factor * targets

    def _has_lost(self, batch: ReplicaBatch, gradients: torch.Tensor) -> torch.Tensor:
        """Return where an atom has left its start, without the cell's own drift.

        The thermostat lets the centre of mass wander, which no atom is lost by; and a
        cell that has changed takes the start along.
        """
        start = move_along(batch.origin, gradients, batch.owner)
        moved = batch.positions - start
        weights = _totals(batch, batch.masses[:, 0])[:, None]
        drift = _totals(batch, batch.masses * moved) / weights
        squared = (moved - drift[batch.owner]).square().sum(dim=1)
        far = squared > self.config.max_displacement**2
        return _totals(batch, far.to(squared.dtype)) > 0


def _is_finite(batch: ReplicaBatch) -> torch.Tensor:
    """Return of which replicas every number is finite, (n_replicas,)."""
    import torch

    rows = torch.cat([batch.positions, batch.momenta, batch.forces], dim=1)
    wild = (~rows.isfinite().all(dim=1)).to(rows.dtype)
    cells = batch.cells.isfinite().flatten(1).all(dim=1)
    return (_totals(batch, wild) == 0) & cells & batch.energies.isfinite()


def _totals(batch: ReplicaBatch, values: torch.Tensor) -> torch.Tensor:
    """Return the sums over the atoms of each replica, (n_replicas, ...)."""
    total = values.new_zeros(len(batch.systems), *values.shape[1:])
    return total.index_add_(0, batch.owner, values)


def _sane(batch: ReplicaBatch, out: torch.Tensor) -> BatchState:
    """Return the replicas, those that are out already as they were at the start."""
    import torch

    atoms = out[batch.owner][:, None]
    return BatchState(
        batch.systems,
        torch.where(atoms, batch.origin, batch.positions),
        torch.where(out[:, None, None], batch.first_cells, batch.cells),
    )
