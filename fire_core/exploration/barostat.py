"""Constant pressure by stochastic cell rescaling, one small move in each MD step.

The volume follows the first-order stochastic equation of Bernetti and Bussi, J. Chem.
Phys. 153 (2020) 114107, whose stationary distribution is the isothermal-isobaric
ensemble. In ε = ln V (their eq. 5; Itô)

    dε = (β/τ) (P − P₀) dt + √(2 k_B T β / (V τ)) dW

with the internal pressure P of kinetic and potential energy, compressibility β and
relaxation time τ. Positions scale with the cell, momenta against it. Lengths that move
on their own, ε_k = ln L_k, follow the same equation with P_kk for P and β/3 for β;
where they move together this is the isotropic equation again. Why it is stationary for
V^N exp(−(U + P₀V)/k_B T) dV, V = ∏ L_k: with the effective potential
A = K + U + P₀V − k_B T ln V and a diffusion D ∝ 1/V the drift is
−(D/k_B T) ∂A/∂ε_k + ∂D/∂ε_k, in which k_B T cancels. In the anisotropic form of the
same group, Del Tatto et al., Appl. Sci. 12 (2022) 1139, the angles move too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ase import units

if TYPE_CHECKING:
    import torch

    from fire_core.config.ensemble import BarostatConfig

LARGEST: Final = 0.3
"""Largest change of ln V in one step; beyond it is nonsense, which guards see soon."""


def n_noises(config: BarostatConfig) -> int:
    """Count the random numbers that a replica needs for one step."""
    return 3 if config.axes == "each" else 1


def log_scales(
    config: BarostatConfig,
    pressure: torch.Tensor,
    spread: torch.Tensor,
    time: float,
    noise: torch.Tensor,
) -> torch.Tensor:
    """Return the changes of the logarithms of the three lengths.

    Parameters
    ----------
    config
        Barostat.
    pressure
        (n_replicas, 3), diagonal of the internal pressure tensor, eV/Å³.
    spread
        (n_replicas,), k_B T / V, eV/Å³.
    time
        Time step in ASE units.
    noise
        (n_replicas, n_noises), independent standard normal numbers.

    Returns
    -------
    torch.Tensor
        (n_replicas, 3).
    """
    rate = config.compressibility / units.GPa * time / (config.relaxation * units.fs)
    excess = pressure - config.pressure * units.GPa
    if config.axes == "isotropic":
        width = (2 * rate * spread)[:, None].sqrt()
        change = rate * excess.mean(dim=1, keepdim=True) + width * noise
        return change.clamp(-LARGEST, LARGEST).expand(-1, 3) / 3
    width = (2 * rate / 3 * spread)[:, None].sqrt()
    change = rate / 3 * excess * mask(config, excess) + width * noise * mask(
        config, excess
    )
    return change.clamp(-LARGEST, LARGEST)


def mask(config: BarostatConfig, like: torch.Tensor) -> Any:
    """Return which of the three lengths move, (3,), ones and zeros."""
    if config.axes == "normal":
        return like.new_tensor([float(axis == config.normal) for axis in "xyz"])
    return like.new_ones(3)


def volumes(cells: torch.Tensor) -> torch.Tensor:
    """Return the volumes, Å³, of cells, (n, 3, 3), rows lattice vectors."""
    return cells.det().abs()
