"""A whole campaign through Prefect; then killed at every step it gives the same."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from fire_core.campaign.names import (
    FIRE,
    PRE_FINE_TUNED,
    VANILLA,
    ZERO_SHOT,
    member_kind,
)
from fire_core.records import LabelState, Split
from fire_core.storage.store import Store
from tests.campaign.conftest import TINY, start_campaign, write_campaign
from tests.dashboard import browser
from tests.events import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SCORES = (
    "energy_rmse_mev_per_atom",
    "force_rmse_mev_per_angstrom",
    "forgetting_force_mae_mev_per_angstrom",
)


def open_store(folder: Path) -> Store:
    return Store.open(f"sqlite:///{folder}/.fire/fire.db", folder / ".fire/blobs")


def finish(path: Path, environment: dict[str, str]) -> None:
    with start_campaign(path, environment) as process:
        code = process.wait(timeout=3300)
    assert code == 0, (path.parent / "run.log").read_text()[-3000:]


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, prefect_server: str
) -> tuple[Path, dict[str, str]]:
    """The folder of an uninterrupted campaign."""
    environment = {
        **os.environ,
        "PREFECT_API_URL": prefect_server,
        "OMP_NUM_THREADS": "1",
        "PYTHONWARNINGS": "ignore",
    }
    path = write_campaign(tmp_path_factory.mktemp("whole"))
    finish(path, environment)
    return path.parent, environment


def results_of(folder: Path) -> dict[str, Any]:
    text = (folder / "results" / "tiny" / "results.json").read_text()
    return dict(json.loads(text))


def test_the_report_holds_every_number_that_was_promised(
    whole: tuple[Path, dict[str, str]],
) -> None:
    folder, _ = whole
    results = results_of(folder)
    for model in (ZERO_SHOT, PRE_FINE_TUNED, VANILLA, FIRE):
        for score in SCORES:
            assert results["models"][model][score] > 0
    assert results["forgetting"]["source"] == "bundled"
    assert 0 < results["forgetting"]["n_structures"] <= 500
    counts = results["label_counts"]
    assert counts[LabelState.DONE] == 6 + 6 + 3
    page = (folder / "results" / "tiny" / "report.html").read_text()
    assert "data:image/" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_finished_campaign_started_again_computes_nothing(
    whole: tuple[Path, dict[str, str]],
) -> None:
    folder, environment = whole
    before = label_facts(folder)
    usage = usage_seconds(folder)
    finish(folder / "tiny.yaml", environment)
    assert label_facts(folder) == before
    assert usage_seconds(folder) == usage


def test_every_candidate_has_its_provenance(
    whole: tuple[Path, dict[str, str]],
) -> None:
    folder, _ = whole
    with open_store(folder) as store:
        model = store.models.need("tiny", PRE_FINE_TUNED)
        run = store.runs.open("tiny", 1, "explore", model.blob_sha, run_config(store))
        frames = store.runs.frames(run)
        assert len(frames) == 2 * 60 // 4
        assert {f.temperature for f in frames} == {300.0, 600.0}
        chosen = store.selections.get("tiny", 1, "selected")
        assert chosen is not None
        assert len(set(chosen.keys)) == 6
        assert set(chosen.keys) <= {f.key for f in frames}
        assert sum(p.cluster_size for p in chosen.picks) == len(frames)


def test_with_and_without_replay_it_takes_the_same_steps(
    whole: tuple[Path, dict[str, str]],
) -> None:
    folder, _ = whole
    with open_store(folder) as store:
        naive, fire = (
            [
                json.loads(row.record_json)["steps"]
                for row in store.models.epochs("tiny", name)
            ]
            for name in (VANILLA, FIRE)
        )
        assert len(naive) == len(fire)
        for without, beside in zip(naive, fire, strict=True):
            for same in ("n_steps", "target_frames", "target_atoms"):
                assert without[same] == beside[same]
            assert without["replay_frames"] == [0, 0]
            assert beside["replay_frames"][0] >= 1


def test_committee_members_differ_in_data_and_weights(
    whole: tuple[Path, dict[str, str]],
) -> None:
    folder, _ = whole
    with open_store(folder) as store:
        names = [member_kind(1), member_kind(2)]
        assert len({store.models.need("tiny", name).blob_sha for name in names}) == 2
        everything = store.datasets.get("tiny", FIRE)
        parts = [store.datasets.get("tiny", name) for name in names]
        for part in parts:
            assert set(part) < set(everything)
            train = [k for k, split in part.items() if split is Split.TRAIN]
            all_of_it = sum(s is Split.TRAIN for s in everything.values())
            assert len(train) == round(0.7 * all_of_it)
            assert len(store.models.epochs("tiny", names[0])) == 4
        assert parts[0] != parts[1]
        settings = json.loads(store.models.need("tiny", names[0]).config_json)
        assert settings["references"]["undetermined"] == ["Cl", "F", "Li"]


@pytest.mark.long
def test_people_use_the_dashboard(
    whole: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, _ = whole
    shutil.copytree(folder / ".fire", tmp_path / ".fire")
    theory = browser.prepare(tmp_path, "tiny")
    with browser.serve(tmp_path) as address:
        browser.use_dashboard(address, "tiny", tmp_path)
    with open_store(tmp_path) as store:
        approval = store.approvals.get("tiny", 2, "selected")
        assert approval is not None
        assert (approval.n_approved, approval.actor, approval.reason) == (
            *(4, "olga", "enough"),
        )
        assert store.labels.counts(theory).get(LabelState.FAILED, 0) == 0
        assert store.models.need("tiny", FIRE).state == "staging"
        done = {(a.action.actor, a.action.action, a.action.outcome)
                for a in store.actions.list()}  # fmt: skip
    assert {
        ("olga", action, "done") for action in ("approve", "retry", "promote")
    } <= done
    assert ("olga", "login", "refused") in done


@pytest.mark.long
def test_killed_in_labelling_dynamics_and_training_it_ends_the_same(
    whole: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, environment = whole
    # No committee, which changes nothing else; a lease that a busy machine keeps.
    label = TINY["label"] | {"lease": 8}
    path = write_campaign(tmp_path, committee={"members": 0}, label=label)
    moments: list[Callable[[Store], bool]] = [
        lambda s: s.labels.counts().get(LabelState.DONE, 0) >= 2,
        lambda s: bool(s.runs.segments(1)),
        lambda s: bool(s.models.epochs("tiny", FIRE)),
    ]
    finished: dict[str, float | None] = {}
    held: Counter[str] = Counter()
    for moment in moments:
        held.update(kill_when(path, environment, moment))
        now = label_facts(tmp_path)
        for key, ended in finished.items():
            assert now[key][1] == ended  # a finished label is never written again
        finished = {k: v[1] for k, v in now.items() if v[0] is LabelState.DONE}
        assert finished
    finish(path, environment)
    after, expected = label_facts(tmp_path), label_facts(folder)
    assert len(after) == len(expected)
    for key, ended in finished.items():
        assert after[key][1] == ended
    for key, (*_, attempts) in after.items():  # a kill costs what was held, no more
        assert attempts == 1 + held[key]
    # The resumed training agrees to rounding, so the trajectory that its model drives
    # agrees to rounding too and not to the last bit, which a structure's key sees.
    for purpose in ("perturb", "selected"):
        assert selection(tmp_path, purpose) == selection(folder, purpose)
    for model in (PRE_FINE_TUNED, VANILLA, FIRE):
        for score in SCORES:
            assert results_of(tmp_path)["models"][model][score] == pytest.approx(
                results_of(folder)["models"][model][score], rel=0.02
            )


def kill_when(
    path: Path, environment: dict[str, str], moment: Callable[[Store], bool]
) -> list[str]:
    """Start the campaign and kill -9 it, workers included, once `moment` is there.

    Returns the structures whose labels the killed workers held: as many as they had
    claimed at once, which depends on how long a label takes.
    """
    with start_campaign(path, environment) as process:
        wait_for((path.parent / ".fire" / "fire.db").exists, process)
        with open_store(path.parent) as store:
            wait_for(lambda: moment(store), process)
            main = psutil.Process(process.pid)
            main.suspend()  # so that it starts nobody meanwhile
            family = [*main.children(recursive=True), main]
            for each in family:
                each.kill()
            psutil.wait_procs(family, timeout=60)
            return [
                row.key
                for theory, *_ in store.theories.list()
                for row in store.labels.rows(theory)
                if row.state is LabelState.CLAIMED
            ]


def label_facts(
    folder: Path,
) -> dict[str, tuple[LabelState, float | None, int]]:
    with open_store(folder) as store:
        theory = store.theories.list()[0][0]
        return {
            row.key: (row.state, row.finished_at, row.attempts)
            for row in store.labels.rows(theory)
        }


def usage_seconds(folder: Path) -> float:
    with open_store(folder) as store:
        return sum(row.wall_s for row in store.usage.list("tiny"))


def selection(folder: Path, purpose: str) -> list[str]:
    with open_store(folder) as store:
        row = store.selections.get("tiny", 0 if purpose == "perturb" else 1, purpose)
        assert row is not None
        return row.keys


def run_config(store: Store) -> str:
    from fire_core.config.campaign import CampaignConfig

    row = store.campaigns.get("tiny")
    assert row is not None
    return CampaignConfig.model_validate_json(row.config_json).explore.model_dump_json()
