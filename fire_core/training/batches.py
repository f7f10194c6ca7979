"""Optimiser steps of an epoch: so many target frames, and replay's even share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fire_core.records import StepMakeup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.backbones.trainable import Graph, Network
    from fire_core.config.training import TrainConfig
    from fire_core.records import Label, LabelledStructure

T = TypeVar("T")


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
    """Labelled structures as a network's graphs, each built once.

    Parameters
    ----------
    network
        Builds the graphs.
    items
        Structures with the labels to train on.
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
        self._items = list(items)
        self._replay = replay
        self._built: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Example:
        if index not in self._built:
            item = self._items[index]
            graph = self._network.graph(item.atoms, replay=self._replay)
            self._built[index] = Example(graph, item.label, self._replay)
        return self._built[index]


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


def epoch_steps(
    target: Examples,
    replay: Examples,
    drawn: Sequence[int],
    batch_frames: int,
    seed: list[int],
) -> list[list[Example]]:
    """Return the examples of each optimiser step of an epoch.

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
    return [
        [*(target[i] for i in mine), *(replay[i] for i in rehearsed)]
        for mine, rehearsed in zip(
            deal(first, n_steps), deal(second, n_steps), strict=True
        )
    ]


def deal(items: Sequence[T], n_parts: int) -> list[Sequence[T]]:
    """Return consecutive parts of equal length, or one more, these spread evenly."""
    ends = [len(items) * i // n_parts for i in range(n_parts + 1)]
    return [items[a:b] for a, b in pairwise(ends)]


def describe_steps(steps: Sequence[Sequence[Example]]) -> StepMakeup:
    """Return what the steps of an epoch were made of."""
    target = [[e for e in step if not e.replay] for step in steps]
    replay = [[e for e in step if e.replay] for step in steps]
    return StepMakeup(
        n_steps=len(steps),
        target_frames=_range(target),
        replay_frames=_range(replay),
        target_atoms=sum(e.n_atoms for step in target for e in step),
        replay_atoms=sum(e.n_atoms for step in replay for e in step),
    )


def _range(steps: Sequence[Sequence[Example]]) -> tuple[int, int]:
    counts = [len(step) for step in steps]
    return min(counts), max(counts)
