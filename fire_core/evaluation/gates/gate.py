"""What a gate is, and what a model is held against."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from fire_core.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.config.base import Part
    from fire_core.config.steps import EvaluateConfig
    from fire_core.records import LabelledStructure


class Need(StrEnum):
    """What a gate cannot do without, in words."""

    TEST = "labelled test structures"
    HELD_OUT = "held-out pre-training structures"
    PARENT = "the model that this one was fine-tuned from"
    PERIODIC = "a system that is periodic in all directions"


@dataclass(frozen=True, slots=True, eq=False)
class GateData:
    """What a model is held against.

    Attributes
    ----------
    test
        Labelled structures that it was not trained on; may be empty.
    heldout
        Pre-training structures that nobody trained on; may be empty.
    parent
        The foundation model that it was fine-tuned from; None: it is not known.
    start
        The system, to move and strain.
    temperature
        The hottest of the campaign's dynamics, K.
    seed
        Source of every velocity and kick.
    """

    test: Sequence[LabelledStructure]
    heldout: Sequence[LabelledStructure]
    parent: Backbone | None
    start: Atoms
    temperature: float
    seed: int

    def has(self, need: Need) -> bool:
        """Return whether something that a gate needs is there."""
        return {
            Need.TEST: len(self.test) > 0,
            Need.HELD_OUT: len(self.heldout) > 0,
            Need.PARENT: self.parent is not None,
            Need.PERIODIC: bool(self.start.pbc.all()),
        }[need]


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """A check that a model passes before it is promoted.

    `config.open_sets.GATES` gives it its name. Where one measurement answers for
    several gates, their names lead to the same record, which is measured once.

    Attributes
    ----------
    measure
        Returns a result for each of its names; the limits are in the configuration.
    words
        What is being measured, for whoever waits.
    needs
        What it cannot do without.
    limits
        Of a gate of another package: what a campaign file says of it under
        `evaluate.gates.others`, which `GatesConfig.limits_of` returns; None: nothing.
    """

    measure: Callable[[Backbone, GateData, EvaluateConfig], list[GateResult]]
    words: Callable[[GateData, EvaluateConfig], str]
    needs: frozenset[Need] = frozenset()
    limits: type[Part] | None = None


def at_most(gate: str, value: float, limit: float, unit: str, what: str) -> GateResult:
    """Return the result of a gate whose value must not exceed a limit.

    Parameters
    ----------
    gate
        Its name.
    value, limit
        In `unit`; a value that is not finite does not pass.
    unit
        As text.
    what
        Begins the sentence of the verdict.
    """
    if not np.isfinite(value):
        text = f"{what} is not a finite number (limit {limit:g} {unit})"
        return GateResult(gate, False, None, limit, unit, text)
    passed = bool(value <= limit)
    sign = "≤" if passed else "above"
    text = f"{what} {value:.4g} {unit}, {sign} {limit:g}"
    return GateResult(gate, passed, float(value), limit, unit, text)
