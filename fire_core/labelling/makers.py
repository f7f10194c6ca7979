"""Labellers as jobflow Makers, run locally in the calling process.

jobflow changes the directory of the whole process while a job runs, so a process
labels one structure at a time; see `fire_core.campaign.label_worker`.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import Atoms

from fire_core.config.dft import DftTheory
from fire_core.config.theory import LennardJonesTheory, TeacherTheory, XtbTheory
from fire_core.errors import LabellingError
from fire_core.labelling.codes import lennard_jones, teacher, xtb
from fire_core.labelling.codes.registry import program_of
from fire_core.labelling.program import Machine, check_program, compute
from fire_core.labelling.triage import check_label, classify
from fire_core.records import FailureKind, Label
from fire_core.structures.sanity import find_problems

if TYPE_CHECKING:
    from fire_core.config.theory import TheoryConfig

JsonDict = dict[str, Any]
EVIDENCE_BYTES: Final = 2_000_000
"""Largest file that is kept of a failed calculation."""


def known_elements(theory: TheoryConfig) -> frozenset[str]:
    """Return the elements that a theory level can label."""
    if isinstance(theory, DftTheory):
        return program_of(theory).elements(theory)
    if isinstance(theory, XtbTheory):
        return xtb.ELEMENTS
    if isinstance(theory, LennardJonesTheory):
        return lennard_jones.ELEMENTS
    return teacher.elements(theory)


def check_ready(theory: TheoryConfig) -> None:
    """Raise ConfigError unless this machine can compute labels of a theory."""
    if isinstance(theory, DftTheory):
        check_program(program_of(theory), theory)


def load_libraries(theory: TheoryConfig) -> None:
    """Import what the labels of a theory need.

    A time limit that strikes in the middle of an import leaves half a module behind,
    on which every later label of the process would break.
    """
    import jobflow  # noqa: F401

    if isinstance(theory, XtbTheory):
        import tblite.ase  # noqa: F401
    elif isinstance(theory, LennardJonesTheory):
        import ase.calculators.lj  # noqa: F401
    elif isinstance(theory, TeacherTheory):
        teacher.elements(theory)  # loads the model


def compute_label(
    theory_json: JsonDict, structure: JsonDict, cores: int = 1, shelf: str | None = None
) -> JsonDict:
    """Compute a label from and to plain JSON: the body of every labelling job.

    It runs in the working directory, which jobflow makes for each job.
    """
    from pydantic import TypeAdapter

    from fire_core.config.theory import TheoryConfig as AnyTheory

    theory = TypeAdapter(AnyTheory).validate_python(theory_json)
    machine = Machine(cores, None if shelf is None else Path(shelf))
    label = compute_here(theory, dict_to_atoms(structure), Path.cwd(), machine)
    return label_to_dict(label)


def compute_here(
    theory: TheoryConfig, atoms: Atoms, folder: Path, machine: Machine | None = None
) -> Label:
    """Compute a label without jobflow; a code leaves its files in `folder`."""
    if isinstance(theory, DftTheory):
        place = machine or Machine()
        return compute(program_of(theory), theory, atoms, folder, place)
    if isinstance(theory, XtbTheory):
        return xtb.compute(theory, atoms)
    if isinstance(theory, LennardJonesTheory):
        return lennard_jones.compute(theory, atoms)
    return teacher.compute(theory, atoms)


def label_maker(theory: TheoryConfig, machine: Machine | None = None) -> Any:
    """Return the jobflow Maker of a theory level, for a machine (None: one core).

    Its `make(structure)` takes the dictionary of `atoms_to_dict` and gives a job
    whose output is the dictionary of a label (eV, eV/Å, eV/Å³).
    """
    from dataclasses import dataclass

    from jobflow import Job, Maker

    here = machine or Machine()
    shelf = None if here.shelf is None else str(here.shelf)

    @dataclass
    class LabelMaker(Maker):  # type: ignore[misc]
        """One electronic-structure label of one structure."""

        name: str = f"label-{theory.kind}"

        def make(self, structure: JsonDict) -> Any:
            return Job(
                compute_label,
                function_args=(theory.model_dump(mode="json"), structure),
                function_kwargs={"cores": here.cores, "shelf": shelf},
                name=self.name,
            )

    return LabelMaker()


def run_label(
    theory: TheoryConfig, atoms: Atoms, *, workdir: Path, machine: Machine | None = None
) -> Label:
    """Label one structure through its Maker, in a fresh folder of `workdir`.

    The folder of a failed calculation is kept, without its large files.

    Raises
    ------
    LabellingError
        The structure is unfit, the code failed, or its numbers are absurd; the
        kind and reason say which. An unconverged result is never a label.
    """
    from jobflow import JobStore, run_locally
    from maggma.stores import MemoryStore

    _refuse_unfit(theory, atoms)
    job = label_maker(theory, machine).make(atoms_to_dict(atoms))
    folder = Path(tempfile.mkdtemp(dir=workdir, prefix="label-"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outputs = run_locally(
                job,
                store=JobStore(MemoryStore()),
                raise_immediately=True,
                root_dir=folder,
                log=False,
            )
        label = dict_to_label(outputs[job.uuid][1].output)
        check_label(label)
    except Exception as error:  # any error of a code becomes a record
        failure = classify(error)
        failed = LabellingError(failure.kind, failure.reason, failure.log_tail)
        failed.workdir = _keep_evidence(folder)
        raise failed from error
    shutil.rmtree(folder)
    return label


def _keep_evidence(folder: Path) -> str | None:
    """Drop large files of a failed calculation; None where nothing is left."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size > EVIDENCE_BYTES:
            path.unlink()
    if any(path.is_file() for path in folder.rglob("*")):
        return str(folder)
    shutil.rmtree(folder)
    return None


def _refuse_unfit(theory: TheoryConfig, atoms: Atoms) -> None:
    problems = find_problems(
        atoms, min_distance_factor=0.4, known_elements=known_elements(theory)
    )
    if problems:
        unknown = problems[0].kind == "unknown_element"
        kind = FailureKind.UNKNOWN_ELEMENT if unknown else FailureKind.BAD_GEOMETRY
        raise LabellingError(kind, problems[0].detail)


def atoms_to_dict(atoms: Atoms) -> JsonDict:
    """Return species, positions, cell and periodicity as plain lists."""
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
    }


def dict_to_atoms(data: JsonDict) -> Atoms:
    """Return the structure of `atoms_to_dict`."""
    return Atoms(**data)


def label_to_dict(label: Label) -> JsonDict:
    """Return a label as plain numbers and lists."""
    return {
        "energy": label.energy,
        "forces": label.forces.tolist(),
        "stress": None if label.stress is None else label.stress.tolist(),
    }


def dict_to_label(data: JsonDict) -> Label:
    """Return the label of `label_to_dict`, exact to the last bit."""
    stress = data["stress"]
    return Label(
        float(data["energy"]),
        np.array(data["forces"], dtype=np.float64).reshape(-1, 3),
        None if stress is None else np.array(stress, dtype=np.float64),
    )
