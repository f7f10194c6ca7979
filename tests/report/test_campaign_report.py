"""The page stands alone, the JSON keeps its names, and the words fit the numbers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from fire_core.report.campaign_report import make_results, write_report
from fire_core.report.data import MODEL_NAMES, ModelScores
from fire_core.report.verdicts import describe_theory, judge

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that tags close in order and collects what the page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.links += [v for k, v in attrs if k in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(report_data, tmp_path_factory):
    """The page of a report, written once: its figures take seconds."""
    return write_report(report_data, tmp_path_factory.mktemp("some") / "results" / "x")


def test_the_page_is_whole_and_needs_no_other_file(page):
    text = page.read_text(encoding="utf-8")
    links = Page(text).links
    assert len(links) == 7
    assert all(link.startswith("data:image/png;base64,") for link in links)
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert len(list((page.parent / "figures").iterdir())) == 14


def test_the_page_says_what_matters_first(page):
    text = page.read_text(encoding="utf-8")
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text.split("<body>")[1]))
    assert plain.index("143 structures were labelled") < plain.index("Errors")
    assert plain.index("not DFT") < plain.index("Errors")
    assert "250 &lt;b&gt;SCF&lt;/b&gt; cycles" in text
    for word in ("0123456789abcdef", "cd" * 32, "campaign 7", "name: licl-gaf3"):
        assert word in plain
    assert "7 candidates around step 40" in plain


def test_results_keep_their_names(page):
    results = json.loads((page.parent / "results.json").read_text(encoding="utf-8"))
    assert set(results["models"]) == set(MODEL_NAMES)
    for scores in results["models"].values():
        assert {
            "energy_rmse_mev_per_atom",
            "force_rmse_mev_per_angstrom",
            "forgetting_force_mae_mev_per_angstrom",
        } <= set(scores)
    assert results["models"]["fire"]["force_rmse_mev_per_angstrom"] == 70.0
    added = {
        key: scores["forgetting_added_mev_per_angstrom"]
        for key, scores in results["models"].items()
    }
    assert added == {
        "zero_shot": 0.0, "pre_fine_tuned": 25.0, "vanilla": 135.0, "fire": 7.0
    }  # fmt: skip
    assert results["stability"]["zero_shot"] == {
        "drift_mev_per_atom_per_ps": None,  # infinity is no JSON
        "completed": False,
    }
    assert results["total_seconds"] == pytest.approx(301.5)
    assert results["pca"]["n_selected"] == 3
    assert results["pca"]["coverage"] == "mean 0.21, largest 1.30."
    assert results["label_counts"] == {"done": 143, "failed": 1}


def test_a_bare_campaign_still_has_a_report(bare_data, tmp_path):
    text = write_report(bare_data, tmp_path).read_text(encoding="utf-8")
    assert len(Page(text).links) == 2
    assert "Vanilla" not in text
    assert "Failed labels" not in text
    assert "Coverage" not in text


def test_writing_again_replaces_and_leaves_no_scraps(bare_data, tmp_path):
    write_report(bare_data, tmp_path)
    write_report(replace(bare_data, name="other"), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "figures",
        "report.html",
        "results.json",
    ]
    assert json.loads((tmp_path / "results.json").read_text())["name"] == "other"


@pytest.mark.parametrize(
    ("fire", "passed"),
    [
        (ModelScores(3.5, 70.0, 42.0), [True, True, None, True, None, True]),
        (ModelScores(3.5, 470.0, 42.0), [False, True, None, True, None, True]),
        (ModelScores(63.5, 70.0, 42.0), [True, False, None, True, None, True]),
        (ModelScores(3.5, 70.0, 180.0), [True, True, None, False, None, True]),
    ],
)
def test_verdicts_follow_the_numbers(report_data, fire, passed):
    data = replace(report_data, models=report_data.models | {"fire": fire})
    assert [v.passed for v in judge(data)] == passed


def test_a_failed_comparison_claims_no_gain(report_data):
    worse = report_data.models | {"fire": ModelScores(63.5, 470.0, 180.0)}
    verdicts = judge(replace(report_data, models=worse))
    assert not any("times lower" in v.text for v in verdicts)
    assert "1 of 144 labels failed" in verdicts[4].text


def test_only_embedded_theories_carry_a_warning():
    assert "not DFT" in describe_theory("xtb")
    assert "rehearsal" in describe_theory("teacher")
    assert describe_theory("cp2k") is None


def test_results_are_plain_json_whatever_the_numbers_type(report_data):
    import numpy as np

    scores = ModelScores(np.float64(1.0), np.float32(2.0), np.nan)
    data = replace(
        report_data,
        models={"fire": scores},
        label_counts={"done": np.int64(4)},
    )
    results = json.loads(json.dumps(make_results(data), allow_nan=False))
    fire = results["models"]["fire"]
    assert fire["force_rmse_mev_per_angstrom"] == 2.0
    assert fire["forgetting_force_mae_mev_per_angstrom"] is None
    assert results["label_counts"]["done"] == 4
