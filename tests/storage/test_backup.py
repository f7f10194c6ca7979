"""Backups made while others write are one state of the store, and come back whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from cli.main import app
from fire_core.errors import BlobCorruptedError, StoreError
from fire_core.storage import snapshot as snapshots
from fire_core.storage.backup import back_up, read_manifest
from fire_core.storage.claims import LeaseTerms
from fire_core.storage.restoring import restore
from fire_core.storage.store import Store
from tests.events import wait_for
from tests.storage.conftest import THEORY, make_frames
from tests.storage.test_copying import fill, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.postgres import Postgres
    from fire_core.storage.backup import Manifest

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import sys
from fire_core.storage.store import Store
from tests.storage.conftest import THEORY, make_frames, make_label

url, blobs, flag = sys.argv[1:]
with Store.open(url, blobs) as store:
    store.theories.add(THEORY, "code", "1", "{}")
    store.campaigns.open("c", "{}")
    for number in range(100_000):
        (frame,) = make_frames(1, seed=number)
        (key,) = store.structures.add([frame], source=str(number))
        store.labels.add({key: make_label(frame, number)}, THEORY)
        store.models.save_epoch("c", "m", number, str(number), b"%d" % number * 20_000)
        if number == 20:
            open(flag, "w").close()
"""


@contextmanager
def writer(url: str, blobs: Path, folder: Path) -> Iterator[None]:
    """Labels and checkpoints are written until the end of the block."""
    flag = folder / "writes"
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WRITER, url, str(blobs), str(flag)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as child:
        try:
            wait_for(flag.exists, child)
            yield
            assert child.poll() is None, "it wrote all the time"
        finally:
            child.kill()


def count_labels(store: Store) -> int:
    return sum(store.labels.counts().values())


def other(url: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Address of another empty database of the same kind."""
    if url.startswith("sqlite"):
        return f"sqlite:///{tmp_path}/other/fire.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.create(f"other_{os.urandom(6).hex()}")


def test_a_backup_under_fire_is_one_state_of_the_store(
    url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    blobs, back = tmp_path / "blobs", tmp_path / "back"
    made: list[Manifest] = []
    with writer(url, blobs, tmp_path), Store.open(url, blobs) as store:
        for n in range(3):
            made.append(back_up(url, blobs, tmp_path / f"backup-{n}"))
            wait_for(lambda: count_labels(store) > made[-1].tables["label"])
    counts = [m.tables["label"] for m in made]
    assert 20 <= counts[0] < counts[1] < counts[2], (
        "each holds what the writer had written by then"
    )
    target = other(url, tmp_path, request)
    restore(tmp_path / "backup-1", target, back)
    with Store.open(target, back) as store:
        rows = rows_of(store)
        frames = sorted(int(row[8]) for row in rows["structure"])
        assert frames == list(range(len(frames))), "no gap: a prefix of what was done"
        labels, epochs = rows["label"], store.models.epochs("c", "m")
        # The writer was between two of its three transactions, or after the last.
        assert len(frames) - len(labels) in {0, 1}
        assert len(labels) - len(epochs) in {0, 1}
        named = [e for e in epochs if e.checkpoint_sha is not None]
        # Before old ones are released in a transaction of their own there are three.
        assert len(named) in {2, 3}
        for epoch in named:
            assert store.blobs.get_bytes(str(epoch.checkpoint_sha)).startswith(
                epoch.record_json.encode()
            )
        assert store.structures.add(make_frames(1, seed=999_999), source="new")


def test_every_row_comes_back_and_new_ones_follow(
    url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    blobs, back = tmp_path / "blobs", tmp_path / "back"
    with Store.open(url, blobs) as store:
        fill(store)
        before = rows_of(store)
    made = back_up(url, blobs, tmp_path / "backup")
    assert made.tables == {name: len(rows) for name, rows in before.items()}
    assert len(made.blobs) == 3
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0, "for its owner alone"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    target = other(url, tmp_path, request)
    Store.open(target, back).close()  # tables without rows are no obstacle
    assert restore(tmp_path / "backup", target, back) == made
    with Store.open(target, back) as store:
        assert rows_of(store) == before
        there = {store.blobs.get_bytes(sha) for sha in made.blobs}
        assert there == {b"model", b"checkpoint", b"\x00frames"}
        fresh = store.structures.add(make_frames(9, seed=5)[6:], source="new")
        assert store.labels.want(fresh, THEORY) == 3
        claims = store.labels.claim(THEORY, "x", limit=9, terms=LeaseTerms(60, 3))
        assert max(c.label_id for c in claims) == len(before["label"]) + 3


def test_a_backup_of_sqlite_goes_into_postgresql(
    postgres_database: str, tmp_path: Path
) -> None:
    url, blobs = f"sqlite:///{tmp_path}/one.db", tmp_path / "blobs"
    with Store.open(url, blobs) as store:
        fill(store)
        before = rows_of(store)
    back_up(url, blobs, tmp_path / "backup")
    restore(tmp_path / "backup", postgres_database, tmp_path / "back")
    with Store.open(postgres_database, tmp_path / "back") as store:
        assert rows_of(store) == before


def test_a_backup_of_postgresql_does_not_go_into_sqlite(
    postgres_database: str, tmp_path: Path
) -> None:
    Store.open(postgres_database, tmp_path / "blobs").close()
    back_up(postgres_database, tmp_path / "blobs", tmp_path / "backup")
    with pytest.raises(StoreError, match=r"backup of PostgreSQL, got sqlite.*db copy"):
        restore(tmp_path / "backup", f"sqlite:///{tmp_path}/x.db", tmp_path / "x")


@pytest.fixture
def backed_up(tmp_path: Path) -> Path:
    url, blobs = f"sqlite:///{tmp_path}/one.db", tmp_path / "blobs"
    with Store.open(url, blobs) as store:
        fill(store)
    back_up(url, blobs, tmp_path / "backup")
    return tmp_path / "backup"


def test_a_tampered_or_incomplete_backup_is_refused(
    backed_up: Path, tmp_path: Path
) -> None:
    def attempt(match: str, error: type[StoreError] = StoreError) -> None:
        with pytest.raises(error, match=match):
            restore(backed_up, f"sqlite:///{tmp_path}/back.db", tmp_path / "back")
        assert not (tmp_path / "back.db").exists()

    dump = backed_up / "store.sqlite"
    good = dump.read_bytes()
    dump.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    attempt(r"store.sqlite is not what was backed up: expected sha256 \w+, got \w+")
    dump.unlink()
    attempt("got no file; use another backup")
    dump.write_bytes(good)
    blob = next((backed_up / "blobs").glob("*/*"))
    bytes_ = blob.read_bytes()
    blob.write_bytes(b"something else")
    attempt("is corrupted", BlobCorruptedError)
    blob.unlink()
    attempt(f"blob {blob.name} is missing")
    blob.write_bytes(bytes_)
    manifest = backed_up / "manifest.json"
    facts = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(facts | {"format": 2}))
    attempt("has format 2, this FIRE reads 1")
    manifest.write_text("{}")
    attempt("is not the manifest of a backup")
    manifest.unlink()
    attempt("has no manifest.json")


def test_a_database_with_rows_or_of_others_is_not_restored_into(
    backed_up: Path, postgres_database: str, postgres: Postgres, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    with pytest.raises(
        StoreError, match=r"empty database.*holds .*6 rows in structure"
    ):
        restore(backed_up, url, tmp_path / "blobs")
    name = postgres_database.rsplit("/", 1)[-1]
    postgres.execute("CREATE TABLE flow_run (id int)", name)
    with pytest.raises(StoreError, match="a table 'flow_run', which is not FIRE's"):
        restore(backed_up, postgres_database, tmp_path / "blobs")


def test_a_store_that_lost_a_blob_is_backed_up_only_when_told_so(
    tmp_path: Path,
) -> None:
    url, blobs = f"sqlite:///{tmp_path}/one.db", tmp_path / "blobs"
    with Store.open(url, blobs) as store:
        fill(store)
        (model,) = store.models.list("c")
        store.blobs.path(model.blob_sha).write_bytes(b"rotten")
    with pytest.raises(StoreError, match=f"1 blobs .* first {model.blob_sha}"):
        back_up(url, blobs, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
    made = back_up(url, blobs, tmp_path / "backup", allow_missing=True)
    assert made.missing == [model.blob_sha]
    assert read_manifest(tmp_path / "backup") == made
    restore(tmp_path / "backup", f"sqlite:///{tmp_path}/b.db", tmp_path / "back")


def test_wrong_places_are_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no file .*nowhere\.db"):
        back_up(f"sqlite:///{tmp_path}/nowhere.db", tmp_path, tmp_path / "b")
    assert not (tmp_path / "nowhere.db").exists()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.pdf").touch()
    with pytest.raises(StoreError, match="expected a new folder for the backup"):
        back_up(f"sqlite:///{tmp_path}/one.db", tmp_path, tmp_path / "taken")
    (tmp_path / "text.db").write_text("no database at all" * 100)
    with pytest.raises(StoreError, match="cannot be read: file is not a database"):
        back_up(f"sqlite:///{tmp_path}/text.db", tmp_path, tmp_path / "b")


def test_the_missing_client_program_is_named_with_its_package(
    postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(postgres_database, tmp_path / "blobs").close()
    monkeypatch.setattr(snapshots.shutil, "which", lambda _: None)
    with pytest.raises(StoreError, match=r"pg_dump.*apt-get install postgresql-client"):
        back_up(postgres_database, tmp_path / "blobs", tmp_path / "backup")


def test_an_older_schema_is_backed_up_as_it_is_and_restored_into_this_one(
    tmp_path: Path,
) -> None:
    from fire_core.storage.engine import migrate

    url, blobs = f"sqlite:///{tmp_path}/one.db", tmp_path / "blobs"
    with Store.open(url, blobs) as store:
        store.structures.add(make_frames(2), source="old")
        migrate(store.engine, "0001")
    made = back_up(url, blobs, tmp_path / "backup")
    assert made.schema == "0001"
    shutil.rmtree(blobs, ignore_errors=True)
    restore(tmp_path / "backup", f"sqlite:///{tmp_path}/two.db", blobs)
    with Store.open(f"sqlite:///{tmp_path}/two.db", blobs) as store:
        assert store.structures.count() == 2
    assert read_manifest(tmp_path / "backup") == made, "the backup itself is unchanged"


def test_the_commands_say_what_they_did(tmp_path: Path) -> None:
    url, blobs = f"sqlite:///{tmp_path}/one.db", str(tmp_path / "blobs")
    with Store.open(url, blobs) as store:
        fill(store)
    folder = str(tmp_path / "backup")
    done = CliRunner().invoke(
        app, ["db", "backup", folder, "--db", url, "--blobs", blobs]
    )
    assert done.exit_code == 0, done.output
    assert "(4 labels), 3 blobs" in done.output
    target = f"sqlite:///{tmp_path}/two.db"
    again = ["db", "restore", folder, "--db", target, "--blobs", str(tmp_path / "back")]
    done = CliRunner().invoke(app, again)
    assert done.exit_code == 0, done.output
    assert done.output.startswith(f"{target} and {tmp_path}/back: sqlite of 20")
    repeated = CliRunner().invoke(app, again)
    assert isinstance(repeated.exception, StoreError), "it is not empty any more"
