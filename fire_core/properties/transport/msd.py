"""Mean squared displacements, averaged over ions and time origins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

CHUNK = 64
"""Ions transformed at once; bounds the memory."""


def displacement_tensor(positions: Array) -> Array:
    """Return the mean of Δr_a Δr_b for every time difference, by FFT.

    With S the sum of products over all origins and C the correlation function,
    n(m) M_ab(m) = S_ab(m) - C_ab(m) - C_ba(m); G. R. Kneller et al., Comput. Phys.
    Commun. 91, 191 (1995).

    Parameters
    ----------
    positions
        (n_frames, n_ions, 3), Å, unwrapped.

    Returns
    -------
    (n_frames, 3, 3), Å²; the trace is the mean squared displacement, row 0 is zero.
    """
    n_frames, n_ions, _ = positions.shape
    size = next_fast_len(2 * n_frames, real=True)
    total = np.zeros((n_frames, 3, 3))
    for start in range(0, n_ions, CHUNK):
        part = positions[:, start : start + CHUNK]
        part = part - part.mean(axis=0)  # smaller numbers, less cancellation
        spectrum = rfft(part, size, axis=0)
        cross = np.einsum("fia,fib->fab", spectrum.conj(), spectrum)
        correlation = irfft(cross, size, axis=0)[:n_frames]
        products = np.einsum("fia,fib->fab", part, part)
        ahead = np.cumsum(products[::-1], axis=0)[::-1]  # frames m … n-1
        behind = np.cumsum(products, axis=0)[::-1]  # frames 0 … n-1-m
        total += ahead + behind - correlation - correlation.transpose(0, 2, 1)
    total[0] = 0.0
    counts = n_ions * np.arange(n_frames, 0, -1)
    return np.asarray(total / counts[:, None, None])


def collective_tensor(positions: Array) -> Array:
    """Return the same of the ions' summed displacement, per ion, Å².

    Its slope gives the charge diffusion coefficient of ions of one charge.
    """
    n_ions = positions.shape[1]
    summed = positions.sum(axis=1, keepdims=True)
    return np.asarray(displacement_tensor(summed) / n_ions)


def trace(tensor: Array) -> Array:
    """Return the mean squared displacement, (n,), Å²."""
    return np.asarray(np.trace(tensor, axis1=1, axis2=2))


def degrees_of_freedom(tensor: Array) -> float:
    """Return how many directions a displacement has: 3 isotropic, 1 along a line.

    (tr M)² / tr(M²) of the (3, 3) tensor; it does not depend on the axes.
    """
    return float(np.trace(tensor) ** 2 / np.trace(tensor @ tensor))
