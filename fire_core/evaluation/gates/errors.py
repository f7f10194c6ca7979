"""Gates on energy and force errors against labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.gates.gate import Gate, Need, at_most

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.backbones.base import Backbone
    from fire_core.config.gates import GatesConfig
    from fire_core.records import GateResult, LabelledStructure


def gate_errors(
    backbone: Backbone, test: Sequence[LabelledStructure], limits: GatesConfig
) -> list[GateResult]:
    """Check energy and force RMSE on labelled test structures against their limits."""
    errors = summarise_errors(backbone.predict([item.atoms for item in test]), test)
    number = f"{errors.n_structures} test structures"
    return [
        at_most(
            "energy_error",
            errors.energy_rmse,
            limits.energy_rmse,
            "meV/atom",
            f"energy RMSE on {number}",
        ),
        at_most(
            "force_error",
            errors.force_rmse,
            limits.force_rmse,
            "meV/Å",
            f"force RMSE on {number}",
        ),
    ]


ERRORS: Final = Gate(
    measure=lambda backbone, data, config: gate_errors(
        backbone, data.test, config.gates
    ),
    words=lambda data, _: f"errors on {len(data.test)} test structures",
    needs=frozenset({Need.TEST}),
)
