"""Describe frames by their SOAP vectors, averaged over groups of their atoms."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import StructureError
from fire_core.selection.groups import Grouping, group_atoms
from fire_core.selection.soap_basis import SoapBasis, feature_order, make_basis

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from ase import Atoms
    from numpy.typing import ArrayLike, NDArray

    from fire_core.config.steps import SoapConfig

CHUNK: Final = 32
"""Frames to one piece of work; more are never held, times twice the workers."""


@dataclass(frozen=True, slots=True, eq=False)
class SoapPlan:
    """How frames become vectors; all frames that are compared share one plan.

    Attributes
    ----------
    config
        SOAP and the kind of average.
    grouping
        Atoms that are averaged together.
    periodic
        Whether frames repeat; all must, or none.
    basis
        Functions of the expansion.
    order
        Where each feature of a group stands in its power spectrum.
    """

    config: SoapConfig
    grouping: Grouping
    periodic: bool
    basis: SoapBasis
    order: NDArray[np.int64]

    @property
    def width(self) -> int:
        """Number of features of a frame."""
        return self.grouping.n_groups * len(self.order)


def plan_soap(
    config: SoapConfig,
    like: Atoms,
    *,
    species: Collection[int],
    regions: ArrayLike | None = None,
) -> SoapPlan:
    """Return the plan for frames like one of them.

    Parameters
    ----------
    config
        SOAP and the kind of average.
    like
        A frame; the others are periodic as it is, and have its atoms where groups
        go by region or atom.
    species
        Atomic numbers that span the features.
    regions
        (n_atoms,), integer region of each atom; needed for `species_region`.

    Raises
    ------
    StructureError
        When `species_region` lacks regions, or they do not fit.
    """
    grouping = group_atoms(config.average, species, like, regions)
    return SoapPlan(
        config=config,
        grouping=grouping,
        periodic=bool(like.pbc.any()),
        basis=make_basis(config),
        order=feature_order(len(grouping.species), config.n_max, config.l_max),
    )


def describe(frames: Iterable[Atoms], plan: SoapPlan) -> Iterator[NDArray[np.float32]]:
    """Yield the features of frames in order, (at most CHUNK, width) at a time.

    Frames are taken from the iterator as they are needed, and no matrix of all atoms
    is made: SOAP (Bartók, Kondor and Csányi, Phys. Rev. B 87, 184115, 2013) is
    quadratic in the coefficients of an atom, so that its mean over a group is the
    product of the group's coefficient matrix with itself. The work is done by
    `workers` threads: the compiled kernel and BLAS run without Python's lock.

    Raises
    ------
    StructureError
        A frame is not finite, or not periodic as the plan says, or lacks an atom.
    UnknownElementError
        A frame holds an element outside the plan's species.
    """
    from threadpoolctl import threadpool_limits

    waiting: deque[Future[NDArray[np.float32]]] = deque()
    source = iter(frames)
    workers = plan.config.workers
    with (
        threadpool_limits(1, user_api="blas"),  # sums in one order, one core a worker
        ThreadPoolExecutor(workers) as pool,
    ):
        try:
            while chunk := list(islice(source, CHUNK)):
                waiting.append(pool.submit(_describe_chunk, chunk, plan))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def describe_by_atoms(
    frames: Iterable[Atoms],
    grouping: Grouping,
    features: Callable[[Sequence[Atoms]], Sequence[NDArray[np.floating]]],
) -> Iterator[NDArray[np.float32]]:
    """Yield another descriptor's means over groups of atoms, in blocks as `describe`.

    Parameters
    ----------
    frames
        Taken as they are needed.
    grouping
        Atoms that are averaged together; a group that a frame lacks is zero.
    features
        Gives (n_atoms, k) for each of some frames, such as
        `HasFeatures.atom_features`.
    """
    source = iter(frames)
    while chunk := list(islice(source, CHUNK)):
        rows = []
        for atoms, values in zip(chunk, features(chunk), strict=True):
            groups = grouping.groups(atoms, grouping.kinds(atoms))
            empty = np.zeros(values.shape[1])
            means = [values[g].mean(axis=0) if len(g) else empty for g in groups]
            rows.append(np.concatenate(means))
        yield np.asarray(rows, np.float32)


def soap_features(
    frames: Sequence[Atoms],
    config: SoapConfig,
    *,
    regions: ArrayLike | None = None,
    species: Collection[int] | None = None,
) -> NDArray[np.float32]:
    """Compute one feature vector for each frame, all at once.

    SOAP of every atom is averaged over the atoms of each group, and the groups' means
    stand side by side: one group (`frame`), one for each species (`species`), one for
    each species in each region (`species_region`), or one for each atom (`atom`). A
    group that a frame lacks is zero.

    Parameters
    ----------
    frames
        Structures; atoms may lie outside the cell.
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
    if not len(frames):
        msg = "expected at least one frame to describe, got none"
        raise StructureError(msg)
    if species is None:
        species = {int(z) for atoms in frames for z in np.unique(atoms.numbers)}
    plan = plan_soap(config, frames[0], species=species, regions=regions)
    features = np.empty((len(frames), plan.width), np.float32)
    start = 0
    for block in describe(frames, plan):
        features[start : start + len(block)] = block
        start += len(block)
    return features


def _describe_chunk(chunk: Sequence[Atoms], plan: SoapPlan) -> NDArray[np.float32]:
    rows = np.empty((len(chunk), plan.grouping.n_groups, len(plan.order)), np.float32)
    for row, atoms in zip(rows, chunk, strict=True):
        if bool(atoms.pbc.any()) is not plan.periodic:
            msg = "expected all frames periodic or none; describe them apart"
            raise StructureError(msg)
        if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell).all()):
            msg = (
                f"expected finite positions, {atoms.get_chemical_formula()} has nan or "
                "inf; screen the frames first"
            )
            raise StructureError(msg)
        row[:] = _mean_soap(atoms, plan)
    return rows.reshape(len(chunk), -1)


def _mean_soap(atoms: Atoms, plan: SoapPlan) -> NDArray[np.float64]:
    """Return the mean power spectrum of each group, (n_groups, n_features).

    p_nn'l = π (8 / (2l + 1))^{1/2} Σ_m c_nlm c_n'lm, summed over the group's atoms and
    divided by their number.
    """
    if plan.config.engine == "dscribe":
        from fire_core.selection.soap_reference import mean_soap

        return mean_soap(atoms, plan.config, plan.grouping, periodic=plan.periodic)
    from fire_core.selection.compiled import place_atoms
    from fire_core.selection.soap_kernel import expand

    kinds = plan.grouping.kinds(atoms)
    place = place_atoms(atoms, kinds, plan.basis.reach)
    l_max = plan.config.l_max
    size = len(plan.grouping.species) * plan.config.n_max
    means = np.zeros((plan.grouping.n_groups, len(plan.order)))
    for mean, members in zip(means, plan.grouping.groups(atoms, kinds), strict=True):
        if not len(members):
            continue
        coefficients = np.empty(((l_max + 1) ** 2, len(members), size))
        expand(place, members, plan.basis, coefficients)
        spectrum = np.empty((l_max + 1, size, size))
        for degree in range(l_max + 1):
            c = coefficients[degree**2 : (degree + 1) ** 2].reshape(-1, size)
            factor = np.pi * np.sqrt(8.0 / (2 * degree + 1)) / len(members)
            np.multiply(c.T @ c, factor, out=spectrum[degree])
        np.take(spectrum.reshape(-1), plan.order, out=mean)
    return means
