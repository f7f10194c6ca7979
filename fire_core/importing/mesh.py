"""The k-point mesh behind a list of irreducible k-points."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MAX_DIVISIONS: Final = 24
TOLERANCE: Final = 2e-5
"""Of a coordinate; pw.x prints seven digits, of axes six."""


def describe_mesh(points: ArrayLike) -> str:
    """Return a mesh such as `2x2x1`, `4x4x4 shifted 1,1,1` (by half a division).

    Which points of a mesh are irreducible depends on the symmetry of the structure, so
    the list itself says nothing about the theory level; the denominators of its
    coordinates do.

    Parameters
    ----------
    points
        (n_points, 3), in units of the reciprocal lattice vectors.
    """
    array = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    axes = [_divisions(array[:, axis]) for axis in range(3)]
    if any(axis is None for axis in axes):
        digest = hashlib.sha256(np.round(array, 4).tobytes()).hexdigest()[:12]
        return f"list of {len(array)} points {digest}"
    found = [axis for axis in axes if axis is not None]
    mesh = "x".join(str(n) for n, _ in found)
    if any(shift for _, shift in found):
        mesh += " shifted " + ",".join(str(shift) for _, shift in found)
    return mesh


def _divisions(values: NDArray[np.float64]) -> tuple[int, int] | None:
    """Return divisions and shift (halves of a division) along one axis."""
    common = 1
    for value in values:
        fraction = Fraction(float(value)).limit_denominator(2 * MAX_DIVISIONS)
        if abs(float(fraction) - value) > TOLERANCE:
            return None
        common = lcm(common, fraction.denominator)
    if common > 2 * MAX_DIVISIONS:
        return None
    steps = np.rint(values * common).astype(int)
    if common > 1 and common % 2 == 0 and (steps % 2 == 1).all():
        return common // 2, 1
    return common, 0
