"""A study is run, resumed and extended without repeating or leaking anything."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fire_core.campaign.studies.cell import SPACE, run_cell
from fire_core.campaign.studies.check import check_study
from fire_core.campaign.studies.inputs import enter_study, find_study
from fire_core.campaign.studies.plan import finished_cells, prepare, read_plan
from fire_core.campaign.studies.study import Study
from fire_core.config.load import load_study
from fire_core.errors import StoreError, StructureError, TrainingError
from fire_core.storage.store import Store
from fire_core.study.data import divide_by_time, read_trajectory
from tests.events import wait_for
from tests.study.conftest import write_study

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.config.study import StudyConfig
    from fire_core.records import EpochRecord
    from fire_core.study.results import CellResult

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TIMES = ("train_seconds", "selection_seconds", "frames_per_second")
ROUNDING = 1e-3
"""A resumed training agrees with one that went on to this part."""
HALTING = """
import sys
from pathlib import Path
from tests.events import halt
from tests.study.test_running import run_all
path, epochs = Path(sys.argv[1]), []
def count(record):
    epochs.append(record.epoch)
    if epochs == [0, 1, 0]:
        halt(path.parent, "second")
run_all(path, count)
"""
"""A study that goes no further than the first epoch of its second cell."""


def open_store(config: StudyConfig) -> Store:
    return Store.open(config.store.url, config.store.blobs)


def run_all(
    path: Path, on_epoch: Callable[[EpochRecord], None] | None = None
) -> list[CellResult]:
    """Run what is left of a study, as the flow does; return every cell."""
    config = load_study(path)
    with open_store(config) as store:
        plan = prepare(store, config)
        return [run_cell(store, config, cell, on_epoch) for cell in plan.cells]


def numbers(result: CellResult) -> dict[str, object]:
    return {k: v for k, v in asdict(result).items() if k not in {*TIMES, "model"}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[CellResult]]:
    """A study of one seed to which a second was added: its file and its cells."""
    folder = tmp_path_factory.mktemp("whole")
    first = run_all(write_study(folder, seeds=[0]))
    trained: list[EpochRecord] = []
    path = write_study(folder)
    cells = run_all(path, trained.append)
    assert cells[:4] == first  # and what was there is not trained again
    assert len(trained) == 4 * 2
    return path, cells


def test_every_cell_is_judged_on_the_same_frames(
    whole: tuple[Path, list[CellResult]],
) -> None:
    _, cells = whole
    assert len({cell.id for cell in cells}) == 8
    assert {(c.labels, c.selection) for c in cells} == {(4, "kmeans"), (8, "all")}
    for cell in cells:
        assert cell.n_train + cell.n_valid == cell.labels
        assert cell.n_valid == 1
        assert cell.force_rmse_mev_per_angstrom >= cell.force_mae_mev_per_angstrom > 0
        assert cell.epochs == 2
        assert cell.kept_epoch == 1
        assert cell.device == "cpu, 1 thread"
        assert cell.forgetting_after_mev_per_angstrom != (
            cell.forgetting_before_mev_per_angstrom
        )
    assert len({cell.forgetting_before_mev_per_angstrom for cell in cells}) == 1


def test_no_test_frame_is_trained_on_and_variants_share_their_frames(
    whole: tuple[Path, list[CellResult]],
) -> None:
    path, cells = whole
    config = load_study(path)
    frames = divide_by_time(
        [read_trajectory(Path(d.path)) for d in config.data], config.test
    )
    judged = {item.key for item in frames.test}
    chosen: dict[tuple[int, int], set[tuple[int, ...]]] = {}
    with open_store(config) as store:
        for cell in cells:
            facts = json.loads(store.models.need(config.key, cell.id).config_json)
            picked = facts["pool_frames"]
            assert len(set(picked)) == cell.labels
            assert not {frames.pool[i].key for i in picked} & judged
            chosen.setdefault((cell.labels, cell.seed), set()).add(tuple(picked))
    assert all(len(sets) == 1 for sets in chosen.values())


def test_a_finished_study_trains_nothing_again(
    whole: tuple[Path, list[CellResult]],
) -> None:
    path, cells = whole

    def refuse(record: EpochRecord) -> None:
        pytest.fail(f"epoch {record.epoch} was trained again")

    assert run_all(path, refuse) == cells
    assert check_study(load_study(path)).seconds == 0


def test_killed_it_goes_on_and_ends_with_the_same_numbers(
    whole: tuple[Path, list[CellResult]], tmp_path: Path
) -> None:
    path = write_study(tmp_path, seeds=[0], sizes=[4])
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HALTING, str(path)], cwd=ROOT
    )
    config, (first, second) = load_study(path), whole[1][:2]
    with process, open_store(config) as store:
        wait_for((tmp_path / "second").exists, process)
        process.kill()
        process.wait()
        assert len(store.models.epochs(config.key, second.id)) == 1
        before = finished_cells(store, config, read_plan(store, config).cells)
    assert [cell.id for cell in before] == [first.id]
    assert 0 < (check_study(config).seconds or 0) < 600
    trained: list[int] = []
    after = run_all(path, lambda record: trained.append(record.epoch))
    assert trained == [1]
    assert after[0] == before[0]
    assert numbers(after[0]) == numbers(first)  # bit for bit
    found, wanted = numbers(after[1]), numbers(second)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        close = value if isinstance(value, str) else pytest.approx(value, rel=ROUNDING)
        assert found[key] == close, key


def test_the_space_of_selection_is_made_once_and_checkpoints_are_let_go(
    whole: tuple[Path, list[CellResult]],
) -> None:
    path, cells = whole
    config = load_study(path)
    with open_store(config) as store:
        (row,) = store.evaluations.list(SPACE, config.key)
        seconds = row.value.seconds
        for cell in cells:
            chosen = cell.selection == "kmeans"
            assert (cell.selection_seconds >= seconds) == chosen
            epochs = store.models.epochs(config.key, cell.id)
            assert not any(epoch.checkpoint_sha for epoch in epochs)


def test_a_training_that_diverges_is_an_expected_error(tmp_path: Path) -> None:
    broken = {"broken": {"strategy": "naive", "learning_rate": 1e30}}
    path = write_study(tmp_path, variants=broken, sizes=[4], seeds=[0])
    with pytest.raises(TrainingError, match="lower learning_rate"):
        run_all(path)


def test_data_that_cannot_make_the_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match=r"trajectory 1 has 6 frames"):
        check_study(load_study(write_study(tmp_path, test={"last": 6})))
    path = write_study(tmp_path, forgetting="nowhere.extxyz")
    with pytest.raises(TrainingError, match="no replay set at nowhere"):
        check_study(load_study(path))


def test_a_campaigns_name_is_not_taken(tmp_path: Path) -> None:
    config = load_study(write_study(tmp_path))
    with open_store(config) as store:
        store.campaigns.open("study-tiny", '{"name": "study-tiny"}')
        with pytest.raises(StoreError, match="is a campaign in this store"):
            enter_study(store, config)
        with pytest.raises(StoreError, match=r"no study 'tiny' .*there: none"):
            find_study(store, "tiny", config.store.url)


def test_the_report_is_of_what_is_finished(
    whole: tuple[Path, list[CellResult]], tmp_path: Path
) -> None:
    path, cells = whole
    config = load_study(path)
    page = Study(config).report(tmp_path)
    found = json.loads((tmp_path / "study.json").read_text())
    assert (found["cells_finished"], found["cells_planned"]) == (8, 8)
    assert found["cells"] == [asdict(cell) for cell in cells]
    assert "8 frames in the training pool, 4 for the test" in page.read_text()
    with open_store(config) as store:
        assert find_study(store, "tiny", "") == config
        assert find_study(store, "study-tiny", "") == config
