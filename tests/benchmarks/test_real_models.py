"""Real models: nothing judged is trained on, and rivals take equal steps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from benchmarks.blocks import (
    FULL,
    QUICK,
    SYSTEMS,
    divide_formulas,
    has_data,
    load_blocks,
    load_pretraining,
)
from benchmarks.data import SHARED, read_frames
from benchmarks.real_models import CHOSEN, ORDER, plan_table, with_epochs
from benchmarks.real_models_run import Case, judge_case, judge_foundation
from benchmarks.real_models_table import describe_table, draw, refuse_unequal
from pretraining.chemistry import ELEMENTS
from pretraining.extend import ANALOGS

if TYPE_CHECKING:
    from pathlib import Path

FEW: Final = frozenset(ELEMENTS) - frozenset(ANALOGS)
"""Elements of a model that knows few, the first fire-mini."""
needs_data = pytest.mark.skipif(
    not has_data(), reason="the real DFT data (shared/data) are not beside the project"
)


def test_a_formula_is_rehearsed_or_held_out_whatever_stands_beside_it() -> None:
    formulas = ["LiF", "LiCl", "NaCl", "LiF", "MgO", "AlN", "LiCl"]
    parts = divide_formulas(formulas)
    assert dict(zip(formulas, parts, strict=True)) == {
        "AlN": "judged",
        "LiCl": "replay",
        "LiF": "watched",
        "MgO": "replay",
        "NaCl": "judged",
    }
    assert divide_formulas(formulas[::-1]) == parts[::-1]


@needs_data
@pytest.mark.parametrize("system", SYSTEMS)
def test_blocks_follow_each_other_in_time(system: str) -> None:
    blocks = load_blocks(system, FEW)
    for file in SYSTEMS[system].files:
        keys = [item.key for item in read_frames(SHARED / f"{file}.extxyz")]
        places = [
            [keys.index(item.key) for item in block if item.key in keys]
            for block in (blocks.train, blocks.valid, blocks.test)
        ]
        assert all(place == sorted(place) for place in places)
        assert max(places[0]) < min(places[1])
        assert max(places[1]) < min(places[2])
    for part in (blocks.train, blocks.valid, blocks.test):
        assert len({item.key for item in part}) == len(part)


@needs_data
def test_what_measures_forgetting_shares_no_formula_with_what_is_rehearsed() -> None:
    few = load_pretraining(FEW)
    everything = load_pretraining(
        frozenset(s for i in _mptrj() for s in i.atoms.get_chemical_symbols())
    )
    assert few.left_out == 1451
    assert everything.left_out == 0
    for found in (few, everything):
        sets = [
            {item.atoms.get_chemical_formula() for item in part}
            for part in (found.replay, found.watched, found.judged)
        ]
        assert len(set.union(*sets)) == sum(len(formulas) for formulas in sets)
    assert {i.key for i in few.replay} < {i.key for i in everything.replay}


def test_rivals_are_set_alike_but_for_what_they_are() -> None:
    """Only what is rehearsed, at what weight, and what may change tells them apart."""
    cases = [job for what, job in plan_table(ORDER, [0, 1]) if what == "judge"]
    assert len(set(cases)) == len(cases) == 2 * (3 * 3 + 3 * 3 + 2 * 3)
    for case in cases:
        assert replace(case, strategy="naive") in cases
        naive, replay, elements = (
            case.settings.config(s).model_dump(exclude={"strategy"})
            for s in ("naive", "replay", "elements")
        )
        assert naive == replay
        elements["replay"]["weight"] = replay["replay"]["weight"]
        assert elements == replay | {"adapt": "elements"}


def test_a_comparison_at_unequal_steps_is_refused() -> None:
    row: dict[str, Any] = {
        "backbone": "chgnet",
        "system": "lgps",
        "strategy": "naive",
        "settings": {"epochs": 10},
        "n_train": 60,
        "steps": 300,
        "target_frames_a_step": (2, 2),
    }
    refuse_unequal([row, row | {"strategy": "replay"}, row | {"backbone": "other"}])
    for changed in ({"steps": 600}, {"n_train": 59}, {"target_frames_a_step": (1, 1)}):
        with pytest.raises(ValueError, match="unequal"):
            refuse_unequal([row, row | {"strategy": "replay"} | changed])


def test_what_a_case_depends_on_names_its_files() -> None:
    case = Case("fire-mini", "lgps", "replay", CHOSEN["fire-mini"])
    others = [
        (replace(case, seed=1), FULL),
        (replace(case, strategy="naive"), FULL),
        (replace(case, settings=with_epochs(case.settings, 3)), FULL),
        (replace(case, settings=replace(case.settings, weight=0.7)), FULL),
        (case, QUICK),
    ]
    names = {case.key(FULL)} | {other.key(sizes) for other, sizes in others}
    assert len(names) == 1 + len(others)
    naive = replace(case, strategy="naive")
    lighter = replace(naive, settings=replace(case.settings, weight=0.7))
    assert naive.key(FULL) == lighter.key(FULL)  # it rehearses nothing


@pytest.mark.slow
@needs_data
def test_a_case_runs_to_its_row_and_is_not_run_again(tmp_path: Path) -> None:
    settings = with_epochs(CHOSEN["fire-mini"], 2)
    rows = [
        judge_case(Case("fire-mini", "lgps", s, settings), QUICK, tmp_path)
        for s in ("naive", "replay", "elements")
    ]
    rows.append(judge_foundation("fire-mini", "lgps", QUICK, tmp_path))
    refuse_unequal(rows)
    naive, replay, elements, _ = rows
    steps = 2 * -(-naive["n_train"] // settings.batch_frames)
    assert naive["steps"] == replay["steps"] == elements["steps"] == steps
    assert naive["replay_frames_a_step"] == [0, 0]
    assert replay["replay_frames_a_step"][0] > 0
    text = describe_table(rows)
    assert text.count("\n") == 5
    draw(rows, tmp_path / "figure.png")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = judge_case(Case("fire-mini", "lgps", "naive", settings), QUICK, tmp_path)
    assert again == naive
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def _mptrj() -> list[Any]:
    return [
        item
        for name in ("mptrj_random", "mptrj_high_stress")
        for item in read_frames(SHARED / "replay" / f"{name}.extxyz")
    ]
