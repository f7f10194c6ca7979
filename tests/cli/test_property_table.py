"""The numbers of a measurement on a terminal of 80 columns."""

from __future__ import annotations

import io

from rich.console import Console

from cli.properties.table import print_values
from fire_core.records import PropertyValue

NOTE = "not diffusive yet, need about 40 ps"


def shown(*values: PropertyValue) -> list[str]:
    stream = io.StringIO()
    print_values(Console(file=stream, width=80, highlight=False), values)
    return [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()]


def diffusion(
    kelvin: float,
    value: float | None,
    *,
    low: float | None = None,
    high: float | None = None,
    note: str = "",
) -> PropertyValue:
    where = {"temperature_k": kelvin, "species": "Li"}
    return PropertyValue(
        "self_diffusion", value, "cm²/s", conditions=where, low=low, high=high,
        note=note,
    )  # fmt: skip


def test_names_are_whole_and_temperatures_head_their_numbers() -> None:
    long_name = PropertyValue(
        *("conductivity_nernst_einstein", 2.13, "S/cm", 0.2),
        conditions={"temperature_k": 700.0, "species": "Li"},
    )
    lines = shown(diffusion(700, 3.2e-5), long_name, diffusion(1200, 7.1e-5))
    heads = [line.strip() for line in lines if line.strip().endswith(" K")]
    assert heads == ["700 K", "1200 K"]
    assert any(line.split()[0] == "conductivity_nernst_einstein" for line in lines)
    assert all(len(line) <= 80 for line in lines)


def test_a_power_of_ten_is_written_once() -> None:
    text = " ".join(shown(diffusion(700, 3.2e-5, low=2.67e-5, high=3.89e-5)))
    assert "(2.67 … 3.89)e-05" in " ".join(text.split())
    text = " ".join(shown(diffusion(300, 3e-6, low=5.6e-8, high=1.9e-4)))
    assert "5.6e-08 … 0.00019" in " ".join(text.split())


def test_a_note_is_told_once_and_numbered() -> None:
    lines = shown(diffusion(700, None, note=NOTE), diffusion(850, None, note=NOTE))
    assert [line for line in lines if NOTE in line] == [f"[1] {NOTE}"]
    assert sum("– [1]" in line for line in lines) == 2
