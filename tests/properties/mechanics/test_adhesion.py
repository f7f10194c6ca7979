"""Work of adhesion of crystals that are cut, with a potential that ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase.build import fcc100

from fire_core.errors import PropertyError
from fire_core.properties.adhesion import measure as adhesion
from fire_core.properties.adhesion.settings import AdhesionConfig
from fire_core.properties.adhesion.stack import (
    J_PER_M2,
    make_stack,
    separate,
    separations,
    take_slab,
)
from tests.properties.mechanics.conftest import (
    EPSILON,
    SIGMA,
    Pair,
    PairBackbone,
    PairCalculator,
    in_memory,
    lennard_jones,
    values_of,
)

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.testing.properties import MemoryMeasurement

NEAREST = lennard_jones(4.9)
BOND = 2 ** (1 / 6) * SIGMA
LATTICE = np.sqrt(2) * BOND
SYSTEM = {
    "kind": "interface",
    "bottom": {"crystal": "LiCl"},
    "top": {"crystal": "LiCl"},
}


def argon(layers: int, vacuum: float, *, gap: float = 0.0) -> Atoms:
    """Two equal slabs of argon, cut between two planes of a crystal."""
    atoms = fcc100("Ar", (1, 1, 2 * layers), a=LATTICE, periodic=True)
    heights = atoms.positions[:, 2]
    planes = np.round((heights - heights.min()) / (LATTICE / 2)).astype(int)
    atoms.positions[:, 2] += 1.0 + gap * (planes >= layers) - heights.min()
    atoms.set_array("region", (planes >= layers).astype(int))
    room = vacuum or LATTICE / 2 + gap
    cell = atoms.cell.array.copy()
    cell[2] = [0, 0, (2 * layers - 1) * LATTICE / 2 + gap + room]
    atoms.set_cell(cell)
    return atoms


def work(
    monkeypatch: pytest.MonkeyPatch,
    atoms: Atoms,
    vacuum: float,
    pair: Pair = NEAREST,
    **settings: Any,
) -> tuple[Any, MemoryMeasurement]:
    """Measure, this interface in place of the one that the request would build."""
    monkeypatch.setattr(adhesion, "build_structure", lambda _: atoms.copy())
    measure = {"kind": "adhesion", "force_tolerance": 1e-4, **settings}
    system = SYSTEM | {"vacuum": vacuum}
    here = in_memory(None, PairBackbone(pair), measure, system)
    return adhesion.measure(here.measurement), here


def test_bonds_over_a_cleavage_plane_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four bonds of energy ε for each atom of a (001) plane, on an area a²/2."""
    exact = 4 * EPSILON / (LATTICE**2 / 2) * J_PER_M2
    for vacuum in (0.0, 12.0):
        atoms = argon(3, vacuum)
        result, _ = work(monkeypatch, atoms, vacuum)
        values = values_of(result)
        # of the whole crystal nothing relaxes, of bonds at rest no slab does
        assert values["work_of_separation"].value == pytest.approx(exact, rel=1e-3)
        assert values["work_of_adhesion"].value == pytest.approx(exact, rel=1e-3)
        assert values["contact_area"].value == pytest.approx(LATTICE**2 / 2)
        said = "divided by 2 A" if vacuum == 0 else "divided by the area A"
        assert said in result.notes[0]


def test_a_gap_closes_and_a_strained_stack_finds_its_height(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exact = 4 * EPSILON / (LATTICE**2 / 2) * J_PER_M2
    for vacuum in (0.0, 12.0):
        result, _ = work(monkeypatch, argon(3, vacuum, gap=0.15), vacuum)
        assert values_of(result)["work_of_adhesion"].value == pytest.approx(
            exact, rel=2e-3
        )


def test_curve_ends_apart_and_rests_at_the_interface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result, _ = work(monkeypatch, argon(3, 0.0), 0.0, farthest=6.0)
    distances = np.array(result.curves["separations"])
    energies = np.array(result.curves["energies"])
    total = values_of(result)["work_of_separation"].value
    assert energies[distances > NEAREST.cutoff] == pytest.approx(0, abs=1e-9)
    assert energies[distances == 0] == pytest.approx(-total)
    assert distances[np.argmin(energies)] == 0
    # in between: bonds of length l to four atoms, l² = a²/4 + (a/2 + d)²
    open_ = (distances > -0.1) & (distances < 0.5)
    length = np.sqrt(LATTICE**2 / 4 + (LATTICE / 2 + distances[open_]) ** 2)
    bonds = 4 * NEAREST.energy(length) / (LATTICE**2 / 2) * J_PER_M2
    assert energies[open_] == pytest.approx(bonds, rel=1e-3)


def test_slabs_that_relax_take_less_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where second neighbours pull, planes at a free surface move outwards."""
    pair = lennard_jones(7.2)  # three shells
    atoms = argon(3, 12.0)
    values = values_of(work(monkeypatch, atoms, 12.0, pair)[0])
    apart, rigid = values["work_of_adhesion"].value, values["work_of_separation"].value
    assert 0.9 * rigid < apart < rigid * (1 - 1e-5)
    still, here = work(monkeypatch, atoms, 12.0, pair, relax=False)
    assert "work_of_adhesion" not in values_of(still)
    assert "as it was built" in still.notes[1]
    assert "top-relaxed" not in here.parts


def test_what_is_done_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    first, here = work(monkeypatch, argon(2, 12.0), 12.0)
    here.computed.clear()
    del here.parts["top-relaxed"]
    assert adhesion.measure(here.measurement) == first
    assert here.computed == ["top-relaxed"]


def test_slabs_and_separations_leave_the_stack_as_it_is() -> None:
    atoms = argon(2, 0.0)
    stack = make_stack(atoms, 0.0, 4.9)
    before = stack.atoms.copy()
    opened = separate(stack, 1.5)
    assert opened.cell[2, 2] == pytest.approx(before.cell[2, 2] + 3.0)
    gaps = np.diff(np.sort(opened.positions[:, 2]))
    assert np.sort(gaps)[-1] == pytest.approx(LATTICE / 2 + 1.5)
    slab = take_slab(stack, top=True, vacuum=20.0)
    assert len(slab) == 2
    assert slab.cell[2, 2] == pytest.approx(LATTICE / 2 + 20.0)
    assert stack.atoms == before
    energies = []
    for side in (False, True):
        alone = take_slab(stack, top=side, vacuum=20.0)
        alone.calc = PairCalculator(NEAREST)
        energies.append(alone.get_potential_energy())
    assert energies[0] == pytest.approx(energies[1])


@pytest.mark.parametrize(
    ("change", "vacuum", "message"),
    [
        ("region", 0.0, "expected a structure with two regions"),
        ("lean", 0.0, "third cell vector along z"),
        ("", 3.0, "within the model's cutoff"),
    ],
)
def test_what_is_no_interface_is_refused(
    change: str, vacuum: float, message: str
) -> None:
    atoms = argon(2, 0.0)
    if change == "region":
        del atoms.arrays["region"]
    if change == "lean":
        cell = atoms.cell.array.copy()
        cell[2, 0] = 1.0
        atoms.set_cell(cell)
    with pytest.raises(PropertyError, match=message):
        make_stack(atoms, vacuum, 4.9)


def test_a_crystal_has_no_adhesion() -> None:
    here = in_memory(None, PairBackbone(NEAREST), {"kind": "adhesion"})
    with pytest.raises(PropertyError, match="a property of an interface"):
        adhesion.measure(here.measurement)


def test_separations_hold_zero() -> None:
    found = separations(AdhesionConfig(closest=-0.5, farthest=2.1, spacing=0.2))
    assert found[0] == pytest.approx(-0.4)
    assert found[-1] == pytest.approx(2.2)
    assert 0.0 in found
    with pytest.raises(ValueError, match="at least five spacings"):
        AdhesionConfig(farthest=1.0, spacing=1.0)
