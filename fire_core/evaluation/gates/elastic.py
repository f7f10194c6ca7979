"""Gates on elasticity: the relaxed system resists compression and shear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase.optimize import FIRE
from ase.units import GPa

from fire_core.evaluation.gates.gate import Gate, Need
from fire_core.records import GateResult

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.backbones.base import Backbone
    from fire_core.config.gates import ElasticConfig

RELAXED: Final = 0.02  # eV/Å
# Traceless strains, (5, 3, 3), of unit magnitude: three shears, two changes of shape.
SHEARS: Final = {
    "xy": [[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]],
    "xz": [[0, 0, 0.5], [0, 0, 0], [0.5, 0, 0]],
    "yz": [[0, 0, 0], [0, 0, 0.5], [0, 0.5, 0]],
    "xx−yy": [[0.5, 0, 0], [0, -0.5, 0], [0, 0, 0]],
    "xx−zz": [[0.5, 0, 0], [0, 0, 0], [0, 0, -0.5]],
}


def gate_elastic(
    backbone: Backbone, atoms: Atoms, limits: ElasticConfig
) -> list[GateResult]:
    """Judge bulk modulus and shear stiffness by finite differences of the energy.

    The atoms are relaxed in their cell first and follow each strain affinely.
    Second differences are taken, so that a stress left in the cell does not count:
    B = V d²E/dV² and G = (1/V) d²E/dγ², γ the shear angle.
    """
    relaxed = _relax(backbone, atoms, limits.relax_steps)
    step = limits.strain
    strains = [step * np.eye(3), *(step * np.array(s) for s in SHEARS.values())]
    frames = [relaxed]
    for strain in strains:
        frames += [_strained(relaxed, strain), _strained(relaxed, -strain)]
    energies = np.array([label.energy for label in backbone.predict(frames)])
    volume = float(relaxed.get_volume())
    bends = energies[1::2] + energies[2::2] - 2 * energies[0]
    stiffness = bends / (step**2 * volume) / GPa
    return [
        _judge_bulk(float(stiffness[0]) / 9, limits),  # dV/V = 3 × strain
        _judge_shear(stiffness[1:]),
    ]


def _judge_bulk(modulus: float, limits: ElasticConfig) -> GateResult:
    least, most = limits.bulk_modulus
    passed = bool(least <= modulus <= most)
    text = f"bulk modulus {modulus:.4g} GPa, "
    text += "within" if passed else "outside"
    text += f" {least:g} to {most:g}"
    nearer = most if modulus > np.sqrt(least * most) else least
    value = modulus if np.isfinite(modulus) else None
    return GateResult("bulk_modulus", passed, value, nearer, "GPa", text)


def _judge_shear(stiffness: NDArray[np.float64]) -> GateResult:
    names = list(SHEARS)
    soft = [n for n, s in zip(names, stiffness, strict=True) if not s > 0]
    worst = int(np.argmin(stiffness))
    text = f"softest shear {names[worst]}: {stiffness[worst]:.4g} GPa"
    if soft:
        text += f"; the energy falls under shear {', '.join(soft)}"
    value = float(stiffness[worst])
    finite = value if np.isfinite(value) else None
    return GateResult("shear", not soft, finite, 0.0, "GPa", text)


def _relax(backbone: Backbone, atoms: Atoms, steps: int) -> Atoms:
    """Relax the atoms in their cell as far as `steps` go."""
    moving = atoms.copy()
    moving.calc = backbone.calculator()
    forces = moving.get_forces()
    if steps and np.isfinite(forces).all():
        FIRE(moving, logfile=None).run(fmax=RELAXED, steps=steps)
    moving.calc = None
    return moving


def _strained(atoms: Atoms, strain: NDArray[np.float64]) -> Atoms:
    after = atoms.copy()
    after.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return after


ELASTIC: Final = Gate(
    measure=lambda backbone, data, config: gate_elastic(
        backbone, data.start, config.gates.elastic
    ),
    words=lambda *_: "elasticity",
    needs=frozenset({Need.PERIODIC}),
)
