"""What the Arrhenius figure shows where one of the conductivities has no line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fire_core.properties.transport.figure import draw_arrhenius

if TYPE_CHECKING:
    from pathlib import Path


def part(*, line: bool) -> dict[str, Any]:
    if not line:
        return {"points": [], "line": None}
    numbers = {"values": [10.0, 1.0], "low": [9.0, 0.5], "high": [11.0, 2.0]}
    energy = {"energy_ev": 0.2, "energy_error_ev": 0.01}
    return {
        "points": [[1000.0, 10.0, 9.0, 11.0], [500.0, 1.0, 0.9, 1.1]],
        "line": {"temperatures_k": [1000.0, 500.0]} | numbers | energy,
    }


def drawn(folder: Path, **lines: bool) -> str:
    parts = {name: part(line=line) for name, line in lines.items()}
    return draw_arrhenius(parts, folder, [(298.0, 1e-3)]).svg.read_text()


def test_nernst_and_einstein_stand_in_for_charge_diffusion(tmp_path: Path) -> None:
    neither = drawn(tmp_path, self_diffusion=True, conductivity=False)
    assert "Einstein" not in neither
    assert "measured" not in neither
    text = drawn(
        tmp_path,
        self_diffusion=True,
        conductivity=False,
        conductivity_nernst_einstein=True,
    )
    assert "Einstein" in text
    assert "measured" in text


def test_charge_diffusion_is_preferred(tmp_path: Path) -> None:
    text = drawn(
        tmp_path,
        self_diffusion=True,
        conductivity=True,
        conductivity_nernst_einstein=True,
    )
    assert "Einstein" not in text
    assert "measured" in text
