"""Settings that earlier versions had, and had not: what took their place.

A file that still has one is refused with that; a campaign or study in the store, which
ended under such a version, is read without it.
"""

from __future__ import annotations

from typing import Any, Final

from fire_core.config.recipes import without_recipes

RETIRED: Final = {
    "batch_atoms": (
        "batch_frames says how many target frames a step has, and part_atoms, for the "
        "sake of memory, how many atoms are computed at once"
    ),
    "batch_edges": "part_atoms bounds what is computed at once",
    "order": "every step has its share of replay frames",
}
"""Key of a training or its replay, and what to write instead."""
PARENTS: Final = ("train", "variants", "pre_fine_tune", "fine_tune")
"""Where trainings are described; of a study's variants each has a name of its own."""


def without_retired(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a stored configuration without the settings that are no more.

    Its trainings follow no recipe if they were written before there were any.
    """
    kept = without_recipes(raw, PARENTS)
    for key in PARENTS:
        value = kept.get(key)
        if not isinstance(value, dict):
            continue
        named = key == "variants"
        kept[key] = (
            {name: _strip(inner) for name, inner in value.items()}
            if named
            else _strip(value)
        )
    return kept


def _strip(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _strip(inner) for key, inner in value.items() if key not in RETIRED}
