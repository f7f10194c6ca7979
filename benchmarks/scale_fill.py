"""Fill a store in number: jittered crystals, labels in every state, campaigns.

One slice of structures is one campaign: an MD run whose frames they are, choices of
`CHOICE` structures each, a dataset, and labels for some of them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.build import bulk

from benchmarks import scale_copy
from fire_core.config.load import load_campaign
from fire_core.records import (
    Failure,
    FailureKind,
    Frame,
    FrameTag,
    Label,
    Pick,
    Split,
)
from fire_core.storage.claims import LeaseTerms
from fire_core.storage.selections import LabelScope, SelectionRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms

    from fire_core.storage.store import Store

EXAMPLE = Path(__file__).parents[1] / "examples" / "licl_gaf3.yaml"
CRYSTALS = (
    ("LiCl", "rocksalt", 5.13, (2, 2, 2)),  # 64 atoms
    ("NaCl", "rocksalt", 5.64, (3, 2, 2)),  # 96
    ("CaF2", "fluorite", 5.46, (2, 2, 2)),  # 96
    ("CsCl", "cesiumchloride", 4.12, (4, 4, 4)),  # 128
    ("MgO", "rocksalt", 4.21, (3, 3, 2)),  # 144
    ("LiF", "rocksalt", 4.03, (3, 3, 3)),  # 216
)
JITTER = 0.05  # Å
SEED = 20261125
BLOCK = 1000  # structures or labels in one call
CHOICE = 500  # structures of one choice
SLICE = 20_000  # structures of one campaign
FRAMES = 20_000  # frames of the run that is read back
SEGMENT = 500  # frames of one segment
STATE = 100_000  # bytes that a segment keeps to go on from
THEORIES = ("pbe", "r2scan", "gfn1-xtb")
OF_TEN = (0, 0, 0, 0, 0, 0, 0, 1, 1, 2)  # theory of each of ten campaigns
LEASE = LeaseTerms(lease_s=7 * 86_400.0, max_attempts=3)


@dataclass(slots=True)
class Tally:
    """Counts and seconds of what was done, by name."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def timing(self, name: str, n: int) -> Iterator[None]:
        """Add the block's time to a name."""
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start
        self.counts[name] += n

    def rates(self) -> dict[str, float]:
        """Return how many of each were done in a second."""
        return {k: n / max(self.seconds[k], 1e-9) for k, n in self.counts.items()}


@dataclass(slots=True)
class Filled:
    """What is in the store: keys in the order of their numbers, and campaigns."""

    every: int = 5  # one structure in so many has a label
    keys: list[str] = field(default_factory=list)
    campaigns: list[str] = field(default_factory=list)
    run_id: int = 0
    n_labels: int = 0
    n_refills: int = 0
    n_refilled: int = 0


@dataclass(frozen=True, slots=True)
class Slice:
    """The structures of one campaign.

    Attributes
    ----------
    start, stop
        Their numbers.
    own
        Whether they go in through the store's own methods; otherwise by COPY.
    """

    number: int
    start: int
    stop: int
    own: bool

    @property
    def name(self) -> str:
        """The campaign's name."""
        return f"rehearsal-{self.number:04d}"

    @property
    def theory(self) -> str:
        """Fingerprint of the campaign's theory."""
        return THEORIES[OF_TEN[self.number % len(OF_TEN)]]


_PROTOTYPES = [
    bulk(name, kind, a=a, cubic=True).repeat(times) for name, kind, a, times in CRYSTALS
]


def size_of(number: int) -> int:
    """Return the number of atoms of a structure."""
    return len(_PROTOTYPES[number % len(_PROTOTYPES)])


def make_frames(start: int, stop: int) -> list[Atoms]:
    """Return the structures of these numbers; the same every time."""
    frames = []
    for number in range(start, stop):
        rng = np.random.default_rng((SEED, number))
        atoms = _PROTOTYPES[number % len(_PROTOTYPES)].copy()
        atoms.positions += rng.normal(0.0, JITTER, atoms.positions.shape)
        frames.append(atoms)
    return frames


def make_label(number: int) -> Label:
    """Return the label of a structure: random, of the right size."""
    rng = np.random.default_rng((SEED, number, 1))
    n = size_of(number)
    return Label(-4.0 * n, rng.normal(0, 0.5, (n, 3)), rng.normal(0, 0.01, 6))


def plan_slices(filled: Filled, size: int) -> list[Slice]:
    """Cut what is missing to a size into campaigns.

    The first two and the last go through the store's own methods, so that its rate
    is known with little and with much in the database.
    """
    starts = list(range(len(filled.keys), size, SLICE))
    first = len(filled.campaigns)
    return [
        Slice(first + i, start, min(start + SLICE, size), i < 2 or i + 1 == len(starts))
        for i, start in enumerate(starts)
    ]


def grow(store: Store, filled: Filled, size: int, *, by_copy: bool = True) -> Tally:
    """Fill the store up to so many structures; return what each part took.

    Without `by_copy`, which only PostgreSQL knows, structures go through the store's
    methods, and the first campaign alone has a run with frames.
    """
    tally = Tally()
    for theory in THEORIES:
        store.theories.add(theory, "rehearsal", "1", "{}")
    config = load_campaign(EXAMPLE).model_dump_json()
    for planned in plan_slices(filled, size):
        part = planned if by_copy else replace(planned, own=True)
        _add_structures(store, filled, part, tally)
        store.campaigns.open(part.name, config)
        if by_copy or not part.number:
            _add_frames(store, filled, part, tally)
        choices = _add_choices(store, filled, part, tally)
        _add_labels(store, filled, part, tally)
        _leave_some(store, part, (_labelled(filled, part), choices), tally)
        filled.campaigns.append(part.name)
    return tally


def _add_structures(store: Store, filled: Filled, part: Slice, tally: Tally) -> None:
    for start in range(part.start, part.stop, BLOCK):
        stop = min(start + BLOCK, part.stop)
        with tally.timing("making structures", stop - start):
            frames = make_frames(start, stop)
        if part.own:
            with tally.timing("add_structures", stop - start):
                filled.keys += store.structures.add(frames, source=part.name)
        else:
            with tally.timing("COPY of structures", stop - start):
                keys = scale_copy.copy_structures(store, frames, part.name)
            filled.keys += keys


def _add_frames(store: Store, filled: Filled, part: Slice, tally: Tally) -> None:
    """Enter the MD run; the first one has all of `FRAMES`, its structures repeated."""
    run_id = store.runs.open(part.name, 1, "explore", "0" * 64, "{}")
    keys = filled.keys[part.start : part.stop]
    if part.number:
        with tally.timing("COPY of MD frames", len(keys)):
            scale_copy.copy_frames(store, run_id, keys)
        return
    filled.run_id = run_id
    rng = np.random.default_rng(SEED)
    n_frames = min(FRAMES, 2 * len(keys))
    for index in range(n_frames // SEGMENT):
        first = index * SEGMENT
        numbers = [(first + i) % len(keys) for i in range(SEGMENT)]
        atoms = make_frames(numbers[0], numbers[0] + SEGMENT)
        frames = [
            Frame(a, FrameTag("0" * 64, 0, 600.0, first + i), -1.0)
            for i, a in enumerate(atoms)
        ]
        with tally.timing("save_segment (frames)", SEGMENT):
            store.runs.save_segment(run_id, index, frames, rng.bytes(STATE), [])


def _labelled(filled: Filled, part: Slice) -> list[int]:
    """Return the numbers of the structures of a campaign that have a label."""
    first = -(-part.start // filled.every) * filled.every
    return list(range(first, part.stop, filled.every))


def _sort_labels(numbers: Sequence[int]) -> dict[str, list[int]]:
    """Return which of a campaign's labels end done, failed and wanted."""
    n_done = len(numbers) - len(numbers) // 10
    return {
        "done": [n for j, n in enumerate(numbers[:n_done]) if j % 50 != 7],
        "failed": [n for j, n in enumerate(numbers[:n_done]) if j % 50 == 7],
        "wanted": list(numbers[n_done:]),
    }


def _add_choices(
    store: Store, filled: Filled, part: Slice, tally: Tally
) -> list[LabelScope]:
    numbers = _labelled(filled, part)
    choices = []
    for round_, start in enumerate(range(0, len(numbers), CHOICE), 1):
        chosen = [filled.keys[n] for n in numbers[start : start + CHOICE]]
        picks = [Pick(i, i, i % 40, 12, 0.123456789) for i in range(len(chosen))]
        with tally.timing("save_selection (members)", len(chosen)):
            store.selections.save(
                part.name, round_, "label", SelectionRow("kmeans", chosen, picks)
            )
        choices.append(LabelScope(part.name, round_, "label"))
    splits = {
        filled.keys[n]: Split.TRAIN if n % 50 else Split.VALID for n in numbers[:1000]
    }
    store.datasets.save(part.name, "train", splits)
    return choices


def _add_labels(store: Store, filled: Filled, part: Slice, tally: Tally) -> None:
    kinds = _sort_labels(_labelled(filled, part))
    for start in range(0, len(kinds["done"]), BLOCK):
        block = kinds["done"][start : start + BLOCK]
        labels = {filled.keys[n]: make_label(n) for n in block}
        with tally.timing("add_labels", len(labels)):
            store.labels.add(labels, part.theory)
    asked = [filled.keys[n] for n in kinds["failed"] + kinds["wanted"]]
    with tally.timing("want_labels", len(asked)):
        store.labels.want(asked, part.theory)
    filled.n_labels += sum(map(len, kinds.values()))


def _leave_some(
    store: Store, part: Slice, asked: tuple[list[int], list[LabelScope]], tally: Tally
) -> None:
    """Fail what is to fail, choice by choice; hold a few claims of the last one."""
    owner = f"worker-of-{part.name}"
    numbers, choices = asked
    failing = len(_sort_labels(numbers)["failed"])
    why = Failure(FailureKind.NOT_CONVERGED, "no convergence in 300 steps", "log\n" * 9)
    for choice in choices:
        claims = store.labels.claim(
            part.theory, owner, terms=LEASE, limit=min(failing, CHOICE), choice=choice
        )
        failing -= len(claims)
        for claim in claims:
            with tally.timing("fail_label", 1):
                store.labels.fail(claim.label_id, owner, why, 60.0)
        if not failing:
            break
    n_held = max(1, len(numbers) // 10 // 20)
    store.labels.claim(
        part.theory, owner, terms=LEASE, limit=n_held, choice=choices[-1]
    )


def refill(store: Store, filled: Filled, n: int) -> LabelScope:
    """Request labels of so many structures that have none, as one more choice."""
    free = (i for i in range(len(filled.keys)) if i % filled.every)
    numbers = islice(free, filled.n_refilled, filled.n_refilled + n)
    keys = [filled.keys[i] for i in numbers]
    filled.n_refilled += n
    filled.n_refills += 1
    campaign = filled.campaigns[0]
    store.selections.save(
        campaign, filled.n_refills, "queue", SelectionRow("refill", keys)
    )
    store.labels.want(keys, THEORIES[0])
    return LabelScope(campaign, filled.n_refills, "queue")
