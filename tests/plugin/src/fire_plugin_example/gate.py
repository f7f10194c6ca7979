"""A gate on the sum of all forces, which vanishes in a system without a field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.evaluation.gates.gate import Gate, at_most

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.config.steps import EvaluateConfig
    from fire_core.evaluation.gates.gate import GateData
    from fire_core.records import GateResult

LIMIT = 1.0  # meV/Å for each atom


def measure(
    backbone: Backbone, data: GateData, _config: EvaluateConfig
) -> list[GateResult]:
    """Return the largest component of the mean force on the system."""
    (label,) = backbone.predict([data.start])
    net = 1e3 * float(np.abs(label.forces.mean(axis=0)).max())
    return [at_most("net_force", net, LIMIT, "meV/Å", "mean force on the system")]


GATE = Gate(measure=measure, words=lambda *_: "the sum of the forces")
