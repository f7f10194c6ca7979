"""Known parameters found again in noisy spectra; what breaks physics is told."""

from __future__ import annotations

import numpy as np
import pytest

from fire_core.errors import PropertyError
from fire_core.properties.impedance.circuits import (
    Circuit,
    custom_circuit,
    impedance,
    pellet_circuit,
)
from fire_core.properties.impedance.fit import effective_capacitance, fit_circuit
from fire_core.properties.impedance.kramers_kronig import check_kramers_kronig
from fire_core.properties.impedance.settings import (
    GivenConductivity,
    GrainBoundaryConfig,
    ImpedanceConfig,
)

FREQUENCIES = np.geomspace(1e1, 1e8, 70)
TRUE = Circuit("R0-p(R1,C1)-CPE2", (5.0, 220.0, 4e-12, 3e-6, 0.88))


def noisy(circuit: Circuit, noise: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z = impedance(circuit, FREQUENCIES)
    draws = rng.normal(size=len(z)) + 1j * rng.normal(size=len(z))
    return z + noise * np.abs(z) * draws


def test_exact_spectrum_gives_its_parameters_back_without_a_start() -> None:
    fit = fit_circuit(TRUE.text, FREQUENCIES, impedance(TRUE, FREQUENCIES))
    assert fit.circuit.values == pytest.approx(TRUE.values, rel=1e-5)
    assert fit.residual < 1e-6


def test_parameters_of_noisy_spectra_lie_within_their_errors() -> None:
    """Of 5 parameters in 12 spectra 68 % should lie within one standard error."""
    pulls = []
    for seed in range(12):
        z = noisy(TRUE, 0.01, seed)
        fit = fit_circuit(TRUE.text, FREQUENCIES, z, start=TRUE, n_starts=2)
        assert fit.residual == pytest.approx(0.01 * np.sqrt(2), rel=0.25)
        pulls.append((np.array(fit.circuit.values) - TRUE.values) / fit.errors)
    pulls = np.array(pulls)
    within = np.mean(np.abs(pulls) < 1)
    assert 0.50 < within < 0.87  # 60 draws: three standard deviations of 0.683
    assert np.abs(pulls.mean(axis=0)).max() < 3.5 / np.sqrt(12)


def test_errors_are_those_of_impedance_py_where_all_numbers_are_near_one() -> None:
    """With picofarads beside ohms its covariance drops what is small in size."""
    circuit = Circuit("R0-p(R1,C1)", (1.0, 2.0, 0.5))
    frequencies = np.geomspace(1e-2, 1e1, 40)
    z = impedance(circuit, frequencies)
    rng = np.random.default_rng(4)
    z = z + 0.01 * np.abs(z) * (rng.normal(size=40) + 1j * rng.normal(size=40))
    fit = fit_circuit(circuit.text, frequencies, z)
    theirs = custom_circuit(fit.circuit)
    theirs.fit(frequencies, z, weight_by_modulus=True)
    assert fit.circuit.values == pytest.approx(theirs.parameters_, rel=1e-4)
    assert fit.errors == pytest.approx(theirs.conf_, rel=1e-2)


def test_fit_is_no_worse_than_impedance_py_alone() -> None:
    z = noisy(TRUE, 0.01, 3)
    fit = fit_circuit(TRUE.text, FREQUENCIES, z)
    theirs = custom_circuit(TRUE)
    theirs.fit(FREQUENCIES, z, weight_by_modulus=True)
    theirs = impedance(Circuit(TRUE.text, tuple(theirs.parameters_)), FREQUENCIES)
    rest = np.sqrt(np.mean(np.abs((theirs - z) / z) ** 2))
    assert fit.residual <= rest * (1 + 1e-9)


def test_conductivity_comes_back_out_of_the_fit() -> None:
    settings = ImpedanceConfig(
        conductivity=GivenConductivity(value=4e-4),
        grain_boundary=GrainBoundaryConfig(thickness_share=5e-3),
        thickness=0.08,
        area=0.7,
    )
    circuit = pellet_circuit(settings, 4e-4)
    fit = fit_circuit(circuit.text, FREQUENCIES, noisy(circuit, 0.005, 1))
    resistance, error = fit.sum_error(["R1"])
    found = 0.995 * 0.08 / (0.7 * resistance)
    assert found == pytest.approx(4e-4, abs=3 * found * error / resistance)
    assert error / resistance < 0.01


def test_sum_of_anticorrelated_resistances_is_known_better_than_they_are() -> None:
    """Two overlapping arcs: what one loses the other gains."""
    circuit = Circuit("p(R1,C1)-p(R2,C2)", (100.0, 1e-9, 100.0, 1e-8))
    z = impedance(circuit, FREQUENCIES)
    rng = np.random.default_rng(0)
    draws = rng.normal(size=len(z)) + 1j * rng.normal(size=len(z))
    fit = fit_circuit(circuit.text, FREQUENCIES, z + 0.01 * np.abs(z) * draws)
    total, error = fit.sum_error(["R1", "R2"])
    alone = [fit.sum_error([name])[1] for name in ("R1", "R2")]
    assert total == pytest.approx(200, abs=4 * error)
    assert error < 0.5 * np.hypot(*alone)


def test_like_branches_are_ordered_by_capacitance() -> None:
    swapped = Circuit("p(R1,C1)-p(R2,C2)", (30.0, 1e-6, 90.0, 1e-11))
    fit = fit_circuit(swapped.text, FREQUENCIES, impedance(swapped, FREQUENCIES))
    assert fit.circuit.values == pytest.approx((90, 1e-11, 30, 1e-6), rel=1e-4)


def test_what_the_spectrum_does_not_show_has_a_large_error() -> None:
    z = noisy(Circuit("p(R1,C1)", (200.0, 1e-11)), 0.01, 0)
    fit = fit_circuit("R0-p(R1,C1)", FREQUENCIES, z)
    assert fit.errors[0] > fit.circuit.values[0] / 2
    assert fit.errors[1] < 0.01 * fit.circuit.values[1]


def test_effective_capacitance_keeps_the_time_constant() -> None:
    assert effective_capacitance(100.0, 1e-6, 1.0) == pytest.approx(1e-6)
    c = effective_capacitance(1e3, 1e-7, 0.8)
    assert (1e3 * c) ** 0.8 == pytest.approx(1e3 * 1e-7, rel=1e-12)


def test_too_few_frequencies_are_refused() -> None:
    with pytest.raises(PropertyError, match="cannot determine the 5 parameters"):
        fit_circuit(TRUE.text, FREQUENCIES[:2], impedance(TRUE, FREQUENCIES[:2]))


@pytest.mark.parametrize("noise", [0.001, 0.01])
def test_kramers_kronig_holds_for_circuits(noise: float) -> None:
    test = check_kramers_kronig(FREQUENCIES, noisy(TRUE, noise, 2))
    assert test.rms < 1.8 * noise * np.sqrt(2)


def test_kramers_kronig_tells_a_sample_that_changes_meanwhile() -> None:
    """The resistance grows by half while the sweep goes down in frequency."""
    drift = np.linspace(1.5, 1.0, len(FREQUENCIES))
    z = [
        impedance(
            Circuit("p(R1,CPE1)", (200.0 * d, 2e-8, 0.9)), FREQUENCIES[i : i + 1]
        )[0]
        for i, d in enumerate(drift)
    ]
    steady = impedance(Circuit("p(R1,CPE1)", (200.0, 2e-8, 0.9)), FREQUENCIES)
    good = check_kramers_kronig(FREQUENCIES, steady).rms
    bad = check_kramers_kronig(FREQUENCIES, np.array(z)).rms
    assert good < 0.005
    assert bad > 5 * good


def test_kramers_kronig_tells_parts_that_do_not_belong_together() -> None:
    z = impedance(TRUE, FREQUENCIES)
    honest = check_kramers_kronig(FREQUENCIES, z).rms
    tampered = check_kramers_kronig(FREQUENCIES, z.real + 1.2j * z.imag).rms
    assert honest < 1e-3
    assert tampered > 5e-3


def test_kramers_kronig_agrees_with_impedance_py(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same residuals for the same number of RC elements.

    impedance.py 1.7.1 writes numbers as numpy 2 shows them and needs `np` to read them.
    """
    from impedance import validation

    monkeypatch.setitem(validation.circuit_elements, "np", np)
    z = noisy(Circuit("R0-p(R1,C1)", (20.0, 300.0, 1e-9)), 0.01, 5)
    ours = check_kramers_kronig(FREQUENCIES, z)
    m, _, _, real, imaginary = validation.linKK(
        FREQUENCIES,
        z,
        c=-np.inf,
        max_M=ours.n_elements,
        fit_type="complex",
        add_cap=True,
    )
    assert m == ours.n_elements
    assert ours.residuals == pytest.approx(real + 1j * imaginary, abs=1e-6)
