"""Which of a transport measurement's conductivities a spectrum is computed from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fire_core.config.properties.impedance import TransportConductivity
from fire_core.errors import PropertyError
from fire_core.records import PropertyValue
from tasks.properties.impedance import _conductivity


def bench(*values: PropertyValue) -> Any:
    asked = SimpleNamespace(name="argyrodite", subject_sha="0")
    result = SimpleNamespace(values=values)
    row = SimpleNamespace(asked=asked, need_result=lambda: result)
    return SimpleNamespace(asked=asked, finished=lambda _: row)


def sigma(name: str, value: float | None, kelvin: float) -> PropertyValue:
    where = {"temperature_k": kelvin}
    return PropertyValue(name, value, "S/cm", 0.1, conditions=where)


def test_charge_diffusion_comes_first_and_nernst_einstein_is_said() -> None:
    source = TransportConductivity(measurement="argyrodite", temperature=300.0)
    both = (
        sigma("conductivity", 2.0, 300.0),
        sigma("conductivity_nernst_einstein", 3.0, 300.0),
    )
    found = _conductivity(bench(*both), source)
    assert (found.value, found.note) == (2.0, "")
    one = (
        sigma("conductivity", None, 300.0),
        sigma("conductivity_nernst_einstein", 3.0, 300.0),
    )
    found = _conductivity(bench(*one), source)
    assert found.value == 3.0
    assert "Nernst and Einstein alone" in found.note


def test_another_temperature_is_not_taken() -> None:
    source = TransportConductivity(measurement="argyrodite", temperature=400.0)
    with pytest.raises(PropertyError, match=r"at these temperatures: 300 K"):
        _conductivity(bench(sigma("conductivity", 2.0, 300.0)), source)
