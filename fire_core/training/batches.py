"""Batches of an epoch: target and replay interleaved, packed by atoms and edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from fire_core.backbones.base import pack

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
    weight
        Its weight in the loss.
    """

    graph: Graph
    label: Label
    weight: float = 1.0

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
    weight
        Weight of each structure in the loss.
    replay
        Whether they are pre-training data.
    """

    def __init__(
        self,
        network: Network,
        items: Sequence[LabelledStructure],
        *,
        weight: float = 1.0,
        replay: bool = False,
    ) -> None:
        self._network = network
        self._items = list(items)
        self._weight = weight
        self._replay = replay
        self._built: dict[int, Example] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Example:
        if index not in self._built:
            item = self._items[index]
            graph = self._network.graph(item.atoms, replay=self._replay)
            self._built[index] = Example(graph, item.label, self._weight)
        return self._built[index]


def epoch_batches(
    target: Examples,
    replay: Examples,
    drawn: Sequence[int],
    config: TrainConfig,
    seed: list[int],
) -> list[list[Example]]:
    """Return the examples of an epoch in batches within the configured limits.

    Parameters
    ----------
    target, replay
        All target examples are in the epoch, of the replay those drawn.
    drawn
        Positions in `replay`.
    config
        `batch_atoms`, `batch_edges` and the order of `replay`.
    seed
        Source of both shuffles.
    """
    rng = np.random.default_rng(seed)
    first = [target[int(i)] for i in rng.permutation(len(target))]
    second = [replay[int(i)] for i in rng.permutation(np.asarray(drawn, np.int64))]
    if config.replay.order == "spread":
        return pack_examples(interleave(first, second), config)
    packed = pack_examples(first, config), pack_examples(second, config)
    if config.replay.order == "alternate":
        return interleave(*packed)
    return [*packed[0], *packed[1]]


def interleave(first: Sequence[T], second: Sequence[T]) -> list[T]:
    """Return both in their own order, spread evenly among each other."""
    places = np.concatenate(
        [(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in (first, second)]
    )
    joined = [*first, *second]
    return [joined[int(i)] for i in np.argsort(places, kind="stable")]


def pack_examples(
    examples: Sequence[Example], config: TrainConfig
) -> list[list[Example]]:
    """Return consecutive examples in batches within the limits of a configuration."""
    costs = [(example.n_atoms, example.n_edges) for example in examples]
    limits = (config.batch_atoms, config.batch_edges)
    return [[examples[i] for i in part] for part in pack(costs, limits)]
