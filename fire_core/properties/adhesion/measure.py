"""Measure the work of adhesion of an interface."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from fire_core.config.system import InterfaceSystem
from fire_core.errors import PropertyError
from fire_core.properties.adhesion.settings import AdhesionConfig
from fire_core.properties.adhesion.stack import (
    Stack,
    energy_of,
    make_stack,
    relax_stack,
    separate,
    separations,
    slab_energy,
    take_slab,
    work_of_adhesion,
)
from fire_core.properties.plain import atoms_to_json, json_to_atoms
from fire_core.properties.structure import build_structure
from fire_core.records import PropertyResult, PropertyValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.backbones.base import Backbone
    from fire_core.properties.measurement import Measurement
    from fire_core.records import JsonDict


def measure(measurement: Measurement) -> PropertyResult:
    """Relax the interface and its slabs; open it rigidly; compare energies."""
    settings = measurement.settings(AdhesionConfig)
    system = measurement.request.system
    if not isinstance(system, InterfaceSystem):
        given = system and system.kind
        msg = (
            f"adhesion is a property of an interface, got system.kind: {given}; "
            "ask for `kind: interface` or `{preset: NAME}`"
        )
        raise PropertyError(msg)

    @cache
    def backbone() -> Backbone:
        return measurement.inputs.backbone()

    built, vacuum = _build(measurement, system, backbone)
    stack = _relaxed(measurement, built, backbone)
    together = measurement.json_part(
        "interface-energy", lambda: energy_of(stack.atoms, backbone().calculator())
    )

    def slab(name: str, of: Stack, *, moving: bool) -> float:
        def compute() -> float:
            measurement.log(name)
            alone = take_slab(of, top="top" in name, vacuum=vacuum)
            calculator = backbone().calculator()
            return slab_energy(alone, calculator, settings, moving=moving)

        return float(measurement.json_part(name, compute))

    rigid = sum(
        slab(f"{side}-rigid", stack, moving=False) for side in ("bottom", "top")
    )
    values = [
        PropertyValue(
            "work_of_separation", work_of_adhesion(rigid, together, stack), "J/m²",
            note="slabs taken apart rigidly, as they are in the interface",
        )
    ]  # fmt: skip
    if settings.relax:
        relaxed = sum(
            slab(f"{side}-relaxed", built, moving=True) for side in ("bottom", "top")
        )
        work = work_of_adhesion(relaxed, together, stack)
        values.insert(
            0, PropertyValue("work_of_adhesion", work, "J/m²", note="slabs relaxed")
        )
    values.append(PropertyValue("contact_area", stack.area, "Å²"))
    curve = measurement.json_part(
        "separations", lambda: _curve(stack, settings, backbone())
    )
    works = [-work_of_adhesion(rigid, energy, stack) for energy in curve["energies"]]
    return PropertyResult(
        values=tuple(values),
        curves={"separations": curve["separations"], "energies": works}
        | {"work_of_separation": work_of_adhesion(rigid, together, stack)},
        notes=_notes(stack, system, settings),
    )


def _build(
    measurement: Measurement, system: InterfaceSystem, backbone: Callable[[], Backbone]
) -> tuple[Stack, float]:
    """Return the stack as it is built, and the vacuum beside a slab alone, Å.

    The store keeps no regions, so the interface is built once more and kept.
    """
    settings = measurement.settings(AdhesionConfig)

    def build() -> JsonDict:
        atoms = build_structure(measurement.request)
        facts = {"region": atoms.arrays["region"].tolist()}
        return atoms_to_json(atoms) | facts | {"cutoff": backbone().cutoff}

    data = measurement.json_part("built", build)
    atoms = json_to_atoms(data)
    atoms.set_array("region", np.array(data["region"]))
    stack = make_stack(atoms, system.vacuum, data["cutoff"])
    return stack, max(settings.vacuum, data["cutoff"] + 1.0)


def _relaxed(
    measurement: Measurement, built: Stack, backbone: Callable[[], Backbone]
) -> Stack:
    settings = measurement.settings(AdhesionConfig)
    if not settings.relax:
        return built

    def compute() -> JsonDict:
        measurement.log("relax the interface")
        calculator = backbone().calculator()
        return atoms_to_json(relax_stack(built, calculator, settings).atoms)

    return built.with_atoms(json_to_atoms(measurement.json_part("interface", compute)))


def _curve(stack: Stack, settings: AdhesionConfig, backbone: Backbone) -> JsonDict:
    distances = separations(settings)
    labels = backbone.predict([separate(stack, d) for d in distances])
    energies = [label.energy for label in labels]
    return {"separations": distances.tolist(), "energies": energies}


def _notes(
    stack: Stack, system: InterfaceSystem, settings: AdhesionConfig
) -> tuple[str, ...]:
    contacts = (
        f"one contact, {system.vacuum:g} Å of vacuum: divided by the area A"
        if stack.contacts == 1
        else "a periodic stack of two contacts: divided by 2 A, the mean of both, "
        "which are different surfaces where a slab has no mirror plane"
    )
    height = " and the height" if stack.contacts == 2 else ""
    moved = (
        f"ions{height} relaxed at the lateral cell"
        if settings.relax
        else "nothing relaxed: the stack as it was built"
    )
    return (
        contacts,
        f"{moved}, {len(stack.atoms)} atoms",
        "the upper slab is strained to the lower one's lattice both in the interface "
        "and alone, so that its strain energy is not counted",
        "the number holds for these slabs, this match and this cut; no error is known "
        "beside that of the model",
    )
