"""Crystals whose constants are known from sums over their neighbours."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from pymatgen.analysis.elasticity import ElasticTensor as Pymatgen
from pymatgen.analysis.elasticity import Strain, Stress
from scipy.spatial.transform import Rotation

from fire_core.errors import PropertyError
from fire_core.properties.elasticity.fit import fit_tensor, signed
from fire_core.properties.elasticity.measure import measure
from fire_core.properties.elasticity.settings import ElasticityConfig
from fire_core.properties.elasticity.tensor import (
    invariant_basis,
    rotate_stiffness,
    voigt_to_strain,
)
from fire_core.properties.equation_of_state.fit import (
    fit_equation_of_state,
    scan_volumes,
)
from fire_core.properties.equation_of_state.settings import EquationOfStateConfig
from tests.properties.mechanics.conftest import (
    EPSILON,
    SIGMA,
    Pair,
    PairBackbone,
    PairCalculator,
    in_memory,
    lattice_sum,
    lennard_jones,
    springs,
    values_of,
)

if TYPE_CHECKING:
    from fire_core.records import PropertyResult

NEAREST = lennard_jones(4.9)
"""Between the first and the second shell of the crystal."""
LATTICE = np.sqrt(2) * 2 ** (1 / 6) * SIGMA
"""Where nearest neighbours are at rest, Å."""


def elasticity(atoms: Atoms, pair: Pair, **settings: Any) -> PropertyResult:
    tight = {"kind": "elasticity", "force_tolerance": 1e-5, **settings}  # soft argon
    return measure(in_memory(atoms, PairBackbone(pair), tight).measurement)


@cache
def argon() -> PropertyResult:
    """An fcc crystal of nearest neighbours, from a primitive cell."""
    return elasticity(bulk("Ar", a=1.003 * LATTICE), NEAREST)


@cache
def close_packed() -> PropertyResult:
    """An hcp crystal of nearest neighbours, its symmetry not made use of."""
    atoms = bulk("Ar", "hcp", a=LATTICE / np.sqrt(2), c=LATTICE * 2 / np.sqrt(3))
    settings = {"strains": [0.001, 0.002], "force_tolerance": 1e-6}
    return elasticity(atoms, NEAREST, symmetry="none", **settings)


def cube_of(result: PropertyResult) -> tuple[float, float, float]:
    values = values_of(result)
    return values["c11"].value, values["c12"].value, values["c44"].value


def test_springs_on_a_cube() -> None:
    """C11 = (k1 + 2 k2)/a, C12 = C44 = k2/a: central forces, no stress."""
    a, near, far = 3.0, 2.0, 0.7
    atoms = Atoms("Ar", cell=[a] * 3, pbc=True)
    result = elasticity(atoms, springs(a, near, far))
    expected = np.array([near + 2 * far, far, far]) / a / units.GPa
    assert cube_of(result) == pytest.approx(expected, rel=2e-4)
    assert "within the linear regime" in " ".join(result.notes)


def test_argon_with_nearest_neighbours() -> None:
    """C11 = 2 φ''/a and C12 = C44 = φ''/a for an fcc crystal of bonds at rest."""
    result = argon()
    bend = 72 / 2 ** (1 / 3) * EPSILON / SIGMA**2
    expected = np.array([2, 1, 1]) * bend / LATTICE / units.GPa
    found = cube_of(result)
    assert found == pytest.approx(expected, rel=1e-3)
    assert found[1] == pytest.approx(found[2], rel=1e-3)  # Cauchy's relation
    volume = values_of(result)["volume"]
    assert volume.value == pytest.approx(LATTICE**3 / 4, rel=1e-4)


def test_argon_with_all_neighbours() -> None:
    """Lattice sums, and Ashcroft and Mermin's crystal: a = 1.5424 … and B = 75.2 ε/σ³.

    Solid State Physics, chapter 20: nearest neighbours at 1.09 σ, and
    B = 4 ε/σ³ A12 (A6/A12)^(5/2), A6 = 14.45, A12 = 12.13.
    """
    far = lennard_jones(6.05 * SIGMA)
    result = elasticity(
        bulk("Ar", a=1.5424 * SIGMA),
        far,
        strains=[0.003, 0.006],
        symmetry="reduce",
        force_tolerance=1e-4,
    )
    found = np.array(cube_of(result))
    volume = values_of(result)["volume"].value
    atoms = bulk("Ar", a=(4 * volume) ** (1 / 3))
    summed = lattice_sum(atoms, far) / units.GPa
    assert found == pytest.approx([summed[0, 0], summed[0, 1], summed[3, 3]], rel=0.01)
    assert found[1] == pytest.approx(found[2], rel=0.01)
    reduced = values_of(result)["bulk_modulus_hill"].value * units.GPa * SIGMA**3
    assert reduced / EPSILON == pytest.approx(
        4 * 12.132 * (14.454 / 12.132) ** 2.5, rel=0.01
    )
    assert (volume / SIGMA**3 * 4) ** (1 / 3) / np.sqrt(2) == pytest.approx(
        1.09, abs=0.002
    )


def test_bulk_modulus_agrees_with_the_equation_of_state() -> None:
    settings = EquationOfStateConfig(strain=0.01, points=11, force_tolerance=1e-6)
    volumes, energies = scan_volumes(
        bulk("Ar", a=1.003 * LATTICE), PairCalculator(NEAREST), settings
    )
    fit = fit_equation_of_state(volumes, energies)
    c11, c12, _ = cube_of(argon())
    assert fit.bulk_modulus == pytest.approx((c11 + 2 * c12) / 3, rel=2e-3)
    assert fit.volume == pytest.approx(LATTICE**3 / 4, rel=1e-4)


def test_fit_agrees_with_pymatgen_s() -> None:
    """Its own strains (Green-Lagrange) and stresses, without a crystal's symmetry."""
    ours = np.array(close_packed().curves["tensor"])
    points = close_packed().curves["points"]
    strains, stresses = [], []
    for mode, name in enumerate(points):
        for size, stress in zip(*list(points[name].values())[:2], strict=True):
            small = np.zeros(6)
            small[mode] = size
            strains.append(Strain.from_deformation(np.eye(3) + voigt_to_strain(small)))
            stresses.append(Stress.from_voigt(stress))
    with pytest.warns(UserWarning, match="questionable results from vasp data"):
        other = Pymatgen.from_pseudoinverse(strains, stresses)
    assert other.voigt == pytest.approx(ours, abs=0.005 * ours.max())


def test_hexagonal_crystal_without_being_told() -> None:
    """Relations of the hexagonal class hold for slopes that no symmetry was put into.

    The two atoms of hcp move against each other under a strain in the plane: without
    relaxed ions the crystal is stiffer.
    """
    atoms = bulk("Ar", "hcp", a=LATTICE / np.sqrt(2), c=LATTICE * 2 / np.sqrt(3))
    c = np.array(close_packed().curves["tensor"])
    near = {"abs": 2e-3 * c.max()}
    assert c[0, 0] == pytest.approx(c[1, 1], **near)
    assert c[0, 2] == pytest.approx(c[1, 2], **near)
    assert c[3, 3] == pytest.approx(c[4, 4], **near)
    assert c[5, 5] == pytest.approx((c[0, 0] - c[0, 1]) / 2, **near)
    assert np.abs(c[:3, 3:]).max() < 2e-3 * c.max()
    assert c[2, 2] > c[0, 0]
    stiff = np.array(
        elasticity(atoms, NEAREST, relax=False, symmetry="reduce").curves["tensor"]
    )
    assert stiff[5, 5] > 1.05 * c[5, 5]
    assert (np.linalg.eigvalsh(stiff - c) > -2e-3 * c.max()).all()


def test_constants_are_those_of_the_crystal_axes_whatever_the_cell() -> None:
    straight = cube_of(argon())
    turn = Rotation.from_rotvec([0.3, 0.8, -0.4]).as_matrix()
    turned = bulk("Ar", a=1.003 * LATTICE, cubic=True)
    turned.set_cell(turned.cell.array @ turn.T, scale_atoms=True)
    again = elasticity(turned, NEAREST, symmetry="reduce", relax=False)
    assert cube_of(again) == pytest.approx(straight, rel=1e-3)
    assert "conventional cell" in again.notes[0]
    given = elasticity(turned, NEAREST, frame="given", symmetry="none", relax=False)
    c = np.diag([straight[0] - straight[1]] * 3 + [straight[2]] * 3)
    c[:3, :3] += straight[1]
    assert np.array(given.curves["tensor"]) == pytest.approx(
        rotate_stiffness(c, turn), abs=2e-3 * c.max()
    )
    assert "as given" in given.notes[0]


def test_few_strains_give_what_all_do() -> None:
    every = argon()
    few = elasticity(bulk("Ar", a=1.003 * LATTICE), NEAREST, symmetry="reduce")
    assert len(few.curves["points"]) == 2
    assert len(every.curves["points"]) == 6
    assert cube_of(few) == pytest.approx(cube_of(every), rel=1e-4)


def test_crystal_that_yields_is_told() -> None:
    """Nearest-neighbour springs alone let a simple cube shear; repulsion makes it."""
    a = 3.0
    result = elasticity(
        Atoms("Ar", cell=[a] * 3, pbc=True), springs(a, 2.0, -0.3), relax=False
    )
    values = values_of(result)
    assert values["smallest_stiffness_eigenvalue"].value < 0
    assert values["c44"].value == pytest.approx(-0.3 / a / units.GPa, rel=1e-3)
    assert values["youngs_modulus_hill"].value is None
    assert "not elastically stable" in values["youngs_modulus_hill"].note


def test_strains_beyond_the_linear_regime_are_told() -> None:
    result = elasticity(
        bulk("Ar", a=LATTICE), NEAREST, strains=[0.02, 0.05], symmetry="reduce"
    )
    assert "beyond the linear regime" in " ".join(result.notes)


def test_every_state_is_a_part_and_none_is_repeated() -> None:
    here = in_memory(
        bulk("Ar", a=1.003 * LATTICE),
        PairBackbone(NEAREST),
        {"kind": "elasticity", "symmetry": "reduce"},
    )
    first = measure(here.measurement)
    assert len(here.computed) == 1 + 2 * 6
    assert "strain-xx+0.0100" in here.computed
    here.computed.clear()
    del here.parts["strain-yz-0.0050"]
    assert measure(here.measurement) == first
    assert here.computed == ["strain-yz-0.0050"]


def test_errors_cover_noise_in_the_stress() -> None:
    """With noise of known size, constants scatter as their errors say."""
    from fire_core.properties.elasticity.fit import fit_slopes

    rng = np.random.default_rng(0)
    exact = np.diag([60.0] * 3 + [20.0] * 3)
    basis = invariant_basis(np.eye(3)[None])
    sizes = signed((0.0025, 0.005, 0.01))
    pulls = []
    for _ in range(60):
        noisy = {
            mode: np.outer(sizes, exact[mode]) + rng.normal(0, 0.01, (len(sizes), 6))
            for mode in range(6)
        }
        tensor = fit_tensor(fit_slopes(sizes, noisy), basis)
        pulls.append((tensor.matrix() - exact) / tensor.errors())
    spread = np.sqrt(np.mean(np.square(pulls)))
    assert 0.8 < spread < 1.2


def test_slab_is_refused() -> None:
    atoms = bulk("Ar", a=1.003 * LATTICE)
    atoms.pbc = [True, True, False]
    with pytest.raises(PropertyError, match="periodic in three directions"):
        elasticity(atoms, NEAREST)


def test_settings_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="strains must rise"):
        ElasticityConfig(strains=(0.01, 0.005))
