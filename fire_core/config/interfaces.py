"""The named interfaces of this project: `system: {preset: li-li6ps5cl}`.

Planes were chosen among those of low indices for a strain up to about five per cent, up
to 200 atoms, slabs of about 5 Å or more and, where the crystal allows it, no dipole
along the normal (the six were scanned with `structures.matching`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from fire_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

GARNET: Final = {
    "crystal": "LLZTO",
    "x": 0.5,
    "miller": [0, 0, 1],
    "termination": 4,  # of its twelve cuts, all polar, the one with the least dipole
}
INTERFACES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "na-na3sbs4": {
            "bottom": {"crystal": "Na3SbS4", "miller": [0, 0, 1], "layers": 1},
            "top": {"crystal": "Na", "miller": [0, 0, 1], "layers": 4},
            "gap": 2.6,
            "max_strain": 0.05,
            "min_width": 10.0,
        },
        "li-li6ps5cl": {
            "bottom": {"crystal": "Li6PS5Cl", "miller": [1, 1, 0], "layers": 2},
            "top": {"crystal": "Li", "miller": [1, 1, 0], "layers": 4},
            "gap": 2.4,
            "max_strain": 0.05,
            "min_width": 10.0,
        },
        "li3ps4-li3b11o18": {
            "bottom": {"crystal": "Li3B11O18", "miller": [1, 1, 0], "layers": 1},
            "top": {"crystal": "gamma-Li3PS4", "miller": [0, 1, 0], "layers": 1},
            "gap": 2.6,
            "max_strain": 0.05,
            "min_width": 9.0,
        },
        "li2co3-lif": {
            "bottom": {"crystal": "Li2CO3", "miller": [1, 1, 0], "layers": 2},
            "top": {"crystal": "LiF", "miller": [0, 0, 1], "layers": 3},
            "gap": 2.1,
            "max_strain": 0.05,
            "min_width": 6.0,
        },
        "llzto-llzno": {
            "bottom": GARNET,
            "top": {"crystal": "LLZNO", "x": 0.25, "miller": [0, 0, 1]},
            "gap": 2.2,
            "max_strain": 0.05,
            "min_width": 10.0,
        },
        "licl-gaf3": {
            "bottom": {"crystal": "LiCl", "miller": [0, 0, 1], "layers": 3},
            "top": {"crystal": "GaF3", "miller": [1, 1, 0], "layers": 2},
            "gap": 2.2,
            "max_strain": 0.05,
            "min_width": 7.0,
        },
        "li-llzto": {
            "bottom": GARNET,
            "top": {"crystal": "Li", "miller": [0, 0, 1], "layers": 4},
            "gap": 2.8,
            "max_strain": 0.05,
            "min_width": 10.0,
        },
    }
)
"""The six interfaces of the project in the order of its paper, then one more."""

SIX: Final = tuple(INTERFACES)[:6]


def expand_system(given: Any) -> Any:
    """Return a `system` with its preset replaced by what the name stands for.

    Keys beside `preset` take precedence; within `bottom` and `top` key by key.

    Raises
    ------
    ConfigError
        No interface has that name.
    """
    if not isinstance(given, dict) or "preset" not in given:
        return given
    rest = {key: value for key, value in given.items() if key != "preset"}
    full: dict[str, Any] = {"kind": "interface"} | named_interface(given["preset"])
    for key, value in rest.items():
        inner = full.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            full[key] = _merge(inner, value)
        else:
            full[key] = value
    return full


def named_interface(name: object) -> dict[str, Any]:
    """Return the keys of a named interface; see `expand_system`."""
    found = INTERFACES.get(str(name))
    if found is None:
        msg = f"system.preset: expected one of {', '.join(INTERFACES)}, got {name!r}"
        raise ConfigError(msg)
    return {
        key: dict(value) if isinstance(value, dict) else value
        for key, value in found.items()
    }


def _merge(slab: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    if "thickness" in changes:  # in place of the preset's layers
        slab = {key: value for key, value in slab.items() if key != "layers"}
    return slab | changes
