"""Gate on what was forgotten of the pre-training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.evaluation.gates.gate import Gate, Need, at_most

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.backbones.base import Backbone
    from fire_core.config.gates import GatesConfig
    from fire_core.config.steps import EvaluateConfig
    from fire_core.evaluation.gates.gate import GateData
    from fire_core.records import GateResult, LabelledStructure


def gate_forgetting(
    backbone: Backbone,
    parent: Backbone,
    heldout: Sequence[LabelledStructure],
    limits: GatesConfig,
) -> GateResult:
    """Compare force MAE on held-out pre-training data with the parent's."""
    before = measure_forgetting(parent, heldout).force_mae
    after = measure_forgetting(backbone, heldout).force_mae
    return at_most(
        "forgetting",
        _ratio(after, before),
        limits.forgetting,
        "× parent's",
        f"force MAE on {len(heldout)} held-out pre-training structures {after:.4g} "
        f"meV/Å after {before:.4g}:",
    )


def _ratio(after: float, before: float) -> float:
    if before > 0:
        return after / before
    return float("inf") if after > 0 else 1.0


def _measure(
    backbone: Backbone, data: GateData, config: EvaluateConfig
) -> list[GateResult]:
    if data.parent is None:  # `needs` has it: told before anything is measured
        return []
    return [gate_forgetting(backbone, data.parent, data.heldout, config.gates)]


FORGETTING: Final = Gate(
    measure=_measure,
    words=lambda data, _: f"forgetting on {len(data.heldout)} held-out structures",
    needs=frozenset({Need.PARENT, Need.HELD_OUT}),
)
