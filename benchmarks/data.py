"""Real DFT data for measurements, where they are; made data elsewhere."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.io import iread

from fire_core.backbones.assets import labelled, load_replay
from fire_core.structures.crystals import build_crystal

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.records import LabelledStructure

SHARED: Final = Path(__file__).resolve().parents[2] / "shared" / "data"


def read_frames(
    path: Path, elements: frozenset[str] | None = None
) -> list[LabelledStructure]:
    """Return the labelled frames of a file whose elements are all known, in order.

    Without `elements` every frame is returned. Frames may lack stresses, as those of
    Li10GeP2S12 do.
    """
    items = [labelled(frame, path.stem) for frame in iread(path, index=":")]
    if elements is None:
        return items
    return [i for i in items if set(i.atoms.get_chemical_symbols()) <= elements]


def mixed_set(
    backbone: Backbone, n_target: int, n_replay: int
) -> tuple[list[LabelledStructure], list[LabelledStructure], str]:
    """Return large target frames, small replay frames, and what they are.

    Li6PS5Cl (416 atoms, AIMD at 1200 K) and Materials Project trajectories where the
    data are there; else a rattled supercell labelled by the model itself and the
    bundled replay set.
    """
    aimd = SHARED / "li6ps5cl" / "1200K.extxyz"
    mptrj = SHARED / "replay" / "mptrj_random.extxyz"
    if aimd.is_file() and mptrj.is_file():
        target = read_frames(aimd, backbone.elements)[:n_target]
        replay = read_frames(mptrj, backbone.elements)
        replay += read_frames(
            SHARED / "replay" / "mptrj_high_stress.extxyz", backbone.elements
        )
        return target, replay[:n_replay], "Li6PS5Cl AIMD + MPtrj"
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(n_target):
        atoms = build_crystal("LiCl") * (4, 4, 3)
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        frames.append(atoms)
    replay = load_replay().train[:n_replay]
    target = [
        dataclasses.replace(labelled_by, label=label)
        for labelled_by, label in zip(
            [_bare(atoms, replay[0]) for atoms in frames],
            backbone.predict(frames),
            strict=True,
        )
    ]
    return target, replay, "rattled LiCl + bundled replay"


def _bare(atoms: object, like: LabelledStructure) -> LabelledStructure:
    from fire_core.structures.content import structure_key

    return dataclasses.replace(like, key=structure_key(atoms), atoms=atoms)
