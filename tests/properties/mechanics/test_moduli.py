"""Averages, directions and stability against isotropy, cubes and pymatgen."""

from __future__ import annotations

import numpy as np
import pytest
from pymatgen.analysis.elasticity import ElasticTensor as Pymatgen
from scipy.spatial.transform import Rotation

from fire_core.properties.elasticity.fit import ElasticTensor
from fire_core.properties.elasticity.moduli import (
    compute_moduli,
    propagate,
    stability_eigenvalues,
    youngs_extremes,
    youngs_modulus,
)
from fire_core.properties.elasticity.tensor import (
    invariant_basis,
    rotate_stiffness,
    stress_to_voigt,
)
from fire_core.properties.elasticity.values import (
    UNSTABLE,
    tensor_curves,
    tensor_values,
)


def cubic(c11: float, c12: float, c44: float) -> np.ndarray:
    matrix = np.diag([c11 - c12] * 3 + [c44] * 3)
    matrix[:3, :3] += c12
    return matrix


def directions(n: int) -> np.ndarray:
    vectors = np.random.default_rng(1).normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1)[:, None]


def test_isotropic_material_has_one_stiffness_in_all_directions() -> None:
    k, g = 69.6, 50.0  # LiF, Materials Project
    matrix = cubic(k + 4 * g / 3, k - 2 * g / 3, g)
    moduli = compute_moduli(matrix)
    youngs = 9 * k * g / (3 * k + g)
    assert (moduli.bulk_voigt, moduli.bulk_reuss) == pytest.approx((k, k))
    assert (moduli.shear_voigt, moduli.shear_reuss) == pytest.approx((g, g))
    assert moduli.youngs == pytest.approx(youngs)
    assert moduli.poisson == pytest.approx(youngs / (2 * g) - 1)
    assert moduli.anisotropy == pytest.approx(0, abs=1e-12)
    assert youngs_modulus(matrix, directions(50)) == pytest.approx(youngs)
    # a published crystal: E and ν of LiF from its K and G
    assert moduli.youngs == pytest.approx(121.1, rel=2e-3)
    assert moduli.poisson == pytest.approx(0.210, abs=1e-3)


def test_young_s_modulus_is_the_answer_to_a_pull(rng_tensor: np.ndarray) -> None:
    for n in directions(5):
        stress = stress_to_voigt(np.outer(n, n))
        strain = np.linalg.solve(rng_tensor, stress)
        x, y, z = n
        along = strain @ [x * x, y * y, z * z, y * z, x * z, x * y]
        assert youngs_modulus(rng_tensor, n[None])[0] == pytest.approx(1 / along)


def test_averages_agree_with_pymatgen(rng_tensor: np.ndarray) -> None:
    other = Pymatgen.from_voigt(rng_tensor)
    moduli = compute_moduli(rng_tensor)
    assert moduli.bulk_voigt == pytest.approx(other.k_voigt)
    assert moduli.bulk_reuss == pytest.approx(other.k_reuss)
    assert moduli.shear_voigt == pytest.approx(other.g_voigt)
    assert moduli.shear_reuss == pytest.approx(other.g_reuss)
    assert moduli.anisotropy == pytest.approx(other.universal_anisotropy)
    assert moduli.poisson == pytest.approx(other.homogeneous_poisson)
    assert moduli.youngs == pytest.approx(other.y_mod / 1e9)  # theirs is in Pa


def test_averages_do_not_depend_on_the_axes(rng_tensor: np.ndarray) -> None:
    turn = Rotation.from_rotvec([1.0, 0.3, -0.5]).as_matrix()
    turned = rotate_stiffness(rng_tensor, turn)
    before, after = compute_moduli(rng_tensor), compute_moduli(turned)
    for name in before.__slots__:
        assert getattr(after, name) == pytest.approx(getattr(before, name))
    n = directions(20)
    there = youngs_modulus(turned, n @ turn.T)
    assert there == pytest.approx(youngs_modulus(rng_tensor, n))
    low, high = youngs_extremes(rng_tensor)
    turned_low, turned_high = youngs_extremes(turned)
    assert (low.value, high.value) == pytest.approx(
        (turned_low.value, turned_high.value), rel=1e-5
    )


def test_cube_is_stiffest_and_softest_along_edge_and_diagonal() -> None:
    """1/E = s11 - 2 (s11 - s12 - s44/2) (n1²n2² + …), Nye, chapter VIII."""
    c11, c12, c44 = 168.0, 121.0, 75.0  # copper
    s11 = (c11 + c12) / ((c11 - c12) * (c11 + 2 * c12))
    s12 = -c12 / ((c11 - c12) * (c11 + 2 * c12))
    diagonal = 1 / (s11 - 2 * (s11 - s12 - 1 / (2 * c44)) / 3)
    low, high = youngs_extremes(cubic(c11, c12, c44))
    assert low.value == pytest.approx(1 / s11, rel=1e-6)
    assert high.value == pytest.approx(diagonal, rel=1e-6)
    assert low.value < high.value
    assert np.sort(np.abs(low.direction)) == pytest.approx([0, 0, 1], abs=0.01)
    assert high.direction == pytest.approx([0.577] * 3, abs=0.01)


@pytest.mark.parametrize(
    ("constants", "stable"),
    [
        ((168.0, 121.0, 75.0), True),
        ((100.0, 110.0, 50.0), False),  # C11 > C12
        ((100.0, 50.0, -5.0), False),  # C44 > 0
        ((100.0, -60.0, 50.0), False),  # C11 + 2 C12 > 0
    ],
)
def test_born_s_conditions_of_a_cube(
    constants: tuple[float, float, float], *, stable: bool
) -> None:
    matrix = cubic(*constants)
    assert (stability_eigenvalues(matrix)[0] > 0) is np.bool_(stable)
    basis = invariant_basis(np.eye(3)[None])
    parameters = np.array([np.vdot(b, matrix) / np.vdot(b, b) for b in basis])
    tensor = ElasticTensor(basis, parameters, 0.01 * np.eye(21), 0.0)
    assert tensor.matrix() == pytest.approx(matrix)
    values = {v.name: v for v in tensor_values(tensor, {"temperature_k": 0.0})}
    lowest = min(constants[0] - constants[1], constants[0] + 2 * constants[1],
                 2 * constants[2])  # fmt: skip
    found = values["smallest_stiffness_eigenvalue"]
    assert found.value == pytest.approx(lowest)
    assert (values["youngs_modulus"].value is not None) is stable
    assert ("youngs_modulus" in tensor_curves(tensor)) is stable
    assert (found.note == UNSTABLE) is not stable


def test_errors_pass_through_a_product() -> None:
    found = propagate(
        lambda p: np.array([p[0] * p[1], p[0]]),
        np.array([3.0, 5.0]),
        np.diag([0.1**2, 0.2**2]),
    )
    assert found == pytest.approx([np.hypot(5 * 0.1, 3 * 0.2), 0.1], rel=1e-4)


@pytest.fixture
def rng_tensor() -> np.ndarray:
    half = np.random.default_rng(7).normal(size=(6, 6))
    return half @ half.T + 5 * np.eye(6)
