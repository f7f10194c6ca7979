"""Structures, blobs, runs, campaigns and the schema itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text, update

from fire_core.config.campaign import CampaignConfig
from fire_core.config.ensemble import BarostatConfig
from fire_core.config.steps import DynamicsConfig
from fire_core.errors import BlobCorruptedError, SchemaTooNewError, StoreError
from fire_core.records import Breach, Frame, FrameTag, Pick, Split, StopReason
from fire_core.storage.blobs import BlobStore
from fire_core.storage.engine import migrate
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store
from fire_core.storage.tables import SegmentTable
from tests.storage.conftest import make_frames

ROOT = Path(__file__).resolve().parents[2]


def test_the_same_structure_is_one_row_and_comes_back_bit_for_bit(store: Store) -> None:
    frames = make_frames(3)
    frames[0].positions[0] = [5e-324, -0.0, 1e300]
    frames[1].pbc = [True, False, True]
    keys = store.structures.add([*frames, *frames], source="test")
    assert keys[:3] == keys[3:]
    assert store.structures.count() == 3
    for atoms, back in zip(frames, store.structures.get(keys[:3]), strict=True):
        assert back.positions.tobytes() == atoms.positions.tobytes()
        assert back.cell.array.tobytes() == atoms.cell.array.tobytes()
        assert (back.pbc == atoms.pbc).all()
        assert (back.numbers == atoms.numbers).all()


def test_an_unknown_structure_is_an_error(store: Store) -> None:
    with pytest.raises(StoreError, match="1 of 1 structures are not in the database"):
        store.structures.get(["0" * 64])


def test_blobs_are_verified_and_a_corrupted_one_is_named(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    sha = blobs.put_bytes(b"checkpoint")
    assert blobs.put_bytes(b"checkpoint") == sha
    assert blobs.get_bytes(sha) == b"checkpoint"
    blobs.path(sha).write_bytes(b"checkpoinT")
    with pytest.raises(BlobCorruptedError, match=rf"expected sha256 {sha}, got \w+"):
        blobs.get_bytes(sha)
    with pytest.raises(StoreError, match="is missing"):
        blobs.path("1" * 64)
    assert not list(tmp_path.rglob(".partial*"))


def test_a_segment_and_its_frames_are_committed_together(store: Store) -> None:
    store.campaigns.open("c", "{}")
    run = store.runs.open("c", 1, "explore", "m", "{}")
    assert store.runs.open("c", 1, "explore", "m", "{}") == run
    with pytest.raises(StoreError, match="was begun"):
        store.runs.open("c", 1, "explore", "m", '{"steps": 2}')
    frames = [
        Frame(atoms, FrameTag("m", i % 2, 300.0, 5 * i), -1.0 * i)
        for i, atoms in enumerate(make_frames(6))
    ]
    breaches = (
        Breach(0, 20, StopReason.UNCERTAIN, 10),
        Breach(1, 30, StopReason.TOO_HOT),
    )
    store.runs.save_segment(run, 0, frames, b"state", breaches)
    store.runs.save_segment(run, 0, frames, b"other", [])  # a repeat changes nothing
    last = store.runs.last_segment(run)
    assert last is not None
    assert (last.index, last.state, last.stopped) == (0, b"state", {1: "too_hot"})
    assert last.breaches == breaches
    assert store.runs.count_frames(run) == 6
    assert store.runs.count_frames(run + 1) == 0
    rows = store.runs.frames(run)
    assert [(r.replica, r.step) for r in rows] == sorted(
        (i % 2, 5 * i) for i in range(6)
    )
    doubled = [frames[0], frames[0]]  # two frames of one step cannot be
    with pytest.raises(Exception, match=r"UNIQUE|duplicate key"):
        store.runs.save_segment(run, 1, doubled, b"next", [])
    assert store.runs.last_segment(run) == last


def test_runs_and_segments_of_an_older_fire_are_understood(store: Store) -> None:
    store.campaigns.open("c", "{}")
    newer = {"barostat", "batch"}
    old = DynamicsConfig(steps=100).model_dump(mode="json", exclude=newer)
    run = store.runs.open("c", 1, "explore", "m", json.dumps(old))
    same = DynamicsConfig(steps=100, batch=7).model_dump_json()
    assert store.runs.open("c", 1, "explore", "m", same) == run
    for other in ({"steps": 200}, {"steps": 100, "barostat": BarostatConfig()}):
        given = DynamicsConfig(**other).model_dump_json()
        with pytest.raises(StoreError, match="was begun"):
            store.runs.open("c", 1, "explore", "m", given)
    store.runs.save_segment(run, 0, [], b"state", [])
    with store.engine.begin() as connection:
        old_text = update(SegmentTable).values(stopped_json='{"3": "lost_atom"}')
        connection.execute(old_text)
    last = store.runs.last_segment(run)
    assert last is not None
    assert last.stopped == {3: "lost_atom"}
    assert last.breaches[0].step == -1


def test_a_choice_is_made_once(store: Store) -> None:
    store.campaigns.open("c", "{}")
    keys = store.structures.add(make_frames(3), source="test")
    picks = [Pick(i, r, 0, 1, 0.5) for r, i in enumerate((2, 0, 1))]
    store.selections.save("c", 1, "selected", SelectionRow("kmeans", keys, picks))
    store.selections.save("c", 1, "selected", SelectionRow("kmeans", keys, picks))
    with pytest.raises(StoreError, match="was already chosen"):
        store.selections.save("c", 1, "selected", SelectionRow("kmeans", keys[:1]))
    row = store.selections.get("c", 1, "selected")
    assert row is not None
    assert (row.keys, row.picks) == (keys, picks)
    assert store.selections.get("c", 2, "selected") is None


def test_a_campaign_keeps_its_science_and_may_change_how_it_runs(store: Store) -> None:
    store.campaigns.open("c", '{"seed": 1, "threads": 1, "select": {"n": 4}}')
    store.campaigns.open("c", '{"seed": 1, "threads": 8, "select": {"n": 4}}')
    row = store.campaigns.get("c")
    assert row is not None
    assert '"threads": 8' in row.config_json
    store.selections.save("c", 0, "start", SelectionRow("build", []))
    with pytest.raises(
        StoreError, match=r"select.n: 4 there, 5 now(.|\n)*another name"
    ):
        store.campaigns.open("c", '{"seed": 1, "threads": 8, "select": {"n": 5}}')


def test_a_setting_added_since_a_campaign_began_is_no_difference(store: Store) -> None:
    now = {"name": "c", "system": {"kind": "file", "path": "x.xyz"}}
    complete = CampaignConfig.model_validate(now).model_dump_json()
    before = json.loads(complete)
    del before["committee"]
    store.campaigns.open("c", json.dumps(before))
    store.selections.save("c", 0, "start", SelectionRow("build", []))
    store.campaigns.open("c", complete)
    changed = json.loads(complete) | {"committee": {"members": 3}}
    with pytest.raises(StoreError, match=r"committee.members: 0 there, 3 now"):
        store.campaigns.open("c", json.dumps(changed))


def test_a_campaign_that_has_chosen_nothing_may_still_be_corrected(
    store: Store,
) -> None:
    store.campaigns.open("c", '{"seed": 1, "backbone": {"name": "wrong"}}')
    store.campaigns.open("c", '{"seed": 1, "backbone": {"name": "fire-mini"}}')
    row = store.campaigns.get("c")
    assert row is not None
    assert "fire-mini" in row.config_json


def test_datasets_usage_models_and_evaluations_come_back(store: Store) -> None:
    store.campaigns.open("c", "{}")
    keys = store.structures.add(make_frames(2), source="test")
    split = {keys[0]: Split.TRAIN, keys[1]: Split.VALID}
    store.datasets.save("c", "fire", split)
    assert store.datasets.get("c", "fire") == split
    store.usage.add("c", 0, "label", wall_s=2.0, core_s=4.0)
    assert [(u.step, u.wall_s, u.core_s) for u in store.usage.list("c")] == [
        ("label", 2.0, 4.0)
    ]
    store.models.add("c", "fire", "a" * 64, parent_sha="b" * 64, config_json="{}")
    assert store.models.need("c", "fire").state == "candidate"
    with pytest.raises(StoreError, match=r"no model 'vanilla' \(it has: fire\)"):
        store.models.need("c", "vanilla")


def test_only_the_last_two_checkpoints_of_a_training_are_kept(store: Store) -> None:
    store.campaigns.open("c", "{}")
    for epoch in range(5):
        store.models.save_epoch("c", "fire", epoch, "{}", f"state {epoch}".encode())
    epochs = store.models.epochs("c", "fire")
    kept = [e.epoch for e in epochs if e.checkpoint_sha]
    assert [e.epoch for e in epochs] == [0, 1, 2, 3, 4]
    assert kept == [3, 4]
    assert len([p for p in store.blobs.folder.rglob("*") if p.is_file()]) == 2
    assert epochs[-1].checkpoint_sha is not None
    assert store.blobs.get_bytes(epochs[-1].checkpoint_sha) == b"state 4"


def test_a_newer_schema_is_refused_and_left_alone(url: str, tmp_path: Path) -> None:
    Store.open(url, tmp_path / "blobs").close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNewError, match=r"has schema 9999.*a newer FIRE wrote"):
        Store.open(url, tmp_path / "blobs")
    with engine.begin() as connection:
        row = connection.execute(text("SELECT version_num FROM alembic_version"))
        assert row.scalar() == "9999"
    engine.dispose()


def test_migrations_go_down_and_up_again(store: Store) -> None:
    store.structures.add(make_frames(1), source="test")
    migrate(store.engine, "base")
    assert inspect(store.engine).get_table_names() == ["alembic_version"]
    migrate(store.engine)
    assert store.structures.count() == 0


def test_a_url_that_is_none_says_what_one_looks_like(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"expected a database URL such as sqlite:///"):
        Store.open("fire.db", tmp_path)


def test_two_processes_may_open_a_fresh_database_at_once(
    url: str, tmp_path: Path
) -> None:
    code = (
        f"from fire_core.storage.store import Store; Store.open({url!r}, 'b').close()"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:
        with child:
            _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors
