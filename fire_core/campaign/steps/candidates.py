"""The frames of a run as candidates: streamed, screened, described."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fire_core.backbones.base import need_features
from fire_core.progress import tracked
from fire_core.selection.descriptors import describe, describe_by_atoms, plan_soap
from fire_core.selection.groups import group_atoms
from fire_core.selection.pipeline import Reduced, reduce_features
from fire_core.selection.screen import (
    Reference,
    judge_energy,
    judge_forces,
    lowest_energies,
    screen,
    starting_volumes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.backbones.base import Backbone
    from fire_core.campaign.names import RunPlan
    from fire_core.campaign.state import CampaignState
    from fire_core.records import Problem
    from fire_core.storage.runs import FrameRow
    from fire_core.storage.store import Store

CHUNK = 64
"""Structures read from the store at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Screened:
    """The frames of a run after screening.

    Attributes
    ----------
    kept
        Those that may be labelled.
    refused
        What is wrong with the others, by key.
    species
        Atomic numbers of all of them.
    """

    kept: list[FrameRow]
    refused: dict[str, Problem]
    species: set[int]


def stream_structures(store: Store, keys: Sequence[str]) -> Iterator[Atoms]:
    """Yield structures in the order of their keys, few of them in memory."""
    for start in range(0, len(keys), CHUNK):
        yield from store.structures.get(keys[start : start + CHUNK])


def screen_run(campaign: CampaignState, plan: RunPlan) -> Screened:
    """Judge every frame of a run by its structure and its energy."""
    store, config = campaign.store, campaign.config
    rows = store.runs.frames(plan.run_id)
    starts = campaign.start()
    reference = Reference(starting_volumes(starts), {})
    limits = config.select.screen
    species = {int(z) for atoms in starts for z in np.unique(atoms.numbers)}
    problems: list[Problem | None] = []
    formulas: list[str] = []
    sizes: list[int] = []
    frames = tracked(
        stream_structures(store, [row.key for row in rows]), "Screening", len(rows)
    )
    while chunk := list(itertools.islice(frames, CHUNK)):
        problems += screen(chunk, limits, reference=reference)
        formulas += [atoms.get_chemical_formula() for atoms in chunk]
        sizes += [len(atoms) for atoms in chunk]
        species |= {int(z) for atoms in chunk for z in np.unique(atoms.numbers)}
    sound = [i for i, problem in enumerate(problems) if problem is None]
    lowest = lowest_energies(
        [formulas[i] for i in sound],
        [rows[i].energy for i in sound],
        [sizes[i] for i in sound],
    )
    reference = Reference(reference.volumes, lowest)
    for i in sound:
        energy = rows[i].energy / sizes[i]
        problems[i] = judge_energy(formulas[i], energy, limits, reference)
    pairs = list(zip(rows, problems, strict=True))
    return Screened(
        kept=[row for row, problem in pairs if problem is None],
        refused={row.key: problem for row, problem in pairs if problem is not None},
        species=species,
    )


def reduce_run(
    campaign: CampaignState,
    screened: Screened,
    known: Sequence[str],
    model: Callable[[], Backbone],
    *,
    regions: NDArray[np.int64] | None,
) -> Reduced:
    """Describe what was kept and what is labelled; reduce both to few dimensions.

    Parameters
    ----------
    campaign
        Whose settings hold.
    screened
        The candidates.
    known
        Keys of what is labelled.
    model
        Loads the model whose features describe, where they do.
    regions
        (n_atoms,), each atom's side of the interface; None: there is none.
    """
    store, settings = campaign.store, campaign.config.select
    keys = [row.key for row in screened.kept]
    like = store.structures.get(keys[:1])[0]
    if settings.descriptor == "soap":
        plan = plan_soap(settings.soap, like, species=screened.species, regions=regions)

        def blocks(frames: Iterable[Atoms]) -> Iterator[NDArray[np.float32]]:
            return describe(frames, plan)
    else:
        average = settings.soap.average
        grouping = group_atoms(average, screened.species, like, regions)
        backbone = need_features(model(), f"select.descriptor: {settings.descriptor}")

        def blocks(frames: Iterable[Atoms]) -> Iterator[NDArray[np.float32]]:
            return describe_by_atoms(frames, grouping, backbone.atom_features)

    return reduce_features(
        blocks(tracked(stream_structures(store, keys), "Describing", len(keys))),
        blocks(stream_structures(store, known)),
        settings,
    )


def judge_by_forces(
    store: Store, backbone: Backbone, keys: Sequence[str], limit: float
) -> dict[str, Problem]:
    """Return what is wrong with the forces of structures, by key."""
    found: dict[str, Problem] = {}
    for start in range(0, len(keys), CHUNK):
        part = keys[start : start + CHUNK]
        labels = backbone.predict(store.structures.get(part))
        for key, label in zip(part, labels, strict=True):
            problem = judge_forces(label.forces, limit)
            if problem is not None:
                found[key] = problem
    return found
