"""How often a quoted 95 % interval holds the true value, for ions that are known.

``python -m benchmarks.transport [--seeds 200] [--kinisi 0] [--quick]``. Models of
`benchmarks.transport_models` are analysed as trajectories are: the window is found,
the line fitted, a run that is not diffusive gives no number. For each model: runs that
gave a number, intervals of D, of charge diffusion and of the Haven ratio that hold the
exact value, the mean of D over the exact one, and the standard deviation over seeds
over the mean quoted error. With `--kinisi` that many seeds are also fitted by kinisi
(5 s each). Arrhenius lines are drawn from mean squares of known degrees of freedom.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import units

from benchmarks import transport_models as models
from fire_core.properties.transport.arrhenius import fit_arrhenius
from fire_core.properties.transport.conductivity import haven_ratio
from fire_core.properties.transport.self_diffusion import (
    Estimate,
    measure_charge_diffusion,
    measure_diffusion,
)
from fire_core.properties.transport.with_kinisi import estimate_with_kinisi

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

INTERVAL: Final = 0.1
"""Time between frames, ps."""
EARLIEST: Final = 1.0
"""ps"""
GROWTH: Final = 9.0
"""Å² that diffusion has to add, as in the default settings."""


@dataclass(frozen=True)
class Case:
    """A model and what is exact of it: D and D_σ, Å²/ps; None: not known."""

    make: Callable[[np.random.Generator], Array]
    tracer: float | None
    charge: float | None
    replicas: int = 1


CASES: Final = {
    "brownian": Case(lambda g: models.brownian(g, (600, 20), 0.01), 0.1, 0.1),
    "vibrating": Case(lambda g: models.brownian(g, (600, 20), 0.01, 0.4), 0.1, 0.1),
    "langevin": Case(lambda g: models.langevin(g, (600, 20), 0.07, 0.5), 0.098, 0.098),
    "jumps": Case(lambda g: models.jumps(g, (1000, 20), 0.01, 3.0, 0.3), 0.15, 0.15),
    "rare jumps": Case(
        lambda g: models.jumps(g, (2000, 100), 0.002, 3.0, 0.3), 0.03, 0.03
    ),
    "pairs": Case(lambda g: models.pairs(g, (600, 20), 0.01), 0.1, 0.2),
    "lattice gas": Case(
        lambda g: models.lattice_gas(g, (1000, 60), 5, 0.05, 3.0),
        None,
        10 * 0.05 * 1.5 * (125 - 60) / 124,
    ),
    "3 replicas": Case(
        lambda g: models.brownian(g, (400, 10), 0.01, 0.4), 0.1, 0.1, replicas=3
    ),
}
CAGES: Final = {
    "vibrating in place": lambda g: models.cage(g, (600, 20), 0.4, 2.0),
    "in a wide cage": lambda g: models.cage(g, (600, 20), 2.0, 10.0),
    "in a wide, slow cage": lambda g: models.cage(g, (600, 20), 2.0, 50.0),
    "between two sites": lambda g: models.two_sites(g, (600, 20), 0.02, 2.5),
}


@dataclass
class Tally:
    """What the seeds of one case gave."""

    runs: int = 0
    tracer: list[Estimate] = field(default_factory=list)
    charge: list[Estimate] = field(default_factory=list)
    haven: list[Estimate] = field(default_factory=list)


def analyse(case: Case, seed: int, number: int, tally: Tally) -> list[Array]:
    """Analyse one seed of a case, and return its replicas."""
    rng = np.random.default_rng([seed, number])
    replicas = [case.make(rng) for _ in range(case.replicas)]
    alone = measure_diffusion(
        replicas, INTERVAL, earliest=EARLIEST, least_growth=GROWTH
    )
    tally.runs += 1
    if alone.tensor is None:
        return replicas
    tally.tracer.append(alone.estimate)
    together = measure_charge_diffusion(replicas, INTERVAL, alone, EARLIEST)
    if together.tensor is not None:
        tally.charge.append(together.estimate)
        tally.haven.append(haven_ratio(alone, together))
    return replicas


def coverage(estimates: list[Estimate], exact: float | None) -> float | None:
    """Return the share of intervals that hold the exact value."""
    if exact is None or not estimates:
        return None
    inside = [e.low <= exact <= e.high for e in estimates]
    return float(np.mean(inside))


def summarise(case: Case, tally: Tally) -> dict[str, float | None]:
    """Return the row of one case."""
    values = np.array([e.value for e in tally.tracer])
    errors = np.array([e.error for e in tally.tracer])
    known = case.tracer is not None
    haven = case.tracer / case.charge if known else None
    return {
        "given": len(tally.tracer) / tally.runs,
        "tracer": coverage(tally.tracer, case.tracer),
        "charge": coverage(tally.charge, case.charge),
        "haven": coverage(tally.haven, haven),
        "bias": float(values.mean() / case.tracer) if known else None,
        "scatter": float(values.std(ddof=1) / errors.mean()),
    }


def arrhenius_coverage(seeds: int) -> dict[str, float]:
    """Return how often Ea, and D at 300 K, lie in their intervals."""
    temperatures = np.array([600.0, 800.0, 1000.0, 1200.0])
    dofs = np.array([40.0, 80.0, 160.0, 320.0])
    energy, prefactor = 0.3, 1e-3
    exact = prefactor * np.exp(-energy / (units.kB * temperatures))
    cold = prefactor * np.exp(-energy / (units.kB * 300.0))
    rng = np.random.default_rng(11)
    held = {"energy": 0, "at_300_k": 0}
    for _ in range(seeds):
        values = exact * rng.chisquare(dofs) / dofs
        line = fit_arrhenius(temperatures, values, dofs)
        held["energy"] += abs(line.energy - energy) <= 1.96 * line.energy_error
        _, _, low, high = line.at(300.0)
        held["at_300_k"] += low <= cold <= high
    return {name: count / seeds for name, count in held.items()}


def main() -> None:
    """Print the tables and, last, one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--kinisi", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    seeds = 20 if options.quick else options.seeds
    facts: dict[str, Any] = {"seeds": seeds, "cases": {}, "cages": {}}
    heads = ("given", "tracer", "charge", "haven", "bias", "scatter")
    print(f"{'':22s}" + "".join(f"{head:>9s}" for head in heads))
    for number, (name, case) in enumerate(CASES.items()):
        tally, by_kinisi = Tally(), []
        for seed in range(seeds):
            replicas = analyse(case, seed, number, tally)
            if seed < options.kinisi:
                lags = np.unique(np.geomspace(10, 300, 24).astype(int))
                lags = lags[lags < len(replicas[0]) // 2]
                by_kinisi.append(estimate_with_kinisi(replicas, INTERVAL, lags))
        row = summarise(case, tally)
        if by_kinisi:
            row["kinisi"] = coverage(by_kinisi, case.tracer)
        facts["cases"][name] = row
        cells = ["–" if v is None else f"{v:.3f}" for v in row.values()]
        print(f"{name:22s}" + "".join(f"{cell:>9s}" for cell in cells), flush=True)
    for number, (name, make) in enumerate(CAGES.items()):
        tally = Tally()
        for seed in range(seeds):
            analyse(Case(make, None, None), seed, 100 + number, tally)
        facts["cages"][name] = len(tally.tracer) / seeds
        print(f"{name:22s}{facts['cages'][name]:9.3f} gave a number (D = 0)")
    facts["arrhenius"] = arrhenius_coverage(50 * seeds)
    print(f"Arrhenius intervals hold: {facts['arrhenius']}")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
