"""Which of a transport measurement's conductivities a spectrum is computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fire_core.errors import PropertyError
from fire_core.properties.impedance.measure import choose_conductivity
from fire_core.properties.impedance.settings import TransportConductivity
from fire_core.properties.load import parse_property
from fire_core.records import PropertyResult, PropertyValue
from fire_core.testing.properties import MemoryMeasurement

if TYPE_CHECKING:
    from fire_core.properties.measurement import Measurement


def after(*values: PropertyValue) -> Measurement:
    """Return a measurement that goes on from one with these values."""
    source = {"source": "transport", "measurement": "argyrodite"}
    measure = {"kind": "impedance", "conductivity": source}
    request = parse_property({"name": "spectrum", "measure": measure})
    earlier = ("argyrodite", PropertyResult(values))
    return MemoryMeasurement(request, earlier=earlier).measurement


def sigma(name: str, value: float | None, kelvin: float) -> PropertyValue:
    where = {"temperature_k": kelvin}
    return PropertyValue(name, value, "S/cm", 0.1, conditions=where)


def test_charge_diffusion_comes_first_and_nernst_einstein_is_said() -> None:
    source = TransportConductivity(measurement="argyrodite", temperature=300.0)
    both = (
        sigma("conductivity", 2.0, 300.0),
        sigma("conductivity_nernst_einstein", 3.0, 300.0),
    )
    found = choose_conductivity(after(*both), source)
    assert (found.value, found.note) == (2.0, "")
    one = (
        sigma("conductivity", None, 300.0),
        sigma("conductivity_nernst_einstein", 3.0, 300.0),
    )
    found = choose_conductivity(after(*one), source)
    assert found.value == 3.0
    assert "Nernst and Einstein alone" in found.note


def test_another_temperature_is_not_taken() -> None:
    source = TransportConductivity(measurement="argyrodite", temperature=400.0)
    with pytest.raises(PropertyError, match=r"at these temperatures: 300 K"):
        choose_conductivity(after(sigma("conductivity", 2.0, 300.0)), source)
