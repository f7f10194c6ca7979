"""Labelling as a job of jobflow, to run here or in a Flow of one's own.

jobflow is imported here, so this module is imported where a label is computed and
nowhere sooner.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobflow import Maker, job
from pydantic import TypeAdapter

from fire_core.config.theory import TheoryConfig
from fire_core.labelling.labeller import labeller_of
from fire_core.labelling.plain import dict_to_atoms, label_to_dict
from fire_core.labelling.program import Resources

JsonDict = dict[str, Any]


@dataclass
class LabelMaker(Maker):
    """Make the job that labels one structure at a theory level.

    A subclass changes a step of it, or adds some: `make` is what jobflow calls,
    `compute` does the work. Its fields are plain JSON, so that a job can be stored and
    run by another process.

    Attributes
    ----------
    name
        Of its jobs.
    theory
        The theory level, as a campaign file has it.
    cores
        MPI ranks of an electronic-structure program.
    shelf
        Folder of restart files; None: each calculation starts afresh.
    """

    name: str = "label"
    theory: JsonDict = field(default_factory=lambda: {"kind": "xtb"})
    cores: int = 1
    shelf: str | None = None

    @classmethod
    def of(cls, theory: TheoryConfig, machine: Resources | None = None) -> LabelMaker:
        """Return the maker of a theory level, for a machine (None: one core)."""
        here = machine or Resources()
        return cls(
            name=f"label-{theory.kind}",
            theory=theory.model_dump(mode="json"),
            cores=here.cores,
            shelf=None if here.shelf is None else str(here.shelf),
        )

    @job
    def make(self, structure: JsonDict) -> JsonDict:
        """Label a structure, as `atoms_to_dict` gives it.

        The output is the dictionary of a label (eV, eV/Å, eV/Å³). It runs in the
        working directory, which jobflow makes for each job.
        """
        return self.compute(structure)

    def compute(self, structure: JsonDict) -> JsonDict:
        """Compute a label from and to plain JSON, in the working directory."""
        theory = TypeAdapter(TheoryConfig).validate_python(self.theory)
        machine = Resources(
            self.cores, None if self.shelf is None else Path(self.shelf)
        )
        atoms = dict_to_atoms(structure)
        label = labeller_of(theory).compute(theory, atoms, Path.cwd(), machine)
        return label_to_dict(label)
