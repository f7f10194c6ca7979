"""Partial radial distribution functions and coordination numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.data import chemical_symbols
from ase.neighborlist import primitive_neighbor_list
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from fire_core.errors import PropertyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SMOOTHING: Final = 0.08
"""Width of the Gaussian through which peaks and minima are looked for, Å."""
PROMINENCE: Final = 0.2
"""How far a peak stands out, of the highest one's height."""


@dataclass(frozen=True, slots=True, eq=False)
class PairCounts:
    """Distances between atoms of a trajectory, counted.

    Attributes
    ----------
    species
        Elements, sorted.
    numbers
        (n_species,), atoms of each.
    edges
        (n_bins + 1,), Å.
    counts
        (n_frames, n_species, n_species, n_bins), ordered pairs; periodic images count.
    volumes
        (n_frames,), Å³.
    """

    species: tuple[str, ...]
    numbers: NDArray[np.int64]
    edges: Array
    counts: Array
    volumes: Array

    @property
    def centres(self) -> Array:
        """Middles of the bins, Å, (n_bins,)."""
        middles: Array = (self.edges[1:] + self.edges[:-1]) / 2
        return middles

    def places(self, pair: tuple[str, str]) -> tuple[int, int]:
        """Return where a pair of elements stands in `counts`."""
        return self.species.index(pair[0]), self.species.index(pair[1])

    def distribution(self, pair: tuple[str, str]) -> Array:
        """Return g(r) of a pair, (n_bins,), 1 where b does not know of a.

        The number density of the neighbours is N_b / V, their own kind included; so in
        a cell of N atoms g tends to 1 only where periodic images are counted, as here.
        """
        a, b = self.places(pair)
        shells = 4 / 3 * np.pi * np.diff(self.edges**3)
        per_frame = self.counts[:, a, b] * self.volumes[:, None]
        found: Array = per_frame.mean(axis=0) / (
            self.numbers[a] * self.numbers[b] * shells
        )
        return found

    def running_number(self, pair: tuple[str, str]) -> Array:
        """Return the neighbours b of an a within each outer edge, (n_bins,)."""
        a, b = self.places(pair)
        found: Array = np.cumsum(self.counts[:, a, b].mean(axis=0)) / self.numbers[a]
        return found

    def coordination(self, pair: tuple[str, str], n_bins: int) -> Array:
        """Return the neighbours b of an a in the first bins, of each frame."""
        a, b = self.places(pair)
        found: Array = self.counts[:, a, b, :n_bins].sum(axis=1) / self.numbers[a]
        return found


def count_pairs(frames: Sequence[Atoms], cutoff: float, bin_width: float) -> PairCounts:
    """Count distances up to a cutoff, Å, which may exceed half of the cell.

    Raises
    ------
    PropertyError
        There are no frames, they are not periodic, or their atoms differ.
    """
    if not frames:
        msg = "expected frames to count distances in, got none; run longer"
        raise PropertyError(msg)
    first = frames[0].numbers
    for i, frame in enumerate(frames):
        if not frame.pbc.all() or not np.array_equal(frame.numbers, first):
            msg = (
                f"frame {i} ({frame.get_chemical_formula()}, pbc {frame.pbc.tolist()}) "
                "differs: expected the same atoms in each, in a periodic cell"
            )
            raise PropertyError(msg)
    elements, kinds = np.unique(first, return_inverse=True)
    n_bins = max(1, round(cutoff / bin_width))
    edges = np.linspace(0, cutoff, n_bins + 1)
    return PairCounts(
        species=tuple(chemical_symbols[z] for z in elements),
        numbers=np.bincount(kinds),
        edges=edges,
        counts=np.array([_count(f, kinds, len(elements), edges) for f in frames]),
        volumes=np.array([abs(np.linalg.det(f.cell.array)) for f in frames]),
    )


def _count(
    atoms: Atoms, kinds: NDArray[np.int64], n_species: int, edges: Array
) -> Array:
    cutoff, n_bins = float(edges[-1]), len(edges) - 1
    i, j, distance = primitive_neighbor_list(
        "ijd", atoms.pbc, atoms.cell.array, atoms.positions, cutoff
    )
    bins = np.minimum((distance / cutoff * n_bins).astype(int), n_bins - 1)
    flat = (kinds[i] * n_species + kinds[j]) * n_bins + bins
    counted = np.bincount(flat, minlength=n_species**2 * n_bins)
    return counted.reshape(n_species, n_species, n_bins).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Shell:
    """The first coordination shell of a pair.

    Attributes
    ----------
    peak
        Distance of the first maximum of g(r), Å.
    minimum
        Distance of the minimum behind it, an edge of the bins, Å.
    n_bins
        Bins below that.
    """

    peak: float
    minimum: float
    n_bins: int


def find_first_shell(edges: Array, distribution: Array) -> Shell | None:
    """Find the first maximum of g(r) and the minimum behind it.

    Parameters
    ----------
    edges
        (n_bins + 1,), Å.
    distribution
        (n_bins,).

    Returns
    -------
    Shell or None
        None where g(r) has no maximum with a minimum behind it below the cutoff.
    """
    width = edges[1] - edges[0]
    smooth = gaussian_filter1d(distribution, SMOOTHING / width, mode="constant")
    least = PROMINENCE * smooth.max()
    peaks = find_peaks(smooth, prominence=least)[0]
    if len(peaks) == 0 or least <= 0:
        return None
    first = int(peaks[0])
    last = int(peaks[1]) if len(peaks) > 1 else len(smooth) - 1
    behind = smooth[first : last + 1]
    lowest = behind.min()
    flat = np.flatnonzero(behind <= lowest + 1e-6 * smooth.max())
    middle = first + int(flat[len(flat) // 2])
    if len(peaks) == 1 and middle >= len(smooth) - 1:
        return None
    centres = (edges[1:] + edges[:-1]) / 2
    # of the maximum the top of a parabola through three bins
    return Shell(
        peak=_top(centres, smooth, first),
        minimum=float(edges[middle + 1]),
        n_bins=middle + 1,
    )


def _top(x: Array, y: Array, i: int) -> float:
    if not 0 < i < len(x) - 1:
        return float(x[i])
    left, here, right = y[i - 1 : i + 2]
    bend = left - 2 * here + right
    return float(x[i] + (x[1] - x[0]) * (0.5 * (left - right) / bend if bend else 0.0))
