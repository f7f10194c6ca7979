"""Dimers must have a wall; a hole that can be reached is refused and named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.config.gates import DimerConfig
from fire_core.evaluation.gates.dimers import find_wall, gate_dimers
from fire_core.records import Label
from fire_core.testing.gates import Spoilt, with_forces
from tests.gates.conftest import changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.backbones.mace import MaceBackbone

LIMITS = DimerConfig()
FRACTIONS = np.linspace(1.5, 0.3, 61)


def curve(energy: Callable[[Any], Any]) -> list[Label]:
    """Labels of a dimer with contact 1 Å, forces by the derivative."""
    step = 1e-6
    return [
        Label(
            float(energy(r)),
            np.array([[0, 0, 1], [0, 0, -1]])
            * float(energy(r + step) - energy(r - step))
            / (2 * step),
        )
        for r in FRACTIONS
    ]


def morse(r: Any) -> Any:
    return (1 - np.exp(-5 * (r - 1))) ** 2


def test_the_rise_of_a_morse_curve_is_its_own() -> None:
    wall = find_wall(("A", "A"), FRACTIONS.tolist(), curve(morse), 0.7)
    assert wall.dip is None
    assert wall.rise == pytest.approx(morse(0.3), rel=1e-6)


def test_a_hole_is_found_where_it_was_put() -> None:
    labels = curve(lambda r: morse(r) - 300 * np.exp(-(((r - 0.42) / 0.05) ** 2)))
    wall = find_wall(("A", "A"), FRACTIONS.tolist(), labels, 0.7)
    assert wall.dip == pytest.approx(0.52, abs=0.021)
    assert wall.rise == pytest.approx(morse(0.54), rel=0.3)


def test_a_well_inside_the_covalent_contact_is_no_hole() -> None:
    """Ta–La has its minimum at 0.68 of covalent radii that are too large for it."""
    inner = curve(lambda r: morse(r + 0.32))
    wall = find_wall(("A", "A"), FRACTIONS.tolist(), inner, 0.7)
    assert wall.dip is None
    assert wall.rise == pytest.approx(morse(0.62), rel=1e-3)


def test_a_well_deeper_inside_is_no_hole_if_nothing_bars_the_way() -> None:
    """Titanium's molecule is bound at 0.61 of twice its radius, models say 0.56."""
    inner = curve(lambda r: morse(r + 0.45))
    wall = find_wall(("A", "A"), FRACTIONS.tolist(), inner, 0.7)
    assert wall.dip is None
    assert wall.rise == pytest.approx(morse(0.75), rel=1e-3)


def test_what_falls_all_the_way_has_no_wall() -> None:
    wall = find_wall(("A", "A"), FRACTIONS.tolist(), curve(lambda r: -1 / r), 0.7)
    assert wall.dip is not None
    assert wall.rise == 0


def test_the_salt_of_the_bundled_model_passes(fire_mini: MaceBackbone) -> None:
    result = gate_dimers(fire_mini, {"Li", "Cl"}, LIMITS)
    assert result.passed
    assert result.value is not None
    assert result.value > 5
    assert result.text.startswith("3 pairs repel each other")


def test_without_its_nuclear_repulsion_hydrogen_falls_into_hydrogen(
    fire_mini: MaceBackbone,
) -> None:
    def remove(network: Any) -> None:
        del network.pair_repulsion_fn, network.pair_repulsion

    result = gate_dimers(changed(fire_mini, remove), {"H", "N"}, LIMITS)
    assert not result.passed
    assert "H–H rises by 0.734 eV, then attracts at 0.68" in result.text
    assert gate_dimers(fire_mini, {"H", "N"}, LIMITS).passed


def test_the_bundled_model_is_refused_for_lithium_hydride(
    fire_mini: MaceBackbone,
) -> None:
    """A real weakness: a barrier of 0.9 eV is crossed in hot dynamics."""
    result = gate_dimers(fire_mini, {"Li", "H"}, LIMITS)
    assert not result.passed
    assert result.value == pytest.approx(0.89, abs=0.05)


def test_an_energy_that_rises_with_forces_that_attract_is_refused(
    fire_mini: MaceBackbone,
) -> None:
    result = gate_dimers(
        Spoilt(fire_mini, with_forces(lambda f: -f)), {"Li", "Cl"}, LIMITS
    )
    assert not result.passed
    assert "attracts" in result.text
