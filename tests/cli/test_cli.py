"""The console command: every mistake is one clear message, nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ase.build import bulk
from ase.calculators.lj import LennardJones
from ase.io import write

from fire_core.storage.store import Store
from tests.cli.command import fire

ROOT = Path(__file__).resolve().parents[2]


def test_help_names_every_group(tmp_path: Path) -> None:
    """By an interpreter of its own, which knows nothing of this machine."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "cli.main", "--help"],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(ROOT),
            "PATH": "",
            "HOME": str(tmp_path),
            "COLUMNS": "200",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    groups = ("campaign", "config", "db", "doctor", "label", "model", "study")
    for group in (*groups, "system"):
        assert group in done.stdout


def test_a_wrong_campaign_file_is_explained_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: x\nsead: 1\n")
    commands = (
        ("config", "check"),
        ("campaign", "run"),
        ("study", "check"),
        ("study", "run"),
    )
    for command in commands:
        done = fire(tmp_path, *command, "bad.yaml")
        assert done.returncode == 1
        assert "unknown key; did you mean `seed" in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / ".fire").exists()


def test_the_example_is_valid_and_its_cell_can_be_written(tmp_path: Path) -> None:
    example = ROOT / "examples" / "licl_gaf3.yaml"
    checked = fire(tmp_path, "config", "check", str(example))
    assert "2000 candidates and 144 labels" in checked.stdout
    built = fire(tmp_path, "system", "build", str(example), "start.cif")
    assert "32 atoms" in built.stdout
    assert (tmp_path / "start.cif").is_file()


def test_a_campaign_without_its_structures_is_found_by_the_check(
    tmp_path: Path,
) -> None:
    (tmp_path / "lost.yaml").write_text(
        "name: lost\nsystem: {kind: file, path: nowhere.xyz}\n"
    )
    done = fire(tmp_path, "config", "check", "lost.yaml")
    assert done.returncode == 1
    assert "no structure file at" in done.stderr
    assert "nowhere.xyz" in done.stderr


def test_the_schema_is_json(tmp_path: Path) -> None:
    schema = json.loads(fire(tmp_path, "config", "schema").stdout)
    assert "system" in schema["required"]


@pytest.fixture
def labelled_file(tmp_path: Path) -> Path:
    frames = []
    for a in (4.9, 5.0, 5.1):
        atoms = bulk("LiCl", "rocksalt", a=a, cubic=True)
        atoms.calc = LennardJones()
        atoms.get_forces()
        frames.append(atoms)
    bare = bulk("LiF", "rocksalt", a=4.0)
    path = tmp_path / "labels.extxyz"
    write(path, [*frames, bare])
    return path


def test_import_stats_and_export(tmp_path: Path, labelled_file: Path) -> None:
    done = fire(tmp_path, "db", "import", str(labelled_file), "--theory", "pbe")
    assert done.returncode == 0, done.stderr
    assert "3 labels imported, 0 known already, 1 refused" in done.stdout
    assert "refused frame 3: no_energy" in done.stdout
    again = fire(tmp_path, "db", "import", str(labelled_file), "--theory", "pbe")
    assert "0 labels imported, 3 known already" in again.stdout
    stats = json.loads(fire(tmp_path, "db", "stats", "--json").stdout)
    (fingerprint,) = stats["theories"]
    assert stats["structures"] == 3
    assert stats["theories"][fingerprint]["labels"] == {"done": 3}
    assert fingerprint in fire(tmp_path, "db", "stats").stdout
    out = fire(tmp_path, "db", "export", "out.extxyz", "--theory", fingerprint)
    assert "3 labelled structures" in out.stdout
    lost = fire(tmp_path, "db", "export", "out.extxyz", "--theory", "nothing")
    assert lost.returncode == 1
    assert f"no theory level 'nothing' in the store; there: {fingerprint} (pbe" in (
        lost.stderr
    )
    named = fire(tmp_path, "db", "export", "named.extxyz", "--theory", "pbe")
    assert named.returncode == 0, named.stderr
    assert (tmp_path / "named.extxyz").read_bytes() == (
        tmp_path / "out.extxyz"
    ).read_bytes()


def test_a_name_is_one_theory_level_until_another_code_has_it(
    tmp_path: Path, labelled_file: Path
) -> None:
    given = ("db", "import", str(labelled_file), "--theory", "pbe")
    fire(tmp_path, *given, "--code", "VASP 6.4")
    again = fire(tmp_path, *given)
    assert "0 labels imported, 3 known already" in again.stdout
    other = fire(tmp_path, *given, "--code", "ABINIT 10")
    assert "3 labels imported" in other.stdout
    unclear = fire(tmp_path, *given)
    assert unclear.returncode == 1
    assert "several theory levels are called 'pbe'" in unclear.stderr
    assert "VASP 6.4" in unclear.stderr


def test_a_file_without_a_sound_frame_fails(tmp_path: Path) -> None:
    write(tmp_path / "bare.extxyz", bulk("LiF", "rocksalt", a=4.0))
    done = fire(tmp_path, "db", "import", "bare.extxyz", "--theory", "pbe")
    assert done.returncode == 1
    assert "1 refused" in done.stdout


def test_reports_and_failures_of_what_is_not_there(tmp_path: Path) -> None:
    Store.open(f"sqlite:///{tmp_path}/.fire/fire.db", tmp_path / "b").close()
    missing = fire(tmp_path, "campaign", "report", "nobody")
    assert missing.returncode == 1
    assert "no campaign 'nobody'" in missing.stderr
    assert "no label has failed" in fire(tmp_path, "label", "failures").stdout
    assert "no campaign in" in fire(tmp_path, "campaign", "list").stdout
