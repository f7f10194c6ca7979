"""The open sets that a campaign file names members of, and what FIRE brings of each.

To add a member, write its module and one line here; a package of one's own writes the
line as an entry point (see `fire_core.extensions`). Nothing is imported before a
configuration uses a name.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from fire_core.extensions import Registry

LABELLERS: Final[Registry[Any]] = Registry(
    "fire.labellers",
    "labeller",
    MappingProxyType(
        {
            "xtb": "fire_core.labelling.codes.xtb:LABELLER",
            "teacher": "fire_core.labelling.codes.teacher:LABELLER",
            "lennard_jones": "fire_core.labelling.codes.lennard_jones:LABELLER",
            "cp2k": "fire_core.labelling.codes.cp2k:LABELLER",
            "espresso": "fire_core.labelling.codes.espresso:LABELLER",
            "abinit": "fire_core.labelling.codes.abinit:LABELLER",
            "gpaw": "fire_core.labelling.codes.gpaw:LABELLER",
            "vasp": "fire_core.labelling.codes.vasp:LABELLER",
        }
    ),
)
"""`labelling.labeller.Labeller` by the `kind` of a theory level."""

SELECTORS: Final[Registry[Any]] = Registry(
    "fire.selectors",
    "selector",
    MappingProxyType(
        {
            "kmeans": "fire_core.selection.kmeans:SELECTOR",
            "farthest_point": "fire_core.selection.farthest_point:SELECTOR",
            "random": "fire_core.selection.random:SELECTOR",
            "uncertain": "fire_core.selection.uncertain:SELECTOR",
            "maxdet": "fire_core.selection.maxdet:SELECTOR",
        }
    ),
    "fire_core.selection.candidates:Selector",
)
"""`selection.candidates.Selector` by the name of a method."""

GATES: Final[Registry[Any]] = Registry(
    "fire.gates",
    "gate",
    MappingProxyType(
        {
            "energy_error": "fire_core.evaluation.gates.errors:ERRORS",
            "force_error": "fire_core.evaluation.gates.errors:ERRORS",
            "forgetting": "fire_core.evaluation.gates.forgetting:FORGETTING",
            "nve_drift": "fire_core.evaluation.gates.drift:NVE_DRIFT",
            "heating": "fire_core.evaluation.gates.survival:HEATING",
            "compression": "fire_core.evaluation.gates.survival:COMPRESSION",
            "dimers": "fire_core.evaluation.gates.dimers:DIMERS",
            "bulk_modulus": "fire_core.evaluation.gates.elastic:ELASTIC",
            "shear": "fire_core.evaluation.gates.elastic:ELASTIC",
            "reload": "fire_core.evaluation.gates.reload:RELOAD",
        }
    ),
    "fire_core.evaluation.gates.gate:Gate",
)
"""`evaluation.gates.gate.Gate` by name, in the order in which results are shown."""
