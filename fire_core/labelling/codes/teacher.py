"""Labels from another potential, for rehearsals without electronic structure."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fire_core.config.theory import TeacherTheory
from fire_core.labelling.labeller import Labeller
from fire_core.labelling.theory import Theory, make_theory

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.labelling.program import Resources
    from fire_core.records import Label


class TeacherLabeller(Labeller[TeacherTheory]):
    """A backbone, which predicts."""

    settings = TeacherTheory

    def identify(self, theory: TeacherTheory) -> Theory:
        """Return the backbone; of a file the sha256 of its content, not its path."""
        from fire_core.backbones.registry import package_of, release_of

        path = Path(theory.backbone)
        name = (
            f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
            if path.is_file()
            else theory.backbone
        )
        code, release = package_of(theory.backbone), release_of(theory.backbone)
        return make_theory(f"teacher/{code}", release, {"model": name})

    def elements(self, theory: TeacherTheory) -> frozenset[str]:
        """Return the elements that the teacher knows."""
        from fire_core.backbones.registry import known_elements

        return known_elements(theory.backbone)

    def interpreter(self, theory: TeacherTheory) -> Path | None:
        """Return the Python of the teacher's environment; None: this one's."""
        from fire_core.backbones.registry import backbone_interpreter

        return backbone_interpreter(theory.backbone)

    def compute(
        self, theory: TeacherTheory, atoms: Atoms, _folder: Path, _machine: Resources
    ) -> Label:
        """Return the teacher's energy, forces and stress of one structure."""
        return _load(theory).predict([atoms])[0]

    def load_libraries(self, theory: TeacherTheory) -> None:
        """Load the model with all that it imports."""
        _load(theory)


@lru_cache(maxsize=1)
def _load(theory: TeacherTheory) -> Backbone:
    from fire_core.backbones.registry import load_backbone

    return load_backbone(theory.backbone, device="cpu", dtype="float64", threads=1)


LABELLER: Final = TeacherLabeller()
