"""Measure a cohesive energy."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ase import Atoms

from fire_core.records import PropertyResult, PropertyValue
from fire_plugin_example.cohesion.settings import CohesionSettings

if TYPE_CHECKING:
    from fire_core.properties.measurement import Measurement


def measure(measurement: Measurement) -> PropertyResult:
    """Return the energy that it takes to part the atoms, eV/atom."""
    settings = measurement.settings(CohesionSettings)
    crystal = measurement.inputs.structure()
    counts = Counter(crystal.get_chemical_symbols())

    def energies() -> dict[str, float]:
        cell = [settings.box] * 3
        apart = [Atoms(element, cell=cell, pbc=True) for element in counts]
        labels = measurement.inputs.backbone().predict([crystal, *apart])
        names = ("crystal", *counts)
        return {n: label.energy for n, label in zip(names, labels, strict=True)}

    found = measurement.json_part("energies", energies)
    apart = sum(n * found[element] for element, n in counts.items())
    energy = (apart - found["crystal"]) / len(crystal)
    atoms = {element: found[element] for element in counts}
    return PropertyResult(
        values=(PropertyValue("cohesive_energy", energy, "eV/atom"),),
        curves={"isolated_atoms": atoms},
        notes=("isolated atoms are computed by the same model, without spin",),
    )
