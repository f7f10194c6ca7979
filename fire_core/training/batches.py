"""Batches of an epoch: target and replay interleaved, packed by atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fire_core.backbones.base import pack_by_atoms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.backbones.mace import MaceBackbone
    from fire_core.records import LabelledStructure


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
    """

    def __init__(
        self,
        backbone: MaceBackbone,
        items: Sequence[LabelledStructure],
        weight: float = 1.0,
    ) -> None:
        self._backbone = backbone
        self._items = list(items)
        self._weight = weight
        self._graphs: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Any:
        if index not in self._graphs:
            item = self._items[index]
            self._graphs[index] = self._backbone.graph(
                item.atoms, item.label, self._weight
            )
        return self._graphs[index]


def interleave(n_target: int, replay: Sequence[int], seed: list[int]) -> list[int]:
    """Return the order of an epoch: target i as i, replay j as -1 - j.

    Both are shuffled and spread evenly among each other, so that every optimiser
    step sees the two in about the epoch's ratio. (Alternating whole batches lets
    each step undo a part of the one before.)
    """
    rng = np.random.default_rng(seed)
    target = rng.permutation(n_target)
    shuffled = rng.permutation(np.asarray(replay, dtype=np.int64))
    places = np.concatenate(
        [
            (np.arange(len(target)) + 0.5) / max(len(target), 1),
            (np.arange(len(shuffled)) + 0.5) / max(len(shuffled), 1),
        ]
    )
    codes = np.concatenate([target, -1 - shuffled])
    return [int(c) for c in codes[np.argsort(places, kind="stable")]]


def epoch_batches(
    target: GraphCache, replay: GraphCache, order: Sequence[int], batch_atoms: int
) -> list[list[Any]]:
    """Return the graphs of an epoch in batches of at most `batch_atoms` atoms."""
    graphs = [target[code] if code >= 0 else replay[-1 - code] for code in order]
    sizes = [int(graph.num_nodes) for graph in graphs]
    return [[graphs[i] for i in part] for part in pack_by_atoms(sizes, batch_atoms)]
