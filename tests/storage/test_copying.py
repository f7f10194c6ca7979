"""A store moves to another kind of database and back without losing a bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import inspect, select
from typer.testing import CliRunner

from cli.main import app
from fire_core.errors import BlobCorruptedError, StoreError
from fire_core.records import (
    ApprovalDecision,
    Failure,
    FailureKind,
    Frame,
    FrameTag,
    PropertyResult,
    PropertyValue,
    Split,
)
from fire_core.storage.actions import Action
from fire_core.storage.blobs import BlobStore
from fire_core.storage.claims import LeaseTerms
from fire_core.storage.copying import CopiedBlobs, copy_blobs, copy_store
from fire_core.storage.evaluation_kinds import json_kind
from fire_core.storage.properties import PropertyAsked
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store
from fire_core.storage.tables import Base
from tests.storage.conftest import THEORY, make_frames, make_label

if TYPE_CHECKING:
    from pathlib import Path


def fill(store: Store) -> None:
    """Put something into every table."""
    frames = make_frames(6)
    keys = store.structures.add(frames, source="test")
    store.theories.add(THEORY, "code", "1", "{}")
    store.labels.want(keys[:4], THEORY)
    claims = store.labels.claim(THEORY, "w", limit=3, terms=LeaseTerms(60, 3))
    label = make_label(frames[0])
    store.labels.finish(claims[0].label_id, "w", label, core_seconds=1.5)
    failure = Failure(FailureKind.CRASHED, "Σ of forces: 3 Å", "log")
    store.labels.fail(claims[1].label_id, "w", failure, 2.0)
    store.campaigns.open("c", "{}")
    store.selections.save("c", 0, "perturb", SelectionRow("perturb", keys[:4]))
    store.datasets.save("c", "fire", {keys[0]: Split.TRAIN})
    run = store.runs.open("c", 1, "explore", "m", "{}")
    frame = Frame(frames[5], FrameTag("m", 0, 300.0, 5), -1.0)
    store.runs.save_segment(run, 0, [frame], b"\x00\xffstate", [])
    sha = store.blobs.put_bytes(b"model")
    store.models.add("c", "fire", sha, parent_sha=None, config_json="{}")
    store.models.promote("c", "fire", "staging", [], required=())
    store.models.save_epoch("c", "fire", 0, "{}", b"checkpoint")
    store.evaluations.save(json_kind("k"), "c", {}, round_=1, subject="fire")
    store.usage.add("c", 0, "label", wall_s=0.1, core_s=0.2)
    store.steps.hold("c", "train", "w", 60)
    store.approvals.ask("c", 1, "selected", 3, "{}")
    store.approvals.decide("c", 1, "selected", ApprovalDecision(2, "ada"))
    asked = PropertyAsked(
        key="k" * 64, name="density", work="w" * 64, kind="structure_check",
        subject="fire", subject_sha=sha, structure=keys[0], formula="Cl4Li4",
        request_json="{}",
    )  # fmt: skip
    store.properties.open(asked)
    store.properties.save_part(asked.key, "dynamics-0", b"\x00frames")
    store.actions.record(Action("ada", "operator", "promote", "c/fire"))
    density = PropertyValue("density", 2.07, "g/cm³", 0.01)
    store.properties.finish(asked.key, PropertyResult((density,)), 1.5)


def rows_of(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store.engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in Base.metadata.sorted_tables
        }


def test_there_and_back_every_row_is_the_same(
    postgres_database: str, tmp_path: Path
) -> None:
    one, two = (f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "two"))
    blobs = tmp_path / "blobs"
    with Store.open(one, blobs) as store:
        fill(store)
        before = rows_of(store)
        tables = set(inspect(store.engine).get_table_names()) - {"alembic_version"}
    assert all(before[name] for name in tables), "every table has rows"
    copied = copy_store(one, postgres_database)
    assert {c.table: c.rows for c in copied} == {t: len(r) for t, r in before.items()}
    with Store.open(postgres_database, blobs) as store:
        assert rows_of(store) == before
    copy_store(postgres_database, two)
    with Store.open(two, blobs) as store:
        assert rows_of(store) == before


def test_a_copied_store_goes_on(postgres_database: str, tmp_path: Path) -> None:
    one, blobs = f"sqlite:///{tmp_path}/one.db", tmp_path / "blobs"
    with Store.open(one, blobs) as store:
        fill(store)
    copy_store(one, postgres_database)
    with Store.open(postgres_database, blobs) as store:
        fresh = store.structures.add(make_frames(9, seed=5)[6:], source="new")
        assert store.labels.want(fresh, THEORY) == 3  # ids go on after the copied
        claims = store.labels.claim(THEORY, "x", limit=9, terms=LeaseTerms(60, 3))
        assert len(claims) == 1 + 3
        assert store.runs.open("c", 2, "explore", "m", "{}") == 2
        store.usage.add("c", 0, "label", wall_s=0.1, core_s=0.2)


def test_a_database_with_rows_is_not_written_to(
    postgres_database: str, tmp_path: Path
) -> None:
    one, blobs = f"sqlite:///{tmp_path}/one.db", tmp_path / "blobs"
    with Store.open(one, blobs) as store:
        fill(store)
    with Store.open(postgres_database, blobs) as store:
        store.structures.add(make_frames(1, seed=3), source="other")
    with pytest.raises(StoreError, match=r"expected an empty .*structure \(1\)"):
        copy_store(one, postgres_database)
    with Store.open(postgres_database, blobs) as store:
        assert store.structures.count() == 1


def test_only_missing_blobs_are_copied_and_a_damaged_one_is_told(
    tmp_path: Path,
) -> None:
    old, new = BlobStore(tmp_path / "old"), BlobStore(tmp_path / "new")
    shas = [old.put_bytes(b"%d" % n) for n in range(3)]
    new.put_bytes(b"0")
    assert copy_blobs(old.folder, new.folder) == CopiedBlobs(copied=2, present=1)
    assert [new.get_bytes(sha) for sha in shas] == [b"0", b"1", b"2"]
    assert copy_blobs(old.folder, new.folder) == CopiedBlobs(copied=0, present=3)
    new.delete(shas[1])
    old.path(shas[1]).write_bytes(b"rotten")
    with pytest.raises(BlobCorruptedError, match="is corrupted"):
        copy_blobs(old.folder, new.folder)
    with pytest.raises(StoreError, match="expected a folder of blobs"):
        copy_blobs(tmp_path / "nowhere", new.folder)


def test_a_mistyped_source_is_no_empty_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no file .*typo\.db"):
        copy_store(f"sqlite:///{tmp_path}/typo.db", f"sqlite:///{tmp_path}/two.db")
    assert not list(tmp_path.iterdir())


def test_text_that_postgresql_cannot_hold_is_copied_without_it(
    postgres_database: str, tmp_path: Path
) -> None:
    one = f"sqlite:///{tmp_path}/one.db"
    with Store.open(one, tmp_path) as store:
        store.structures.add(make_frames(1), source="a\0b")
    copy_store(one, postgres_database)
    with Store.open(postgres_database, tmp_path) as store:
        assert rows_of(store)["structure"][0][8] == "a\ufffdb"


def test_the_command_moves_rows_and_blobs(
    postgres_database: str, tmp_path: Path
) -> None:
    one = f"sqlite:///{tmp_path}/one.db"
    with Store.open(one, tmp_path / "old") as store:
        fill(store)
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    command = ["db", "copy", one, postgres_database, "--blobs", old, new]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "blobs: 3 copied, 0 were there already" in done.output
    assert "structure: 6 rows" in done.output
