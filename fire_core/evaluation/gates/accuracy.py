"""Gates on errors against labels, on what was forgotten, and on energy conservation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.evaluation.stability import run_nve
from fire_core.records import Gate, GateResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.config.gates import GatesConfig
    from fire_core.config.steps import StabilityConfig
    from fire_core.records import LabelledStructure


def gate_errors(
    backbone: Backbone, test: Sequence[LabelledStructure], limits: GatesConfig
) -> list[GateResult]:
    """Hold energy and force RMSE on labelled test structures against their limits."""
    errors = summarise_errors(backbone.predict([item.atoms for item in test]), test)
    number = f"{errors.n_structures} test structures"
    return [
        _at_most(
            Gate.ENERGY_ERROR,
            errors.energy_rmse,
            limits.energy_rmse,
            "meV/atom",
            f"energy RMSE on {number}",
        ),
        _at_most(
            Gate.FORCE_ERROR,
            errors.force_rmse,
            limits.force_rmse,
            "meV/Å",
            f"force RMSE on {number}",
        ),
    ]


def gate_forgetting(
    backbone: Backbone,
    parent: Backbone,
    heldout: Sequence[LabelledStructure],
    limits: GatesConfig,
) -> GateResult:
    """Compare force MAE on held-out pre-training data with the parent's."""
    before = measure_forgetting(parent, heldout).force_mae
    after = measure_forgetting(backbone, heldout).force_mae
    return _at_most(
        Gate.FORGETTING,
        _ratio(after, before),
        limits.forgetting,
        "× parent's",
        f"force MAE on {len(heldout)} held-out pre-training structures {after:.4g} "
        f"meV/Å after {before:.4g}:",
    )


def gate_drift(
    backbone: Backbone, atoms: Atoms, stability: StabilityConfig, seed: int
) -> GateResult:
    """Hold the drift of a constant-energy run against its limit."""
    run = run_nve(backbone, atoms, stability, seed)
    length = f"{stability.steps} steps at constant energy"
    if not run.completed:
        return GateResult(
            Gate.NVE_DRIFT,
            False,
            None,
            stability.max_drift,
            "meV/atom/ps",
            f"exploded after {run.times[-1]:g} fs of {length}",
        )
    return _at_most(
        Gate.NVE_DRIFT,
        run.drift_mev_per_atom_per_ps,
        stability.max_drift,
        "meV/atom/ps",
        f"drift of the total energy in {length}",
    )


def _ratio(after: float, before: float) -> float:
    if before > 0:
        return after / before
    return float("inf") if after > 0 else 1.0


def _at_most(
    gate: Gate, value: float, limit: float, unit: str, what: str
) -> GateResult:
    if not np.isfinite(value):
        text = f"{what} is not a finite number (limit {limit:g} {unit})"
        return GateResult(gate, False, None, limit, unit, text)
    passed = bool(value <= limit)
    sign = "≤" if passed else "above"
    text = f"{what} {value:.4g} {unit}, {sign} {limit:g}"
    return GateResult(gate, passed, float(value), limit, unit, text)
