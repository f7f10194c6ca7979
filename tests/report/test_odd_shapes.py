"""Reports of small campaigns: what has one of everything is drawn, nothing fails."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest

from fire_core.campaign.choices import _pack_map
from fire_core.records import Pick
from fire_core.report import campaign_report, figures
from fire_core.report.campaign_report import write_report
from fire_core.report.data import LearningCurve, PcaPoints, StabilityCurve
from fire_core.report.loop_data import ReliabilityCurve
from fire_core.report.loop_figures import draw_reliability
from fire_core.report.study_figures import draw_study
from fire_core.report.study_report import StudyReport, write_study
from fire_core.selection.reduce import fit_pca
from fire_core.storage.runs import FrameRow
from fire_core.study.results import aggregate
from tests.report.test_campaign_report import Page
from tests.report.test_study_report import BASELINE, CELL

UNDRAWN = "could not be drawn"


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    """Draw coarsely: what is asked here does not depend on the number of pixels."""
    monkeypatch.setattr(figures, "DPI", 30)


def few_frames(parity, n):
    """The parity of `n` frames of one atom each."""
    return {
        key: replace(
            pairs,
            energy_label=pairs.energy_label[:n],
            energy_model=pairs.energy_model[:n],
            force_label=pairs.force_label[: 3 * n],
            force_model=pairs.force_model[: 3 * n],
        )
        for key, pairs in parity.items()
    }


def one_component(data):
    return {"pca": replace(data.pca, scores=data.pca.scores[:, :1])}


def one_candidate(data):
    scores, hot = data.pca.scores[:1, :1], data.pca.temperatures[:1]
    return {"pca": replace(data.pca, scores=scores, temperatures=hot, picked=[0])}


def one_candidate_in_a_plane(data):
    scores, hot = data.pca.scores[:1], data.pca.temperatures[:1]
    return {"pca": replace(data.pca, scores=scores, temperatures=hot, picked=[0])}


def nothing_picked(data):
    return {"pca": replace(data.pca, picked=[])}


def one_test_frame(data):
    return {"parity": few_frames(data.parity, 1), "n_test": 1}


def no_label_failed(data):
    return {"failures": [], "label_counts": {"done": 3, "failed": 0}}


def no_replay(data):
    """Nothing of the pre-training data is at hand: forgetting is not measured."""
    models = {
        key: replace(scores, forgetting_force_mae_mev_per_angstrom=np.nan)
        for key, scores in data.models.items()
    }
    curve = LearningCurve([1, 2], [9.0, 8.0], [None, None])
    return {"models": models, "learning_curves": {"fire": curve}}


def one_epoch(data):
    return {"learning_curves": {"fire": LearningCurve([0], [9.0], [None])}}


def one_model(data):
    return {
        "models": {"fire": data.models["fire"]},
        "parity": {"fire": data.parity["fire"]},
        "stability": {
            "fire": StabilityCurve(np.zeros(1), np.ones(1), None, 0.0, completed=True)
        },
    }


def perfect(data):
    """Every error is zero, and every label the same."""
    models = {key: replace(scores, force_rmse_mev_per_angstrom=0.0,
                           energy_rmse_mev_per_atom=0.0)
              for key, scores in data.models.items()}  # fmt: skip
    parity = {
        key: replace(
            pairs,
            energy_label=np.ones(4),
            energy_model=np.ones(4),
            force_label=np.zeros(12),
            force_model=np.zeros(12),
        )
        for key, pairs in data.parity.items()
    }
    return {"models": models, "parity": parity, "seconds": {"label": 0.0}}


@pytest.mark.parametrize(
    "shape",
    [
        one_component,
        one_candidate,
        one_candidate_in_a_plane,
        nothing_picked,
        one_test_frame,
        no_label_failed,
        no_replay,
        one_epoch,
        one_model,
        perfect,
    ],
)
def test_every_figure_of_a_small_campaign_is_drawn(shape, report_data, tmp_path):
    data = replace(report_data, **shape(report_data))
    page = write_report(data, tmp_path).read_text(encoding="utf-8")
    assert UNDRAWN not in page
    assert len(Page(page).links) == 7
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["pca"]["n_candidates"] == len(data.pca.scores)


def test_a_figure_that_cannot_be_drawn_leaves_the_others_and_says_why(
    report_data, tmp_path, monkeypatch, caplog
):
    def fail(*_: object) -> None:
        raise TypeError("Axes.scatter() missing 'y' <b>")

    monkeypatch.setattr(campaign_report.figures, "draw_pca_map", fail)
    page = write_report(report_data, tmp_path).read_text(encoding="utf-8")
    assert len(Page(page).links) == 6
    assert f"{UNDRAWN}: TypeError: Axes.scatter() missing" in page
    assert "&lt;b&gt;" in page
    assert page.index(UNDRAWN) < page.index("Candidates and selection")
    assert (tmp_path / "results.json").is_file()
    assert "a figure could not be drawn" in caplog.text


def test_one_component_is_drawn_against_the_order_of_the_run(report_data, tmp_path):
    points = replace(report_data.pca, scores=report_data.pca.scores[:, :1])
    drawn = figures.draw_pca_map(points, tmp_path).svg.read_text(encoding="utf-8")
    assert "<!-- Number of the candidate -->" in drawn
    assert "<!-- PC 2" not in drawn


def test_the_map_of_a_plain_crystal_is_kept_and_drawn(tmp_path):
    """One component explains nearly all that a rock salt does at 300 K."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(20, 1)) * np.ones((1, 5))
    pca = fit_pca(features + 1e-4 * rng.normal(size=features.shape), 10, 0.99)
    scores = pca.project(features)
    assert scores.shape == (20, 1)
    rows = [FrameRow(f"{i:02}", 0, 300.0, i, -1.0, 0) for i in range(20)]
    kept = np.load(io.BytesIO(_pack_map(scores, rows, [Pick(3, 0, 0, 20, 0.1)])))
    points = PcaPoints(
        kept["coordinates"].astype(float),
        kept["temperatures"],
        kept["picked"].tolist(),
        (float(pca.explained_ratio[0]), 0.0),
    )
    assert figures.draw_pca_map(points, tmp_path).png.is_file()


def test_a_reliability_of_one_model_and_one_bin_is_drawn(tmp_path):
    curve = ReliabilityCurve([0.5], [0.5], [0.1], [0.1], 0.0)
    assert draw_reliability({"a committee of one": curve}, tmp_path).png.is_file()


def test_a_study_of_one_cell_is_drawn_and_one_without_numbers_says_why(tmp_path):
    points = aggregate([CELL])
    assert all(a.files is not None for a in draw_study(points, BASELINE, tmp_path))
    broken = replace(CELL, energy_rmse_mev_per_atom=0.0)
    broken = replace(broken, train_seconds=0.0)
    report = StudyReport("one", {}, [broken], 1, {}, BASELINE, [], {})
    page = write_study(report, tmp_path / "study").read_text(encoding="utf-8")
    assert f"A figure {UNDRAWN}: ValueError: " in page
    assert "![study_data](study_data.png)" in page
    assert (tmp_path / "study" / "study.json").is_file()
