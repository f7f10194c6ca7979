"""Messages of a layer and their slopes from arrays in e3nn's order, by threads."""

# mypy: allow-untyped-calls

from __future__ import annotations

import functools
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fire_core.backbones.kernels import trilinear

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.backbones.kernels.tables import Tables

Arrays = tuple[NDArray[Any], ...]


def sort_edges(
    ends: NDArray[np.int64], other: NDArray[np.int64], n_atoms: int
) -> trilinear.Edges:
    """Return edges by the atoms `ends`; `other` are those at their other ends."""
    order, starts = trilinear.order_edges(ends, n_atoms)
    return trilinear.Edges(order, starts, other)


def messages(
    tables: Tables, edges: trilinear.Edges, inputs: Arrays, threads: int
) -> NDArray[Any]:
    """Return Σ w x ⊗ Y of each receiver.

    Parameters
    ----------
    tables
        The layer.
    edges
        By receiver.
    inputs
        x, Y, w in e3nn's order.
    threads
        How many to use.
    """
    x, harmonics, weights = inputs
    out = np.empty((len(edges.starts) - 1, tables.n_messages), x.dtype)
    ours = trilinear.fetch_all(x, tables.features)
    _share(
        trilinear.sum_messages,
        threads,
        edges,
        tables,
        edges,
        (ours, harmonics, weights),
        out,
    )
    return out


def gradients(
    tables: Tables, edges: trilinear.Edges, inputs: Arrays, threads: int
) -> Arrays:
    """Return the slopes of Σ g w x ⊗ Y to x, Y and w.

    Parameters
    ----------
    tables, threads
        As of `messages`.
    edges
        By sender.
    inputs
        x, Y, w, g in e3nn's order.
    """
    x, harmonics, weights, above = inputs
    out = _slopes_like(x, harmonics, weights)
    ours = (
        trilinear.fetch_all(x, tables.features),
        harmonics,
        weights,
        trilinear.fetch_all(above, tables.messages),
    )
    _share(trilinear.sum_gradients, threads, edges, tables, edges, ours, out)
    return out


def _slopes_like(x: Any, harmonics: Any, weights: Any) -> Arrays:
    """Return room for slopes to x, Y and w, one row of w for each edge."""
    rows = np.empty((len(harmonics), weights.shape[1]), weights.dtype)
    return np.empty_like(x), np.empty_like(harmonics), rows


def second_messages(
    tables: Tables, edges: trilinear.Edges, inputs: Arrays, threads: int
) -> NDArray[Any]:
    """Return the slope of Σ w x ⊗ Y along changes of x, Y and w.

    Parameters
    ----------
    tables, edges, threads
        As of `messages`.
    inputs
        x, Y, w and the changes of each.
    """
    x, harmonics, weights, along_x, along_harmonics, along_weights = inputs
    out = np.empty((len(edges.starts) - 1, tables.n_messages), x.dtype)
    ours = (
        trilinear.fetch_all(x, tables.features),
        harmonics,
        weights,
        trilinear.fetch_all(along_x, tables.features),
        along_harmonics,
        along_weights,
    )
    _share(trilinear.sum_second_messages, threads, edges, tables, edges, ours, out)
    return out


def second_gradients(
    tables: Tables, edges: trilinear.Edges, inputs: Arrays, threads: int
) -> Arrays:
    """Return the slopes to x, Y and w of what `gradients` changes by along changes.

    Parameters
    ----------
    tables, edges, threads
        As of `gradients`.
    inputs
        x, Y, w, g and the changes of x, Y and w.
    """
    x, harmonics, weights, above, along_x, along_harmonics, along_weights = inputs
    out = _slopes_like(x, harmonics, weights)
    ours = (
        trilinear.fetch_all(x, tables.features),
        harmonics,
        weights,
        trilinear.fetch_all(above, tables.messages),
        trilinear.fetch_all(along_x, tables.features),
        along_harmonics,
        along_weights,
    )
    _share(trilinear.sum_second_gradients, threads, edges, tables, edges, ours, out)
    return out


def _share(
    function: Callable[..., None], threads: int, edges: trilinear.Edges, *args: Any
) -> None:
    """Let each thread compute a range of atoms of about equally many edges."""
    n_atoms = len(edges.starts) - 1
    wanted = edges.starts[-1] * np.arange(1, threads) // max(threads, 1)
    inner = np.searchsorted(edges.starts[:-1], wanted)
    bounds = [0, *(int(k) for k in inner), n_atoms]
    ranges = [(a, b) for a, b in itertools.pairwise(bounds) if b > a]
    if not ranges:
        return
    others = [
        _pool(threads, os.getpid()).submit(function, r, *args) for r in ranges[1:]
    ]
    function(ranges[0], *args)
    for other in others:
        other.result()


@functools.cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:  # noqa: ARG001
    """Return the threads of this process; a child that was forked has none yet."""
    return ThreadPoolExecutor(threads)
