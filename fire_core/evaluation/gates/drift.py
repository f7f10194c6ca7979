"""Gate on the conservation of energy in a run at constant energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fire_core.evaluation.gates.gate import Gate, at_most
from fire_core.evaluation.stability import run_nve
from fire_core.records import GateResult

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.config.steps import StabilityConfig


def gate_drift(
    backbone: Backbone, atoms: Atoms, stability: StabilityConfig, seed: int
) -> GateResult:
    """Check the drift of a constant-energy run against its limit."""
    run = run_nve(backbone, atoms, stability, seed)
    length = f"{stability.steps} steps at constant energy"
    if not run.completed:
        return GateResult(
            "nve_drift",
            False,
            None,
            stability.max_drift,
            "meV/atom/ps",
            f"exploded after {run.times[-1]:g} fs of {length}",
        )
    return at_most(
        "nve_drift",
        run.drift_mev_per_atom_per_ps,
        stability.max_drift,
        "meV/atom/ps",
        f"drift of the total energy in {length}",
    )


NVE_DRIFT: Final = Gate(
    measure=lambda backbone, data, config: [
        gate_drift(backbone, data.start, config.stability, data.seed)
    ],
    words=lambda _, config: f"{config.stability.steps} steps at constant energy",
)
