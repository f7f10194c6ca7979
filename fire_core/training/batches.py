"""Optimiser steps of an epoch: so many target frames, and replay's even share."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from fire_core.records import StepMakeup
from fire_core.training.rehearsal import size_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from fire_core.backbones.trainable import Graph, Network
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label, LabelledStructure

T = TypeVar("T")

KEPT_EDGES: Final = 2**24
"""Most neighbour pairs of the graphs that one set keeps, some 1 GiB."""


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """What one frame brings to a step.

    Attributes
    ----------
    graph
        The frame as the network takes it.
    label
        What is learnt of it.
    replay
        Whether it is pre-training data that is rehearsed.
    """

    graph: Graph
    label: Label
    replay: bool = False

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.graph.num_nodes)

    @property
    def n_edges(self) -> int:
        """Number of neighbour pairs."""
        return int(self.graph.num_edges)


class Examples:
    """Labelled structures as a network's graphs, kept once built while there is room.

    Parameters
    ----------
    network
        Builds the graphs.
    items
        Structures with the labels to train on; of a set in a file each is read when
        it is wanted.
    replay
        Whether they are pre-training data.
    """

    def __init__(
        self,
        network: Network,
        items: Sequence[LabelledStructure],
        *,
        replay: bool = False,
    ) -> None:
        self._network = network
        self._items = items
        self._replay = replay
        self._built: dict[int, Example] = {}
        self._room = KEPT_EDGES

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Example:
        if index in self._built:
            return self._built[index]
        item = self._items[index]
        graph = self._network.graph(item.atoms, replay=self._replay)
        example = Example(graph, item.label, self._replay)
        if example.n_edges <= self._room:
            self._room -= example.n_edges
            self._built[index] = example
        return example

    def has(self, index: int) -> bool:
        """Return whether a graph is built and kept."""
        return index in self._built

    def n_atoms(self, index: int) -> int:
        """Return how many atoms a structure has; no graph is built."""
        if index in self._built:
            return self._built[index].n_atoms
        return size_of(self._items, index)


def count_steps(n_target: int, batch_frames: int) -> int:
    """Return the optimiser steps of an epoch, which replay does not change."""
    return math.ceil(n_target / batch_frames)


def count_replay(n_target: int, config: TrainConfig) -> int:
    """Return how many replay frames an epoch draws.

    `replay.ratio` to each target frame, and one for each step where that is less.
    """
    if not config.rehearses:
        return 0
    steps = count_steps(n_target, config.batch_frames)
    return max(round(config.replay.ratio * n_target), steps)


class Steps:
    """The optimiser steps of an epoch, whose graphs are built as they are wanted.

    While a step is computed a thread reads and builds what the next one lacks.

    Parameters
    ----------
    target, replay
        Examples by position.
    parts
        Positions in both of each step.
    """

    def __init__(
        self,
        target: Examples,
        replay: Examples,
        parts: Sequence[tuple[Sequence[int], Sequence[int]]],
    ) -> None:
        self._target, self._replay, self._parts = target, replay, parts

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[list[Example]]:
        with ThreadPoolExecutor(1, "fire-graphs") as pool:
            ahead: Future[list[Example]] | None = None
            for number in range(len(self._parts)):
                now = self._build(number) if ahead is None else ahead.result()
                ahead = None
                if number + 1 < len(self) and self._lacks(number + 1):
                    ahead = pool.submit(self._build, number + 1)
                yield now

    def describe(self) -> StepMakeup:
        """Return what the steps are made of."""
        target, replay = zip(*self._parts, strict=True)
        return StepMakeup(
            n_steps=len(self),
            target_frames=_range(target),
            replay_frames=_range(replay),
            target_atoms=sum(self._target.n_atoms(i) for p in target for i in p),
            replay_atoms=sum(self._replay.n_atoms(i) for p in replay for i in p),
        )

    def _build(self, number: int) -> list[Example]:
        mine, rehearsed = self._parts[number]
        return [*(self._target[i] for i in mine), *(self._replay[i] for i in rehearsed)]

    def _lacks(self, number: int) -> bool:
        mine, rehearsed = self._parts[number]
        return not (
            all(self._target.has(i) for i in mine)
            and all(self._replay.has(i) for i in rehearsed)
        )


def epoch_steps(
    target: Examples,
    replay: Examples,
    drawn: Sequence[int],
    batch_frames: int,
    seed: list[int],
) -> Steps:
    """Return the optimiser steps of an epoch.

    The target's frames alone say how many steps there are; the replay frames are dealt
    out evenly among them. Sizes of frames play no part, so that a step learns from both
    whatever they are.

    Parameters
    ----------
    target, replay
        All target examples are in the epoch, of the replay those drawn.
    drawn
        Positions in `replay`; at least as many as there are steps, or none.
    batch_frames
        Most target frames of a step; all steps have that many, or one fewer.
    seed
        Source of both shuffles.
    """
    rng = np.random.default_rng(seed)
    first = [int(i) for i in rng.permutation(len(target))]
    second = [int(i) for i in rng.permutation(np.asarray(drawn, np.int64))]
    n_steps = count_steps(len(first), batch_frames)
    parts = zip(deal(first, n_steps), deal(second, n_steps), strict=True)
    return Steps(target, replay, list(parts))


def deal(items: Sequence[T], n_parts: int) -> list[Sequence[T]]:
    """Return consecutive parts of equal length, or one more, these spread evenly."""
    ends = [len(items) * i // n_parts for i in range(n_parts + 1)]
    return [items[a:b] for a, b in pairwise(ends)]


def _range(steps: Sequence[Sequence[int]]) -> tuple[int, int]:
    counts = [len(step) for step in steps]
    return min(counts), max(counts)
