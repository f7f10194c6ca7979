"""Comparisons: who belongs together, deviations, combined errors, references."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from fire_core.errors import PropertyError
from fire_core.properties.comparison.compare import Measured, compare
from fire_core.properties.comparison.figure import draw_comparisons
from fire_core.properties.comparison.references import (
    REFERENCES,
    atomic_fractions,
    find_references,
    read_obelix,
)
from fire_core.records import PropertyValue

if TYPE_CHECKING:
    from pathlib import Path


def modulus(value: float, error: float | None = None, **conditions: float | str):
    return PropertyValue("bulk_modulus", value, "GPa", error, conditions=conditions)


def test_deviation_and_combined_errors_are_exact() -> None:
    one = Measured("a", "Cu4", [modulus(100.0, 3.0)])
    two = Measured("b", "Cu8", [modulus(110.0, 4.0)])
    (found,) = compare([one, two])
    first, second = found.entries
    assert (first.label, first.percent) == ("a", None)
    assert second.percent == pytest.approx(10)
    assert second.sigmas == pytest.approx(10 / 5)
    assert not second.is_upper_bound
    (found,) = compare([one, two], against="b")
    assert found.entries[1].percent == pytest.approx(-100 / 11)


def test_one_unknown_error_makes_the_deviation_an_upper_bound() -> None:
    one = Measured("a", "Cu4", [modulus(100.0, 5.0)])
    (found,) = compare([one, Measured("b", "Cu4", [modulus(110.0)])])
    assert found.entries[1].sigmas == pytest.approx(2)
    assert found.entries[1].is_upper_bound
    neither = Measured("c", "Cu4", [modulus(100.0)])
    (found,) = compare([neither, Measured("b", "Cu4", [modulus(110.0)])])
    assert found.entries[1].sigmas is None


def test_published_numbers_of_the_composition_come_first() -> None:
    mine = Measured("fire-mini", "Li4Cl4", [modulus(30.0, 1.0)])
    (found,) = compare([mine])
    assert [e.kind for e in found.entries] == ["published", "model"]
    assert found.entries[0].value == 32.2
    assert found.entries[1].percent == pytest.approx(100 * (30 / 32.2 - 1))
    assert found.entries[0].source == "10.1038/sdata.2015.9"


def test_conditions_keep_numbers_apart() -> None:
    """Another temperature, and another average, are other properties."""

    def conductivity(kelvin: float) -> PropertyValue:
        at = {"temperature_k": kelvin}
        return PropertyValue("conductivity", 1e-3, "S/cm", conditions=at)

    hot, room = conductivity(600.0), conductivity(300.0)
    mine = Measured("fire-mini", "Li24P4S20Cl4", [hot, room])
    found = compare([mine])
    assert len(found) == 1
    assert found[0].conditions["temperature_k"] == 300
    measured = [e for e in found[0].entries if e.kind == "experiment"]
    assert {e.value for e in measured} == {2.05e-3, 1.3e-3, 3.3e-5}
    with pytest.raises(PropertyError, match="nothing to compare"):
        compare(
            [
                Measured("a", "Cu", [modulus(1.0, average="voigt")]),
                Measured("b", "Cu", [modulus(1.0, average="reuss")]),
            ]
        )


def test_polycrystal_is_not_compared_with_a_direction() -> None:
    def young(**conditions: str) -> PropertyValue:
        return PropertyValue("youngs_modulus", 60.0, "GPa", conditions=conditions)

    along = Measured("a", "LiF", [young(direction="[1 0 0]")])
    with pytest.raises(PropertyError, match="nothing to compare"):
        compare([along])
    (found,) = compare([Measured("a", "LiF", [young(average="hill")])])
    assert found.entries[0].value == 121.1


def test_missing_numbers_and_strangers_are_told() -> None:
    empty = PropertyValue("bulk_modulus", None, "GPa", note="no minimum")
    with pytest.raises(PropertyError, match="nothing to compare"):
        compare([Measured("a", "LiCl", [empty])])
    two = [Measured(name, "Cu", [modulus(1.0)]) for name in ("a", "b")]
    with pytest.raises(PropertyError, match="nobody is called 'c'"):
        compare(two, against="c")


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("LiCl", {"Li": 0.5, "Cl": 0.5}),
        ("Li14.0P6.0S22.0", {"Li": 1 / 3, "P": 1 / 7, "S": 11 / 21}),
        ("Li2(CO3)1", {"Li": 1 / 3, "C": 1 / 6, "O": 0.5}),
        ("(Li2O)2(LiCl)", {"Li": 5 / 8, "O": 2 / 8, "Cl": 1 / 8}),
    ],
)
def test_formulas_are_compositions(formula: str, expected: dict[str, float]) -> None:
    assert atomic_fractions(formula) == pytest.approx(expected)


def test_a_supercell_is_the_same_material_and_another_x_is_not() -> None:
    assert len(find_references("Li56La24Zr16O96")) == 2
    x_06 = find_references("Li51La24Zr11Ta5O96")
    assert {r.material for r in x_06} >= {"LLZTO, x = 0.6"}
    assert find_references("Cu") == ()
    with pytest.raises(PropertyError, match="chemical formula"):
        atomic_fractions("no structure")


def test_references_are_physical_and_cited() -> None:
    for reference in REFERENCES:
        assert reference.source
        assert reference.value > 0
    by_name = {(r.formula, r.name): r.value for r in REFERENCES}
    for formula in ("LiF", "LiCl", "Li2S", "Li2O"):
        K, G, E, nu = (
            by_name[formula, name]
            for name in (
                "bulk_modulus",
                "shear_modulus",
                "youngs_modulus",
                "poisson_ratio",
            )
        )
        assert pytest.approx(9 * K * G / (3 * K + G), rel=0.01) == E
        assert nu == pytest.approx((3 * K - 2 * G) / (6 * K + 2 * G), abs=0.01)


def test_obelix_is_read_from_a_users_copy(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(
        "ID,Composition,Ionic conductivity (S cm-1),DOI\n"
        "abc,Li24.0P4.0S20.0Cl4.0,0.002,10.1/x|10.1/y\n"
        "def,Li1.0Cl1.0,<1E-10,10.1/z\n"
    )
    (found,) = read_obelix(path)
    assert found.value == 0.002
    assert found.source == "10.1/x, 10.1/y"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(PropertyError, match="has no column Composition"):
        read_obelix(path)
    with pytest.raises(PropertyError, match="no table"):
        read_obelix(tmp_path / "none.csv")


def test_bundled_conductivities_are_those_of_the_real_table(shared_data: Path) -> None:
    table = read_obelix(shared_data / "reference" / "obelix_conductivities.csv")
    assert len(table) > 500
    for reference in REFERENCES:
        if reference.name != "conductivity" or "nanoporous" in reference.material:
            continue
        same = [
            other
            for other in find_references(reference.formula, table)
            if other not in REFERENCES and reference.source in other.source
        ]
        assert any(
            math.isclose(other.value, reference.value, rel_tol=0.03) for other in same
        ), reference


def test_comparison_is_drawn(tmp_path: Path) -> None:
    mine = Measured("fire-mini", "LiCl", [modulus(30.0, 1.0)])
    found = [c.as_dict() for c in compare([mine])]
    (figure,) = draw_comparisons(found, tmp_path)
    assert figure.png.stat().st_size > 5000
    assert figure.png.name == "compare_bulk_modulus.png"
