"""Real DFT sets divided by time, and Materials Project trajectories by formula.

Frames of one trajectory resemble their neighbours: what is trained on comes first, then
a block that settings are chosen on, and last the block that is judged. Of the Materials
Project's trajectories (MPtrj) every second formula is rehearsed; of the others one half
is looked at while settings are chosen, the other half measures what was forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.data import SHARED, read_frames
from fire_core.training.data import sample_evenly

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from fire_core.records import LabelledStructure

    Items = list[LabelledStructure]

REPLAY_FILES: Final = ("mptrj_random", "mptrj_high_stress")
USUAL: Final = REPLAY_FILES[0]
"""The file whose frames were drawn at random, which its frames' `theory` names."""


@dataclass(frozen=True, slots=True)
class System:
    """Trajectories of one material, and where their blocks lie.

    Attributes
    ----------
    name
        Its formula, for a table.
    files
        Trajectories, below the folder of the data.
    n_train
        Frames of each file to train on, evenly from `early`.
    early, valid, test
        Blocks of each file: from, to (excluded), step.
    """

    name: str
    files: tuple[str, ...]
    n_train: int
    early: tuple[int, int, int]
    valid: tuple[int, int, int]
    test: tuple[int, int, int]


SYSTEMS: Final = {
    "li6ps5cl": System(
        "Li6PS5Cl",
        ("li6ps5cl/600K", "li6ps5cl/1200K"),
        n_train=15,
        early=(0, 39, 1),
        valid=(40, 45, 2),
        test=(45, 60, 1),
    ),
    "llzo": System(
        "Li7La3Zr2O12",
        ("llzo/train",),
        n_train=30,
        early=(0, 252, 1),
        valid=(256, 272, 4),
        test=(272, 332, 3),
    ),
    "lgps": System(
        "Li10GeP2S12",
        ("lgps/train",),
        n_train=60,
        early=(0, 600, 1),
        valid=(612, 652, 5),
        test=(652, 815, 3),
    ),
}
"""416, 192 and 50 atoms a frame; see the README of the data for their origin."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Most frames of each block.

    Attributes
    ----------
    train, valid, test
        Of each trajectory; None: what the system says.
    replay
        MPtrj frames that may be rehearsed; None: all of that half.
    watched, judged
        Held-out MPtrj frames to choose settings by, and to measure forgetting on.
    """

    train: int | None = None
    valid: int | None = None
    test: int | None = None
    replay: int | None = None
    watched: int = 200
    judged: int = 200


FULL: Final = Sizes()
QUICK: Final = Sizes(train=2, valid=1, test=1, replay=8, watched=3, judged=4)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """A system's frames in the order of time."""

    train: Items
    valid: Items
    test: Items


@dataclass(frozen=True, slots=True, eq=False)
class Pretraining:
    """MPtrj frames of three sets of formulas that share none.

    Attributes
    ----------
    replay
        To rehearse.
    watched
        Held out; settings may be chosen by them.
    judged
        Held out; what was forgotten is measured on them alone.
    left_out
        Frames with an element that the model does not know.
    """

    replay: Items
    watched: Items
    judged: Items
    left_out: int


def has_data() -> bool:
    """Return whether the real data lie beside the project."""
    return (SHARED / "replay" / f"{REPLAY_FILES[0]}.extxyz").is_file()


def load_blocks(system: str, elements: frozenset[str], sizes: Sizes = FULL) -> Blocks:
    """Read a system's trajectories and divide each of them by time."""
    facts = SYSTEMS[system]
    parts: dict[str, Items] = {"train": [], "valid": [], "test": []}
    limits = {
        "train": sizes.train or facts.n_train,
        "valid": sizes.valid,
        "test": sizes.test,
    }
    for file in facts.files:
        frames = read_frames(SHARED / f"{file}.extxyz", elements)
        for name, block in zip(
            parts, (facts.early, facts.valid, facts.test), strict=True
        ):
            items, most = frames[slice(*block)], limits[name]
            parts[name] += items if most is None else sample_evenly(items, most)
    return Blocks(**parts)


def load_pretraining(elements: frozenset[str], sizes: Sizes = FULL) -> Pretraining:
    """Read MPtrj and divide it by formula, the same way for every model."""
    everything = [
        item
        for name in REPLAY_FILES
        for item in read_frames(SHARED / "replay" / f"{name}.extxyz")
    ]
    parts = divide_formulas([i.atoms.get_chemical_formula() for i in everything])
    known = [set(i.atoms.get_chemical_symbols()) <= elements for i in everything]
    found = [
        [
            i
            for i, part, fits in zip(everything, parts, known, strict=True)
            if fits and part == wanted
        ]
        for wanted in ("replay", "watched", "judged")
    ]
    limits = (sizes.replay, sizes.watched, sizes.judged)
    replay, watched, judged = (
        items if most is None else sample_evenly(items, most)
        for items, most in zip(found, limits, strict=True)
    )
    return Pretraining(replay, watched, judged, known.count(False))


def divide_formulas(formulas: Sequence[str]) -> list[str]:
    """Return for each frame, by its formula, `replay`, `watched` or `judged`.

    In alphabetical order the formulas are held out in turn with those rehearsed.
    """
    turn = ("judged", "replay", "watched", "replay")
    part = {f: turn[n % 4] for n, f in enumerate(sorted(set(formulas)))}
    return [part[formula] for formula in formulas]


def count_atoms(items: Collection[LabelledStructure]) -> int:
    """Return the atoms of all structures."""
    return sum(len(item.atoms) for item in items)
