"""Read a set of labels for an examination; choose what the backbone predicts."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.data import chemical_symbols

from fire_core.errors import StructureError
from fire_core.records import Problem
from fire_core.structures.extxyz import iter_frame_texts, read_frame
from fire_core.structures.sanity import find_problems

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fire_core.records import Label, LabelledStructure

OVERLAP: Final = 0.4  # of the sum of covalent radii; as `fire db import` has it
UNNAMED: Final = ""
"""Theory of a frame that names none."""
MOST_SUSPECTS: Final = 10
"""Frames of each suspicion that are predicted beside the even sample."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """What a file holds.

    Attributes
    ----------
    items
        Sound frames, in order.
    numbers
        The number of each in the file, from 0.
    refused
        Frames that cannot be used, by their number, with the reason.
    unread
        Names that look like labels and were not read, with how many frames have them.
    """

    items: list[LabelledStructure]
    numbers: list[int]
    refused: dict[int, Problem]
    unread: dict[str, int]

    @property
    def n_frames(self) -> int:
        """Frames in the file, sound or not."""
        return len(self.items) + len(self.refused)


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What the backbone says of some of the frames.

    Attributes
    ----------
    labels
        Predicted label of each frame asked for, by its position in `Dataset.items`.
    sample
        Positions that are evenly spaced, and so stand for the whole set.
    """

    labels: Mapping[int, Label]
    sample: Sequence[int]

    @property
    def positions(self) -> list[int]:
        """Every position predicted, in order."""
        return sorted(self.labels)


def read_dataset(path: Path) -> Dataset:
    """Read every frame of an extxyz file; a bad frame is kept with its reason.

    Raises
    ------
    StructureError
        The file is missing, or holds no frame at all.
    """
    if not path.is_file():
        msg = f"no file at {path}; expected an extxyz file with energies and forces"
        raise StructureError(msg)
    check = functools.partial(
        find_problems,
        min_distance_factor=OVERLAP,
        known_elements=frozenset(chemical_symbols[1:]),
    )
    data = Dataset([], [], {}, {})
    for number, text in enumerate(iter_frame_texts(path)):
        outcome = read_frame(text, UNNAMED, check)
        if isinstance(outcome, Problem):
            data.refused[number] = outcome
            continue
        data.items.append(outcome.item)
        data.numbers.append(number)
        for name in outcome.unread:
            data.unread[name] = data.unread.get(name, 0) + 1
    if not data.n_frames:
        msg = f"{path} holds no frame; expected extended XYZ"
        raise StructureError(msg)
    return data


def find_known(
    items: Sequence[LabelledStructure], elements: Collection[str]
) -> list[int]:
    """Return the positions of frames whose elements are all known."""
    known = set(elements)
    return [
        i
        for i, item in enumerate(items)
        if set(item.atoms.get_chemical_symbols()) <= known
    ]


def choose_evenly(positions: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of the positions, evenly spaced."""
    if len(positions) <= most:
        return list(positions)
    spaced = np.linspace(0, len(positions) - 1, most).round().astype(int)
    return [positions[i] for i in spaced]


def choose_suspects(
    items: Sequence[LabelledStructure], known: Sequence[int]
) -> list[int]:
    """Return frames whose labels alone look odd, so that the backbone may judge.

    Those with the largest forces, with no force at all, and with the energies that a
    per-element fit to the labels explains worst; some of each.
    """
    if not known:
        return []
    largest = np.array([np.abs(items[i].label.forces).max() for i in known])
    residual = np.abs(residual_energies([items[i] for i in known]))
    chosen = {known[i] for i in np.argsort(-largest)[:MOST_SUSPECTS]}
    chosen |= {known[i] for i in np.argsort(-residual)[:MOST_SUSPECTS]}
    chosen |= {known[i] for i in np.flatnonzero(largest == 0)[:MOST_SUSPECTS]}
    return sorted(chosen)


def residual_energies(items: Sequence[LabelledStructure]) -> NDArray[np.float64]:
    """Return what a per-element fit leaves of the energies, (n,), eV/atom.

    The median of each composition is taken out as well.
    """
    fractions = composition_fractions(items)
    energy = np.array([i.label.energy / len(i.atoms) for i in items])
    left = energy - fractions @ np.linalg.lstsq(fractions, energy, rcond=None)[0]
    return centre_by_group(left, [i.atoms.get_chemical_formula() for i in items])


def composition_fractions(
    items: Sequence[LabelledStructure],
) -> NDArray[np.float64]:
    """Return each element's share in each structure, (n, n_elements)."""
    symbols = sorted({s for i in items for s in i.atoms.symbols.species()})
    counts = [[i.atoms.symbols.count(s) for s in symbols] for i in items]
    table = np.array(counts, float)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def centre_by_group(
    values: NDArray[np.float64], groups: Sequence[str], least: int = 3
) -> NDArray[np.float64]:
    """Return values, (n, ...), less the median of their group if it has `least`."""
    centred = values.copy()
    names = np.array(groups)
    for name in np.unique(names):
        chosen = names == name
        if chosen.sum() >= least:
            centred[chosen] -= np.median(values[chosen], axis=0)
    return centred


def robust_scale(values: NDArray[np.float64]) -> float:
    """Return 1.4826 × the median absolute deviation: σ for a normal distribution."""
    return float(1.4826 * np.median(np.abs(values - np.median(values))))
