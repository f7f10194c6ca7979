"""Build the six interfaces, picture them, and run a picosecond of guarded dynamics.

    python -m benchmarks.systems [--quick] [--only NAME …] [--pictures FOLDER]

Each interface is built from its preset, relaxed shortly at fixed cell (FIRE, forces to
`RELAXED` or `RELAX_STEPS` steps) and heated from `GENTLE` K to 300 K; then a picosecond
at 300 K with FIRE's guarded Langevin dynamics, driven by fire-mini. The second last
column of the table is the least distance of two atoms over the sum of their covalent
radii at the end. `--quick`: two small interfaces for 0.1 ps.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ase import Atoms
from ase.optimize import FIRE

from fire_core.backbones.registry import load_backbone
from fire_core.config.interfaces import SIX, expand_system
from fire_core.config.steps import DynamicsConfig
from fire_core.config.system import InterfaceSystem
from fire_core.exploration.dynamics import run_segment, start_states
from fire_core.exploration.guards import kinetic_temperature
from fire_core.report.pictures import draw_structure
from fire_core.structures.interfaces import examine_interface
from fire_core.structures.sanity import min_distance_ratio

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.exploration.states import ReplicaState

TEMPERATURE: Final = 300.0
GENTLE: Final = 100.0
GENTLE_STEPS: Final = 50
TIMESTEP: Final = 2.0  # fs
RELAXED: Final = 0.5  # eV/Å
RELAX_STEPS: Final = 40
SEGMENT: Final = 50
QUICK: Final = ("licl-gaf3", "li2co3-lif")


@dataclass(frozen=True, slots=True)
class Run:
    """One interface, built and run."""

    name: str
    atoms: int
    strain_percent: float
    polar: str
    relax_steps: int
    start_force: float
    survived_ps: float
    temperature: float
    distance_ratio: float
    stopped: str
    seconds: float


def run_system(
    name: str, backbone: Backbone, picoseconds: float, pictures: Path | None
) -> Run:
    """Return what became of one interface."""
    begin = time.perf_counter()
    system = InterfaceSystem.model_validate(expand_system({"preset": name}))
    built = examine_interface(system)
    sides = (built.bottom, built.top)
    if pictures is not None:
        labels = tuple(f"{s.config.crystal} {s.config.miller}" for s in sides)
        draw_structure(
            built.atoms,
            pictures / f"{name}.png",
            title=f"{name}, {len(built.atoms)} atoms",
            labels=(labels[0], labels[1]),
        )
    start, start_force, steps = relax(built.atoms, backbone)
    states, reason = advance(start, backbone, picoseconds)
    end = states[0]
    atoms = Atoms(end.numbers, end.positions, cell=end.cell, pbc=end.pbc)
    return Run(
        name=name,
        atoms=len(built.atoms),
        strain_percent=round(100 * built.match.strain, 2),
        polar=" ".join(s.config.crystal for s in sides if s.polarity.is_polar) or "-",
        relax_steps=steps,
        start_force=round(start_force, 1),
        survived_ps=round(end.step * TIMESTEP / 1000, 3),
        temperature=round(kinetic_temperature(end.momenta, end.masses), 0),
        distance_ratio=round(min_distance_ratio(atoms), 2),
        stopped=reason,
        seconds=round(time.perf_counter() - begin, 0),
    )


def relax(atoms: Atoms, backbone: Backbone) -> tuple[Atoms, float, int]:
    """Return a shortly relaxed copy, the largest force before, and steps taken."""
    moving = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    moving.calc = backbone.calculator()
    force = float((moving.get_forces() ** 2).sum(axis=1).max() ** 0.5)
    search = FIRE(moving, logfile=None, maxstep=0.1)
    search.run(fmax=RELAXED, steps=RELAX_STEPS)
    return moving, force, search.nsteps


def advance(
    atoms: Atoms, backbone: Backbone, picoseconds: float
) -> tuple[list[ReplicaState], str]:
    """Run the gentle start and the rest; return the last state and why it ended."""
    gentle = _dynamics(GENTLE, GENTLE_STEPS)
    states, reason = _run(start_states([atoms], gentle, seed=1), gentle, backbone)
    if reason != "-":
        return states, reason
    heated = Atoms(
        states[0].numbers, states[0].positions, cell=states[0].cell, pbc=True
    )
    full = _dynamics(TEMPERATURE, round(1000 * picoseconds / TIMESTEP))
    return _run(start_states([heated], full, seed=2), full, backbone)


def _dynamics(temperature: float, steps: int) -> DynamicsConfig:
    return DynamicsConfig(
        temperatures=(temperature,),
        replicas=1,
        steps=steps,
        timestep=TIMESTEP,
        save_every=10,
        segment=min(SEGMENT, steps),
    )


def _run(
    states: list[ReplicaState], config: DynamicsConfig, backbone: Backbone
) -> tuple[list[ReplicaState], str]:
    for index in range(-(-config.steps // config.segment)):
        result = run_segment(
            backbone,
            states,
            config,
            segment_index=index,
            seed=3,
            model_sha=backbone.sha256,
        )
        if result.stopped:
            return states, str(result.stopped[0])
        states = result.states
    return states, "-"


def main() -> None:
    """Print the table, and a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two systems, 0.1 ps")
    parser.add_argument("--only", nargs="+", help="names of interfaces")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each")
    options = parser.parse_args()
    names = options.only or (QUICK if options.quick else SIX)
    picoseconds = 0.1 if options.quick else 1.0
    backbone = load_backbone("fire-mini")
    print(
        f"{'interface':18}{'atoms':>6}{'strain %':>9}{'polar':>14}{'eV/Å':>6}"
        f"{'relax':>6}{'ps':>7}{'K':>6}{'d ratio':>8}{'stopped':>12}{'s':>6}"
    )
    runs = []
    for name in names:
        run = run_system(name, backbone, picoseconds, options.pictures)
        runs.append(run)
        print(
            f"{run.name:18}{run.atoms:6}{run.strain_percent:9.2f}{run.polar:>14}"
            f"{run.start_force:6.1f}{run.relax_steps:6}{run.survived_ps:7.2f}"
            f"{run.temperature:6.0f}{run.distance_ratio:8.2f}{run.stopped:>12}"
            f"{run.seconds:6.0f}",
            flush=True,
        )
    survived = sum(run.survived_ps >= picoseconds for run in runs)
    figures = {"survived": survived, "of": len(runs), "runs": [asdict(r) for r in runs]}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
