"""GTH pseudopotentials: read from CP2K's files, written for plane-wave codes.

The potentials are those of Goedecker, Teter, Hutter, Phys. Rev. B 54 (1996) 1703 and
Krack, Theor. Chem. Acc. 114 (2005) 145. ABINIT and Quantum ESPRESSO read them in
ABINIT's format 10 (HGH-K), so three codes can share one Hamiltonian.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ase.data import atomic_numbers

from fire_core.config.environment import cp2k_data_folder
from fire_core.errors import LabellingError
from fire_core.records import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE: Final = "GTH_POTENTIALS"
PBE: Final = 11  # ABINIT's ixc

VALENCE: Final = {
    "H": 1, "He": 2, "Li": 3, "Be": 4, "B": 3, "C": 4, "N": 5, "O": 6, "F": 7,
    "Ne": 8, "Na": 9, "Mg": 10, "Al": 3, "Si": 4, "P": 5, "S": 6, "Cl": 7, "Ar": 8,
    "K": 9, "Ca": 10, "Sc": 11, "Ti": 12, "V": 13, "Cr": 14, "Mn": 15, "Fe": 16,
    "Co": 17, "Ni": 18, "Cu": 11, "Zn": 12, "Ga": 13, "Ge": 4, "As": 5, "Se": 6,
    "Br": 7, "Kr": 8, "Rb": 9, "Sr": 10, "Y": 11, "Zr": 12, "Nb": 13, "Mo": 14,
    "Tc": 15, "Ru": 16, "Rh": 17, "Pd": 18, "Ag": 11, "Cd": 12, "In": 13, "Sn": 4,
    "Sb": 5, "Te": 6, "I": 7, "Xe": 8, "Cs": 9, "Ba": 10, "La": 11, "Hf": 12,
    "Ta": 13, "W": 14, "Re": 15, "Os": 16, "Ir": 17, "Pt": 18, "Au": 11, "Hg": 12,
    "Tl": 13, "Pb": 4, "Bi": 5, "Po": 6, "At": 7, "Rn": 8,
}  # fmt: skip
"""Electrons that CP2K's default GTH-PBE potentials treat."""


@dataclass(frozen=True, slots=True)
class Channel:
    """Projectors of one angular momentum: radius, Bohr, and the upper triangle of h."""

    radius: float
    h: list[list[float]]


@dataclass(frozen=True, slots=True)
class Gth:
    """A GTH pseudopotential, in atomic units."""

    element: str
    electrons: int
    local_radius: float
    local: list[float]
    channels: list[Channel]


def read_gth(element: str, name: str = "GTH-PBE") -> Gth:
    """Read a pseudopotential from CP2K's data folder.

    Raises
    ------
    LabellingError
        The folder has no such file, or the file no such potential.
    """
    path = Path(cp2k_data_folder()) / FILE
    if not path.is_file():
        msg = (
            f"there is no {path}: install CP2K's data (Debian: cp2k-data), or set "
            "CP2K_DATA_DIR to its folder"
        )
        raise LabellingError(FailureKind.MISSING_POTENTIAL, msg)
    words = _block(path, element, name)
    electrons = 0
    while (word := next(words)) and "." not in word:
        electrons += int(word)
    local_radius = float(word)
    local = [float(next(words)) for _ in range(int(next(words)))]
    channels = [_channel(words) for _ in range(int(next(words)))]
    return Gth(element, electrons, local_radius, local, channels)


def _block(path: Path, element: str, name: str) -> Iterator[str]:
    """Return the numbers of a potential, after the line that names it."""
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        words = line.split()
        if words[:1] == [element] and name in words[1:]:
            break
    else:
        msg = f"{path} has no potential {name} of {element}"
        raise LabellingError(FailureKind.MISSING_POTENTIAL, msg)
    block: list[str] = []
    for line in lines:
        if line.startswith("#") or line[:1].isalpha():
            break
        block += line.split()
    return iter(block)


def _channel(words: Iterator[str]) -> Channel:
    radius, n = float(next(words)), int(next(words))
    return Channel(
        radius, [[float(next(words)) for _ in range(n - i)] for i in range(n)]
    )


def write_hgh(gth: Gth, path: Path) -> None:
    """Write a pseudopotential in ABINIT's format 10, without spin–orbit terms."""
    lmax = max(len(gth.channels) - 1, 0)
    lines = [
        f"{gth.element} GTH-PBE-q{gth.electrons}, from CP2K's {FILE}",
        f"{atomic_numbers[gth.element]} {gth.electrons} 0  znucl zion pspdat",
        f"10 {PBE} {lmax} 0 2002 0  pspcod pspxc lmax lloc mmax r2well",
        _row([gth.local_radius], len(gth.local), gth.local),
        str(max(len(gth.channels), 1)),  # ABINIT wants lmax + 1 of them, empty or not
    ]
    for number, channel in enumerate(gth.channels or [Channel(gth.local_radius, [])]):
        first, *rest = channel.h or [[]]
        lines.append(_row([channel.radius], len(channel.h), first))
        lines += [_row([], None, row) for row in rest]
        if number > 0:
            lines += [_row([], None, [0.0] * len(row)) for row in channel.h]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(before: list[float], count: int | None, numbers: list[float]) -> str:
    words = [f"{x:.8f}" for x in before]
    words += [] if count is None else [str(count)]
    return " ".join([*words, *(f"{x:.8f}" for x in numbers)])
