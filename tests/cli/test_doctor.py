"""`fire doctor` as a person runs it: on sound data, broken data and real data."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from cli.main import app
from fire_core.backbones.registry import load_backbone
from fire_core.errors import StructureError
from fire_core.storage.exchange import frame_text
from tests.evaluation.doctor.conftest import make_frames, other_theory, relabel

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from click.testing import Result

    from fire_core.records import LabelledStructure


def fire(*arguments: str) -> Result:
    options = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner(env=options).invoke(app, ["doctor", *arguments])


def write(path: Path, items: Sequence[LabelledStructure]) -> str:
    texts = [
        frame_text(
            i.atoms,
            energy=i.label.energy,
            forces=i.label.forces,
            stress=i.label.stress,
        )
        for i in items
    ]
    path.write_text("".join(texts))
    return str(path)


@pytest.fixture(scope="module")
def sound() -> list[LabelledStructure]:
    backbone = load_backbone("fire-mini", threads=1)
    return other_theory(make_frames("LiCl", 14, 0), backbone, 1)


def test_sound_data_pass(sound: list[LabelledStructure], tmp_path: Path) -> None:
    done = fire(write(tmp_path / "sound.extxyz", sound), "--frames", "12")
    assert done.exit_code == 0, done.output
    assert "14 frames; compared with fire-mini: 12 evenly spaced" in done.output
    assert done.output.splitlines()[-1] == "nothing speaks against training on this"
    assert "error" not in done.output


def test_vasps_stress_and_a_test_set_within_the_data_fail_as_json(
    sound: list[LabelledStructure], tmp_path: Path
) -> None:
    def as_vasp(item: LabelledStructure) -> object:
        assert item.label.stress is not None
        return replace(item.label, stress=-1602.1766 * item.label.stress)

    data = write(tmp_path / "vasp.extxyz", relabel(sound, as_vasp))
    test = write(tmp_path / "test.extxyz", sound[:3])
    done = fire(data, "--test", test, "--json")
    assert done.exit_code == 1
    facts = json.loads(done.output)
    assert (facts["n_frames"], facts["n_known"], facts["fit"]) == (14, 14, False)
    errors = {
        f["kind"]: f["what"] for f in facts["findings"] if f["severity"] == "error"
    }
    assert set(errors) == {"stress_scale", "leakage"}
    assert errors["stress_scale"].startswith("wrong sign and wrong unit, ")
    assert errors["leakage"].startswith("3 of 3 test frames are in the training set")
    assert facts["verdict"].endswith("mend first: stress_scale, leakage")


def test_a_file_with_nothing_readable_is_told_and_not_a_traceback(
    sound: list[LabelledStructure], tmp_path: Path
) -> None:
    path = tmp_path / "named.extxyz"
    write(path, sound[:2])
    path.write_text(path.read_text().replace("energy=", "dft_energy="))
    done = fire(str(path))
    assert done.exit_code == 1
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "dft_energy" in done.output
    missing = fire(str(tmp_path / "nowhere.extxyz"))
    assert isinstance(missing.exception, StructureError)
    assert "no file at" in str(missing.exception)


REAL = {
    "li6ps5cl/600K": ("--frames", "12"),
    "lgps/train": ("--frames", "24"),
    "li_metal/train": ("--frames", "24"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_dft_data_raise_no_alarm(shared_data: Path, name: str) -> None:
    done = fire(str(shared_data / f"{name}.extxyz"), *REAL[name], "--json")
    assert done.exit_code == 0, done.output
    alarms = [f for f in json.loads(done.output)["findings"] if f["severity"] != "note"]
    assert alarms == []


@pytest.mark.slow
def test_the_level_of_real_data_is_found(shared_data: Path) -> None:
    """LLZO's energies lie about 0.32 eV/atom off Materials Project's level."""
    done = fire(str(shared_data / "llzo" / "train.extxyz"), "--frames", "12", "--json")
    assert done.exit_code == 0, done.output
    (finding,) = [
        f for f in json.loads(done.output)["findings"] if f["kind"] == "references"
    ]
    assert finding["severity"] == "warning"
    assert finding["numbers"]["rms_before_ev_per_atom"] == pytest.approx(0.32, abs=0.02)
    assert finding["numbers"]["rms_after_ev_per_atom"] < 0.02
