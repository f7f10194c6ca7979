"""Whether two calculations may be of one theory level that a person names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fire_core.labelling.theory import Theory

OF_THE_STRUCTURE: Final = frozenset({"k_points", "charge", "multiplicity"})
"""Settings that follow the cell or the atoms, and may differ within a theory level."""


def find_difference(one: Theory, other: Theory) -> str | None:
    """Return a setting in which two theory levels differ; None: they agree.

    Settings by element, such as pseudopotentials, agree if shared elements do. Which
    mesh, charge and multiplicity a structure needs depends on the structure.
    """
    if (one.code, one.version) != (other.code, other.version):
        return f"{one.code} {one.version} and {other.code} {other.version}"
    first: dict[str, Any] = json.loads(one.settings_json)
    second: dict[str, Any] = json.loads(other.settings_json)
    for name in sorted((first.keys() | second.keys()) - OF_THE_STRUCTURE):
        a, b = first.get(name), second.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            shared = sorted(a.keys() & b.keys())
            a, b = {k: a[k] for k in shared}, {k: b[k] for k in shared}
        if a != b:
            return f"{name} {a} and {b}"
    return None
