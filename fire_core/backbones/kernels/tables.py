"""What the compiled sums over neighbours know of a layer: paths and coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fire_core.backbones.kernels.channels import LANES, UNROLLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Parts:
    """The parts of a row, one after the other.

    Parameters
    ----------
    parts
        Channels and degree l of each.

    Attributes
    ----------
    channels, widths, sizes
        Of each part its channels, 2 l + 1, and how many numbers that makes.
    size
        Numbers in a row.
    """

    def __init__(self, parts: Sequence[tuple[int, int]]) -> None:
        self.channels = [channels for channels, _ in parts]
        self.widths = [2 * degree + 1 for _, degree in parts]
        self.sizes = [n * w for n, w in zip(self.channels, self.widths, strict=True)]
        self.size = sum(self.sizes)

    def __getitem__(self, k: int) -> tuple[int, int]:
        return self.channels[k], self.widths[k]

    def __len__(self) -> int:
        return len(self.sizes)


class Path(NamedTuple):
    """One product of a part of the features and a part of the harmonics.

    Attributes
    ----------
    feature, harmonic, message
        Positions of the three parts in their rows.
    coefficients
        (2 l1 + 1, 2 l2 + 1, 2 l3 + 1), Clebsch-Gordan coefficients times the path's
        factor.
    """

    feature: int
    harmonic: int
    message: int
    coefficients: NDArray[np.float64]


class Tables(NamedTuple):
    """What a layer computes; integers are int64, numbers of the layer's type.

    Attributes
    ----------
    paths
        (n_paths, 7): 2 l1 + 1, 2 l3 + 1, blocks of channels, and where the path begins
        in a row of features, weights, messages, and the matrices of an edge.
    harmonics
        (n, 5): of each degree of the harmonics 2 l + 1, blocks of numbers in the
        matrices of an edge, and where it begins in a row of harmonics, in
        `coefficients`, and in the matrices.
    coefficients
        Clebsch-Gordan coefficients times the paths' factors, for each degree as
        [block][m2][lane], a block being some of m1 m3 of all paths.
    places, values, starts
        The same as a sparse matrix by rows: to each harmonic those numbers of the
        matrices that it appears in, times `LANES`; padded with zeros.
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
    parts: tuple[Parts, Parts, Parts], paths: Sequence[Path], dtype: Any
) -> Tables:
    """Return the tables of a layer.

    Parameters
    ----------
    parts
        Of features, harmonics and messages.
    paths
        The products, in the order of their weights.
    dtype
        Type of the numbers.
    """
    in_rows = parts[0], parts[2]
    (features, in_features), (messages, in_messages) = map(_place, in_rows)
    channels = [parts[0].channels[path.feature] for path in paths]
    weights, in_weights = _place(Parts([(mul, 0) for mul in channels]))
    harmonics, blocks, in_matrix = _group_by_harmonic(parts[1], paths)
    matrix = _as_matrix(harmonics, blocks, parts[1].size)
    places, values, starts = _as_sparse(matrix)
    table = [
        (
            path.coefficients.shape[0],
            path.coefficients.shape[2],
            -(-mul // LANES),
            in_features[path.feature],
            in_weights[p],
            in_messages[path.message],
            in_matrix[p],
        )
        for p, (path, mul) in enumerate(zip(paths, channels, strict=True))
    ]
    return Tables(
        paths=np.array(table, np.int64).reshape(-1, 7),
        harmonics=np.array(harmonics, np.int64).reshape(-1, 5),
        coefficients=np.concatenate([_in_lanes(b) for b in blocks]).astype(dtype),
        places=places,
        values=values.astype(dtype),
        starts=starts,
        features=features,
        weights=weights,
        messages=messages,
        n_matrix=matrix.shape[1],
        n_messages=parts[2].size,
        ragged=bool((weights < 0).any()),
    )


def _place(row: Parts) -> tuple[NDArray[np.int64], list[int]]:
    """Return where in a row [channel][m] each number of [block][m][lane] is.

    Returns
    -------
    places
        (n,), -1 for padding.
    begins
        Where each part begins.
    """
    parts, begins, begin, source = [np.empty(0, np.int64)], [], 0, 0
    for mul, width in zip(row.channels, row.widths, strict=True):
        n_blocks = -(-mul // LANES)
        channel = np.arange(n_blocks * LANES).reshape(n_blocks, 1, LANES)
        places = source + channel * width + np.arange(width)[:, None]
        parts.append(np.where(channel < mul, places, -1).ravel())
        begins.append(begin)
        begin, source = begin + parts[-1].size, source + mul * width
    return np.concatenate(parts).astype(np.int64), begins


def _group_by_harmonic(
    harmonics: Parts, paths: Sequence[Path]
) -> tuple[list[tuple[int, ...]], list[NDArray[np.float64]], list[int]]:
    """Return `Tables.harmonics`, the blocks of coefficients, and paths' matrices."""
    table: list[tuple[int, ...]] = []
    blocks: list[NDArray[np.float64]] = []
    in_matrix = [0] * len(paths)
    begin, source, target = 0, 0, 0
    for k, width in enumerate(harmonics.widths):
        parts = [np.empty((width, 0))]
        for p, path in enumerate(paths):
            if path.harmonic == k:
                in_matrix[p] = target + sum(part.shape[1] for part in parts)
                part = path.coefficients.transpose(1, 0, 2)
                parts.append(part.reshape(width, -1))
        block = np.concatenate(parts, axis=1)
        block = np.pad(block, [(0, 0), (0, -block.shape[1] % LANES)])
        table.append((width, block.shape[1] // LANES, source, begin, target))
        blocks.append(block)
        source, begin = source + width, begin + block.size
        target += block.shape[1]
    return table, blocks, in_matrix


def _as_matrix(
    harmonics: Sequence[tuple[int, ...]],
    blocks: Sequence[NDArray[np.float64]],
    n_harmonics: int,
) -> NDArray[np.float64]:
    """Return the coefficients, (n_harmonics, n_matrix)."""
    matrix = np.zeros((n_harmonics, sum(block.shape[1] for block in blocks)))
    for (width, _, source, _, target), block in zip(harmonics, blocks, strict=True):
        place = slice(source, source + width), slice(target, target + block.shape[1])
        matrix[place] = block
    return matrix


def _in_lanes(block: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return coefficients (2 l2 + 1, n) as [block][m2][lane]."""
    return block.reshape(len(block), -1, LANES).transpose(1, 0, 2).ravel()


def _as_sparse(
    matrix: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return `Tables.places`, `values` and `starts`."""
    places, values = [np.empty(0, np.int64)], [np.empty(0)]
    for row in matrix:
        (found,) = np.nonzero(row)
        padding = (0, -len(found) % UNROLLED)
        places.append(np.pad(found * LANES, padding))
        values.append(np.pad(row[found], padding))
    starts = np.cumsum([len(part) for part in places])
    return np.concatenate(places), np.concatenate(values), starts.astype(np.int64)
