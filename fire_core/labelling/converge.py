"""Convergence of a theory level: which settings reach a wanted precision.

One setting is scanned at a time, the others stay; the finest value is the reference.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from ase.units import GPa

from fire_core.config.base import TheorySettings
from fire_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fire_core.records import Label

Settings = TypeVar("Settings", bound=TheorySettings)

ENERGY_MEV: Final = 1.0
FORCE_MEV: Final = 5.0
STRESS_GPA: Final = 0.1


@dataclass(frozen=True, slots=True)
class Step:
    """One value of a scan.

    Attributes
    ----------
    energy_mev
        |E − E of the finest| for each atom, meV.
    force_mev
        Largest |F − F of the finest| of a component, meV/Å.
    stress_gpa
        Largest |σ − σ of the finest| of a component, GPa; None: a label has no stress.
        Plane waves want more for it than for energies and forces, as their number is
        held while the cell is strained (Francis and Payne, J. Phys.: Condens. Matter 2
        (1990) 4395).
    """

    setting: str
    value: float
    energy_mev: float
    force_mev: float
    stress_gpa: float | None = None

    @property
    def is_enough(self) -> bool:
        """Whether energy, forces and, where there is one, stress are near enough."""
        return (
            self.energy_mev <= ENERGY_MEV
            and self.force_mev <= FORCE_MEV
            and (self.stress_gpa is None or self.stress_gpa <= STRESS_GPA)
        )

    @property
    def fails_by_stress_alone(self) -> bool:
        """Whether it would be enough for training on energies and forces."""
        return not self.is_enough and replace(self, stress_gpa=None).is_enough


def scan_theory(
    theory: Settings, setting: str, values: Sequence[float]
) -> dict[float, Settings]:
    """Return the theory with each value of a setting, coarsest first.

    ESPRESSO's density cutoff keeps its ratio to a scanned `cutoff`.

    Raises
    ------
    ConfigError
        The theory has no such setting that can be scanned, or one value is no scan.
    """
    finer = theory.scanned
    known = [name for name in finer if name in type(theory).model_fields]
    if setting not in known:
        msg = f"expected a setting out of {', '.join(known)}, got {setting!r}"
        if not known:
            msg = f"a theory level of kind {theory.kind} has no setting to scan"
        raise ConfigError(msg)
    ordered = sorted(set(values), reverse=not finer[setting])
    if len(ordered) < 2:
        msg = f"expected at least two values of {setting}, got {list(values)}"
        raise ConfigError(msg)
    return {value: _with(theory, setting, value) for value in ordered}


def _with(theory: Settings, setting: str, value: float) -> Settings:
    changed = theory.model_dump() | {setting: value}
    if setting == "cutoff" and "density_cutoff" in changed:
        changed["density_cutoff"] *= value / theory.model_dump()["cutoff"]
    return type(theory).model_validate(changed)


def judge_scan(setting: str, labels: Mapping[float, Label]) -> list[Step]:
    """Compare each value's label with the finest one, the last of the mapping."""
    finest = list(labels.values())[-1]
    return [
        Step(
            setting,
            value,
            1e3 * abs(label.energy - finest.energy) / len(finest.forces),
            1e3 * float(np.abs(label.forces - finest.forces).max()),
            _stress_distance(label, finest),
        )
        for value, label in labels.items()
    ]


def _stress_distance(label: Label, finest: Label) -> float | None:
    """Return the largest difference of a component, GPa."""
    if label.stress is None or finest.stress is None:
        return None
    return float(np.abs(label.stress - finest.stress).max() / GPa)


def coarsest_enough(steps: Sequence[Step]) -> Step | None:
    """Return the coarsest value from which on every finer one is enough.

    None where only the finest itself is, which proves nothing.
    """
    found: Step | None = None
    for step in reversed(steps[:-1]):
        if not step.is_enough:
            break
        found = step
    return found
