"""From stresses of strained cells to an elastic tensor with its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import PropertyError
from fire_core.properties.elasticity.tensor import NAMES, voigt_to_strain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LINEAR: Final = 0.02
"""Part of the largest constant by which chords may differ in the linear regime."""


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """Slopes of the stress at zero strain.

    Attributes
    ----------
    modes
        Which of the six strains were taken.
    values
        (n_modes, 6), GPa: dσ_i/dε of each.
    errors
        (n_modes, 6), standard errors, GPa.
    residual
        Root mean square of the fits' residuals, GPa; 0 where nothing was left over.
    bend
        Largest difference between the chords over the largest and over the smallest
        strain, as a part of the largest slope; 0 where one magnitude alone was taken.
    """

    modes: tuple[int, ...]
    values: Array
    errors: Array
    residual: float
    bend: float

    @property
    def is_linear(self) -> bool:
        """Whether the largest strain is within the linear regime."""
        return self.bend <= LINEAR


@dataclass(frozen=True, slots=True, eq=False)
class ElasticTensor:
    """An elastic tensor in a basis of what symmetry allows.

    Attributes
    ----------
    basis
        (n_constants, 6, 6).
    parameters
        (n_constants,), GPa; the tensor is their sum over the basis.
    covariance
        (n_constants, n_constants), GPa².
    misfit
        Root mean square of the slopes beside what the tensor says, GPa: how far they
        break C_ij = C_ji and the symmetry.
    """

    basis: Array
    parameters: Array
    covariance: Array
    misfit: float

    def matrix(self, parameters: Array | None = None) -> Array:
        """Return the 6 × 6 stiffness, GPa, of these or of other parameters."""
        values = self.parameters if parameters is None else parameters
        tensor: Array = np.tensordot(values, self.basis, axes=1)
        return tensor

    def errors(self) -> Array:
        """Return the standard errors of the constants, (6, 6), GPa."""
        spread = np.einsum("aij,ab,bij->ij", self.basis, self.covariance, self.basis)
        return np.asarray(np.sqrt(np.maximum(spread, 0)), np.float64)


def strain_atoms(atoms: Atoms, strain: Array) -> Atoms:
    """Return a copy under six engineering strains, its atoms carried along.

    The deformation is symmetric, F = 1 + ε: the cell is not turned.
    """
    strained: Atoms = atoms.copy()
    deformation = np.eye(3) + voigt_to_strain(strain)
    strained.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    return strained


def unit_strain(mode: int, size: float) -> Array:
    """Return one of the six engineering strains."""
    strain = np.zeros(6)
    strain[mode] = size
    return strain


def state_name(mode: int, size: float) -> str:
    """Name a strained state: `strain-yz+0.0050`."""
    return f"strain-{NAMES[mode]}{size:+.4f}"


def fit_slopes(
    sizes: Array,
    stresses: dict[int, Array],
    reference: Array | None = None,
    order: int | None = None,
) -> Slopes:
    """Fit each stress by a polynomial of each strain.

    What stress the reference has does not matter. Standard errors are those of the
    least squares.

    Parameters
    ----------
    sizes
        (n,), the strains, both signs.
    stresses
        For each of the six strains that was taken, (n, 6), GPa.
    reference
        (6,), GPa, without strain.
    order
        Of the polynomial; None: 2 for four strains or fewer, 3 for more.
    """
    order = order or (2 if len(sizes) <= 4 else 3)
    at = sizes if reference is None else np.append(sizes, 0.0)
    design = np.vander(at, order + 1, increasing=True)
    inverse = np.linalg.inv(design.T @ design)
    freedom = len(at) - order - 1
    values, errors, squares, bends = [], [], [], []
    for found in stresses.values():
        seen = found if reference is None else np.vstack([found, reference])
        fitted = inverse @ design.T @ seen
        rest = seen - design @ fitted
        variance = (rest**2).sum(axis=0) / max(freedom, 1)
        values.append(fitted[1])
        errors.append(np.sqrt(inverse[1, 1] * variance))
        squares.append((rest**2).mean())
        bends.append(np.abs(_chord(sizes, found, -1) - _chord(sizes, found, 0)).max())
    slopes = np.array(values)
    return Slopes(
        modes=tuple(stresses),
        values=slopes,
        errors=np.array(errors),
        residual=float(np.sqrt(np.mean(squares))),
        bend=float(np.max(bends) / np.abs(slopes).max()),
    )


def _chord(sizes: Array, stresses: Array, which: int) -> Array:
    """Return the slope between the two strains of one magnitude, 0 the smallest."""
    size = np.unique(np.abs(sizes))[which]
    plus, minus = np.argmin(np.abs(sizes - size)), np.argmin(np.abs(sizes + size))
    chord: Array = (stresses[plus] - stresses[minus]) / (2 * size)
    return chord


def fit_tensor(slopes: Slopes, basis: Array) -> ElasticTensor:
    """Find the tensor of a basis that is nearest to the slopes, by least squares.

    Of a slope's error and the scatter of all around the tensor the larger counts.

    Raises
    ------
    PropertyError
        The strains that were taken do not determine the tensor.
    """
    columns = np.array([element[:, list(slopes.modes)].T.ravel() for element in basis])
    design = columns.T
    if np.linalg.matrix_rank(design, tol=1e-4) < len(basis):
        names = ", ".join(NAMES[m] for m in slopes.modes)
        msg = (
            f"strains {names} do not determine {len(basis)} elastic constants; take "
            "all six, `symmetry: average`"
        )
        raise PropertyError(msg)
    solve = np.linalg.pinv(design)
    found = solve @ slopes.values.ravel()
    rest = slopes.values.ravel() - design @ found
    scatter = float(rest @ rest) / max(len(rest) - len(basis), 1)
    variance = np.maximum(slopes.errors.ravel() ** 2, scatter)
    return ElasticTensor(
        basis=basis,
        parameters=found,
        covariance=(solve * variance) @ solve.T,
        misfit=float(np.sqrt(np.mean(rest**2))),
    )


def signed(sizes: Sequence[float]) -> Array:
    """Return magnitudes with both signs, from the most negative."""
    return np.array(sorted([*(-s for s in sizes), *sizes]))
