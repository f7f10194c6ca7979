"""Files of spectra: columns by name, signs, instruments, and what is none."""

from __future__ import annotations

import numpy as np
import pytest

from fire_core.errors import PropertyError
from fire_core.properties.impedance.spectra import read_spectrum

F = np.geomspace(1, 1e5, 8)
Z = 100 / (1 + 2j * np.pi * F * 1e-4) + 3


def table(header: str, *, sign: int = 1, mark: str = ",", order: int = 1) -> bytes:
    rows = [
        mark.join(f"{x:.12g}" for x in (f, z.real, sign * z.imag))
        for f, z in list(zip(F, Z, strict=True))[::order]
    ]
    return "\n".join([header, *rows] if header else rows).encode()


@pytest.mark.parametrize(
    ("header", "sign", "mark"),
    [
        ("", 1, ","),
        ("frequency,z_real,z_imag", 1, ","),
        ("freq/Hz;Re(Z)/Ohm;-Im(Z)/Ohm", -1, ";"),
        ("Frequency (Hz)\tZ' (Ohm)\t-Z'' (Ohm)", -1, "\t"),
        ("# freq,Re(Z),Im(Z)", 1, ","),
        ('"Freq [Hz]","Zreal [Ohm]","Zimag [Ohm]"', 1, ","),
    ],
)
def test_csv_is_read_by_its_header(header: str, sign: int, mark: str) -> None:
    data = table(header, sign=sign, mark=mark, order=-1)
    spectrum = read_spectrum(data, "csv", "a.csv")
    assert spectrum.frequencies == pytest.approx(F)
    assert spectrum.impedance == pytest.approx(Z)


def test_instrument_formats_come_from_impedance_py() -> None:
    """ZPlot's columns: frequency, two that are skipped, time, Z', Z''."""
    rows = [
        f"{f:.12g}, 0, 0, 0, {z.real:.12g}, {z.imag:.12g}"
        for f, z in zip(F, Z, strict=True)
    ]
    data = "\n".join(["header", "End Comments", *rows]).encode()
    spectrum = read_spectrum(data, "zplot", "a.z")
    assert spectrum.impedance == pytest.approx(Z)
    rows = [
        f"{f:.12g}\t{z.real:.12g}\t{z.imag:.12g}" for f, z in zip(F, Z, strict=True)
    ]
    data = "\n".join(["Freq\tReal\tImag", *rows]).encode()
    assert read_spectrum(data, "powersuite", "a.txt").impedance == pytest.approx(Z)


def test_frequencies_can_be_left_out() -> None:
    part = read_spectrum(table(""), "csv", "a.csv").between(10, 1e4)
    assert part.frequencies.min() >= 10
    assert part.frequencies.max() <= 1e4
    assert len(part.frequencies) < len(F)


def test_unknown_columns_are_named() -> None:
    with pytest.raises(PropertyError, match=r"no column is called zreal .* time"):
        read_spectrum(table("freq,time,voltage"), "csv", "a.csv")


def test_another_instrument_is_refused() -> None:
    with pytest.raises(PropertyError, match="not a file of gamry"):
        read_spectrum(table(""), "gamry", "a.csv")


@pytest.mark.parametrize("data", [b"", b"freq,zreal,zimag\n1,2,3\n"])
def test_too_short_files_are_refused(data: bytes) -> None:
    with pytest.raises(PropertyError, match=r"expected five or more|no column"):
        read_spectrum(data, "csv", "a.csv")


def test_words_among_numbers_are_refused() -> None:
    with pytest.raises(PropertyError, match="expected numbers"):
        read_spectrum(table("") + b"\n1,2,overload", "csv", "a.csv")
