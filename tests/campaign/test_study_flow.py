"""A study through Prefect, from the console: run, reported, a failed cell told."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.campaign.conftest import ROOT
from tests.study.conftest import write_study

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


def fire(
    folder: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "study", *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_study_is_run_reported_and_a_failed_cell_is_told(
    environment: dict[str, str], tmp_path: Path
) -> None:
    variants = {
        "naive": {"strategy": "naive"},
        "broken": {"strategy": "naive", "learning_rate": 1e30},
    }
    path = write_study(tmp_path, variants=variants, sizes=[4], seeds=[0])
    done = fire(tmp_path, environment, "run", path.name)
    assert done.returncode == 1
    assert "1 of 2 cells failed" in done.stderr
    assert "broken-kmeans-4-seed0: the loss became nan" in done.stderr
    assert "lower learning_rate" in done.stderr
    assert "Traceback" not in done.stderr
    assert "1 of 2 cells finished" in done.stdout
    found = json.loads((tmp_path / "results" / "study.json").read_text())
    assert [cell["variant"] for cell in found["cells"]] == ["naive"]
    assert (tmp_path / "results" / "study_data.png").is_file()

    write_study(tmp_path, variants={"naive": variants["naive"]}, sizes=[4], seeds=[0])
    again = fire(tmp_path, environment, "run", path.name)
    assert again.returncode == 0, again.stderr
    assert "1 cells, 1 finished before" in again.stdout + again.stderr
    after = json.loads((tmp_path / "results" / "study.json").read_text())
    assert after["cells"] == found["cells"]

    where = (
        "--db",
        f"sqlite:///{tmp_path}/fire.db",
        "--blobs",
        str(tmp_path / "blobs"),
    )
    shown = fire(tmp_path, environment, "report", "tiny", "--folder", "new", *where)
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "new" / "study.md").is_file()
    checked = fire(tmp_path, environment, "check", path.name, "--json")
    counts = json.loads(checked.stdout)
    assert (counts["cells"], counts["finished"], counts["seconds"]) == (1, 1, 0)
    lost = fire(tmp_path, environment, "report", "nobody", *where)
    assert lost.returncode == 1
    assert "no study 'nobody'" in lost.stderr
