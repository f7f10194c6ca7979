"""Heated and compressed, a sound model survives and an exploding one does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fire_core.config.gates import SurvivalConfig
from fire_core.evaluation.gates import survival
from fire_core.evaluation.gates.survival import gate_compression, gate_heating
from tests.gates.conftest import changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    from fire_core.backbones.mace import MaceBackbone

SHORT = SurvivalConfig(steps=20, timestep=2.0)


def scaled(factor: float) -> Callable[[Any], None]:
    """Multiply the weights' whole output; the screened nuclear repulsion stays."""
    return lambda network: network.scale_shift.scale.mul_(factor)


@pytest.mark.parametrize("gate", [gate_heating, gate_compression])
def test_a_sound_model_survives(
    gate: Callable[..., Any], fire_mini: MaceBackbone, cell: Atoms
) -> None:
    before = cell.copy()
    result = gate(fire_mini, cell, SHORT, 600.0, 1)
    assert (result.passed, result.value, result.limit) == (True, 20, 20)
    assert cell == before


def test_attraction_in_place_of_repulsion_brings_atoms_too_close(
    fire_mini: MaceBackbone, cell: Atoms
) -> None:
    result = gate_heating(changed(fire_mini, scaled(-1)), cell, SHORT, 600.0, 1)
    assert (result.name, result.passed) == ("heating", False)
    assert result.text == (
        "heated to 900 K: survived 10 of 20 steps, then two atoms came too close"
    )


def test_multiplied_weights_explode(fire_mini: MaceBackbone, cell: Atoms) -> None:
    result = gate_compression(changed(fire_mini, scaled(-5)), cell, SHORT, 600.0, 1)
    assert (result.name, result.passed, result.value) == ("compression", False, 0)
    assert "compressed by 10 % at 600 K" in result.text
    assert "it exploded" in result.text


def test_heat_and_volume_are_what_the_limits_say(
    fire_mini: MaceBackbone, cell: Atoms, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(_: Any, atoms: Atoms, __: Any, run: Any, ___: int) -> None:
        seen.append((run.temperature, atoms.get_volume() / cell.get_volume()))

    monkeypatch.setattr(survival, "_survive", look)
    for temperature in (600.0, 1000.0, 1500.0):
        gate_heating(fire_mini, cell, SHORT, temperature, 1)
    gate_compression(fire_mini, cell, SHORT, 600.0, 1)
    assert [s[0] for s in seen] == [900, 1200, 1500, 600]
    assert [s[1] for s in seen] == pytest.approx([1, 1, 1, 0.9])
