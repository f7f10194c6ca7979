"""Files under the sha256 of their bytes: written aside, flushed, moved."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from fire_core.errors import BlobCorruptedError, StoreError
from fire_core.files import file_sha256


class BlobStore:
    """A folder of immutable files, each named by the sha256 of its content.

    Parameters
    ----------
    folder
        Made when the first blob is put.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def put_bytes(self, data: bytes) -> str:
        """Keep the bytes; return their sha256."""
        sha = hashlib.sha256(data).hexdigest()
        target = self._place(sha)
        if target.exists():
            return sha
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".partial-")
        partial = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return sha

    def put_file(self, path: Path) -> str:
        """Keep a copy of a file; return its sha256."""
        return self.put_bytes(path.read_bytes())

    def path(self, sha: str, *, verify: bool = True) -> Path:
        """Return the file of a blob.

        Raises
        ------
        StoreError
            No such blob is here.
        BlobCorruptedError
            The bytes do not match their name.
        """
        target = self._place(sha)
        if not target.is_file():
            msg = (
                f"blob {sha} is missing: expected it at {target}; copy it there from "
                "a backup of the blobs folder"
            )
            raise StoreError(msg)
        if verify and (actual := file_sha256(target)) != sha:
            msg = (
                f"{target} is corrupted: expected sha256 {sha}, got {actual}; restore "
                "it from a backup, or delete the file and run the step that made it "
                "again"
            )
            raise BlobCorruptedError(msg)
        return target

    def get_bytes(self, sha: str) -> bytes:
        """Return a blob's verified bytes; errors as for `path`."""
        return self.path(sha).read_bytes()

    def delete(self, sha: str) -> None:
        """Remove a blob; nothing happens when it is gone already.

        The caller makes sure that no row names it any more.
        """
        self._place(sha).unlink(missing_ok=True)

    def _place(self, sha: str) -> Path:
        return self.folder / sha[:2] / sha
