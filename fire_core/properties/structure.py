"""The structure that a request is about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fire_core.config.system import SlabConfig
from fire_core.errors import PropertyError
from fire_core.properties.request import CrystalSystem
from fire_core.structures.crystals import build_bulk
from fire_core.structures.interfaces import build_system

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.properties.request import PropertyRequest


def build_structure(request: PropertyRequest) -> Atoms:
    """Return the one structure that a request is about."""
    system = request.system
    if system is None:
        msg = f"{request.name} needs a `system`, the structure that is measured"
        raise PropertyError(msg)
    if isinstance(system, CrystalSystem):
        slab = SlabConfig(crystal=system.crystal, x=system.x, order=system.order)
        return build_bulk(slab).atoms.repeat(system.repeat)
    found = build_system(system, Path())
    if len(found) != 1:
        msg = (
            f"expected one structure, got {len(found)}; choose one by `system.index`, "
            "such as '0'"
        )
        raise PropertyError(msg)
    return found[0]
