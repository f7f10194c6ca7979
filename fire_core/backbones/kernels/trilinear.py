"""Messages summed over neighbours, and their first and second slopes, by numba.

Σ_e g_i w_e (x_j ⊗ Y_e), edges e from j to i, is linear in each of g, w, x and Y, so its
slopes are sums of the same kind. No product of an edge is written to memory: an
atom's sum stays in cache while its edges go by. Sums over the edges of an atom are
made by one thread in the order of the edges, so the result does not depend on
the number of threads.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numba
import numpy as np

from fire_core.backbones.kernels import channels

if TYPE_CHECKING:
    from numpy.typing import NDArray

F = TypeVar("F")
LANES = channels.LANES


class Edges(NamedTuple):
    """Edges in the order of one of their ends.

    Attributes
    ----------
    order
        (n_edges,), edges of the first atom, of the second, … each in ascending order.
    starts
        (n_atoms + 1,), where an atom's edges begin in `order`.
    other
        (n_edges,), atom at the other end of each edge (not in `order`).
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    other: NDArray[np.int64]


def jit(function: F) -> F:
    """Compile for use without Python's lock; keep the code on disk where one can.

    Sums may be reordered while compiling; NaN and infinity stay what they are.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"reassoc", "contract", "nsz"},
    }
    try:
        compiled: F = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor a home can be written
        compiled = numba.njit(**options)(function)
    return compiled


@jit
def order_edges(ends, n_atoms):
    """Return the order of edges by their atoms, and where each atom's begin."""
    starts = np.zeros(n_atoms + 1, np.int64)
    for atom in ends:
        starts[atom + 1] += 1
    for atom in range(n_atoms):
        starts[atom + 1] += starts[atom]
    order = np.empty(len(ends), np.int64)
    filled = starts[:-1].copy()
    for edge in range(len(ends)):
        order[filled[ends[edge]]] = edge
        filled[ends[edge]] += 1
    return order, starts


@jit
def _empty(size, like):
    """Return numbers that begin at a line of the cache, of the type of `like`."""
    numbers = np.empty(size + LANES, like.dtype)
    ahead = -numbers.ctypes.data % (LANES * 4) // numbers.itemsize
    return numbers[ahead : ahead + size]


@jit
def _fetch(row, places, out, begin):
    """Copy a row of e3nn's into our order, padded with zeros."""
    for k in range(len(places)):
        out[begin + k] = row[places[k]] if places[k] >= 0 else 0.0


@jit
def _give(values, begin, places, row):
    """Copy our order back into a row of e3nn's."""
    for k in range(len(places)):
        if places[k] >= 0:
            row[places[k]] = values[begin + k]


@jit
def fetch_all(rows, places):
    """Return rows of e3nn's in our order, one after the other."""
    out = _empty(len(rows) * len(places), rows)
    for k in range(len(rows)):
        _fetch(rows[k], places, out, k * len(places))
    return out


@jit
def _edge_matrices(harmonics, begin, tables, out):
    """Set M_m1m3 = Σ_m2 C_m1m2m3 Y_m2 of all paths."""
    for degree in range(len(tables.harmonics)):
        width, blocks, source, first, target = tables.harmonics[degree]
        channels.set_matrix(
            (width, 1, blocks),
            (harmonics, tables.coefficients, out),
            (begin + source, first, target),
        )


@jit
def _edge_slopes(sums, tables, out, begin):
    """Set the slopes to Y from those to M, which are still in lanes."""
    for m in range(len(tables.starts) - 1):
        first = tables.starts[m]
        terms = tables.starts[m + 1] - first
        channels.set_slope(
            (1, 1, terms // channels.UNROLLED),
            (sums, tables.places, tables.values, out),
            (0, first, first, begin + m),
        )


@jit
def sum_messages(atoms, tables, edges, inputs, out):
    """Set the messages of a range of receivers; see `neighbour_sums.messages`."""
    x, harmonics, weights = inputs
    n_x, n_out = len(tables.features), len(tables.messages)
    flat_harmonics, n_harmonics = harmonics.reshape(-1), harmonics.shape[1]
    total = _empty(n_out, x)
    matrix = _empty(tables.n_matrix, x)
    row = _empty(len(tables.weights), x)
    flat = weights.reshape(-1)
    for i in range(atoms[0], atoms[1]):
        total[:] = 0
        for at in range(edges.starts[i], edges.starts[i + 1]):
            e = edges.order[at]
            j = edges.other[e]
            _edge_matrices(flat_harmonics, e * n_harmonics, tables, matrix)
            same = e % len(weights)
            source, begin = flat, same * weights.shape[1]
            if tables.ragged:
                _fetch(weights[same], tables.weights, row, 0)
                source, begin = row, 0
            for p in range(len(tables.paths)):
                d1, d3, n, in_x, in_w, in_out, in_m = tables.paths[p]
                channels.add_messages(
                    (d1, d3, n),
                    (x, source, matrix, total),
                    (j * n_x + in_x, begin + in_w, in_m, in_out),
                )
        _give(total, 0, tables.messages, out[i])


@jit
def sum_gradients(atoms, tables, edges, inputs, outputs):
    """Set slopes to a range of senders, and to Y and w of their edges."""
    x, harmonics, weights, above = inputs
    grad_x, grad_harmonics, grad_weights = outputs
    n_x, n_out = len(tables.features), len(tables.messages)
    flat_harmonics, n_harmonics = harmonics.reshape(-1), harmonics.shape[1]
    flat_slopes = grad_harmonics.reshape(-1)
    total = _empty(n_x, x)
    matrix = _empty(tables.n_matrix, x)
    sums = _empty(tables.n_matrix * LANES, x)
    row = _empty(len(tables.weights), x)
    grad_row = _empty(len(tables.weights), x)
    flat, grad_flat = weights.reshape(-1), grad_weights.reshape(-1)
    for j in range(atoms[0], atoms[1]):
        total[:] = 0
        for at in range(edges.starts[j], edges.starts[j + 1]):
            e = edges.order[at]
            i = edges.other[e]
            _edge_matrices(flat_harmonics, e * n_harmonics, tables, matrix)
            same = e % len(weights)
            source, begin = flat, same * weights.shape[1]
            target, put = grad_flat, e * weights.shape[1]
            if tables.ragged:
                _fetch(weights[same], tables.weights, row, 0)
                source, target, begin, put = row, grad_row, 0, 0
            for p in range(len(tables.paths)):
                d1, d3, n, in_x, in_w, in_out, in_m = tables.paths[p]
                channels.add_gradients(
                    (d1, d3, n),
                    (x, source, above, matrix, total, target, sums),
                    (
                        j * n_x + in_x,
                        begin + in_w,
                        i * n_out + in_out,
                        in_m,
                        in_x,
                        put + in_w,
                        in_m * LANES,
                    ),
                )
            if tables.ragged:
                _give(grad_row, 0, tables.weights, grad_weights[e])
            _edge_slopes(sums, tables, flat_slopes, e * n_harmonics)
        _give(total, 0, tables.features, grad_x[j])


@jit
def sum_second_messages(atoms, tables, edges, inputs, out):
    """Set the slopes of messages of a range of receivers along a, b, c."""
    x, harmonics, weights, along_x, along_harmonics, along_weights = inputs
    n_x, n_out = len(tables.features), len(tables.messages)
    flat_harmonics, n_harmonics = harmonics.reshape(-1), harmonics.shape[1]
    flat_along = along_harmonics.reshape(-1)
    total = _empty(n_out, x)
    matrix = _empty(tables.n_matrix, x)
    along_matrix = _empty(tables.n_matrix, x)
    row = _empty(len(tables.weights), x)
    along_row = _empty(len(tables.weights), x)
    flat, along_flat = weights.reshape(-1), along_weights.reshape(-1)
    for i in range(atoms[0], atoms[1]):
        total[:] = 0
        for at in range(edges.starts[i], edges.starts[i + 1]):
            e = edges.order[at]
            j = edges.other[e]
            _edge_matrices(flat_harmonics, e * n_harmonics, tables, matrix)
            _edge_matrices(flat_along, e * n_harmonics, tables, along_matrix)
            same = e % len(weights)
            source, along, begin = flat, along_flat, same * weights.shape[1]
            if tables.ragged:
                _fetch(weights[same], tables.weights, row, 0)
                _fetch(along_weights[same], tables.weights, along_row, 0)
                source, along, begin = row, along_row, 0
            for p in range(len(tables.paths)):
                d1, d3, n, in_x, in_w, in_out, in_m = tables.paths[p]
                at_x, at_w = j * n_x + in_x, begin + in_w
                channels.add_second_messages(
                    (d1, d3, n),
                    (x, along_x, source, along, matrix, along_matrix, total),
                    (at_x, at_x, at_w, at_w, in_m, in_m, in_out),
                )
        _give(total, 0, tables.messages, out[i])


@jit
def sum_second_gradients(atoms, tables, edges, inputs, outputs):
    """Set what `sum_gradients` sets, of the slopes along a, b, c."""
    x, harmonics, weights, above, along_x, along_harmonics, along_weights = inputs
    grad_x, grad_harmonics, grad_weights = outputs
    n_x, n_out = len(tables.features), len(tables.messages)
    flat_harmonics, n_harmonics = harmonics.reshape(-1), harmonics.shape[1]
    flat_along = along_harmonics.reshape(-1)
    flat_slopes = grad_harmonics.reshape(-1)
    total = _empty(n_x, x)
    matrix = _empty(tables.n_matrix, x)
    along_matrix = _empty(tables.n_matrix, x)
    sums = _empty(tables.n_matrix * LANES, x)
    row = _empty(len(tables.weights), x)
    along_row = _empty(len(tables.weights), x)
    grad_row = _empty(len(tables.weights), x)
    flat, along_flat = weights.reshape(-1), along_weights.reshape(-1)
    grad_flat = grad_weights.reshape(-1)
    for j in range(atoms[0], atoms[1]):
        total[:] = 0
        for at in range(edges.starts[j], edges.starts[j + 1]):
            e = edges.order[at]
            i = edges.other[e]
            _edge_matrices(flat_harmonics, e * n_harmonics, tables, matrix)
            _edge_matrices(flat_along, e * n_harmonics, tables, along_matrix)
            same = e % len(weights)
            source, along, target = flat, along_flat, grad_flat
            begin, put = same * weights.shape[1], e * weights.shape[1]
            if tables.ragged:
                _fetch(weights[same], tables.weights, row, 0)
                _fetch(along_weights[same], tables.weights, along_row, 0)
                source, along, target = row, along_row, grad_row
                begin, put = 0, 0
            for p in range(len(tables.paths)):
                d1, d3, n, in_x, in_w, in_out, in_m = tables.paths[p]
                at_x, at_w, in_sums = j * n_x + in_x, begin + in_w, in_m * LANES
                channels.add_second_gradients(
                    (d1, d3, n),
                    (
                        x,
                        along_x,
                        source,
                        along,
                        above,
                        matrix,
                        along_matrix,
                        total,
                        target,
                        sums,
                    ),
                    (
                        at_x,
                        at_x,
                        at_w,
                        at_w,
                        i * n_out + in_out,
                        in_m,
                        in_m,
                        in_x,
                        put + in_w,
                        in_sums,
                    ),
                )
            if tables.ragged:
                _give(grad_row, 0, tables.weights, grad_weights[e])
            _edge_slopes(sums, tables, flat_slopes, e * n_harmonics)
        _give(total, 0, tables.features, grad_x[j])
