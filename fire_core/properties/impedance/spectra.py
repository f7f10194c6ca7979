"""Read measured impedance spectra: CSV with named columns, and instruments' files."""

from __future__ import annotations

import csv
import io
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import PropertyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FREQUENCY: Final = ("frequency", "freq", "f")
REAL: Final = ("zreal", "rez", "zre", "zprime", "z'", "real", "re")
IMAGINARY: Final = ("zimag", "imz", "zim", "zdoubleprime", "z''", "imaginary", "imag")


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """A measured spectrum, frequencies rising.

    Attributes
    ----------
    frequencies
        (n,), Hz.
    impedance
        (n,), Ω.
    """

    frequencies: NDArray[np.float64]
    impedance: NDArray[np.complex128]

    def between(self, low: float | None, high: float | None) -> Spectrum:
        """Return the part between two frequencies, Hz."""
        keep = (self.frequencies >= (low or 0)) & (
            self.frequencies <= (high or float("inf"))
        )
        return Spectrum(self.frequencies[keep], self.impedance[keep])


def read_spectrum(data: bytes, instrument: str, name: str) -> Spectrum:
    """Return the spectrum in a file's bytes.

    Parameters
    ----------
    data
        What the file holds.
    instrument
        `csv`, or one of the formats that impedance.py reads.
    name
        Of the file, for messages.

    Raises
    ------
    PropertyError
        The file is of another format, or holds no spectrum.
    """
    if instrument == "csv":
        frequencies, impedance = _read_csv(data, name)
    else:
        frequencies, impedance = _read_instrument(data, instrument, name)
    numbers = np.isfinite(frequencies) & np.isfinite(impedance)
    if len(frequencies) < 5 or not numbers.all() or (frequencies <= 0).any():
        msg = (
            f"{name} holds {len(frequencies)} points; expected five or more, all of "
            "them numbers at positive frequencies"
        )
        raise PropertyError(msg)
    if (np.abs(impedance) == 0).any() or len(np.unique(frequencies)) < 5:
        msg = f"{name}: expected impedances beside zero at five different frequencies"
        raise PropertyError(msg)
    order = np.argsort(frequencies, kind="stable")
    return Spectrum(frequencies[order], impedance[order])


def _read_csv(
    data: bytes, name: str
) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    text = data.decode("utf-8-sig", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    mark = max(",;\t", key=lines[0].count) if lines else ","
    rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=mark))
    try:
        [float(cell) for cell in rows[0][:3]]
        columns, sign = [0, 1, 2], 1.0
    except (ValueError, IndexError):
        columns, sign = _find_columns(rows[0] if rows else [], name)
        rows = rows[1:]
    try:
        table = np.array([[float(row[c]) for c in columns] for row in rows]).T
    except (ValueError, IndexError) as error:
        msg = f"{name}: expected numbers in three columns below the header; {error}"
        raise PropertyError(msg) from error
    if table.size == 0:
        return np.empty(0), np.empty(0, complex)
    return table[0], table[1] + 1j * sign * table[2]


def _find_columns(header: Sequence[str], name: str) -> tuple[list[int], float]:
    """Return the columns of f, Z', Z'' and the sign of the last (-Z'' is common)."""
    words = [_plain(cell) for cell in header]
    found = []
    for wanted in (FREQUENCY, REAL, IMAGINARY):
        places = [i for i, word in enumerate(words) if word.lstrip("-") in wanted]
        if not places:
            msg = (
                f"{name}: no column is called {' or '.join(wanted[:3])}; the header "
                f"names {', '.join(header) or 'nothing'}. Name the columns frequency, "
                "z_real and z_imag (or -z_imag)"
            )
            raise PropertyError(msg)
        found.append(places[0])
    return found, -1.0 if words[found[2]].startswith("-") else 1.0


def _plain(cell: str) -> str:
    """Return a column's name without unit, blanks and marks: zreal of `Re(Z)/Ohm`."""
    word = cell.strip().lstrip("#").strip().lower().replace('"', "''")
    word = word.split("/")[0].split("[")[0]
    minus = "-" if word.startswith(("-", "minus", "neg")) else ""
    for cut in ("(hz)", "(ohm)", "(ohms)", "(Ω)", "(ω)", "minus", "neg"):
        word = word.replace(cut, "")
    return minus + "".join(c for c in word if c.isalpha() or c == "'")


def _read_instrument(
    data: bytes, instrument: str, name: str
) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    from impedance import preprocessing

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / Path(name).name
        path.write_bytes(data)
        try:
            frequencies, impedance = preprocessing.readFile(str(path), instrument)
        except Exception as error:  # its readers fail as the first odd line lets them
            msg = (
                f"{name} is not a file of {instrument} as impedance.py reads it "
                f"({type(error).__name__}: {error}); choose another instrument, or "
                "export it as CSV"
            )
            raise PropertyError(msg) from error
    return np.asarray(frequencies, float), np.asarray(impedance, complex)
