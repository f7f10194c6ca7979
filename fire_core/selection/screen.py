"""Refuse the candidates that no label should be paid for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from fire_core.errors import StructureError
from fire_core.records import Problem
from fire_core.structures.sanity import find_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.config.steps import ScreenConfig


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What candidates are held against.

    Attributes
    ----------
    volumes
        Volumes of the starting cells of each formula, Å³; formulas that are not here
        have no start. Empty: neither volume nor composition is judged.
    lowest
        Lowest energy of each formula among the candidates, eV/atom, by the exploring
        model; empty: energies are not judged.
    """

    volumes: Mapping[str, tuple[float, ...]]
    lowest: Mapping[str, float]


NOTHING = Reference({}, {})


def starting_volumes(starts: Iterable[Atoms]) -> dict[str, tuple[float, ...]]:
    """Return the volumes of starting cells by formula, Å³; 0 where there is none."""
    volumes: dict[str, tuple[float, ...]] = {}
    for atoms in starts:
        formula = atoms.get_chemical_formula()
        volumes[formula] = (*volumes.get(formula, ()), atoms.cell.volume)
    return volumes


def lowest_energies(
    formulas: Sequence[str], energies: Sequence[float], sizes: Sequence[int]
) -> dict[str, float]:
    """Return the lowest finite energy of each formula, eV/atom."""
    lowest: dict[str, float] = {}
    for formula, energy, size in zip(formulas, energies, sizes, strict=True):
        if np.isfinite(energy) and size:
            lowest[formula] = min(lowest.get(formula, np.inf), energy / size)
    return lowest


def screen(
    frames: Sequence[Atoms],
    config: ScreenConfig,
    forces: Sequence[NDArray[np.floating]] | None = None,
    *,
    energies: Sequence[float] | None = None,
    reference: Reference = NOTHING,
) -> list[Problem | None]:
    """Judge each candidate; None means that it may be selected.

    Parameters
    ----------
    frames
        Candidates.
    config
        Limits.
    forces
        (n_atoms, 3) for each frame, eV/Å, by the exploring model; forces are not
        judged when None.
    energies
        Of each frame, eV, by the exploring model; not judged when None.
    reference
        Starting cells and lowest energies.

    Returns
    -------
    list[Problem | None]
        In the order of the frames; the first thing wrong with each.
    """
    for what, given in (("forces", forces), ("energies", energies)):
        if given is not None and len(given) != len(frames):
            msg = f"expected {what} of {len(frames)} frames, got those of {len(given)}"
            raise StructureError(msg)
    problems = []
    for i, atoms in enumerate(frames):
        problem = _judge_structure(atoms, config, reference)
        if problem is None and energies is not None:
            formula = atoms.get_chemical_formula()
            problem = judge_energy(formula, energies[i] / len(atoms), config, reference)
        if problem is None and forces is not None:
            problem = judge_forces(forces[i], config.max_force)
        problems.append(problem)
    return problems


def _judge_structure(
    atoms: Atoms, config: ScreenConfig, reference: Reference
) -> Problem | None:
    if not _is_whole(atoms):
        factor = config.min_distance_factor
        return next(iter(find_problems(atoms, min_distance_factor=factor)), None)
    return (
        _judge_composition(atoms, config, reference)
        or _judge_volume(atoms, config, reference)
        or _judge_distances(atoms, config)
    )


def _is_whole(atoms: Atoms) -> bool:
    """Return whether there are atoms in a cell that has a volume."""
    if not len(atoms):
        return False
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell).all()):
        return False
    if not atoms.pbc.any():
        return True
    has_vectors = bool(np.all(atoms.cell.lengths()[atoms.pbc] > 0))
    return has_vectors and abs(np.linalg.det(atoms.cell.complete().array)) > 1e-6


def _judge_composition(
    atoms: Atoms, config: ScreenConfig, reference: Reference
) -> Problem | None:
    formula = atoms.get_chemical_formula()
    starts = reference.volumes
    if config.same_composition and starts and formula not in starts:
        detail = f"it is {formula}, expected {' or '.join(sorted(starts))}"
        return Problem("composition", detail)
    if not config.charges:
        return None
    symbols = atoms.get_chemical_symbols()
    if unknown := sorted(set(symbols) - set(config.charges)):
        msg = (
            f"expected the charge of every element of {formula}, got none of "
            f"{', '.join(unknown)}; add it to select.screen.charges, or leave them out"
        )
        raise StructureError(msg)
    total = sum(config.charges[symbol] for symbol in symbols)
    if abs(total) <= 1e-6 * len(symbols):
        return None
    return Problem("charge", f"the charges of {formula} add up to {total:+g}")


def _judge_volume(
    atoms: Atoms, config: ScreenConfig, reference: Reference
) -> Problem | None:
    known = reference.volumes.get(atoms.get_chemical_formula(), ())
    volumes = [volume for volume in known if volume > 0]
    if config.max_volume_change is None or not volumes:
        return None
    change = min((atoms.cell.volume / v - 1.0 for v in volumes), key=abs)
    if abs(change) <= config.max_volume_change:
        return None
    detail = (
        f"its volume differs from the start's by {change:+.0%}, expected at most "
        f"{config.max_volume_change:.0%}"
    )
    return Problem("volume", detail)


def _judge_distances(atoms: Atoms, config: ScreenConfig) -> Problem | None:
    from fire_core.selection.distances import pair_distances

    factor = config.min_distance_factor
    radii = covalent_radii[np.unique(atoms.numbers)]
    reach = max(2 * factor * float(radii.max()), *config.min_distances.values(), 0.1)
    elements, distances = pair_distances(atoms, reach)
    radii = covalent_radii[elements]
    limits = factor * (radii[:, None] + radii)
    kind = np.full(limits.shape, "overlap", object)
    for pair, least in config.min_distances.items():
        first, second = (
            np.flatnonzero(elements == atomic_numbers[name]) for name in pair.split("-")
        )
        for here in (np.ix_(first, second), np.ix_(second, first)):
            if (least > limits[here]).any():
                limits[here], kind[here] = least, "pair_distance"
    short = distances / limits
    i, j = divmod(int(np.argmin(short)), len(elements))
    if short[i, j] >= 1.0:
        return None
    names = "-".join(chemical_symbols[elements[k]] for k in (i, j))
    detail = (
        f"{names} at {distances[i, j]:.2f} Å, expected at least {limits[i, j]:.2f} Å"
    )
    return Problem(str(kind[i, j]), detail)


def judge_energy(
    formula: str, energy: float, config: ScreenConfig, reference: Reference
) -> Problem | None:
    """Judge an energy, eV/atom, of a formula; None where it is within the limit."""
    lowest = reference.lowest.get(formula)
    if config.max_energy is None or lowest is None:
        return None
    above = energy - lowest
    if above <= config.max_energy:  # nan compares false
        return None
    detail = (
        f"its energy is {above:.2f} eV/atom above the lowest, expected at most "
        f"{config.max_energy:.2f}"
    )
    return Problem("high_energy", detail)


def judge_forces(forces: NDArray[np.floating], limit: float) -> Problem | None:
    """Judge the largest force on an atom, eV/Å; None where it is within the limit."""
    largest = float(np.max(np.linalg.norm(forces, axis=1), initial=0.0))
    if largest <= limit:  # nan compares false
        return None
    detail = f"largest force {largest:.1f} eV/Å, expected at most {limit:.1f} eV/Å"
    return Problem("large_force", detail)
