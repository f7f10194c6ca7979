"""Measure phonons: relax, displace, compute forces one supercell a part, evaluate."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from fire_core.progress import tracked
from fire_core.properties.phonons.displacements import Phonons, choose_supercell
from fire_core.properties.phonons.settings import PhononsConfig
from fire_core.properties.phonons.values import phonon_values
from fire_core.properties.relaxation import relax

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.properties.measurement import Measurement
    from fire_core.records import JsonDict, PropertyResult


def measure(measurement: Measurement) -> PropertyResult:
    """Compute the forces that are missing; return bands, density of states, sound."""
    settings = measurement.settings(PhononsConfig)

    @cache
    def backbone() -> Backbone:
        return measurement.inputs.backbone()

    start = measurement.inputs.structure()
    supercell = choose_supercell(start, settings)

    def relaxed() -> JsonDict:
        atoms = start
        if settings.relax:
            atoms = relax(
                start,
                backbone().calculator(),
                cell=True,
                force_tolerance=settings.force_tolerance,
                max_steps=settings.max_steps,
            )
        return {"cell": atoms.cell.tolist(), "positions": atoms.positions.tolist()}

    place = measurement.json_part("relaxed", relaxed)
    crystal = Atoms(
        start.numbers, cell=place["cell"], positions=place["positions"], pbc=True
    )
    crystal.set_masses(start.get_masses())
    phonons = Phonons(
        crystal,
        supercell,
        displacement=settings.displacement,
        symprec=settings.symprec,
    )
    cells = phonons.displaced()
    forces = []
    for i, cell in enumerate(tracked(cells, "Displaced supercells")):
        measurement.log(
            f"forces of supercell {i + 1} of {len(cells)}, {len(cell)} atoms"
        )

        def compute(cell: Atoms = cell) -> list[list[float]]:
            found: list[list[float]] = backbone().predict([cell])[0].forces.tolist()
            return found

        forces.append(np.array(measurement.json_part(f"forces-{i:04d}", compute)))
    sum_rule = phonons.set_forces(forces)
    return phonon_values(phonons, settings, sum_rule, len(cells[0]))
