"""Describe each frame by its SOAP vectors, averaged over groups of its atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import chemical_symbols

from fire_core.errors import StructureError, UnknownElementError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ase import Atoms
    from numpy.typing import ArrayLike, NDArray

    from fire_core.config.steps import SoapConfig

CHUNK: Final = 64
"""Frames to one piece of work; atom-resolved matrices live only inside it."""
WORTH_PROCESSES: Final = 8e8
"""Atoms × features above which processes pay.

Measured: 2.7e-8 s for each on one core, so this is some 20 s of work, against
4 s until a new process has imported ASE and dscribe.
"""


@dataclass(frozen=True, slots=True)
class _Task:
    config: SoapConfig
    species: tuple[int, ...]
    periodic: bool
    groups: tuple[tuple[int, int | None], ...]
    regions: tuple[int, ...] | None


def soap_features(
    frames: Sequence[Atoms],
    config: SoapConfig,
    *,
    regions: ArrayLike | None = None,
    species: Collection[int] | None = None,
) -> NDArray[np.float32]:
    """Compute one feature vector for each frame.

    SOAP (Bartók, Kondor and Csányi, Phys. Rev. B 87, 184115, 2013) of every atom
    is averaged over the atoms of each group, and the groups' means stand side by
    side: one group (`frame`), one for each species (`species`), or one for each
    species in each region (`species_region`). A group that a frame lacks is zero.

    Parameters
    ----------
    frames
        Structures; positions outside the cell are folded into it.
    config
        SOAP and the kind of average; its `workers` change the time only.
    regions
        (n_atoms,), integer region of each atom, the same for all frames; needed
        for `species_region`.
    species
        Atomic numbers that span the features; those of the frames when None.
        Give it so that features of different sets of frames can be compared.

    Returns
    -------
    NDArray[np.float32]
        (n_frames, n_features).

    Raises
    ------
    StructureError
        When there is no frame, periodicity differs or regions do not fit.
    UnknownElementError
        When a frame holds an element outside `species`.
    """
    task = _plan(frames, config, regions, species)
    soap = _make_soap(task)
    width = soap.get_number_of_features()
    features = np.empty((len(frames), len(task.groups) * width), np.float32)
    chunks = [frames[i : i + CHUNK] for i in range(0, len(frames), CHUNK)]
    n_atoms = sum(len(atoms) for atoms in frames)
    results: Iterable[NDArray[np.float32]]
    if min(config.workers, len(chunks)) > 1 and n_atoms * width > WORTH_PROCESSES:
        results = _compute_in_processes(chunks, task, soap)
    else:
        results = (_describe(chunk, task, soap) for chunk in chunks)
    for i, block in enumerate(results):
        features[i * CHUNK : i * CHUNK + len(block)] = block
    return features


def _plan(
    frames: Sequence[Atoms],
    config: SoapConfig,
    regions: ArrayLike | None,
    species: Collection[int] | None,
) -> _Task:
    if not frames:
        msg = "expected at least one frame to describe, got none"
        raise StructureError(msg)
    if len({bool(atoms.pbc.any()) for atoms in frames}) > 1:
        msg = "expected all frames periodic or none; describe them apart"
        raise StructureError(msg)
    present = {int(z) for atoms in frames for z in np.unique(atoms.numbers)}
    known = present if species is None else set(species)
    if unknown := present - known:
        names = [chemical_symbols[z] for z in sorted(unknown)]
        msg = (
            f"expected elements {[chemical_symbols[z] for z in sorted(known)]}, got "
            f"{names} too; name them in `species`"
        )
        raise UnknownElementError(msg)
    places = None
    groups: list[tuple[int, int | None]] = [(z, None) for z in sorted(known)]
    if config.average == "species_region":
        places = _check_regions(frames, regions)
        pairs = set(zip(frames[0].numbers.tolist(), places, strict=True))
        groups = sorted(pairs)
    elif config.average == "frame":
        groups = [(0, None)]
    return _Task(
        config=config,
        species=tuple(sorted(known)),
        periodic=bool(frames[0].pbc.any()),
        groups=tuple(groups),
        regions=places,
    )


def _check_regions(
    frames: Sequence[Atoms], regions: ArrayLike | None
) -> tuple[int, ...]:
    if regions is None:
        msg = (
            "average 'species_region' needs the region of each atom, got none; pass "
            "regions=atoms.arrays['region'], or set select.soap.average to species"
        )
        raise StructureError(msg)
    places = tuple(int(r) for r in np.asarray(regions).ravel())
    numbers = frames[0].numbers
    for i, atoms in enumerate(frames):
        if len(places) != len(atoms) or not np.array_equal(atoms.numbers, numbers):
            msg = (
                f"expected every frame to have the {len(places)} atoms of the regions "
                f"in one order, frame {i} is {atoms.get_chemical_formula()} with "
                f"{len(atoms)}; set select.soap.average to species"
            )
            raise StructureError(msg)
    return places


def _compute_in_processes(
    chunks: Sequence[Sequence[Atoms]], task: _Task, soap: Any
) -> Iterable[NDArray[np.float32]]:
    """Send out chunks, few at a time, and take them back in order.

    joblib's loky starts clean interpreters, so threads of torch or a server in
    this process do no harm, and a script needs no main guard. The radial basis
    travels with `soap`: made again under another number of BLAS threads, it would
    differ in its last bits.
    """
    from sklearn.utils.parallel import Parallel, delayed

    workers = min(task.config.workers, len(chunks))
    parallel = Parallel(
        n_jobs=workers,
        backend="loky",
        return_as="generator",
        pre_dispatch=2 * workers,
        idle_worker_timeout=5,
    )
    calls = (delayed(_describe)(_strip(chunk), task, soap) for chunk in chunks)
    results: Iterable[NDArray[np.float32]] = parallel(calls)
    return results


def _strip(chunk: Sequence[Atoms]) -> list[Atoms]:
    """Copy frames without what else hangs on them, so that little travels."""
    from ase import Atoms

    return [
        Atoms(numbers=a.numbers, positions=a.positions, cell=a.cell, pbc=a.pbc)
        for a in chunk
    ]


def _make_soap(task: _Task) -> Any:
    from dscribe.descriptors import SOAP

    return SOAP(
        species=task.species,
        r_cut=task.config.cutoff,
        n_max=task.config.n_max,
        l_max=task.config.l_max,
        sigma=task.config.sigma,
        periodic=task.periodic,
        average="off",
        dtype="float64",
    )


def _describe(chunk: Sequence[Atoms], task: _Task, soap: Any) -> NDArray[np.float32]:
    rows = []
    for atoms in chunk:
        folded = atoms.copy()
        if task.periodic:
            folded.wrap()  # dscribe 2.1.2 misses neighbours of atoms outside the cell
        matrix = soap.create(folded)
        means = [_mean(matrix, _members(atoms, g, task)) for g in task.groups]
        rows.append(np.concatenate(means))
    return np.asarray(rows, np.float32)


def _members(
    atoms: Atoms, group: tuple[int, int | None], task: _Task
) -> NDArray[np.bool_]:
    z, region = group
    chosen: NDArray[np.bool_] = (atoms.numbers == z) | (z == 0)
    return chosen if region is None else chosen & (np.asarray(task.regions) == region)


def _mean(matrix: NDArray[np.float64], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    if not rows.any():
        return np.zeros(matrix.shape[1])
    mean: NDArray[np.float64] = matrix[rows].mean(axis=0)
    return mean
