"""Gate on short-range repulsion: no pair of atoms may fall into each other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Final

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii

from fire_core.evaluation.gates.gate import Gate
from fire_core.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fire_core.backbones.base import Backbone
    from fire_core.config.gates import DimerConfig
    from fire_core.config.steps import EvaluateConfig
    from fire_core.evaluation.gates.gate import GateData
    from fire_core.records import Label

FARTHEST: Final = 1.5
"""Where a dimer's scan begins, as a fraction of its covalent contact."""
WELL: Final = 0.6
"""The bottom of the well is looked for beyond this fraction. Covalent radii of some
metals are so large that 0.7 of their contact is still in the well."""
INNERMOST: Final = 0.5
"""As far in a curve is followed that falls without a barrier: models put the bottom of
Ti–Ti at 0.56 of its contact, where the molecule has it at 0.61."""
SPACING: Final = 0.02
BOX: Final = 30.0  # Å; no image is within any cutoff


@dataclass(frozen=True, slots=True)
class DimerWall:
    """The repulsive wall of one pair.

    Attributes
    ----------
    pair
        Two symbols.
    rise
        Energy above the bottom of the well at the first dip, or at the nearest
        distance where there is none, eV.
    dip
        Distance where the energy stops rising, as a fraction of the contact; None
        where it rises all the way.
    """

    pair: tuple[str, str]
    rise: float
    dip: float | None


def gate_dimers(
    backbone: Backbone, elements: Collection[str], limits: DimerConfig
) -> GateResult:
    """Demand of every pair a wall without a hole that can be reached.

    From `limits.start` inwards each step must raise the energy and each force must
    be repulsive until `limits.wall` above the bottom of the well is reached. Learned
    potentials have never seen two atoms on top of each other, so all have dips
    somewhere inside; one behind a high wall does no harm to dynamics.
    """
    pairs = list(combinations_with_replacement(sorted(elements), 2))
    steps = round((FARTHEST - limits.nearest) / SPACING) + 1
    fractions = np.linspace(FARTHEST, limits.nearest, steps)
    walls = [_wall(backbone, pair, fractions, limits.start) for pair in pairs]
    worst = min(walls, key=lambda wall: wall.rise)
    low = [wall for wall in walls if not wall.rise >= limits.wall]
    if low:
        text = "; ".join(_describe(wall) for wall in low)
        text += f" (at least {limits.wall:g} eV expected)"
    else:
        text = f"{len(walls)} pairs repel each other; weakest: {_describe(worst)}"
    value = worst.rise if np.isfinite(worst.rise) else None
    return GateResult("dimers", not low, value, limits.wall, "eV", text)


def _wall(
    backbone: Backbone,
    pair: tuple[str, str],
    fractions: np.ndarray[tuple[int], np.dtype[np.float64]],
    start: float,
) -> DimerWall:
    contact = float(sum(covalent_radii[atomic_numbers[s]] for s in pair))
    frames = [
        Atoms(pair, [[0, 0, 0], [0, 0, f * contact]], cell=[BOX] * 3, pbc=True)
        for f in fractions
    ]
    return find_wall(pair, fractions.tolist(), backbone.predict(frames), start)


def find_wall(
    pair: tuple[str, str],
    fractions: Sequence[float],
    labels: Sequence[Label],
    start: float,
) -> DimerWall:
    """Walk inwards along a dimer's curve until its energy stops rising.

    Parameters
    ----------
    pair
        Two symbols.
    fractions
        Distances as fractions of the contact, falling.
    labels
        Energy and forces there; the second atom lies along +z of the first.
    start
        Fraction from where on the energy must rise.
    """
    energies = np.array([label.energy for label in labels])
    pushes = np.array([label.forces[1, 2] for label in labels])
    outside = [i for i, f in enumerate(fractions) if f >= WELL]
    bottom = min(outside, key=lambda i: float(energies[i]))
    if bottom == outside[-1]:
        bottom = _follow_down(energies, fractions, bottom)
    first = max(bottom, sum(f > start for f in fractions))
    for i in range(first, len(fractions) - 1):
        rises = energies[i + 1] > energies[i] and pushes[i + 1] > 0
        if not rises:
            rise = float(energies[i] - energies[bottom])
            return DimerWall(pair, rise, fractions[i + 1])
    return DimerWall(pair, float(energies[-1] - energies[bottom]), None)


def _follow_down(
    energies: np.ndarray[tuple[int], np.dtype[np.float64]],
    fractions: Sequence[float],
    bottom: int,
) -> int:
    inner = bottom
    while fractions[inner] >= INNERMOST:
        if inner + 1 == len(fractions) or energies[inner + 1] >= energies[inner]:
            return inner
        inner += 1
    return bottom  # no bottom at all


def _describe(wall: DimerWall) -> str:
    name = "–".join(wall.pair)
    if wall.dip is None:
        return f"{name} rises by {wall.rise:.3g} eV in all"
    return (
        f"{name} rises by {wall.rise:.3g} eV, then attracts at {wall.dip:.2f} of its "
        "covalent contact"
    )


def _measure(
    backbone: Backbone, data: GateData, config: EvaluateConfig
) -> list[GateResult]:
    frames = [data.start, *(item.atoms for item in data.test)]
    elements = {symbol for frame in frames for symbol in frame.get_chemical_symbols()}
    return [gate_dimers(backbone, elements, config.gates.dimers)]


DIMERS: Final = Gate(measure=_measure, words=lambda *_: "repulsion of every pair")
