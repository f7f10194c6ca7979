"""Label structures at any theory level, through jobflow in the calling process.

jobflow changes the directory of the whole process while a job runs, so a process
labels one structure at a time; see `fire_core.campaign.steps.label_worker`.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fire_core.errors import LabellingError
from fire_core.labelling.labeller import labeller_of
from fire_core.labelling.plain import atoms_to_dict, dict_to_label
from fire_core.labelling.program import Machine
from fire_core.labelling.triage import check_label, classify
from fire_core.records import FailureKind
from fire_core.structures.sanity import find_problems

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.config.theory import TheoryConfig
    from fire_core.records import Label

EVIDENCE_BYTES: Final = 2_000_000
"""Largest file that is kept of a failed calculation."""


def known_elements(theory: TheoryConfig) -> frozenset[str]:
    """Return the elements that a theory level can label."""
    return labeller_of(theory).elements(theory)


def check_ready(theory: TheoryConfig) -> None:
    """Raise ConfigError unless this machine can compute labels of a theory."""
    labeller_of(theory).check_ready(theory)


def load_libraries(theory: TheoryConfig) -> None:
    """Import what the labels of a theory need; see `Labeller.load_libraries`."""
    import fire_core.labelling.jobs  # noqa: F401 - jobflow

    labeller_of(theory).load_libraries(theory)


def compute_here(
    theory: TheoryConfig, atoms: Atoms, folder: Path, machine: Machine | None = None
) -> Label:
    """Compute a label without jobflow; a code leaves its files in `folder`."""
    return labeller_of(theory).compute(theory, atoms, folder, machine or Machine())


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

    from fire_core.labelling.jobs import LabelMaker

    _refuse_unfit(theory, atoms)
    job = LabelMaker.of(theory, machine).make(atoms_to_dict(atoms))
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
        failure = classify(error, causes=labeller_of(theory).causes)
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
