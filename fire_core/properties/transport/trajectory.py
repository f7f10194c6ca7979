"""A trajectory in memory: read, unwrapped, without the drift of its framework."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from ase.io import read

from fire_core.errors import PropertyError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ase import Atoms
    from numpy.typing import NDArray

MOBILE: Final = ("Li", "Na", "K", "Ag", "Cu", "Mg", "Zn", "Ca", "Al", "H")
"""Elements that carry currents, the first that is there is meant."""
LONGEST_STEP: Final = 0.4
"""Part of a cell's width that an atom may move between frames to be unwrapped."""


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """One run at one temperature in a cell that does not change.

    Attributes
    ----------
    positions
        (n_frames, n_atoms, 3), Å, never folded into the cell.
    interval
        Time between frames, ps.
    symbols
        (n_atoms,), elements.
    masses
        (n_atoms,), atomic mass units.
    cell
        (3, 3), rows are lattice vectors, Å.
    """

    positions: NDArray[np.floating]
    interval: float
    symbols: NDArray[np.str_]
    masses: NDArray[np.float64]
    cell: NDArray[np.float64]

    @property
    def length(self) -> float:
        """Time from the first to the last frame, ps."""
        return self.interval * (len(self.positions) - 1)

    @property
    def volume(self) -> float:
        """Volume of the cell, Å³."""
        return abs(float(np.linalg.det(self.cell)))

    def displacements_of(self, element: str) -> NDArray[np.float64]:
        """Return positions of an element's atoms, (n_frames, n, 3), Å, from frame 0."""
        chosen = np.asarray(self.positions[:, self.symbols == element], np.float64)
        return np.asarray(chosen - chosen[0])


def find_mobile(symbols: NDArray[np.str_], given: str | None) -> str:
    """Return the mobile element.

    Raises
    ------
    PropertyError
        It is not there, or none is known to be mobile.
    """
    there = set(symbols.tolist())
    found = given or next((e for e in MOBILE if e in there), None)
    if found is None or found not in there:
        msg = (
            f"expected {found or 'one of ' + ', '.join(MOBILE)} among the elements, "
            f"got {', '.join(sorted(there))}; name the ion with `mobile`"
        )
        raise PropertyError(msg)
    return found


def remove_drift(
    run: Trajectory,
    mobile: str,
    reference: Literal["framework", "centre_of_mass", "none"],
) -> Trajectory:
    """Return positions relative to a centre of mass, the first frame as it was.

    Raises
    ------
    PropertyError
        There is no framework: every atom is mobile.
    """
    if reference == "none":
        return run
    weights = run.masses.copy()
    if reference == "framework":
        weights[run.symbols == mobile] = 0.0
        if not weights.any():
            msg = (
                f"all atoms are {mobile}, so there is no framework to refer to; set "
                "`reference: centre_of_mass`"
            )
            raise PropertyError(msg)
    weights /= weights.sum()
    centres = np.einsum("a,fad->fd", weights, run.positions, dtype=np.float64)
    drift = (centres - centres[0])[:, None]
    return replace(run, positions=run.positions - drift)


def frames_to_trajectory(frames: Sequence[Atoms], interval: float) -> Trajectory:
    """Return frames of one run, unwrapped by minimum image from frame to frame.

    Fractional coordinates are unwrapped and, where the cell changes, referred to the
    mean cell, so that its breathing is no displacement.

    Parameters
    ----------
    frames
        In the order of time, evenly spaced, the same atoms in the same order.
    interval
        Between frames, ps.

    Raises
    ------
    PropertyError
        Too few frames, other atoms, or an atom that moves so far between two frames
        that its way cannot be told.
    """
    first = frames[0] if frames else None
    if first is None or len(frames) < 2:
        msg = f"expected a trajectory of at least two frames, got {len(frames)}"
        raise PropertyError(msg)
    for number, frame in enumerate(frames):
        if not np.array_equal(frame.numbers, first.numbers):
            msg = (
                f"frame {number} ({frame.get_chemical_formula()}) has other atoms than "
                f"frame 0 ({first.get_chemical_formula()}), or another order of them; "
                "give one run in one file"
            )
            raise PropertyError(msg)
    cell = np.mean([frame.cell.array for frame in frames], axis=0)
    symbols, masses = np.array(first.get_chemical_symbols()), first.get_masses()
    if not first.pbc.any():
        positions = np.array([frame.positions for frame in frames])
        return Trajectory(positions, interval, symbols, masses, cell)
    scaled = [f.cell.scaled_positions(f.positions) for f in frames]
    positions = _unwrap(np.array(scaled), first.pbc) @ cell
    return Trajectory(positions, interval, symbols, masses, cell)


def read_trajectory(path: Path, timestep_fs: float) -> Trajectory:
    """Read a file of frames that ASE knows, `timestep_fs` apart; see above.

    Raises
    ------
    PropertyError
        ASE cannot read it, or the frames are no trajectory.
    """
    try:
        frames = read(path, index=":")
    except Exception as error:  # ASE's readers raise anything
        msg = (
            f"ASE cannot read {path} ({type(error).__name__}: {error}); give a "
            "trajectory such as extxyz, XDATCAR or .traj"
        )
        raise PropertyError(msg) from error
    return frames_to_trajectory(frames, 1e-3 * timestep_fs)


def _unwrap(scaled: NDArray[np.float64], pbc: NDArray[np.bool_]) -> NDArray[np.float64]:
    steps = np.diff(scaled, axis=0)
    steps -= np.round(steps) * pbc
    # all atoms may jump together where the origin was moved; that is a drift
    rest = steps - np.median(steps, axis=1, keepdims=True)
    rest -= np.round(rest) * pbc
    if (largest := float(np.abs(rest[..., pbc]).max())) > LONGEST_STEP:
        msg = (
            f"an atom moves {largest:.2f} of the cell between two frames, so that its "
            "way around the cell cannot be told; save frames more often"
        )
        raise PropertyError(msg)
    return np.concatenate([scaled[:1], scaled[:1] + np.cumsum(steps, axis=0)])
