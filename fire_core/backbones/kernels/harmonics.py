"""Real spherical harmonics and radial functions of the vectors between atoms."""

from __future__ import annotations

import math
from typing import Final

import torch

HIGHEST: Final = 3
"""Largest degree of the harmonics."""


def harmonics(vectors: torch.Tensor, lengths: torch.Tensor, l_max: int) -> torch.Tensor:
    """Return the real spherical harmonics of directions, (n, (l_max + 1)²).

    The components of a degree stand in e3nn's order (its polar axis is y), and their
    squares add up to 2l + 1 (its normalisation `component`).

    Parameters
    ----------
    vectors
        (n, 3), Å.
    lengths
        (n,), Å.
    l_max
        Largest degree, at most `HIGHEST`.
    """
    x, y, z = (vectors / lengths[:, None]).unbind(1)
    columns = [torch.ones_like(x)]
    if l_max >= 1:
        columns += [math.sqrt(3) * axis for axis in (x, y, z)]
    if l_max >= 2:
        xz, squares = x * z, z * z - x * x
        columns += [
            math.sqrt(15) * xz,
            math.sqrt(15) * x * y,
            math.sqrt(5) * (1.5 * y * y - 0.5),
            math.sqrt(15) * y * z,
            math.sqrt(15) / 2 * squares,
        ]
    if l_max >= 3:
        rest = math.sqrt(42) / 4 * (5 * y * y - 1)
        columns += [
            math.sqrt(70) / 4 * x * (3 * z * z - x * x),
            math.sqrt(105) * xz * y,
            rest * x,
            math.sqrt(7) / 2 * y * (5 * y * y - 3),
            rest * z,
            math.sqrt(105) / 2 * squares * y,
            math.sqrt(70) / 4 * z * (z * z - 3 * x * x),
        ]
    return torch.stack(columns, dim=1)


def parity(l_max: int, like: torch.Tensor) -> torch.Tensor:
    """Return what harmonics are multiplied with in the opposite direction.

    Of the type and on the device of `like`.
    """
    return torch.cat(
        [
            like.new_full((2 * degree + 1,), (-1.0) ** degree)
            for degree in range(l_max + 1)
        ]
    )


def bessel(
    lengths: torch.Tensor, wave_numbers: torch.Tensor, cutoff: float
) -> torch.Tensor:
    """Return the radial Bessel functions 2 sin(k r) / (r_c r), (n, n_functions).

    Gasteiger et al., arXiv:2003.03123, eq. 7, with the prefactor of SevenNet: 2 / r_c
    where the paper has its square root.

    Parameters
    ----------
    lengths
        (n,), Å.
    wave_numbers
        (n_functions,), 1/Å.
    cutoff
        Å.
    """
    r = lengths[:, None]
    return (2.0 / cutoff) * torch.sin(wave_numbers * r) / r


def xplor(lengths: torch.Tensor, on: float, cutoff: float) -> torch.Tensor:
    """Return the switching function of X-PLOR, 1 below `on` Å and 0 from `cutoff` on.

    Its form is HOOMD-blue's (md.pair), in squares of distances.
    """
    r2, on2, off2 = lengths * lengths, on * on, cutoff * cutoff
    falling = (off2 - r2) ** 2 * (off2 + 2 * r2 - 3 * on2) / (off2 - on2) ** 3
    return torch.where(lengths < on, torch.ones_like(falling), falling)


def polynomial(lengths: torch.Tensor, power: int, cutoff: float) -> torch.Tensor:
    """Return the polynomial envelope of Gasteiger et al., arXiv:2003.03123, eq. 8."""
    p, x = power, lengths / cutoff
    return 1 - x**p * (
        (p + 1) * (p + 2) / 2 - p * (p + 2) * x + p * (p + 1) / 2 * x * x
    )
