"""Pair distributions of gases and lattices, coordination, density, block errors."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.geometry import get_distances

from fire_core.errors import PropertyError
from fire_core.properties.structure_check.averages import average_in_blocks
from fire_core.properties.structure_check.pair_distribution import (
    count_pairs,
    find_first_shell,
)
from fire_core.properties.structure_check.settings import StructureCheckConfig
from fire_core.properties.structure_check.values import check_structure, density

TRICLINIC = np.array([[9.0, 0, 0], [3.5, 8.0, 0], [-2.0, 2.5, 8.5]])


def gas(n: int, cell: np.ndarray, seed: int) -> Atoms:
    rng = np.random.default_rng(seed)
    half = n // 2
    return Atoms(
        f"Li{half}Cl{n - half}",
        scaled_positions=rng.random((n, 3)),
        cell=cell,
        pbc=True,
    )


def test_ideal_gas_has_no_structure_beyond_half_of_a_triclinic_cell() -> None:
    """g = 1 within the counting noise, far beyond the minimum image (4 Å here)."""
    frames = [gas(60, TRICLINIC, seed) for seed in range(8)]
    counts = count_pairs(frames, 12.0, 0.5)
    pair = ("Li", "Cl")
    expected = 8 * 30 * 30 / counts.volumes[0] * 4 / 3 * np.pi
    expected = expected * np.diff(counts.edges**3)
    g = counts.distribution(pair)
    pulls = (g - 1) * np.sqrt(expected)
    far = counts.centres > 2
    # pairs of one frame share atoms, so that the noise is a little above Poisson's
    assert np.abs(pulls[far]).max() < 5
    assert g[far].mean() == pytest.approx(1, abs=0.015)


def test_self_images_make_the_like_pair_of_a_gas_tend_to_one() -> None:
    frames = [gas(60, TRICLINIC, seed) for seed in range(8)]
    counts = count_pairs(frames, 14.0, 0.5)
    g = counts.distribution(("Li", "Li"))
    shells = np.diff(counts.edges**3)
    outer = counts.centres > 6
    assert np.average(g[outer], weights=shells[outer]) == pytest.approx(1, abs=0.015)


@pytest.mark.parametrize(
    ("name", "structure", "a", "shells"),
    [
        ("Cu", "fcc", 3.6, [(0.5**0.5, 12), (1, 6), (1.5**0.5, 24)]),
        ("Li", "bcc", 3.44, [(0.75**0.5, 8), (1, 6), (2**0.5, 12)]),
    ],
)
def test_shells_of_a_lattice_are_where_they_belong(
    name: str, structure: str, a: float, shells: list[tuple[float, int]]
) -> None:
    """A primitive cell of one atom: every neighbour is a periodic image."""
    counts = count_pairs([bulk(name, structure, a=a)], 1.3 * a * 1.2, 0.02)
    found = counts.counts[0, 0, 0]
    for distance, number in shells:
        near = np.abs(counts.centres - distance * a) < 0.03
        assert found[near].sum() == number
    between = [d * a for d, _ in shells]
    n = counts.running_number((name, name))
    middle = (between[0] + between[1]) / 2
    assert n[np.searchsorted(counts.edges, middle) - 1] == shells[0][1]


def test_rock_salt_has_whole_coordination_numbers() -> None:
    atoms = bulk("LiCl", "rocksalt", a=5.13)
    settings = StructureCheckConfig(
        trajectories=("x",), cutoff=6, blocks=2, bin_width=0.05
    )
    result = check_structure([[atoms] * 4], settings, {})
    found = {
        v.conditions["pair"]: v
        for v in result.values
        if v.name == "coordination_number"
    }
    assert found["Li-Cl"].value == 6
    assert found["Cl-Li"].value == 6
    assert found["Li-Li"].value == 12
    assert found["Cl-Cl"].value == 12
    peaks = {v.conditions["pair"]: v for v in result.values if v.name == "first_peak"}
    assert peaks["Li-Cl"].value == pytest.approx(5.13 / 2, abs=0.03)
    lattice = next(v for v in result.values if v.name == "lattice_alpha")
    assert lattice.value == pytest.approx(60)
    assert lattice.error is None


def test_counts_agree_with_distances_over_all_images() -> None:
    """The second way: every atom against 7³ copies of every other."""
    atoms = gas(14, TRICLINIC, 3)
    edges = count_pairs([atoms], 8.7, 0.3).edges
    ours = count_pairs([atoms], 8.7, 0.3).counts[0].sum(axis=(0, 1))
    grid = np.array(np.meshgrid(*[np.arange(-3, 4)] * 3)).reshape(3, -1).T
    images = atoms.positions[None] + (grid @ TRICLINIC)[:, None]
    vectors = images[:, None] - atoms.positions[None, :, None]
    distances = np.linalg.norm(vectors, axis=-1).ravel()
    theirs = np.histogram(distances[distances > 1e-9], bins=edges)[0]
    assert np.array_equal(ours, theirs)


def test_counts_agree_with_the_minimum_image_below_half_of_the_cell() -> None:
    atoms = gas(40, np.diag([11.0, 12.0, 13.0]), 1)
    counts = count_pairs([atoms], 5.0, 0.25)
    _, distances = get_distances(atoms.positions, cell=atoms.cell, pbc=True)
    upper = distances[~np.eye(40, dtype=bool)]
    expected = np.histogram(upper, bins=counts.edges)[0]
    assert np.array_equal(counts.counts[0].sum(axis=(0, 1)), expected)


def test_both_directions_of_a_pair_count_the_same_pairs() -> None:
    atoms = gas(31, TRICLINIC, 5)
    counts = count_pairs([atoms], 6.0, 0.5)
    assert np.array_equal(counts.counts[0, 0, 1], counts.counts[0, 1, 0])
    a = counts.running_number(("Li", "Cl")) * 15
    assert a == pytest.approx(counts.running_number(("Cl", "Li")) * 16)


def test_first_shell_of_a_smooth_liquid_is_found() -> None:
    edges = np.linspace(0, 8, 161)
    r = (edges[1:] + edges[:-1]) / 2
    g = np.where(r > 2, 1 + 1.5 * np.cos(2 * np.pi * (r - 2.6) / 2.2) / r, 0)
    g[r > 2] *= 1 - np.exp(-(((r[r > 2] - 2) / 0.3) ** 2))
    shell = find_first_shell(edges, g)
    assert shell is not None
    assert shell.peak == pytest.approx(2.6, abs=0.15)
    assert shell.minimum == pytest.approx(3.7, abs=0.15)
    assert find_first_shell(edges, np.ones(160)) is None
    assert find_first_shell(edges, np.zeros(160)) is None


def test_density_of_lithium_chloride() -> None:
    """Four formula units of 42.39 g/mol in (5.13 Å)³: 2.086 g/cm³."""
    atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    assert density(atoms) == pytest.approx(4 * 42.394 / (5.13**3 * 0.602214), rel=1e-3)


def test_lattice_parameters_are_those_of_one_cell() -> None:
    rng = np.random.default_rng(0)
    cell = bulk("Cu", "fcc", a=3.6, cubic=True)
    frames = []
    for strain in 0.01 * rng.normal(size=100):
        frame = cell.repeat((1, 1, 2))
        frame.set_cell(frame.cell * (1 + strain), scale_atoms=True)
        frames.append(frame)
    settings = StructureCheckConfig(trajectories=("x",), cutoff=4, blocks=10)
    result = check_structure([frames], settings, {}, repeat=(1, 1, 2))
    values = {v.name: v for v in result.values if "pair" not in v.conditions}
    for name in ("lattice_a", "lattice_b", "lattice_c"):
        assert values[name].value == pytest.approx(3.6, abs=4 * values[name].error)
        # 100 independent frames: 3.6 Å × 1 % / √100
        assert values[name].error == pytest.approx(3.6 * 0.01 / 100**0.5, rel=0.6)


def test_block_errors_of_a_correlated_series_are_right() -> None:
    """x' = c x + ξ has the variance of its mean (1 + c) / (1 - c) / n, of unit noise.

    Taking frames as independent would give an error three times too small.
    """
    c, n = 0.8, 4000
    means, errors = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        kicks = np.sqrt(1 - c**2) * rng.normal(size=n)
        x = np.zeros(n)
        for i in range(1, n):
            x[i] = c * x[i - 1] + kicks[i]
        found = average_in_blocks([x], 20)
        means.append(found.mean)
        errors.append(found.error)
    expected = np.sqrt((1 + c) / (1 - c) / n)
    assert np.mean(errors) == pytest.approx(expected, rel=0.1)
    assert np.std(means) == pytest.approx(expected, rel=0.4)


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(PropertyError, match="cannot be cut into 8 blocks"):
        average_in_blocks([np.zeros(5)], 8)
    with pytest.raises(PropertyError, match="got none"):
        count_pairs([], 5.0, 0.1)
    with pytest.raises(PropertyError, match="expected the same atoms"):
        count_pairs([bulk("Cu"), bulk("Cu").repeat(2)], 5.0, 0.1)
    molecule = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.7]])
    with pytest.raises(PropertyError, match="in a periodic cell"):
        count_pairs([molecule], 5.0, 0.1)
