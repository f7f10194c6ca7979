"""Spectra against the formulas of textbooks, and against impedance.py's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.constants import epsilon_0

from fire_core.properties.impedance.circuits import (
    Circuit,
    impedance,
    parameter_names,
    pellet_circuit,
)
from fire_core.properties.impedance.evaluation import compile_circuit
from fire_core.properties.impedance.settings import (
    BlockingElectrodes,
    FrequencyConfig,
    GivenConductivity,
    GrainBoundaryConfig,
    ImpedanceConfig,
    NoElectrodes,
    ReversibleElectrodes,
    check_circuit,
)
from fire_core.properties.impedance.values import relaxation_frequency

EXACT = 1e-10


def pellet(**changes: object) -> ImpedanceConfig:
    fields = {
        "conductivity": GivenConductivity(value=1e-3),
        "electrodes": NoElectrodes(),
        "permittivity": 30.0,
    }
    return ImpedanceConfig(**(fields | changes))


def test_resistance_is_real_at_every_frequency() -> None:
    z = impedance(Circuit("R0", (50.0,)), np.geomspace(1e-3, 1e9, 30))
    assert np.abs(z - 50).max() < EXACT


def test_semicircle_of_a_parallel_rc_has_its_top_at_one_over_rc() -> None:
    R, C = 1200.0, 3e-10
    frequencies = np.geomspace(1e2, 1e9, 400)
    z = impedance(Circuit("p(R1,C1)", (R, C)), frequencies)
    assert np.allclose((z.real - R / 2) ** 2 + z.imag**2, (R / 2) ** 2, rtol=1e-9)
    top = impedance(Circuit("p(R1,C1)", (R, C)), np.array([1 / (2 * math.pi * R * C)]))
    assert top[0] == pytest.approx(R / 2 - 0.5j * R, rel=1e-9)
    assert -z.imag.min() <= R / 2 * (1 + 1e-12)


def test_two_arcs_far_apart_add_up() -> None:
    circuit = Circuit("p(R1,C1)-p(R2,C2)", (100.0, 1e-11, 300.0, 1e-6))
    between, low = impedance(circuit, np.array([1e6, 1e-1]))
    assert between.real == pytest.approx(100, rel=1e-2)
    assert low == pytest.approx(400, rel=1e-3)
    tops = impedance(circuit, 1 / (2 * np.pi * np.array([100 * 1e-11, 300 * 1e-6])))
    assert -tops.imag == pytest.approx([50, 150], rel=2e-2)


@pytest.mark.parametrize("alpha", [0.6, 0.8, 1.0])
def test_constant_phase_element_has_a_constant_phase(alpha: float) -> None:
    z = impedance(Circuit("CPE1", (1e-6, alpha)), np.geomspace(1e-2, 1e6, 20))
    assert np.angle(z, deg=True) == pytest.approx(-90 * alpha, abs=1e-9)


@pytest.mark.parametrize("alpha", [0.7, 0.9])
def test_arc_of_a_cpe_is_depressed_by_its_angle(alpha: float) -> None:
    """Its centre lies below the axis by (1 - α) 90° seen from the ends."""
    R, Q = 500.0, 1e-7
    z = impedance(Circuit("p(R1,CPE1)", (R, Q, alpha)), np.geomspace(1e-1, 1e9, 300))
    angle = (1 - alpha) * math.pi / 2
    centre = R / 2 + 0.5j * R * math.tan(angle)
    assert np.abs(z - centre) == pytest.approx(R / 2 / math.cos(angle), rel=1e-9)
    top = (R * Q) ** (-1 / alpha) / (2 * math.pi)
    found = impedance(Circuit("p(R1,CPE1)", (R, Q, alpha)), np.array([top]))[0]
    assert found.real == pytest.approx(R / 2, rel=1e-9)
    assert -found.imag == pytest.approx(R / 2 * math.tan(alpha * math.pi / 4), rel=1e-9)


def test_warburg_goes_at_45_degrees() -> None:
    frequencies = np.geomspace(1e-4, 1e2, 40)
    z = impedance(Circuit("W1", (7.0,)), frequencies)
    assert np.angle(z, deg=True) == pytest.approx(-45, abs=1e-9)
    assert z.real == pytest.approx(7 / np.sqrt(2 * np.pi * frequencies), rel=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "R0-p(R1,C1)-p(R2,CPE2)-CPE3",
        "L0-R0-p(R1,C1)-p(R3-W3,CPE3)",
        "R0-p(R1-Wo1,CPE1)-p(p(R2,C2)-R3,C3)",
        "p(R1-Ws1,C1)",
        "p(R1,C1,CPE1)",
    ],
)
def test_both_evaluations_agree(text: str) -> None:
    rng = np.random.default_rng(1)
    names = parameter_names(text)
    values = np.exp(rng.normal(size=len(names)))
    values[[n.startswith("CPE") and n.endswith("_1") for n in names]] = 0.85
    frequencies = np.geomspace(1e-3, 1e3, 50)
    ours = compile_circuit(text)(frequencies, values)
    theirs = impedance(Circuit(text, tuple(values.tolist())), frequencies)
    assert np.abs(ours / theirs - 1).max() < 1e-12


def test_bulk_relaxes_at_the_same_frequency_in_every_geometry() -> None:
    """σ / (2π ε₀ ε_r), SI: 0.1 S/m over 2π × 8.854e-12 F/m × 30."""
    expected = 0.1 / (2 * math.pi * epsilon_0 * 30)
    assert relaxation_frequency(1e-3, 30.0) == pytest.approx(expected, rel=1e-12)
    for thickness, area in ((0.1, 1.0), (0.003, 0.2), (5.0, 40.0)):
        circuit = pellet_circuit(pellet(thickness=thickness, area=area), 1e-3)
        parts = circuit.named()
        assert parts["R1"] == pytest.approx(thickness / (area * 1e-3), rel=1e-12)
        top = 1 / (2 * math.pi * parts["R1"] * parts["C1"])
        assert top == pytest.approx(expected, rel=1e-12)
        z = impedance(circuit, np.array([expected]))[0]
        assert -z.imag == pytest.approx(z.real, rel=1e-9)


@pytest.mark.parametrize("exponent", [1.0, 0.8])
def test_brick_layers_add_up_and_keep_their_own_time(exponent: float) -> None:
    grain = GrainBoundaryConfig(
        thickness_share=0.01,
        conductivity_ratio=0.005,
        permittivity=60,
        exponent=exponent,
    )
    settings = pellet(grain_boundary=grain)
    circuit = pellet_circuit(settings, 1e-3)
    direct = impedance(circuit, np.array([1e-6]))[0].real
    # series: (1 - x) L / σ + x L / (ratio σ), over the area
    assert direct == pytest.approx(100 * (0.99 + 0.01 / 0.005), rel=1e-4)
    slow = relaxation_frequency(1e-3 * 0.005, 60)
    parts = circuit.named()
    if exponent == 1:
        top = 1 / (2 * math.pi * parts["R2"] * parts["C2"])
    else:
        top = (parts["R2"] * parts["CPE2_0"]) ** (-1 / 0.8) / (2 * math.pi)
    assert top == pytest.approx(slow, rel=1e-9)


def test_blocking_electrodes_pass_no_direct_current_and_reversible_ones_do() -> None:
    low = np.array([1e-5])
    blocked = pellet(electrodes=BlockingElectrodes(admittance=1e-5, exponent=1.0))
    z = impedance(pellet_circuit(blocked, 1e-3), low)[0]
    # two electrodes of 1e-5 F in series
    assert -z.imag == pytest.approx(1 / (2 * math.pi * 1e-5 * 0.5e-5), rel=1e-6)
    open_ = pellet(electrodes=ReversibleElectrodes(resistance=25.0), area=2.0)
    z = impedance(pellet_circuit(open_, 1e-3), low)[0]
    assert z.real == pytest.approx(50 + 2 * 25 / 2, rel=1e-4)


@pytest.mark.parametrize(
    "text", ["R0-p(R1,Q1)", "__import__('os')", "R0-p(R1,C1", "", "R-C", "R0;C1"]
)
def test_what_is_no_circuit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected elements"):
        check_circuit(text)


def test_elements_need_their_own_numbers() -> None:
    with pytest.raises(ValueError, match="R1 is there twice"):
        check_circuit("R1-p(R1,C1)")


def test_frequencies_rise() -> None:
    with pytest.raises(ValueError, match="low below high"):
        FrequencyConfig(low=10, high=1)
