"""Gates on survival: the system heated, and compressed, under the guards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fire_core.backbones.base import need_dynamics
from fire_core.config.steps import DynamicsConfig
from fire_core.evaluation.gates.gate import Gate, Need
from fire_core.exploration.dynamics import run_segment, start_states
from fire_core.records import GateResult, StopReason

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.config.gates import SurvivalConfig

LOOK = 10  # MD steps between two looks of the guards
WORDS = {
    StopReason.TOO_CLOSE: "two atoms came too close",
    StopReason.TOO_HOT: "it exploded (too hot)",
    StopReason.LOST_ATOM: "an atom was lost",
    StopReason.NOT_FINITE: "it exploded (forces that are not finite)",
    StopReason.ENERGY_DRIFT: "its potential energy ran away",
    StopReason.VOLUME: "its volume ran away",
    StopReason.UNCERTAIN: "the model did not trust its forces",
}


@dataclass(frozen=True, slots=True)
class _Run:
    gate: str
    what: str
    temperature: float


def gate_heating(
    backbone: Backbone,
    atoms: Atoms,
    limits: SurvivalConfig,
    temperature: float,
    seed: int,
) -> GateResult:
    """Heat the system beyond `temperature` (K), its campaign's hottest."""
    hot = max(temperature, min(limits.heating * temperature, limits.hottest))
    run = _Run("heating", f"heated to {hot:g} K", hot)
    return _survive(backbone, atoms, limits, run, seed)


def gate_compression(
    backbone: Backbone,
    atoms: Atoms,
    limits: SurvivalConfig,
    temperature: float,
    seed: int,
) -> GateResult:
    """Take a part of the volume away and run at `temperature` (K)."""
    small = atoms.copy()
    scale = (1 - limits.compression) ** (1 / 3)
    small.set_cell(small.cell.array * scale, scale_atoms=True)
    what = f"compressed by {100 * limits.compression:g} % at {temperature:g} K"
    run = _Run("compression", what, temperature)
    return _survive(backbone, small, limits, run, seed)


def _survive(
    backbone: Backbone, atoms: Atoms, limits: SurvivalConfig, run: _Run, seed: int
) -> GateResult:
    config = DynamicsConfig(
        temperatures=(run.temperature,),
        replicas=1,
        steps=limits.steps,
        timestep=limits.timestep,
        friction=limits.friction,
        save_every=LOOK,
        segment=limits.steps,
        guards=limits.guards.model_copy(
            update={"on_breach": "stop", "max_uncertainty": None}
        ),
    )
    ended = run_segment(
        need_dynamics(backbone),
        start_states([atoms], config, seed),
        config,
        segment_index=0,
        seed=seed,
        model_sha=backbone.sha256,
    )
    survived = ended.frames[-1].tag.step if ended.frames else 0
    reason = ended.stopped.get(0)
    text = f"{run.what}: survived {survived} of {limits.steps} steps"
    if reason is not None:
        text += f", then {WORDS[reason]}"
    return GateResult(
        run.gate, reason is None, float(survived), limits.steps, "steps", text
    )


HEATING: Final = Gate(
    measure=lambda backbone, data, config: [
        gate_heating(
            backbone, data.start, config.gates.survival, data.temperature, data.seed
        )
    ],
    words=lambda _, config: f"{config.gates.survival.steps} steps heated",
)
COMPRESSION: Final = Gate(
    measure=lambda backbone, data, config: [
        gate_compression(
            backbone, data.start, config.gates.survival, data.temperature, data.seed
        )
    ],
    words=lambda _, config: f"{config.gates.survival.steps} steps compressed",
    needs=frozenset({Need.PERIODIC}),
)
