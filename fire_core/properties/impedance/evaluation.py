"""The impedance of a circuit and its slopes, fast enough to search for parameters.

impedance.py writes all frequencies into a text for each call and evaluates that, 10 ms
for a usual circuit; here a circuit is taken apart once, and a call takes 0.1 ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.properties.impedance.circuits import UNITS, element_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Complex = NDArray[np.complex128]
    Evaluate = Callable[[Complex, Iterator[float]], Complex]


def compile_circuit(text: str) -> Callable[[Array, Array], Complex]:
    """Return a function of frequencies (n,), Hz, and parameters (m,) giving Ω, (n,)."""
    evaluate = _series(text)

    def call(frequencies: Array, values: Array) -> Complex:
        s = (2j * np.pi * frequencies).astype(np.complex128)
        return evaluate(s, iter(values.tolist()))

    return call


def _series(text: str) -> Evaluate:
    parts = [_parallel(part) for part in _split(text, "-")]

    def add(s: Complex, values: Iterator[float]) -> Complex:
        total = parts[0](s, values)
        for part in parts[1:]:
            total = total + part(s, values)
        return total

    return add if len(parts) > 1 else parts[0]


def _parallel(text: str) -> Evaluate:
    if not text.startswith("p("):
        return _element(element_kind(text))
    branches = [_series(branch) for branch in _split(text[2:-1], ",")]

    def join(s: Complex, values: Iterator[float]) -> Complex:
        total = 1 / branches[0](s, values)
        for branch in branches[1:]:
            total = total + 1 / branch(s, values)
        return 1 / total

    return join


def _element(kind: str) -> Evaluate:
    formulas: dict[str, Callable[..., Complex]] = {
        "R": lambda s, r: np.full(len(s), r, complex),
        "C": lambda s, c: 1 / (c * s),
        "L": lambda s, h: h * s,
        "W": lambda s, a: a * np.sqrt(2) / np.sqrt(s),
        "CPE": lambda s, q, alpha: 1 / (q * s**alpha),
        "Wo": lambda s, z, t: z / (np.sqrt(s * t) * np.tanh(np.sqrt(s * t))),
        "Ws": lambda s, z, t: z * np.tanh(np.sqrt(s * t)) / np.sqrt(s * t),
    }
    formula = formulas[kind]
    n = len(UNITS[kind])

    def evaluate(s: Complex, values: Iterator[float]) -> Complex:
        return formula(s, *[next(values) for _ in range(n)])

    return evaluate


def _split(text: str, mark: str) -> list[str]:
    """Split at a mark outside of parentheses."""
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == mark and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]
