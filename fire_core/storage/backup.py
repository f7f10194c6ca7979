"""Back a store up while it is written to, and bring it back, verified.

The order makes a backup whole. A state of the database is held; the checkpoints that it
names are copied at once, since trainings release them; then the database is dumped in
that very state, then the other blobs are copied, which are never deleted. The manifest
is written last, and the folder gets its name only then.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fire_core.errors import BlobCorruptedError, StoreError
from fire_core.files import file_sha256
from fire_core.progress import tracked
from fire_core.storage.blobs import BlobStore
from fire_core.storage.copying import copy_blob, list_blobs
from fire_core.storage.dialects import SQLITE
from fire_core.storage.snapshot import REVISION, Snapshot, open_snapshot

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
BLOBS: Final = "blobs"
DUMPS: Final = {SQLITE: "store.sqlite", "postgresql": "store.pgdump"}
ATTEMPTS: Final = 5
CHECKPOINTS: Final = "SELECT checkpoint_sha FROM epoch WHERE checkpoint_sha IS NOT NULL"
MODELS: Final = "SELECT blob_sha FROM model"
PARTS: Final = "SELECT blob_sha FROM property_part"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds.

    Attributes
    ----------
    format
        Version of this record.
    fire, schema
        Versions of the program and of the tables.
    made_at
        UTC, ISO 8601.
    kind
        `sqlite` or `postgresql`.
    dump, sha256, n_bytes
        The file of the database, its identity and size.
    tables
        Rows of each table.
    blobs
        sha256 of every blob.
    missing
        Blobs that rows name but the store had lost or damaged.
    """

    format: int
    fire: str
    schema: str
    made_at: str
    kind: str
    dump: str
    sha256: str
    n_bytes: int
    tables: dict[str, int]
    blobs: list[str]
    missing: list[str]


def back_up(
    url: str, blobs: str | Path, folder: str | Path, *, allow_missing: bool = False
) -> Manifest:
    """Copy a store into a new folder while others write to it.

    Parameters
    ----------
    url, blobs
        The store. Its schema is left as it is.
    folder
        Made; must not exist, or be empty.
    allow_missing
        Make the backup even where blobs that rows name are lost or damaged.

    Raises
    ------
    StoreError
        The folder is taken, the store cannot be read, or it lacks blobs.
    """
    target = Path(folder).absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        msg = f"expected a new folder for the backup, but {target} exists; name another"
        raise StoreError(msg)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Readable by its owner alone, as mkdtemp makes it.
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        manifest = _fill(part, url, BlobStore(blobs), allow_missing)
        part.replace(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return manifest


def read_manifest(folder: str | Path) -> Manifest:
    """Read what a backup holds, its dump and its blobs verified.

    Raises
    ------
    StoreError
        It is no finished backup, or what is there differs from what it says.
    """
    place = Path(folder)
    try:
        facts = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest(**facts)
    except FileNotFoundError as error:
        msg = f"expected a backup at {place}, but it has no {MANIFEST}: give the folder"
        raise StoreError(f"{msg} that `fire db backup` made") from error
    except (ValueError, TypeError) as error:
        msg = f"{place / MANIFEST} is not the manifest of a backup: {error}"
        raise StoreError(msg) from error
    if manifest.format != FORMAT:
        msg = f"{place} has format {manifest.format}, this FIRE reads {FORMAT}: upgrade"
        raise StoreError(f"{msg} with `pip install --upgrade fire-mlip`")
    dump = place / manifest.dump
    actual = file_sha256(dump) if dump.is_file() else "no file"
    if actual != manifest.sha256:
        msg = (
            f"{dump} is not what was backed up: expected sha256 {manifest.sha256}, got "
            f"{actual}; use another backup"
        )
        raise StoreError(msg)
    kept = BlobStore(place / BLOBS)
    for sha in tracked(manifest.blobs, "Verifying blobs"):
        kept.path(sha)
    return manifest


def _fill(part: Path, url: str, source: BlobStore, allow_missing: bool) -> Manifest:
    kept = BlobStore(part / BLOBS)
    for attempt in range(ATTEMPTS):
        with open_snapshot(url) as snapshot:
            lost = _copy(source, kept, _names(snapshot, CHECKPOINTS))
            # Released between the state and its copy: take a newer state.
            if lost and attempt + 1 < ATTEMPTS:
                continue
            models = _names(snapshot, MODELS)
            if "property_part" in snapshot.tables():  # not in a store of FIRE 0.1
                models += _names(snapshot, PARTS)
            dump = part / DUMPS[snapshot.kind]
            snapshot.dump(dump)
            tables = {
                name: int(snapshot.ask(f'SELECT count(*) FROM "{name}"')[0][0])  # noqa: S608 - names of our own tables
                for name in snapshot.tables()
                if name != REVISION
            }
            schema = str(snapshot.ask(f"SELECT version_num FROM {REVISION}")[0][0])  # noqa: S608 - a constant
        break
    lost += _copy(source, kept, models)
    lost += _copy(source, kept, list_blobs(source), needed=False)
    _refuse_lost(sorted(set(lost)), source, allow_missing)
    manifest = Manifest(
        format=FORMAT,
        fire=version("fire-mlip"),
        schema=schema,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        kind=snapshot.kind,
        dump=dump.name,
        sha256=file_sha256(dump),
        n_bytes=dump.stat().st_size,
        tables=tables,
        blobs=list_blobs(kept),
        missing=sorted(set(lost)),
    )
    text = json.dumps(asdict(manifest), indent=1)
    (part / MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def _names(snapshot: Snapshot, query: str) -> list[str]:
    return sorted({str(row[0]) for row in snapshot.ask(query)})


def _copy(
    source: BlobStore, kept: BlobStore, names: list[str], *, needed: bool = True
) -> list[str]:
    """Copy what is not there yet; return what is damaged, or needed but gone."""
    have = set(list_blobs(kept))
    lost = []
    for sha in tracked(names, "Copying blobs"):
        if sha in have:
            continue
        try:
            if not copy_blob(source, kept, sha) and needed:
                lost.append(sha)
        except BlobCorruptedError:
            lost.append(sha)
    return lost


def _refuse_lost(lost: list[str], source: BlobStore, allowed: bool) -> None:
    if lost and not allowed:
        msg = (
            f"{len(lost)} blobs of the store are missing or damaged in "
            f"{source.folder}, first {lost[0]}: is this the store's folder (--blobs)? "
            "bring them back from an older backup, or back up without them by "
            "--allow-missing"
        )
        raise StoreError(msg)
