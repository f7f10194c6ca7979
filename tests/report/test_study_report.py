"""A study's page, numbers and figures, from cells made up with known errors."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import pytest

from fire_core.report import figures
from fire_core.report.study_figures import draw_study
from fire_core.report.study_report import StudyReport, show_spread, write_study
from fire_core.study.results import Baseline, CellResult, aggregate, summarise

CELL = CellResult(
    id="0",
    variant="fire",
    labels=10,
    selection="kmeans",
    seed=0,
    n_train=9,
    n_valid=1,
    energy_rmse_mev_per_atom=1.0,
    energy_mae_mev_per_atom=0.8,
    force_rmse_mev_per_angstrom=50.0,
    force_mae_mev_per_angstrom=40.0,
    forgetting_before_mev_per_angstrom=30.0,
    forgetting_after_mev_per_angstrom=33.0,
    train_seconds=20.0,
    selection_seconds=0.5,
    frames_per_second=9.0,
    epochs=2,
    kept_epoch=1,
    device="cpu, 1 thread",
    model="f" * 64,
)
BASELINE = Baseline(12.0, 220.0, 30.0, 64)


def make_cells(seeds: int = 3) -> list[CellResult]:
    cells = []
    for variant, factor in (("fire", 1.0), ("naive", 2.0), ("scratch", 6.0)):
        for labels in (10, 40, 160):
            for selection in ("all",) if labels == 160 else ("kmeans", "random"):
                for seed in range(seeds):
                    worse = factor * (1 + 0.1 * seed) * (1.2 - 0.2 * (selection > "l"))
                    cells.append(
                        replace(
                            CELL,
                            variant=variant,
                            labels=labels,
                            selection=selection,
                            seed=seed,
                            force_rmse_mev_per_angstrom=300 * worse * labels**-0.5,
                            energy_rmse_mev_per_atom=9 * worse * labels**-0.4,
                            train_seconds=labels * factor * (1 + 0.05 * seed),
                            forgetting_after_mev_per_angstrom=30 + 4 * worse,
                        )
                    )
    return cells


def make_report(cells: list[CellResult], **changes: object) -> StudyReport:
    report = StudyReport(
        name="demo",
        config={"name": "demo"},
        cells=cells,
        n_cells=50,
        failures={},
        baseline=BASELINE,
        facts=["Data: a.extxyz."],
        versions={"torch": "2.13.0"},
    )
    return replace(report, **changes)


def test_every_figure_has_the_promised_size(tmp_path) -> None:
    drawn = draw_study(aggregate(make_cells()), BASELINE, tmp_path)
    names = ["study_data.png", "study_cost.png", "study_forgetting.png"]
    found = [attempt.files for attempt in drawn if attempt.files is not None]
    assert [files.png.name for files in found] == names
    for files in found:
        width, _ = struct.unpack(">II", files.png.read_bytes()[16:24])
        assert width == pytest.approx(files.width * figures.DPI, abs=1)
        assert "foundation" in files.svg.read_text() or "cost" in files.png.name


def test_one_cell_alone_can_be_drawn(tmp_path) -> None:
    bare = replace(CELL, forgetting_after_mev_per_angstrom=None)
    drawn = draw_study(aggregate([bare]), replace(BASELINE, n_heldout=0), tmp_path)
    assert len(drawn) == 2
    assert all(attempt.files is not None for attempt in drawn)


def test_the_page_holds_means_bars_and_efficiency(tmp_path) -> None:
    page = write_study(make_report(make_cells()), tmp_path)
    text = page.read_text()
    assert "45 of 50 cells finished" in text
    assert "| foundation model | – | 0 | – | 12.0 | 220 | 30.0 |" in text
    assert "± is the standard error of the mean over seeds." in text
    forces = [c.force_rmse_mev_per_angstrom for c in make_cells()[:3]]
    assert show_spread(summarise(forces)) in text
    found = json.loads((tmp_path / "study.json").read_text())
    line = next(
        e
        for e in found["efficiency"]
        if (e["variant"], e["reference"], e["selection"]) == ("fire", "naive", "kmeans")
        and e["metric"].startswith("force")
    )
    # half the error at every size, as labels^-1/2: a quarter of the labels
    assert line["labels"] == pytest.approx(160 / 4, rel=1e-6)
    assert "40 (25 %)" in text


def test_devices_failures_and_few_seeds_are_told(tmp_path) -> None:
    cells = make_cells(seeds=2)
    cells[0] = replace(cells[0], device="cuda, card")
    report = make_report(cells, failures={"fire-all-9-seed0": "the loss became nan"})
    text = write_study(report, tmp_path).read_text()
    assert "Seconds of different devices cannot be compared" in text
    assert "- fire-all-9-seed0: the loss became nan" in text
    assert "[ ] is the range over fewer than three seeds" in text


def test_a_study_without_a_finished_cell_has_a_page(tmp_path) -> None:
    text = write_study(make_report([]), tmp_path).read_text()
    assert "0 of 50 cells finished" in text
    assert not list(tmp_path.glob("*.png"))


def test_numbers_carry_their_bars() -> None:
    assert show_spread(summarise([60.0, 70.0, 80.0])) == "70.0 ± 5.8"
    assert show_spread(summarise([60.0, 70.0])) == "65.0 [60.0, 70.0]"
    assert show_spread(summarise([60.0])) == "60.0"
    assert show_spread(None) == "–"
