"""Fit a circuit to a measured spectrum; conductivity out of its resistances."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import least_squares

from fire_core.errors import PropertyError
from fire_core.properties.impedance.circuits import (
    Circuit,
    custom_circuit,
    element_kind,
    parameter_names,
)
from fire_core.properties.impedance.evaluation import compile_circuit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Complex = NDArray[np.complex128]

STARTS: Final = 24
"""Random starting points of a fit, beside the given one."""
SHORT, LONG, FINALISTS = 25, 400, 4
"""Steps from every start; steps from the best starts; how many those are."""
REFINEMENTS: Final = 30
"""Steps of impedance.py's fit, some 20 ms each."""
FLATTEST, TYPICAL = 0.6, 0.9
"""Exponents of constant-phase elements in starting points."""


@dataclass(frozen=True, slots=True, eq=False)
class SpectrumFit:
    """A circuit fitted to a spectrum.

    Attributes
    ----------
    circuit
        With the fitted parameters.
    errors
        Standard error of each parameter, in its unit.
    covariance
        (m, m), of the parameters in their units.
    residual
        Root mean square of |Z_fit - Z| / |Z|.
    """

    circuit: Circuit
    errors: tuple[float, ...]
    covariance: Array
    residual: float

    def sum_error(self, names: Sequence[str]) -> tuple[float, float]:
        """Return a sum of parameters and its standard error, correlations included."""
        all_names = parameter_names(self.circuit.text)
        chosen = np.array([float(n in names) for n in all_names])
        variance = chosen @ self.covariance @ chosen
        return float(chosen @ self.circuit.values), float(np.sqrt(variance))


def fit_circuit(
    text: str,
    frequencies: Array,
    measured: Complex,
    *,
    start: Circuit | None = None,
    seed: int = 0,
    n_starts: int = STARTS,
) -> SpectrumFit:
    """Fit a circuit to a spectrum, each point weighted by 1/|Z|.

    Of branches of one kind, p(R1,C1)-p(R2,C2), the one with the smaller number gets the
    smaller capacitance: the bulk's lies far below that of boundaries.

    The smallest sum of squares is looked for in the logarithms of the parameters, from
    many starting points; in each every element alone would give one of the measured
    impedances. impedance.py's fit refines the best. Errors are
    those of the fit, with the noise that its residuals show.

    Parameters
    ----------
    text
        Circuit.
    frequencies
        (n,), Hz.
    measured
        (n,), Ω.
    start
        The same circuit with parameters that may be near.
    seed
        Of the random starting points.
    n_starts
        How many of those.

    Raises
    ------
    PropertyError
        Fewer numbers than parameters, or nothing fits.
    """
    names = parameter_names(text)
    if 2 * len(frequencies) <= len(names):
        msg = (
            f"{len(frequencies)} frequencies cannot determine the {len(names)} "
            f"parameters of {text}; measure more, or take a simpler circuit"
        )
        raise PropertyError(msg)
    evaluate = compile_circuit(text)
    weight = 1 / np.abs(measured)

    def rest_of(values: Array) -> Array:
        rest = (evaluate(frequencies, values) - measured) * weight
        return np.concatenate([rest.real, rest.imag])

    def residuals(logs: Array) -> Array:
        return rest_of(np.exp(logs))

    lower, upper = _bounds(names, frequencies, measured)
    rng = np.random.default_rng(seed)
    starts = [_draw_start(names, frequencies, measured, rng) for _ in range(n_starts)]
    if start is not None:
        with np.errstate(divide="ignore"):  # no wires: a logarithm of zero, clipped
            starts.insert(0, np.log(start.values))
    best = _smaller_first(text, _search(residuals, starts, lower, upper))
    values = _refine(Circuit(text, tuple(np.exp(best).tolist())), frequencies, measured)
    if np.sum(rest_of(values) ** 2) > np.sum(residuals(best) ** 2):
        values = np.exp(best)
    # a resistance that has gone to zero still needs a step that is seen
    is_resistance = np.array([name.startswith("R") for name in names])
    steps = np.maximum(1e-5 * values, np.where(is_resistance, np.exp(lower), 0.0))
    covariance = _covariance(rest_of, values, steps)
    return SpectrumFit(
        circuit=Circuit(text, tuple(values.tolist())),
        errors=tuple(np.sqrt(np.diag(covariance)).tolist()),
        covariance=covariance,
        residual=float(np.sqrt(2 * np.mean(rest_of(values) ** 2))),
    )


def effective_capacitance(resistance: float, admittance: float, alpha: float) -> float:
    """Return the capacitance, F, of a CPE parallel to a resistance.

    (R Q)^(1/α) = R C, so that the semicircle's top stays where it is: C. H. Hsu and
    F. Mansfeld, Corrosion 57, 747 (2001).
    """
    return float((resistance * admittance) ** (1 / alpha) / resistance)


def _bounds(
    names: Sequence[str], frequencies: Array, measured: Complex
) -> tuple[Array, Array]:
    """Return logarithms of the least and the most that each parameter may be."""
    z, omega = np.abs(measured), 2 * np.pi * frequencies
    small, large = z.min() * 1e-6, z.max() * 1e4
    slow, fast = omega.min() * 1e-2, omega.max() * 1e2
    ranges = {
        "R": (small, large),
        "C": (1 / (fast * large), 1 / (slow * small)),
        "L": (small / fast, large / slow),
        "W": (small * np.sqrt(slow), large * np.sqrt(fast)),
        "CPE_0": (1 / (fast * large), 1 / (slow * small)),
        "CPE_1": (0.1, 1.0),
        "Wo_0": (small, large),
        "Ws_0": (small, large),
        "Wo_1": (1 / fast, 1 / slow),
        "Ws_1": (1 / fast, 1 / slow),
    }
    ends = np.log([ranges[_class_of(name)] for name in names])
    return ends[:, 0], ends[:, 1]


def _class_of(name: str) -> str:
    element, _, number = name.partition("_")
    return element_kind(element) + (f"_{number}" if number else "")


def _draw_start(
    names: Sequence[str],
    frequencies: Array,
    measured: Complex,
    rng: np.random.Generator,
) -> Array:
    """Return logarithms of parameters, each as if it alone made one of the points."""
    logs = []
    for name in names:
        i = rng.integers(len(frequencies))
        omega, z = 2 * np.pi * frequencies[i], abs(measured[i])
        value = {
            "R": z,
            "C": 1 / (omega * z),
            "L": z / omega,
            "W": z * np.sqrt(omega),
            "CPE_0": 1 / (omega**TYPICAL * z),
            "CPE_1": rng.uniform(FLATTEST, 1.0),
            "Wo_0": z,
            "Ws_0": z,
            "Wo_1": 1 / omega,
            "Ws_1": 1 / omega,
        }[_class_of(name)]
        logs.append(np.log(value))
    return np.array(logs)


def _search(
    residuals: Callable[[Array], Array],
    starts: list[Array],
    lower: Array,
    upper: Array,
) -> Array:
    """Go a short way from every start, and to the end from the best of them."""
    few = [_descend(residuals, x, (lower, upper), SHORT) for x in starts]
    few.sort(key=lambda pair: pair[0])
    done = [_descend(residuals, x, (lower, upper), LONG) for _, x in few[:FINALISTS]]
    cost, best = min(done, key=lambda pair: pair[0])
    if not np.isfinite(cost):
        msg = "no circuit parameters fit the spectrum; check the file and the circuit"
        raise PropertyError(msg)
    return best


def _descend(
    residuals: Callable[[Array], Array],
    start: Array,
    bounds: tuple[Array, Array],
    most: int,
) -> tuple[float, Array]:
    lower, upper = bounds
    inside = 1e-9 * (upper - lower)
    x = np.clip(start, lower + inside, upper - inside)
    with np.errstate(all="ignore"):
        if not np.isfinite(residuals(x)).all():
            return float("inf"), x
        result = least_squares(residuals, x, bounds=bounds, max_nfev=most)
    return float(result.cost), result.x


def _refine(found: Circuit, frequencies: Array, measured: Complex) -> Array:
    """Fit by impedance.py from what was found; return that where it gets nowhere."""
    circuit = custom_circuit(found)
    try:
        circuit.fit(
            frequencies,
            measured,
            weight_by_modulus=True,
            x_scale="jac",
            ftol=1e-10,
            diff_step=1e-6,  # of each parameter; its own 1e-8 F hides picofarads
            maxfev=REFINEMENTS,
        )
    except RuntimeError:  # a parameter at the end of its range: no more steps
        return np.array(found.values)
    return np.array(circuit.parameters_, dtype=np.float64)


def _smaller_first(text: str, logs: Array) -> Array:
    """Sort like branches, p(R1,C1)-p(R2,C2), by their capacitances, rising."""
    names, sorted_logs = parameter_names(text), logs.copy()
    for kind in ("C", "CPE"):
        branches = [
            [i for i, n in enumerate(names) if n.partition("_")[0] in pair]
            for pair in re.findall(rf"p\((R\d+),({kind}\d+)\)", text)
        ]
        by_size = sorted(
            branches, key=lambda places: _capacitance(np.exp(logs[places]))
        )
        for here, there in zip(branches, by_size, strict=True):
            sorted_logs[here] = logs[there]
    return sorted_logs


def _capacitance(branch: Array) -> float:
    """Return that of a resistance parallel to a capacitor or a CPE, F."""
    if len(branch) == 2:
        return float(branch[1])
    return effective_capacitance(*branch.tolist())


def _covariance(
    residuals: Callable[[Array], Array], values: Array, steps: Array
) -> Array:
    """Return s² (JᵀJ)⁻¹ of parameters, with the residuals' own variance.

    `residuals` takes the parameters themselves: one that has gone to zero is as
    uncertain there as beside it, which its logarithm would not show.
    """
    columns = [
        (residuals(values + step) - residuals(values - step)) / (2 * np.sum(step))
        for step in np.diag(steps)
    ]
    slopes = np.array(columns).T
    size = np.linalg.norm(slopes, axis=0)
    size[size == 0] = 1.0
    rest = residuals(values)
    variance = float(rest @ rest) / max(1, len(rest) - len(values))
    curvature = (slopes / size).T @ (slopes / size)
    ridge = 1e-13 * np.eye(len(values))  # what is not determined: huge, not infinite
    inverse: Array = np.linalg.inv(curvature + ridge) / np.outer(size, size)
    return variance * inverse
