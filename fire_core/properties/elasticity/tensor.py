"""Elastic tensors as 6 × 6 matrices: order, rotation, symmetry.

Voigt's order is ASE's: xx, yy, zz, yz, xz, xy. Strains are engineering strains, so the
last three are twice the tensor's components; stresses are positive in tension, as in
ASE. Then σ_i = C_ij ε_j, and C is symmetric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PAIRS: Final = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
NAMES: Final = ("xx", "yy", "zz", "yz", "xz", "xy")
_INDEX: Final = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
UPPER: Final = tuple((i, j) for i in range(6) for j in range(i, 6))
"""The 21 places of a symmetric matrix."""
ROUNDING: Final = 1e-6
"""Below it a number made of rotations is zero."""


def voigt_to_strain(strain: Array) -> Array:
    """Return the symmetric (3, 3) strain of six engineering components."""
    tensor = np.empty((3, 3))
    for value, (i, j) in zip(strain, PAIRS, strict=True):
        tensor[i, j] = tensor[j, i] = value if i == j else value / 2
    return tensor


def stress_to_voigt(stress: Array) -> Array:
    """Return the six components of symmetric stresses, (..., 3, 3) to (..., 6)."""
    return np.stack([stress[..., i, j] for i, j in PAIRS], axis=-1)


def stiffness_to_full(matrix: Array) -> Array:
    """Return the (3, 3, 3, 3) tensor of a 6 × 6 stiffness."""
    full: Array = matrix[_INDEX[:, :, None, None], _INDEX[None, None]]
    return full


def full_to_stiffness(full: Array) -> Array:
    """Return the 6 × 6 stiffness of a (3, 3, 3, 3) tensor."""
    return np.array([[full[i, j, k, m] for k, m in PAIRS] for i, j in PAIRS])


def rotate_stiffness(matrix: Array, rotation: Array) -> Array:
    """Return C in axes that are turned: vectors become `rotation` @ v.

    C'_pqrs = R_pi R_qj R_rk R_sl C_ijkl.
    """
    full = stiffness_to_full(matrix)
    r = rotation
    turned = np.einsum("pi,qj,rk,sl,ijkl->pqrs", r, r, r, r, full, optimize=True)
    return full_to_stiffness(turned)


def rotate_strain(strain: Array, rotation: Array) -> Array:
    """Return six engineering strains in turned axes; see `rotate_stiffness`."""
    turned = rotation @ voigt_to_strain(strain) @ rotation.T
    return np.array([turned[i, j] * (1 if i == j else 2) for i, j in PAIRS])


def to_kelvin(matrix: Array) -> Array:
    """Return the stiffness in Kelvin's (Mandel's) normalised basis.

    Its eigenvalues do not depend on the axes; those of Voigt's matrix do.
    """
    scale = np.array([1, 1, 1, *[np.sqrt(2)] * 3])
    return matrix * np.outer(scale, scale)


def invariant_basis(rotations: Array) -> Array:
    """Return a basis of the symmetric stiffnesses that a point group leaves alone.

    Parameters
    ----------
    rotations
        (n, 3, 3), the group's matrices in Cartesian axes.

    Returns
    -------
    (n_constants, 6, 6)
        21 matrices for a triclinic crystal, 3 for a cubic one.
    """
    average = np.empty((21, 21))
    for column, (i, j) in enumerate(UPPER):
        unit = np.zeros((6, 6))
        unit[i, j] = unit[j, i] = 1
        turned = np.mean([rotate_stiffness(unit, r) for r in rotations], axis=0)
        average[:, column] = [turned[place] for place in UPPER]
    # the average over a group is a projection: its columns span what is invariant
    left, sizes, _ = np.linalg.svd(average)
    columns = left[:, sizes > 0.5]
    basis = np.zeros((columns.shape[1], 6, 6))
    for row, (i, j) in enumerate(UPPER):
        basis[:, i, j] = basis[:, j, i] = columns[row]
    basis[np.abs(basis) < ROUNDING] = 0
    return basis


def needed_strains(rotations: Array) -> list[int]:
    """Return which of the six strains determine the tensor under a point group."""
    basis = invariant_basis(rotations)
    chosen: list[int] = []
    rank = 0
    for mode in range(6):
        columns = basis[:, :, [*chosen, mode]].reshape(len(basis), -1)
        found = int(np.linalg.matrix_rank(columns, tol=1e-4))
        if found > rank:
            chosen.append(mode)
            rank = found
        if rank == len(basis):
            break
    return chosen


def independent_places(basis: Array) -> list[tuple[int, int]]:
    """Return the places (i ≤ j) whose constants are neither zero nor met before."""
    places: list[tuple[int, int]] = []
    for i, j in UPPER:
        here = basis[:, i, j]
        seen = [basis[:, k, m] for k, m in places]
        zero = np.abs(here).max() < ROUNDING
        if not zero and not any(
            np.abs(np.abs(here) - np.abs(s)).max() < 1e-6 for s in seen
        ):
            places.append((i, j))
    return places
