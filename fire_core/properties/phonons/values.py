"""Numbers and curves of phonons whose forces are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fire_core.records import PropertyResult, PropertyValue

if TYPE_CHECKING:
    from fire_core.properties.phonons.displacements import Mesh, Phonons
    from fire_core.properties.phonons.settings import PhononsConfig


def phonon_values(
    phonons: Phonons, settings: PhononsConfig, sum_rule: float, n_atoms: int
) -> PropertyResult:
    """Return frequencies, speeds of sound and thermodynamics, with their curves.

    Parameters
    ----------
    phonons
        With their forces.
    settings
        Mesh, temperatures, and what counts as imaginary.
    sum_rule
        Largest acoustic frequency at Γ before translations are taken out, THz.
    n_atoms
        Atoms of a supercell.
    """
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
