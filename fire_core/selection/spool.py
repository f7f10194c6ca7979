"""Feature vectors of any number of frames: in memory, or in a file beyond a bound."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from fire_core.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK_BYTES: Final = 32 * 2**20
"""Bytes of features that are read at once."""


class FeatureFile:
    """Rows of features in single precision, appended once and read again and again.

    Parameters
    ----------
    limit
        Bytes held in memory; what is more goes to a nameless file.
    folder
        Where that file is made; the system's temporary folder when None.
    """

    def __init__(self, limit: int, folder: Path | None = None) -> None:
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - closed by `close`
            max_size=limit, dir=None if folder is None else str(folder)
        )
        self._width = 0
        self._rows = 0

    def append(self, rows: NDArray[np.floating]) -> None:
        """Add rows, (n, width).

        Raises
        ------
        StructureError
            They are not as wide as those before.
        """
        block = np.ascontiguousarray(rows, np.float32)
        if self._rows and block.shape[1] != self._width:
            msg = f"expected features {self._width} wide, got {block.shape[1]}"
            raise StructureError(msg)
        self._width = block.shape[1]
        self._rows += len(block)
        self._file.seek(0, 2)
        self._file.write(block.tobytes())

    def __len__(self) -> int:
        return self._rows

    @property
    def width(self) -> int:
        """Number of features."""
        return self._width

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield all rows in order, some 32 MiB at a time."""
        step = max(1, BLOCK_BYTES // (4 * max(1, self._width)))
        for start in range(0, self._rows, step):
            count = min(step, self._rows - start)
            self._file.seek(4 * start * self._width)
            raw = self._file.read(4 * count * self._width)
            yield np.frombuffer(raw, np.float32).reshape(count, self._width)

    def close(self) -> None:
        """Release memory and file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
