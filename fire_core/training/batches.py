"""Batches of an epoch: target and replay interleaved, packed by atoms and edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fire_core.backbones.base import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.backbones.mace import MaceBackbone
    from fire_core.config.training import TrainConfig
    from fire_core.records import LabelledStructure

T = TypeVar("T")


class GraphCache:
    """MACE graphs of labelled structures, each built once.

    Parameters
    ----------
    backbone
        Gives cutoff, species and floating-point type.
    items
        Structures with the labels to train on.
    weight
        Weight of each structure in the loss.
    head
        Number of the readout head that they are trained on.
    """

    def __init__(
        self,
        backbone: MaceBackbone,
        items: Sequence[LabelledStructure],
        *,
        weight: float = 1.0,
        head: int = 0,
    ) -> None:
        self._backbone = backbone
        self._items = list(items)
        self._weight = weight
        self._head = head
        self._graphs: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        if index not in self._graphs:
            item = self._items[index]
            self._graphs[index] = self._backbone.graph(
                item.atoms, item.label, weight=self._weight, head=self._head
            )
        return self._graphs[index]


def epoch_batches(
    target: GraphCache,
    replay: GraphCache,
    drawn: Sequence[int],
    config: TrainConfig,
    seed: list[int],
) -> list[list[Any]]:
    """Return the graphs of an epoch in batches within the configured limits.

    Parameters
    ----------
    target, replay
        All target graphs are in the epoch, of the replay graphs those drawn.
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
        return pack_graphs(interleave(first, second), config)
    packed = pack_graphs(first, config), pack_graphs(second, config)
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


def pack_graphs(graphs: Sequence[Any], config: TrainConfig) -> list[list[Any]]:
    """Return consecutive graphs in batches within `batch_atoms` and `batch_edges`."""
    costs = [(int(g.num_nodes), int(g.edge_index.shape[1])) for g in graphs]
    limits = (config.batch_atoms, config.batch_edges)
    return [[graphs[i] for i in part] for part in pack(costs, limits)]
