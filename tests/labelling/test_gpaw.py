"""GPAW, the real one, in a Python of its own; without it these tests skip."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

import pytest
from ase import Atoms
from pydantic import ValidationError

from fire_core.config.dft import GpawTheory
from fire_core.errors import ConfigError, LabellingError
from fire_core.labelling.codes import gpaw
from fire_core.labelling.program import Resources, compute
from fire_core.labelling.run import check_ready, run_label
from fire_core.records import FailureKind
from fire_core.testing.labellers import DftContract, silicon

if TYPE_CHECKING:
    from pathlib import Path

COARSE = GpawTheory(cutoff=200.0, k_spacing=1.1)


@pytest.fixture(scope="module")
def gpaw_here() -> None:
    try:
        check_ready(COARSE)
    except ConfigError as error:
        pytest.skip(f"{error}; apt install --no-install-recommends gpaw gpaw-data")


@pytest.mark.long
class TestGpaw(DftContract):
    theory = GpawTheory(cutoff=250.0, k_spacing=1.1)
    changes: ClassVar = [
        {"cutoff": 210.0}, {"k_spacing": 0.9}, {"electronic_temperature": 100.0},
        {"spin_polarised": True}, {"scf_tolerance": 1e-4}, {"release": "1"},
        {"initial_moments": {"Si": 1.0}},
    ]  # fmt: skip
    install = "apt install --no-install-recommends gpaw gpaw-data"
    iterations = r"^iter:"
    says = r"Did not converge!"

    @staticmethod
    def cell() -> Atoms:
        return silicon()


needs_gpaw = pytest.mark.usefixtures("gpaw_here")


@needs_gpaw
def test_atoms_of_hydrogen_are_magnetic(tmp_path: Path) -> None:
    atom = Atoms("H", cell=[4, 4, 4], pbc=True)
    spins = GpawTheory(
        cutoff=200.0, k_spacing=9.0, spin_polarised=True, initial_moments={"H": 1.0}
    )
    bare = spins.model_copy(update={"spin_polarised": False})
    magnetic, not_magnetic = (
        run_label(t, atom, workdir=tmp_path).energy for t in (spins, bare)
    )
    assert not_magnetic - magnetic > 0.3  # eV


@needs_gpaw
def test_the_remedy_goes_on_from_where_it_was(tmp_path: Path) -> None:
    few = COARSE.model_copy(update={"max_iterations": 8})
    label = compute(gpaw.PROGRAM, few, silicon(), tmp_path, Resources())
    sure = run_label(COARSE, silicon(), workdir=tmp_path)
    assert label.energy == pytest.approx(sure.energy, abs=1e-6)


@needs_gpaw
def test_a_missing_dataset_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPAW_SETUP_PATH", str(tmp_path))
    with pytest.raises(LabellingError, match=r"PAW dataset file .Si\.PBE") as caught:
        run_label(COARSE, silicon(), workdir=tmp_path)
    assert caught.value.kind == FailureKind.MISSING_POTENTIAL


def test_another_dataset_is_refused(tmp_path: Path) -> None:
    found = {"converged": True, "setups": {"Si": "0" * 32}}
    (tmp_path / "result.json").write_text(json.dumps(found))
    with pytest.raises(LabellingError, match=r"dataset of Si is not that of release"):
        gpaw.read(COARSE, silicon(), tmp_path, "")


def test_no_result_is_no_label(tmp_path: Path) -> None:
    with pytest.raises(LabellingError, match=r"does not say that the SCF converged"):
        gpaw.read(COARSE, silicon(), tmp_path, "")


@pytest.mark.parametrize(
    "wanted", [{"functional": "r2SCAN"}, {"dispersion": "D3(BJ)"}], ids=str
)
def test_what_gpaw_cannot_do_is_refused(wanted: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wanted))):
        GpawTheory.model_validate(wanted)
