"""Labels from another potential, for rehearsals without electronic structure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.config.theory import TeacherTheory
    from fire_core.records import Label


def compute(theory: TeacherTheory, atoms: Atoms) -> Label:
    """Return the teacher's energy, forces and stress of one structure."""
    return _load(theory).predict([atoms])[0]


def elements(theory: TeacherTheory) -> frozenset[str]:
    """Return the elements that the teacher knows."""
    from fire_core.backbones.registry import known_elements

    return known_elements(theory.backbone)


@lru_cache(maxsize=1)
def _load(theory: TeacherTheory) -> Backbone:
    from fire_core.backbones.registry import load_backbone

    return load_backbone(theory.backbone, device="cpu", dtype="float64", threads=1)
