"""The GPU benchmark's table and its refusal, where there is no GPU."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from benchmarks import gpu
from fire_core.children import python_command

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FIGURES: dict[str, Any] = {
    "training": {
        "frames_per_second": {"fire": 50.0, "mace_run_train": 20.0},
        "ratio": 2.5,
    },
    "dynamics": {"ratio": 7.25},
    "steps": {"ms": {"16": 5.0, "416": 6.0, "3456": 31.0}},
    "campaign": {"wall_s": 412.0},
}


def test_without_a_gpu_it_ends_with_one_sentence(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = subprocess.run(
        python_command("benchmarks.gpu"),
        capture_output=True,
        text=True,
        check=False,
        cwd=repository,
    )
    assert done.returncode == 1
    assert done.stderr.strip() == gpu.NO_GPU


def test_its_table_says_what_was_reached() -> None:
    rows = {row.what: row for row in gpu.rows_of(FIGURES)}
    assert rows["training ratio"].reached is True
    assert rows["dynamics beside ASE, 64 atoms"].reached is False
    assert rows["most atoms in steps of fewest"].value == "6.2"
    assert rows["most atoms in steps of fewest"].reached is False
    assert rows["campaign, s"].reached is None
    text = gpu.section("On a GPU: cuda, some card", list(rows.values()))
    assert "\n## On a GPU: cuda, some card\n" in text
    assert "| training ratio | 2.50 | 2 | yes |" in text
    assert all(line.count("|") == 5 for line in text.splitlines() if "|" in line)


def test_a_part_that_fails_ends_none_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(_: str, *arguments: str) -> dict[str, Any]:
        if "dynamics" in arguments:
            msg = "benchmarks.gpu failed: CUDA error: out of memory"
            raise RuntimeError(msg)
        return FIGURES[arguments[1]]

    monkeypatch.setattr(gpu, "run_module", run)
    figures = gpu.measure(list(gpu.PARTS), "cuda", quick=False)
    assert figures["campaign"] == FIGURES["campaign"]
    rows = {row.what: row.value for row in gpu.rows_of(figures)}
    assert (
        rows["dynamics"] == "failed: benchmarks.gpu failed: CUDA error: out of memory"
    )
