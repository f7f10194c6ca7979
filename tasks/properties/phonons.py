"""Measure phonons: relax, displace, compute forces one supercell a part, evaluate."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms

from fire_core.config.properties.phonons import PhononsConfig
from fire_core.progress import tracked
from fire_core.properties.phonons import Phonons, choose_supercell
from fire_core.properties.relaxation import relax
from fire_core.records import PropertyResult, PropertyValue

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.properties.phonons import Mesh
    from fire_core.records import JsonDict
    from tasks.properties.bench import Bench


def measure(bench: Bench) -> PropertyResult:
    """Compute the forces that are missing; return bands, density of states, sound."""
    settings = bench.settings(PhononsConfig)

    @cache
    def backbone() -> Backbone:
        return bench.backbone()

    start = bench.structure()
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

    place = bench.json_part("relaxed", relaxed)
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
        bench.say(f"forces of supercell {i + 1} of {len(cells)}, {len(cell)} atoms")

        def compute(cell: Atoms = cell) -> list[list[float]]:
            found: list[list[float]] = backbone().predict([cell])[0].forces.tolist()
            return found

        forces.append(np.array(bench.json_part(f"forces-{i:04d}", compute)))
    sum_rule = phonons.set_forces(forces)
    return _evaluate(phonons, settings, sum_rule, len(cells[0]))


def _evaluate(
    phonons: Phonons, settings: PhononsConfig, sum_rule: float, n_atoms: int
) -> PropertyResult:
    mesh, bands = phonons.mesh(settings.mesh), phonons.bands()
    lowest = min(float(mesh.frequencies.min()), float(bands.frequencies.min()))
    values = [
        PropertyValue("highest_frequency", float(mesh.frequencies.max()), "THz"),
        _stability(lowest, mesh, settings.imaginary_limit),
        PropertyValue(
            "acoustic_sum_rule",
            sum_rule,
            "THz",
            note="largest acoustic frequency at Γ before translations are taken out",
        ),
    ]
    for direction in ((1, 0, 0), (1, 1, 0), (1, 1, 1)):
        word = "[" + " ".join(str(x) for x in direction) + "]"
        speeds = phonons.sound(np.array(direction, float))
        for name, speed in zip(("lower", "upper", "fastest"), speeds, strict=True):
            conditions = {"direction": word, "branch": name}
            values.append(
                PropertyValue(
                    "speed_of_sound", float(speed), "km/s", conditions=conditions
                )
            )
    for thermal in phonons.thermal(settings.temperatures):
        at = {"temperature_k": float(thermal.temperature)}
        values += [
            PropertyValue(
                "heat_capacity",
                float(thermal.heat_capacity),
                "J/(mol K)",
                conditions=at,
                note="per mole of atoms, constant volume, harmonic",
            ),
            PropertyValue(
                "entropy", float(thermal.entropy), "J/(mol K)", conditions=at
            ),
        ]
    curves = {
        "bands": {
            "distances": bands.distances.tolist(),
            "frequencies": bands.frequencies.tolist(),
            "ticks": bands.ticks.tolist(),
            "labels": list(bands.labels),
        },
        "dos": {
            "frequencies": mesh.dos_frequencies.tolist(),
            "states": mesh.dos.tolist(),
        },
    }
    notes = (
        f"forces in supercells of {n_atoms} atoms",
        "longitudinal and transverse optical modes are not split at Γ: the model knows "
        "no charges",
    )
    return PropertyResult(tuple(values), curves, notes)


def _stability(lowest: float, mesh: Mesh, limit: float) -> PropertyValue:
    share = mesh.share_below(-limit)
    if lowest >= -limit:
        note = "no imaginary modes: a minimum of the energy"
    else:
        note = (
            f"imaginary modes, {100 * share:.2g} % of the mesh: the structure is no "
            "minimum of this model's energy, or the supercell is too small"
        )
    return PropertyValue("lowest_frequency", lowest, "THz", note=note)
