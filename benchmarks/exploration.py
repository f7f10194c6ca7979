"""Speed of exploration's dynamics beside ASE's Langevin with MACE's calculator.

``python -m benchmarks.exploration [--quick] [--device cpu|cuda]``. Both drive rock-salt
LiCl, 64 atoms, 300 K, by the same file of fire-mini in single precision on one device:
FIRE all replicas in batches, with guards, saved frames and segments as in a campaign;
ASE one trajectory after another. They take turns; the median turn counts. That both
sample the same ensemble is judged by the mean temperature and by mean and variance of
the potential energy, with errors over blocks of independent trajectories; ``--quick``
is too short for that.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import units
from ase.build import bulk
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta

from fire_core.backbones.assets import bundled_model
from fire_core.backbones.device import describe_device
from fire_core.backbones.registry import load_backbone
from fire_core.config.steps import DynamicsConfig
from fire_core.exploration.dynamics import run_segment, start_states
from fire_core.exploration.guards import kinetic_temperature

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.backbones.base import Backbone

TEMPERATURE: Final = 300.0  # K
TIMESTEP: Final = 2.0  # fs
FRICTION: Final = 0.02  # 1/fs
TARGETS: Final = {"cpu": 1.0, "cuda": 10.0}
AGREE: Final = 4.0
"""Standard errors that two means may differ by."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is run: `steps` of each replica or trajectory in each turn."""

    replicas: int
    trajectories: int
    turns: int
    steps: int
    equilibration: int
    every: int = 20


FULL = {
    "cpu": Size(replicas=12, trajectories=4, turns=4, steps=100, equilibration=160),
    "cuda": Size(replicas=64, trajectories=4, turns=10, steps=200, equilibration=400),
}
QUICK = {
    "cpu": Size(replicas=8, trajectories=1, turns=2, steps=20, equilibration=0),
    "cuda": Size(replicas=64, trajectories=1, turns=3, steps=40, equilibration=0),
}


class Ours:
    """Replicas in batches, one segment after another."""

    def __init__(self, backbone: Backbone, atoms: Atoms, size: Size) -> None:
        self.backbone = Timed(backbone)
        self.config = DynamicsConfig(
            temperatures=(TEMPERATURE,),
            replicas=size.replicas,
            steps=size.turns * size.steps + size.equilibration + size.every,
            segment=size.every,
            save_every=size.every // 4,
            timestep=TIMESTEP,
            friction=FRICTION,
        )
        self.states = start_states([atoms], self.config, seed=1)
        self.index = 0
        self.samples: list[list[tuple[float, float]]] = [[] for _ in self.states]

    def run(self, steps: int) -> int:
        """Take so many steps of every replica; return the atom-steps."""
        for _ in range(steps // self.config.segment):
            result = run_segment(
                self.backbone,
                self.states,
                self.config,
                segment_index=self.index,
                seed=1,
                model_sha="benchmark",
            )
            if result.breaches:
                msg = f"a guard spoke in a crystal at 300 K: {result.breaches}"
                raise RuntimeError(msg)
            self.states, self.index = result.states, self.index + 1
            for sample, state in zip(self.samples, self.states, strict=True):
                heat = kinetic_temperature(state.momenta, state.masses)
                sample.append((heat, state.energy))
        return steps * sum(len(s.numbers) for s in self.states)


class Timed:
    """A backbone that adds up the seconds spent in its model."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone, self.elements = backbone, backbone.elements
        self.seconds = [0.0]

    def batched_model(self, *, stress: bool = False) -> Any:
        """Return the model, whose layers are timed on a CPU."""
        model = self.backbone.batched_model(stress=stress)
        inner, seconds = model.model, self.seconds

        class Layers:
            """The network; everything but calling it is passed on."""

            def __getattr__(self, name: str) -> Any:
                return getattr(inner, name)

            def __call__(self, *args: Any, **options: Any) -> Any:
                start = time.perf_counter()
                output = inner(*args, **options)
                seconds[0] += time.perf_counter() - start
                return output

        model.model = Layers()
        return model


class Theirs:
    """ASE trajectories of MACE's own calculator, one after another."""

    def __init__(self, device: str, atoms: Atoms, size: Size) -> None:
        from mace.calculators import MACECalculator

        calculator = MACECalculator(
            model_paths=[str(bundled_model())], device=device, default_dtype="float32"
        )
        self.every = size.every
        self.runs: list[tuple[Atoms, Langevin]] = []
        for seed in range(size.trajectories):
            moving = atoms.copy()
            moving.calc = calculator
            rng = np.random.default_rng(seed)
            thermalize_momenta(moving, TEMPERATURE, rng=rng)
            dynamics = Langevin(
                moving,
                TIMESTEP * units.fs,
                temperature_K=TEMPERATURE,
                friction=FRICTION / units.fs,
                fixcm=False,  # all 3 N degrees of freedom, as ours
                rng=rng,
            )
            self.runs.append((moving, dynamics))
        self.samples: list[list[tuple[float, float]]] = [[] for _ in self.runs]

    def run(self, steps: int) -> int:
        """Take so many steps of every trajectory; return the atom-steps."""
        for (atoms, dynamics), sample in zip(self.runs, self.samples, strict=True):
            for _ in range(steps // self.every):
                dynamics.run(self.every)
                momenta = atoms.get_momenta()
                heat = kinetic_temperature(momenta, atoms.get_masses())
                sample.append((heat, float(atoms.get_potential_energy())))
        return steps * sum(len(atoms) for atoms, _ in self.runs)


def measure(device: str, size: Size) -> dict[str, Any]:
    """Run both in turns; return speeds, their ratio and the physics of both."""
    backbone = load_backbone("fire-mini", device=device, dtype="float32")
    atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True).repeat(2)
    sides = {
        "fire": Ours(backbone, atoms, size),
        "ase": Theirs(device, atoms, size),
    }
    for side in sides.values():  # compile, fill caches, reach the temperature
        side.run(size.equilibration or size.every)
        side.samples = [[] for _ in side.samples]
    inside = sides["fire"].backbone.seconds  # type: ignore[union-attr]
    inside[0], total = 0.0, 0.0
    speeds: dict[str, list[float]] = {who: [] for who in sides}
    cpu: dict[str, list[float]] = {who: [] for who in sides}
    for _ in range(size.turns):
        for who, side in sides.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            done = side.run(size.steps)
            seconds = time.perf_counter() - start
            speeds[who].append(done / seconds)
            cpu[who].append(done / (time.process_time() - start_cpu))
            total += seconds if who == "fire" else 0.0
    median = {who: float(np.median(values)) for who, values in speeds.items()}
    per_cpu = {who: float(np.median(values)) for who, values in cpu.items()}
    physics = {
        who: describe(np.array(side.samples), len(atoms)) for who, side in sides.items()
    }
    return {
        "device": describe_device(backbone.batched_model().device),
        "replicas": size.replicas,
        "atoms": len(atoms),
        "atom_steps_per_second": median,
        "atom_steps_per_cpu_second": per_cpu,
        # a GPU's calls return before it is done
        "outside_the_network": 1 - inside[0] / total if device == "cpu" else None,
        "physics": physics,
        "differences": agreement(physics) if size.equilibration else None,
        "target": TARGETS[device],
        "ratio_of_cpu_time": per_cpu["fire"] / per_cpu["ase"],
        "ratio": median["fire"] / median["ase"],
    }


def describe(samples: NDArray[np.float64], n_atoms: int) -> dict[str, Any]:
    """Return means with their standard errors over blocks.

    Parameters
    ----------
    samples
        (n_trajectories, n_samples, 2), kinetic temperature in K and potential energy
        in eV. Few trajectories are cut into four blocks, many into two.
    n_atoms
        Number of atoms.
    """
    n_runs, n_samples, _ = samples.shape
    n_blocks = max(1, min(n_samples, 2 if n_runs >= 8 else 4))
    length = n_samples // n_blocks
    blocks = samples[:, : n_blocks * length].reshape(-1, length, 2)
    energies = 1000 * blocks[..., 1] / n_atoms
    squares = n_atoms * (energies - energies.mean()) ** 2
    columns = {
        "temperature_K": blocks[..., 0],
        "energy_mev_per_atom": energies,
        "n_times_energy_variance_mev2": squares,
    }
    return {
        name: [float(v.mean()), float(v.mean(axis=1).std(ddof=1) / np.sqrt(len(v)))]
        for name, v in columns.items()
    }


def agreement(physics: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return differences of the two sides in standard errors."""
    ours, theirs = physics["fire"], physics["ase"]
    return {
        name: abs(ours[name][0] - theirs[name][0])
        / float(np.hypot(ours[name][1], theirs[name][1]))
        for name in ours
    }


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.exploration", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--replicas", type=int, help="instead of 12, or 64 on a GPU")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # torch's and e3nn's notes on old calls
    size = (QUICK if arguments.quick else FULL)[arguments.device]
    if arguments.replicas:
        size = replace(size, replicas=arguments.replicas)
    figures = measure(arguments.device, size)
    print(
        f"LiCl, {figures['atoms']} atoms, fire-mini, {figures['device']}; "
        f"{figures['replicas']} replicas"
    )
    for who, speed in figures["atom_steps_per_second"].items():
        parts = [
            f"{name} {mean:.2f} ± {error:.2f}"
            for name, (mean, error) in figures["physics"][who].items()
        ]
        print(f"{who:5s} {speed:9.0f} atom-steps/s   " + "   ".join(parts))
    if figures["differences"] is None:
        print("too short to compare the physics")
    else:
        worst = max(figures["differences"].values())
        word = "agree" if worst <= AGREE else "DISAGREE"
        print(f"largest difference {worst:.1f} standard errors: they {word}")
    print(f"ratio {figures['ratio']:.2f}, target {figures['target']:g}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
