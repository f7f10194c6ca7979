"""Wall time of MD steps and labels against the number of atoms; exponents."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import units

from fire_core.backbones.base import drives_dynamics, need_dynamics
from fire_core.backbones.repeatable import repeatable
from fire_core.config.steps import DynamicsConfig
from fire_core.exploration.batch import ReplicaBatch
from fire_core.exploration.dynamics import start_states
from fire_core.exploration.noise import noise_of
from fire_core.exploration.parts import PartLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.properties.speed.settings import SpeedConfig
    from fire_core.records import JsonDict


@dataclass(frozen=True, slots=True)
class Timing:
    """How long something took.

    Attributes
    ----------
    n_atoms
        Atoms in all.
    median, low, high
        Median and quartiles of the repeats, s.
    repeats
        How many were timed.
    replicas
        Structures at once.
    """

    n_atoms: int
    median: float
    low: float
    high: float
    repeats: int
    replicas: int = 1

    def as_dict(self) -> JsonDict:
        """Return plain numbers."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """t = prefactor × n^exponent; `error` is the exponent's standard error.

    `error` is None where two points determine the line exactly.
    """

    exponent: float
    error: float | None
    prefactor: float

    def time(self, n_atoms: float) -> float:
        """Return the time of so many atoms, s."""
        return float(self.prefactor * n_atoms**self.exponent)


def repeats_for(atoms: Atoms, n_atoms: int) -> tuple[int, int, int]:
    """Return the supercell nearest to a number of atoms, of those the most cubic.

    Nearest is meant by ratio; the structure itself is the smallest.
    """
    wanted = max(1.0, n_atoms / len(atoms))
    lengths = atoms.cell.lengths()
    most = math.ceil(2 * wanted ** (1 / 3)) + 2
    choices = [
        (i, j, k)
        for i in range(1, most)
        for j in range(1, most)
        for k in range(1, most)
        if 0.5 * wanted <= i * j * k <= 2 * wanted
    ]

    def rank(repeat: tuple[int, int, int]) -> tuple[float, float]:
        sides = lengths * repeat
        off = abs(math.log(math.prod(repeat) / wanted))
        return off + 0.05 * math.log(sides.max() / sides.min()), float(sides.max())

    return min(choices, key=rank)


def time_calls(
    call: Callable[[], Any], *, warm_up: int, repeats: int
) -> tuple[float, float, float]:
    """Return median and quartiles, s, of the calls that follow a warm-up."""
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    low, median, high = np.percentile(times, [25, 50, 75])
    return float(median), float(low), float(high)


def time_dynamics(
    backbone: Backbone,
    atoms: Atoms,
    settings: SpeedConfig,
    *,
    seed: int,
    replicas: int = 1,
) -> Timing:
    """Time single steps of the dynamics that explorations and properties run.

    A step is Langevin's integrator, the neighbour search and one force call; guards
    and writing are left out. On a GPU a step ends when its energies are on the CPU. A
    model that cannot drive those dynamics is timed under ASE's integrator.

    Raises
    ------
    BackboneError
        Such a model was to step several replicas at once.
    """
    config = DynamicsConfig(
        temperatures=(settings.temperature,),
        replicas=replicas,
        timestep=settings.timestep,
    )
    if replicas == 1 and not drives_dynamics(backbone):
        step = _ase_step(backbone, atoms, settings, seed)
        times = time_calls(step, warm_up=settings.warm_up, repeats=settings.repeats)
        return Timing(len(atoms), *times, settings.repeats)
    model = need_dynamics(backbone).batched_model()
    states = start_states([atoms], config, seed)
    noise = {state.replica: noise_of(state, seed, 0) for state in states}
    with repeatable(model.device):
        batch = ReplicaBatch(model, states, PartLimit.of("auto", model.device))
        batch.start()

        def advance() -> None:
            batch.advance(1, config, noise)
            batch.energies.tolist()  # else a device may still be at it

        times = time_calls(advance, warm_up=settings.warm_up, repeats=settings.repeats)
    return Timing(len(atoms) * replicas, *times, settings.repeats, replicas)


def _ase_step(
    backbone: Backbone, atoms: Atoms, settings: SpeedConfig, seed: int
) -> Callable[[], Any]:
    """Return what takes one step of ASE's Langevin dynamics."""
    from ase.md.langevin import Langevin

    moving = atoms.copy()
    moving.calc = backbone.calculator()
    dynamics = Langevin(
        moving,
        settings.timestep * units.fs,
        temperature_K=settings.temperature,
        friction=0.02 / units.fs,
        fixcm=False,
        rng=np.random.default_rng(seed),
    )
    return partial(dynamics.run, 1)


def fit_power_law(timings: Sequence[Timing], *, from_atoms: int = 0) -> PowerLaw | None:
    """Fit a line to logarithms of times and atoms, every point weighted alike.

    None where there are fewer than two sizes of `from_atoms` and more.
    """
    used = [t for t in timings if t.n_atoms >= from_atoms]
    if len({t.n_atoms for t in used}) < 2:
        return None
    x = np.log([t.n_atoms for t in used])
    y = np.log([t.median for t in used])
    design = np.column_stack([x, np.ones(len(x))])
    (slope, offset), *_ = np.linalg.lstsq(design, y, rcond=None)
    error = None
    if len(used) > 2:
        rest = y - design @ (slope, offset)
        variance = float(rest @ rest) / (len(used) - 2)
        error = float(np.sqrt(variance * np.linalg.inv(design.T @ design)[0, 0]))
    return PowerLaw(float(slope), error, float(np.exp(offset)))


def is_too_slow(timings: Sequence[Timing], n_atoms: int, limit: float) -> bool:
    """Return whether one more size takes, by the trend so far, longer than `limit` s.

    With one size alone a linear rise is assumed: small sizes cost their overhead.
    """
    if not timings:
        return False
    law = fit_power_law(timings[-3:])
    if law is not None:
        return law.time(n_atoms) > limit
    last = timings[-1]
    return last.median * n_atoms / last.n_atoms > limit
