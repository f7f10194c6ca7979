"""Pre-training sets of any size, of which only what is drawn is read and labelled.

A set is a list, or a `FrameIndex` whose frames are in a file. What decides over frames
is asked of both by the same functions; of a file no frame is read for it.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np

from fire_core.backbones.trainable import elements_of
from fire_core.evaluation.references import shift_energies
from fire_core.files import cache_folder
from fire_core.records import Label, LabelledStructure
from fire_core.structures.frame_index import (
    MAP_BYTES,
    NUMBER,
    FrameIndex,
    formula_place,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

    Frames = Sequence[LabelledStructure]

AT_ONCE: Final = 512  # frames that are predicted together


def size_of(items: Frames, index: int) -> int:
    """Return how many atoms a frame has."""
    base = items.base if isinstance(items, Relabelled) else items
    if isinstance(base, FrameIndex):
        return int(base.n_atoms_of(index))
    return len(base[index].atoms)


def elements_in(items: Frames) -> frozenset[str]:
    """Return every element of the frames."""
    if isinstance(items, FrameIndex):
        return items.elements
    return frozenset(elements_of(items))


def holding(items: Frames, symbols: Collection[str]) -> Frames:
    """Return the frames that hold one of the elements at least."""
    if isinstance(items, FrameIndex):
        return items.take(items.holding(symbols))
    wanted = set(symbols)
    return [item for item in items if wanted & elements_of([item])]


def within(items: Frames, symbols: Collection[str]) -> Frames:
    """Return the frames that hold no other elements."""
    if isinstance(items, FrameIndex):
        return items.take(items.within(symbols))
    known = set(symbols)
    return [item for item in items if elements_of([item]) <= known]


def leaving_out(
    items: Frames,
    structures: Mapping[str, Atoms],
    formulas: Collection[float] = (),
) -> Frames:
    """Return the frames that are none of some structures and have no such formula.

    Parameters
    ----------
    items
        The frames. Of a file only those with the formula of a structure are read.
    structures
        By content key.
    formulas
        As `formula_place` has them.
    """
    suspect = {formula_place(atoms) for atoms in structures.values()}
    others = set(formulas)
    if isinstance(items, FrameIndex):
        places = items.places
        kept = ~np.isin(places, list(others))
        for i in np.flatnonzero(kept & np.isin(places, list(suspect))).tolist():
            kept[i] = items[i].key not in structures
        return items.take(kept)
    if not (suspect or others):
        return items
    return [
        item
        for item in items
        if item.key not in structures and formula_place(item.atoms) not in others
    ]


def first_of_each(items: Frames, most: int) -> set[int]:
    """Return the positions of the first `most` frames that hold each element."""
    if isinstance(items, FrameIndex):
        found = [
            np.flatnonzero(items.holding([symbol]))[:most]
            for symbol in sorted(items.elements)
        ]
        return set(np.concatenate(found).tolist())
    chosen: set[int] = set()
    seen: dict[str, int] = {}
    for i, item in enumerate(items):
        for symbol in elements_of([item]):
            seen[symbol] = seen.get(symbol, 0) + 1
            if seen[symbol] <= most:
                chosen.add(i)
    return chosen


def add_content(digest: Any, items: Frames) -> None:
    """Add the frames' structures and labels to what is hashed."""
    if isinstance(items, FrameIndex):
        digest.update(items.digest.encode())
        return
    for item in items:
        digest.update(f"{item.key}{item.theory}{float(item.label.energy)!r}".encode())
        digest.update(np.asarray(item.label.forces, "<f8").tobytes())


class Relabelled(Sequence[LabelledStructure]):
    """Frames with other labels, each made when it is wanted.

    Attributes
    ----------
    base
        The frames with their own labels.
    """

    def __init__(self, base: Frames) -> None:
        self.base = base

    def __len__(self) -> int:
        return len(self.base)

    @overload
    def __getitem__(self, which: int) -> LabelledStructure: ...
    @overload
    def __getitem__(self, which: slice) -> list[LabelledStructure]: ...
    def __getitem__(
        self, which: int | slice
    ) -> LabelledStructure | list[LabelledStructure]:
        if isinstance(which, slice):
            return [self[i] for i in range(len(self))[which]]
        return self.relabel(which)

    @abstractmethod
    def relabel(self, index: int) -> LabelledStructure:
        """Return a frame with its other label."""

    def prepare(self, indices: Sequence[int]) -> None:
        """Make the labels of frames that are wanted soon."""


class Shifted(Relabelled):
    """Frames whose energies are moved by a constant (eV) for each element."""

    def __init__(self, base: Frames, shift: Mapping[str, float]) -> None:
        super().__init__(base)
        self._shift = dict(shift)

    def relabel(self, index: int) -> LabelledStructure:
        """Return a frame with its energy moved."""
        item = self.base[index]
        (label,) = shift_energies([item.label], [item.atoms], self._shift)
        return LabelledStructure(item.key, item.atoms, label, item.theory)


class Predicted(Relabelled):
    """Frames with a model's predictions in place of their labels.

    Those of a set in a file are kept in another file, by the hashes of the set and the
    model, and are computed once for all trainings.

    Parameters
    ----------
    base
        The frames.
    predict
        Returns the labels of several structures.
    model_sha
        sha256 of the model.
    """

    def __init__(
        self,
        base: Frames,
        predict: Callable[[list[Any]], list[Label]],
        model_sha: str,
    ) -> None:
        super().__init__(base)
        self._predict = predict
        self._theory = f"model:{model_sha[:16]}"
        self._kept: dict[int, Label] | _LabelFile = {}
        if isinstance(base, FrameIndex):
            self._kept = _LabelFile(f"{model_sha[:16]}-{base.digest[:16]}")
        else:
            self.prepare(range(len(base)))

    def relabel(self, index: int) -> LabelledStructure:
        """Return a frame with what the model says of it."""
        label = self._kept.get(index)
        if label is None:
            self.prepare([index])
            label = self._kept.get(index)
        if label is None:
            msg = f"no prediction of frame {index} was kept"
            raise RuntimeError(msg)
        item = self.base[index]
        return LabelledStructure(item.key, item.atoms, label, self._theory)

    def prepare(self, indices: Sequence[int]) -> None:
        """Predict what was not yet; some hundred frames are in memory at once."""
        missing = [i for i in dict.fromkeys(indices) if self._kept.get(i) is None]
        for start in range(0, len(missing), AT_ONCE):
            part = missing[start : start + AT_ONCE]
            labels = self._predict([self.base[i].atoms for i in part])
            self._kept.update(dict(zip(part, labels, strict=True)))


class _LabelFile:
    """Labels by number, in a file that several processes may write."""

    def __init__(self, name: str) -> None:
        self._env = _opened(cache_folder() / "predictions" / f"{name}.lmdb")

    def get(self, number: int) -> Label | None:
        with self._env.begin() as read:
            data = read.get(NUMBER.pack(number))
        if data is None:
            return None
        values = np.frombuffer(data, "<f8").copy()
        return Label(float(values[0]), values[7:].reshape(-1, 3), _stress(values[1:7]))

    def update(self, labels: Mapping[int, Label]) -> None:
        with self._env.begin(write=True) as write:
            for number, label in labels.items():
                stress = [np.nan] * 6 if label.stress is None else label.stress
                values = [label.energy, *stress, *label.forces.ravel()]
                write.put(NUMBER.pack(number), np.array(values, "<f8").tobytes())


@functools.cache
def _opened(path: Path) -> Any:
    """Return the environment of a file: LMDB wants no more than one in a process."""
    import lmdb

    path.parent.mkdir(parents=True, exist_ok=True)
    return lmdb.open(str(path), subdir=False, map_size=MAP_BYTES, readahead=False)


def _stress(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    return None if np.isnan(values).any() else values
