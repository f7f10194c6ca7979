"""Hold a model against every gate that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fire_core.errors import StructureError
from fire_core.evaluation.gates.accuracy import (
    gate_drift,
    gate_errors,
    gate_forgetting,
)
from fire_core.evaluation.gates.dimers import gate_dimers
from fire_core.evaluation.gates.elastic import gate_elastic
from fire_core.evaluation.gates.reload import gate_reload
from fire_core.evaluation.gates.survival import gate_compression, gate_heating
from fire_core.progress import tracked
from fire_core.records import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.backbones.trainable import Trainable
    from fire_core.config.steps import EvaluateConfig
    from fire_core.records import GateResult, LabelledStructure


OF_CELL: Final = (Gate.COMPRESSION, Gate.BULK_MODULUS, Gate.SHEAR)


@dataclass(frozen=True, slots=True, eq=False)
class GateData:
    """What a model is held against.

    Attributes
    ----------
    test
        Labelled structures that it was not trained on.
    heldout
        Pre-training structures that nobody trained on.
    parent
        The foundation model that it was fine-tuned from.
    start
        The system, to move and strain.
    temperature
        The hottest of the campaign's dynamics, K.
    seed
        Source of every velocity and kick.
    """

    test: Sequence[LabelledStructure]
    heldout: Sequence[LabelledStructure]
    parent: Backbone
    start: Atoms
    temperature: float
    seed: int


def run_gates(
    backbone: Trainable,
    data: GateData,
    config: EvaluateConfig,
    *,
    gates: Collection[Gate] = tuple(Gate),
    say: Callable[[str], None] = lambda _: None,
) -> list[GateResult]:
    """Return the results of the gates asked for, in the order of `Gate`.

    `say` hears what is being measured.

    Raises
    ------
    StructureError
        A gate that strains the cell is asked for, and the system is not periodic.
    """
    of_cell = [gate for gate in gates if gate in OF_CELL]
    if of_cell and not data.start.pbc.all():
        msg = (
            f"the gates {', '.join(of_cell)} strain the cell, but the system "
            f"({data.start.get_chemical_formula()}) is not periodic in all directions; "
            "leave them out of evaluate.gates.required in the campaign file and run "
            "the campaign again"
        )
        raise StructureError(msg)
    results = []
    missing = [
        (members & set(gates), words, measure)
        for members, words, measure in _measurements(backbone, data, config)
        if members & set(gates)
    ]
    for wanted, words, measure in tracked(missing, "Gates"):
        say(words)
        results += [r for r in measure() if r.name in wanted]
    order = list(Gate)
    return sorted(results, key=lambda result: order.index(result.name))


def _measurements(
    backbone: Trainable, data: GateData, config: EvaluateConfig
) -> list[tuple[set[Gate], str, Callable[[], list[GateResult]]]]:
    limits, start, seed = config.gates, data.start, data.seed
    survival, hot = limits.survival, data.temperature
    frames = [start, *(item.atoms for item in data.test)]
    elements = {symbol for frame in frames for symbol in frame.get_chemical_symbols()}
    return [
        (
            {Gate.ENERGY_ERROR, Gate.FORCE_ERROR},
            f"errors on {len(data.test)} test structures",
            lambda: gate_errors(backbone, data.test, limits),
        ),
        (
            {Gate.FORGETTING},
            f"forgetting on {len(data.heldout)} held-out structures",
            lambda: [gate_forgetting(backbone, data.parent, data.heldout, limits)],
        ),
        (
            {Gate.NVE_DRIFT},
            f"{config.stability.steps} steps at constant energy",
            lambda: [gate_drift(backbone, start, config.stability, seed)],
        ),
        (
            {Gate.HEATING},
            f"{survival.steps} steps heated",
            lambda: [gate_heating(backbone, start, survival, hot, seed)],
        ),
        (
            {Gate.COMPRESSION},
            f"{survival.steps} steps compressed",
            lambda: [gate_compression(backbone, start, survival, hot, seed)],
        ),
        (
            {Gate.DIMERS},
            "repulsion of every pair",
            lambda: [gate_dimers(backbone, elements, limits.dimers)],
        ),
        (
            {Gate.BULK_MODULUS, Gate.SHEAR},
            "elasticity",
            lambda: gate_elastic(backbone, start, limits.elastic),
        ),
        (
            {Gate.RELOAD},
            "the file, loaded again",
            lambda: [gate_reload(backbone, [i.atoms for i in data.test] or [start])],
        ),
    ]
