"""Check a model against every gate that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.config.open_sets import GATES
from fire_core.errors import ExtensionError, StructureError
from fire_core.evaluation.gates.gate import Need
from fire_core.progress import tracked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from fire_core.backbones.base import Backbone
    from fire_core.config.steps import EvaluateConfig
    from fire_core.evaluation.gates.gate import Gate, GateData
    from fire_core.records import GateResult


def run_gates(
    backbone: Backbone,
    data: GateData,
    config: EvaluateConfig,
    *,
    gates: Collection[str] = tuple(GATES.builtin),
    say: Callable[[str], None] = lambda _: None,
) -> list[GateResult]:
    """Return the results of the gates asked for, in the order of `sort_results`.

    `say` hears what is being measured.

    Raises
    ------
    StructureError
        A gate needs what is not there, such as a periodic cell.
    ExtensionError
        There is no gate of a name, or it gave no result of that name.
    """
    wanted = {name: GATES.load(name) for name in GATES.names() if name in gates}
    wanted |= {name: GATES.load(name) for name in gates if name not in wanted}
    _refuse_lacking(wanted, data)
    results = []
    for gate in tracked(list(dict.fromkeys(wanted.values())), "Gates"):
        say(gate.words(data, config))
        measured = gate.measure(backbone, data, config)
        results += [result for result in measured if result.name in wanted]
    missing = wanted.keys() - {result.name for result in results}
    if missing:
        msg = (
            f"expected a result of the gates {', '.join(sorted(missing))}, got none; "
            "results must have the name under which their gate is registered"
        )
        raise ExtensionError(msg)
    return sort_results(results)


def sort_results(results: Iterable[GateResult]) -> list[GateResult]:
    """Return results in the order of `GATES`; those of gates that are gone last."""
    place = {name: number for number, name in enumerate(GATES.names())}
    return sorted(results, key=lambda result: place.get(result.name, len(place)))


def _refuse_lacking(wanted: dict[str, Gate], data: GateData) -> None:
    for need in Need:
        names = [name for name, gate in wanted.items() if need in gate.needs]
        if names and not data.has(need):
            msg = (
                f"expected {need} for the gates {', '.join(names)}, but "
                f"{data.start.get_chemical_formula()} comes without; leave them out of "
                "evaluate.gates.required in the campaign file and run the campaign "
                "again"
            )
            raise StructureError(msg)
