"""`fire theory`, with a real scan by pw.x where it is installed."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml
from ase.build import bulk
from typer.testing import CliRunner

from cli.main import app
from fire_core.config.dft import EspressoTheory
from fire_core.config.presets import PRESETS
from fire_core.errors import ConfigError
from fire_core.labelling.dft import program_of
from fire_core.labelling.theory import theory_from_config

if TYPE_CHECKING:
    from pathlib import Path

COARSE = """
theory: {preset: espresso-pbe, cutoff: 20, density_cutoff: 80, k_spacing: 3.0}
"""


def fire(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["theory", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_a_level_is_shown_with_its_fingerprint() -> None:
    shown = json.loads(fire("show", "cp2k-pbe", "--json"))
    preset = PRESETS["cp2k-pbe"]
    assert shown["theory"] == preset.model_dump(mode="json")
    assert shown["fingerprint"] == theory_from_config(preset).fingerprint
    assert shown["fingerprint"] in fire("list")


def test_differences_are_told(tmp_path: Path) -> None:
    said = fire("diff", "cp2k-pbe", "cp2k-pbe-d3")
    assert "dispersion" in said
    assert "cutoff" not in said
    assert "labels differ" in said
    patient = tmp_path / "patient.yaml"
    patient.write_text("theory: {preset: cp2k-pbe, max_iterations: 900}")
    assert "labels of one are labels of the other" in fire(
        "diff", "cp2k-pbe", str(patient)
    )


def test_wrong_words_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"one of cp2k-pbe, .* got 'pbe'"):
        fire("show", "pbe")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("theory: {preset: cp2k-pbe, cutof: 800}")
    with pytest.raises(ConfigError, match=r"holds no theory level: .*cutof"):
        fire("show", str(wrong))


@pytest.mark.slow
def test_a_scan_says_what_is_enough_and_pays_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which("pw.x") is None:
        pytest.skip("pw.x is not here: apt install quantum-espresso")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coarse.yaml").write_text(COARSE)
    atoms = bulk("AlP", "zincblende", a=5.5)
    atoms.rattle(0.05, seed=1)
    atoms.write(tmp_path / "cell.xyz")
    scan = ["coarse.yaml", "cell.xyz", "--scan", "cutoff=12,45,60"]
    said = fire("converge", *scan)
    rows = [line.split("│") for line in said.splitlines() if "│ cutoff" in line]
    energies = [float(row[3]) for row in rows[:2]]
    assert energies[0] > energies[1]  # variational: a larger basis is nearer
    stresses = [float(row[5]) for row in rows[:2]]
    assert stresses[0] > 10 * stresses[1]
    assert rows[2][3].split() == ["reference"]
    assert (tmp_path / "convergence.png").stat().st_size > 5000
    assert fire("converge", *scan).count("stored") == 3
    with pytest.raises(ConfigError, match="expected a setting out of cutoff"):
        fire("converge", *scan[:2], "--scan", "cutof=20,30")
    with pytest.raises(ConfigError, match="expected a scan such as"):
        fire("converge", *scan[:2], "--scan", "cutoff=20,x")


def test_atoms_are_computed_once_and_kept(tmp_path: Path) -> None:
    level = tmp_path / "level.yaml"
    level.write_text("theory: {kind: xtb}")
    where = ["--db", f"sqlite:///{tmp_path}/fire.db", "--blobs", str(tmp_path / "b")]
    first = fire("atoms", str(level), "Li", "Cl", *where)
    assert "stored" not in first
    assert fire("atoms", str(level), "Cl", "Li", *where).count("stored") == 2
    with pytest.raises(ConfigError, match="does not label Pu"):
        fire("atoms", str(level), "Pu", *where)


def test_pseudopotentials_are_named_with_what_is_in_them(tmp_path: Path) -> None:
    upf = '<UPF version="2.0.1">\n<PP_HEADER author="x"\n element="Li"\n z="3"/>'
    (tmp_path / "anything.upf").write_text(upf)
    (tmp_path / "Cl-low.psp8").write_text("Cl  ONCVPSP\n  17.0000  7.0  1 zatom,zion\n")
    (tmp_path / "README").write_text("element of surprise")
    named = yaml.safe_load(fire("pseudopotentials", str(tmp_path)))
    digest = hashlib.sha256(upf.encode()).hexdigest()
    assert named["pseudopotentials"]["Li"] == f"anything.upf sha256:{digest[:16]}"
    assert set(named["pseudopotentials"]) == {"Li", "Cl"}
    theory = EspressoTheory.model_validate(named)
    assert program_of(theory).elements(theory) == {"Li", "Cl"}
    (tmp_path / "Li.UPF").write_text(upf)
    with pytest.raises(ConfigError, match=r"got Li.UPF, anything.upf for Li"):
        fire("pseudopotentials", str(tmp_path))
    with pytest.raises(ConfigError, match="got none"):
        fire("pseudopotentials", str(tmp_path / "nowhere"))
