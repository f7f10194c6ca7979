"""Whether fitted impedance parameters lie within their errors, over many spectra.

``python -m benchmarks.impedance [--spectra N] [--quick]``. Spectra of known pellets
(bulk, grain boundaries, blocking electrodes) with 0.3 to 3 % noise, 1 Hz to 100 MHz,
fitted without knowing where to start; reported is how often the truth lies within one
and two standard errors (68.3 and 95.4 % for right ones), and the bulk conductivity's
deviation.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from fire_core.properties.impedance.circuits import impedance, pellet_circuit
from fire_core.properties.impedance.fit import fit_circuit
from fire_core.properties.impedance.settings import (
    GivenConductivity,
    GrainBoundaryConfig,
    ImpedanceConfig,
)

NOISE = (0.003, 0.01, 0.03)
FREQUENCIES = np.geomspace(1e0, 1e8, 81)


def draw_pellet(rng: np.random.Generator) -> tuple[ImpedanceConfig, float]:
    """Return a pellet whose arcs lie in the window, and its conductivity, S/cm."""
    conductivity = float(10 ** rng.uniform(-5, -3.5))
    share = float(10 ** rng.uniform(-3, -2))
    settings = ImpedanceConfig(
        conductivity=GivenConductivity(value=conductivity),
        permittivity=float(rng.uniform(10, 60)),
        thickness=float(rng.uniform(0.05, 0.2)),
        area=float(rng.uniform(0.3, 1.5)),
        series_resistance=1.0,
        grain_boundary=GrainBoundaryConfig(
            thickness_share=share, conductivity_ratio=share * float(rng.uniform(0.5, 3))
        ),
    )
    return settings, conductivity


def measure(noise: float, n_spectra: int) -> dict[str, Any]:
    """Fit spectra with so much noise in each part, relative to |Z|."""
    pulls, deviations = [], []
    for seed in range(n_spectra):
        rng = np.random.default_rng([seed, round(1e6 * noise)])
        settings, _ = draw_pellet(rng)
        circuit = pellet_circuit(settings, settings.conductivity.value)
        z = impedance(circuit, FREQUENCIES)
        draws = rng.normal(size=len(z)) + 1j * rng.normal(size=len(z))
        fit = fit_circuit(circuit.text, FREQUENCIES, z + noise * np.abs(z) * draws)
        found, true = np.array(fit.circuit.values), np.array(circuit.values)
        pulls.append((found - true)[1:] / np.array(fit.errors)[1:])
        deviations.append(true[1] / found[1] - 1)
    sizes = np.abs(pulls)
    return {
        "noise": noise,
        "spectra": n_spectra,
        "within_one": float(np.mean(sizes < 1)),
        "within_two": float(np.mean(sizes < 2)),
        "largest": float(sizes.max()),
        "conductivity_rms_percent": 100 * rms(deviations),
        "conductivity_largest_percent": 100 * float(np.abs(deviations).max()),
    }


def rms(numbers: list[float]) -> float:
    """Return the root of the mean square."""
    return float(np.sqrt(np.mean(np.square(numbers))))


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.impedance", description=__doc__)
    parser.add_argument("--spectra", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    arguments = parser.parse_args()
    results = []
    for noise in NOISE:
        found = measure(noise, 5 if arguments.quick else arguments.spectra)
        results.append(found)
        print(
            f"noise {100 * noise:4.1f} %: within 1 error {found['within_one']:.3f} "
            f"(0.683), within 2 {found['within_two']:.3f} (0.954), bulk conductivity "
            f"off by {found['conductivity_rms_percent']:.2f} % rms, "
            f"{found['conductivity_largest_percent']:.2f} % at most",
            flush=True,
        )
    print(json.dumps({"results": results}))


if __name__ == "__main__":
    main()
