"""A gate on the sum of all forces, which vanishes in a system without a field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.config.base import Part, Positive
from fire_core.evaluation.gates.gate import Gate, at_most

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.config.steps import EvaluateConfig
    from fire_core.evaluation.gates.gate import GateData
    from fire_core.records import GateResult


class NetForceLimits(Part):
    """What a campaign file may say under `evaluate.gates.others.net_force`."""

    force: Positive = 1.0
    """Largest component of the mean force, meV/Å."""


def measure(
    backbone: Backbone, data: GateData, config: EvaluateConfig
) -> list[GateResult]:
    """Return the largest component of the mean force on the system."""
    (label,) = backbone.predict([data.start])
    net = 1e3 * float(np.abs(label.forces.mean(axis=0)).max())
    limit = config.gates.limits_of("net_force", NetForceLimits).force
    return [at_most("net_force", net, limit, "meV/Å", "mean force on the system")]


GATE = Gate(
    measure=measure,
    words=lambda *_: "the sum of the forces",
    limits=NetForceLimits,
)
