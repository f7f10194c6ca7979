"""Mean stress of a crystal in molecular dynamics, and its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import units

from fire_core.config.guards import GuardConfig
from fire_core.config.steps import DynamicsConfig
from fire_core.errors import PropertyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fire_core.backbones.base import Backbone
    from fire_core.exploration.dynamics import SegmentResult
    from fire_core.properties.thermal_elasticity.settings import ThermalElasticityConfig
    from fire_core.records import Frame

    Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BlockMean:
    """Means of several numbers over a run.

    Attributes
    ----------
    mean
        (n,).
    error
        (n,), standard errors from the means of blocks.
    correlation
        Samples that one independent sample is worth, the mean over the numbers; a
        lower bound where it comes near to a block's length.
    block
        Samples in a block.
    """

    mean: Array
    error: Array
    correlation: float
    block: int


def internal_stress(virial: Array, density: float | Array, temperature: float) -> Array:
    """Add the momentum that moving atoms carry to the stress of their forces.

    σ = σ_virial - ρ k_B T on the diagonal. In the canonical ensemble ⟨p_a p_b / m⟩ is
    k_B T δ_ab for each atom, whatever the forces, so its exact mean stands for the
    fluctuating one; all atoms count, since the thermostat moves the centre of mass,
    too.

    Parameters
    ----------
    virial
        (..., 6), eV/Å³, Voigt, positive in tension: what models and ASE call stress.
    density
        Atoms in an Å³.
    temperature
        K.

    Returns
    -------
    (..., 6), GPa.
    """
    pressure = np.asarray(density * units.kB * temperature)
    kinetic = pressure[..., None] * np.array([1, 1, 1, 0, 0, 0])
    total: Array = (virial - kinetic) / units.GPa
    return total


def block_means(series: Array, blocks: int) -> BlockMean:
    """Return means over time with errors from the means of equal blocks.

    H. Flyvbjerg and H. G. Petersen, J. Chem. Phys. 91, 461 (1989). What does not fill
    a block is left out at the beginning.

    Parameters
    ----------
    series
        (n_samples, n), in the order of time.
    blocks
        How many.
    """
    length = len(series) // blocks
    used = series[len(series) - length * blocks :]
    means = used.reshape(blocks, length, -1).mean(axis=1)
    spread = means.var(axis=0, ddof=1)
    single = used.var(axis=0, ddof=1)
    moving = single > 0
    inefficiency = length * spread[moving] / single[moving]
    correlation = float(np.mean(inefficiency)) if moving.any() else 1.0
    return BlockMean(
        mean=used.mean(axis=0),
        error=np.sqrt(spread / blocks),
        correlation=max(1.0, correlation),
        block=length,
    )


def dynamics_of(
    settings: ThermalElasticityConfig, replicas: int, *, moving_cell: bool
) -> DynamicsConfig:
    """Return the dynamics of the mean cell or of strained cells."""
    return DynamicsConfig(
        temperatures=(settings.temperature,),
        barostat=settings.barostat if moving_cell else None,
        replicas=replicas,
        steps=settings.cell_steps if moving_cell else settings.steps,
        timestep=settings.timestep,
        friction=settings.friction,
        save_every=settings.sample_every,
        equilibration=settings.equilibration,
        segment=settings.segment,
        guards=GuardConfig(max_displacement=settings.largest_move),
    )


def refuse_breaches(result: SegmentResult) -> None:
    """Raise PropertyError where a replica was stopped by its guards."""
    if not result.stopped:
        return
    which, reason = next(iter(result.stopped.items()))
    msg = (
        f"strained cell {which} was stopped ({reason}): it is no crystal any more, or "
        "the model fails there; take a lower temperature, a smaller strain, a shorter "
        "timestep, or raise largest_move where atoms diffuse"
    )
    raise PropertyError(msg)


def frames_to_stress(
    backbone: Backbone, frames: Sequence[Frame], replicas: int, temperature: float
) -> Array:
    """Return (n_samples, n_replicas, 6), GPa: kinetic and virial stress of frames.

    Parameters
    ----------
    backbone
        Model that drove the dynamics.
    frames
        By replica, then step; as many of each replica.
    replicas
        How many there are.
    temperature
        K.

    Raises
    ------
    PropertyError
        The model gives no stress.
    """
    if not frames:
        return np.zeros((0, replicas, 6))
    labels = backbone.predict([frame.atoms for frame in frames])
    missing = [label for label in labels if label.stress is None]
    if missing:
        msg = f"{backbone.name} gives no stress; take a model that does"
        raise PropertyError(msg)
    virial = np.array([label.stress for label in labels])
    density = np.array([len(f.atoms) / f.atoms.get_volume() for f in frames])
    stress = internal_stress(virial, density, temperature)
    return stress.reshape(replicas, -1, 6).transpose(1, 0, 2)


def frames_to_cells(frames: Sequence[Frame]) -> Array:
    """Return the cells of frames, (n_samples, 9), Å."""
    cells = [frame.atoms.cell.array.ravel() for frame in frames]
    return np.array(cells).reshape(-1, 9)
