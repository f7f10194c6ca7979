"""What the compiled sums over neighbours know of a layer: paths and coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fire_core.backbones.kernels.channels import LANES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Path(NamedTuple):
    """One product of an irrep of the features and a degree of the harmonics.

    Attributes
    ----------
    feature, harmonic, message
        Positions of the three irreps in their rows.
    factor
        What multiplies the Clebsch-Gordan coefficients, of norm one.
    """

    feature: int
    harmonic: int
    message: int
    factor: float


class Tables(NamedTuple):
    """What a layer computes; integers are int64, numbers of the layer's type.

    Attributes
    ----------
    paths
        (n_paths, 7): 2 l1 + 1, 2 l3 + 1, blocks of channels, and where the path begins
        in a row of features, weights, messages, and the matrices of an edge.
    harmonics
        (n, 5): of each degree of the harmonics 2 l + 1, how many numbers it makes in
        the matrices of an edge, and where it begins in a row of harmonics, in
        `coefficients`, and in the matrices.
    coefficients
        Clebsch-Gordan coefficients times the paths' factors, [m2][m1 m3 of all paths]
        for each degree.
    places, values, starts
        The same as a sparse matrix by rows: to each harmonic those numbers of the
        matrices that it appears in.
    features, weights, messages
        (n,), where in e3nn's row each number of ours is; -1 for padding.
    n_matrix
        Numbers in the matrices of an edge.
    n_messages
        Numbers in e3nn's row of messages.
    ragged
        Whether a row of weights is padded.
    """

    paths: NDArray[np.int64]
    harmonics: NDArray[np.int64]
    coefficients: NDArray[Any]
    places: NDArray[np.int64]
    values: NDArray[Any]
    starts: NDArray[np.int64]
    features: NDArray[np.int64]
    weights: NDArray[np.int64]
    messages: NDArray[np.int64]
    n_matrix: int
    n_messages: int
    ragged: bool


def make_tables(
    irreps: tuple[Any, Any, Any],
    paths: Sequence[Path],
    coefficients: Sequence[NDArray[np.float64]],
    dtype: Any,
) -> Tables:
    """Return the tables of a layer.

    Parameters
    ----------
    irreps
        Of features, harmonics and messages.
    paths
        The products, in the order of their weights.
    coefficients
        Of each path, (2 l1 + 1, 2 l2 + 1, 2 l3 + 1).
    dtype
        Type of the numbers.
    """
    features, in_features = _place([(mul, ir.dim) for mul, ir in irreps[0]])
    messages, in_messages = _place([(mul, ir.dim) for mul, ir in irreps[2]])
    channels = [irreps[0][path.feature].mul for path in paths]
    weights, in_weights = _place([(mul, 1) for mul in channels])
    harmonics, blocks, in_matrix = _group_by_harmonic(irreps[1], paths, coefficients)
    matrix = _as_matrix(harmonics, blocks, irreps[1].dim)
    rows, places = np.nonzero(matrix)
    table = [
        (c.shape[0], c.shape[2], -(-mul // LANES), in_features[p.feature], w, out, m)
        for p, c, mul, w, out, m in zip(
            paths,
            coefficients,
            channels,
            in_weights,
            (in_messages[p.message] for p in paths),
            in_matrix,
            strict=True,
        )
    ]
    return Tables(
        paths=np.array(table, np.int64).reshape(-1, 7),
        harmonics=np.array(harmonics, np.int64).reshape(-1, 5),
        coefficients=np.concatenate([b.ravel() for b in blocks]).astype(dtype),
        places=places.astype(np.int64),
        values=matrix[rows, places].astype(dtype),
        starts=np.searchsorted(rows, np.arange(len(matrix) + 1)).astype(np.int64),
        features=features,
        weights=weights,
        messages=messages,
        n_matrix=matrix.shape[1],
        n_messages=int(irreps[2].dim),
        ragged=bool((weights < 0).any()),
    )


def _place(irreps: Sequence[tuple[int, int]]) -> tuple[NDArray[np.int64], list[int]]:
    """Return where in a row [channel][m] each number of [block][m][lane] is.

    Parameters
    ----------
    irreps
        Channels and components of each part of the row.

    Returns
    -------
    places
        (n,), -1 for padding.
    begins
        Where each part begins.
    """
    parts, begins, begin, source = [np.empty(0, np.int64)], [], 0, 0
    for mul, width in irreps:
        n_blocks = -(-mul // LANES)
        channel = np.arange(n_blocks * LANES).reshape(n_blocks, 1, LANES)
        places = source + channel * width + np.arange(width)[:, None]
        parts.append(np.where(channel < mul, places, -1).ravel())
        begins.append(begin)
        begin, source = begin + parts[-1].size, source + mul * width
    return np.concatenate(parts).astype(np.int64), begins


def _group_by_harmonic(
    harmonics: Any, paths: Sequence[Path], coefficients: Sequence[NDArray[np.float64]]
) -> tuple[list[tuple[int, ...]], list[NDArray[np.float64]], list[int]]:
    """Return `Tables.harmonics`, the blocks of coefficients, and paths' matrices."""
    table, blocks, in_matrix = [], [], [0] * len(paths)
    begin, source, target = 0, 0, 0
    for k, (_, irrep) in enumerate(harmonics):
        parts = [np.empty((irrep.dim, 0))]
        for p, path in enumerate(paths):
            if path.harmonic == k:
                in_matrix[p] = target + sum(part.shape[1] for part in parts)
                part = coefficients[p].transpose(1, 0, 2)
                parts.append(part.reshape(irrep.dim, -1))
        block = np.concatenate(parts, axis=1)
        table.append((irrep.dim, block.shape[1], source, begin, target))
        blocks.append(block)
        source, begin = source + irrep.dim, begin + block.size
        target += block.shape[1]
    return table, blocks, in_matrix


def _as_matrix(
    harmonics: Sequence[tuple[int, ...]],
    blocks: Sequence[NDArray[np.float64]],
    n_harmonics: int,
) -> NDArray[np.float64]:
    """Return the coefficients, (n_harmonics, n_matrix)."""
    matrix = np.zeros((n_harmonics, sum(block.shape[1] for block in blocks)))
    for (width, count, source, _, target), block in zip(harmonics, blocks, strict=True):
        matrix[source : source + width, target : target + count] = block
    return matrix
