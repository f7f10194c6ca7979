"""Principal components of features that are read in blocks and never held at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Blocks = Callable[[], Iterator[NDArray[np.float32]]]
    Array = NDArray[np.float64]

OVERSAMPLING: Final = 8
"""Directions searched beyond those asked for."""
CONVERGED: Final = 1e-5
"""Residual of each eigenvector that is enough, as a fraction of the largest
eigenvalue; features in single precision hold no more."""
MAX_PASSES: Final = 10


def mean_and_variance(blocks: Blocks) -> tuple[Array, float, float, bool]:
    """Return the mean, the total variance, the widest range and whether all is finite.

    Two passes, so that the variance keeps its digits.
    """
    total, n = np.zeros(()), 0
    low, high = np.inf, -np.inf
    for block in blocks():
        total = total + block.sum(axis=0, dtype=np.float64)
        low = np.minimum(low, block.min(axis=0))
        high = np.maximum(high, block.max(axis=0))
        n += len(block)
    mean = total / max(n, 1)
    finite = bool(np.isfinite(mean).all())
    spread = 0.0
    for block in blocks() if finite and n > 1 else ():
        away = (block - mean).astype(np.float32)
        spread += float(np.einsum("ij,ij->", away, away, dtype=np.float64))
    return mean, spread / max(n - 1, 1), float(np.max(high - low)), finite


def leading_components(
    blocks: Blocks, mean: Array, n: int, count: int
) -> tuple[Array, Array]:
    """Return the greatest eigenvalues of the covariance and their vectors.

    Block Krylov iteration with Rayleigh-Ritz (Musco and Musco, NeurIPS 2015; Golub
    and Van Loan, Matrix Computations, 10.3.6): each pass over the data multiplies the
    newest block of directions by the covariance matrix, which is never formed, and
    all directions so far span the space that eigenvectors are sought in.

    Parameters
    ----------
    blocks
        Gives the rows, anew at each call.
    mean
        (width,), their mean.
    n
        Number of rows.
    count
        Components wanted, fewer than rows and features.

    Returns
    -------
    tuple
        Variances, (count,), descending, and orthonormal rows, (count, width).
    """
    width = len(mean)
    size = min(count + OVERSAMPLING, width, n)
    rng = np.random.default_rng(0)
    newest = np.linalg.qr(rng.normal(size=(width, size)))[0]
    basis, image = np.empty((width, 0)), np.empty((width, 0))
    for _ in range(MAX_PASSES):
        product = _multiply(blocks, mean, n, newest)
        basis = np.hstack([basis, newest])
        image = np.hstack([image, product])
        values, mixing = np.linalg.eigh(_symmetric(basis.T @ image))
        values, mixing = values[::-1][:count], mixing[:, ::-1][:, :count]
        vectors = basis @ mixing
        residual = np.linalg.norm(image @ mixing - vectors * values, axis=0)
        if residual.max() <= CONVERGED * values[0]:
            break
        newest = _orthogonal(product, basis)
        if not newest.shape[1] or basis.shape[1] + newest.shape[1] > width:
            break
    return values, vectors.T


def _multiply(blocks: Blocks, mean: Array, n: int, directions: Array) -> Array:
    """Return the covariance times some directions, (width, k)."""
    narrow = directions.astype(np.float32)
    total = np.zeros(directions.shape)
    for block in blocks():
        away = (block - mean).astype(np.float32)
        total += away.T @ (away @ narrow)
    total /= max(n - 1, 1)
    return total


def _symmetric(matrix: Array) -> Array:
    return 0.5 * (matrix + matrix.T)


def _orthogonal(block: Array, basis: Array) -> Array:
    """Return an orthonormal basis of what a block adds to another basis."""
    scale = np.linalg.norm(block)
    for _ in range(2):  # once is not enough in floating point (Kahan)
        block = block - basis @ (basis.T @ block)
    vectors, lengths, _ = np.linalg.svd(block, full_matrices=False)
    return np.asarray(vectors[:, lengths > 1e-9 * scale], np.float64)
