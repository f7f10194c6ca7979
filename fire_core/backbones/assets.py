"""The bundled foundation model and replay set, verified before use."""

from __future__ import annotations

import io
import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import Atoms
from ase.io import read

from fire_core.errors import BackboneError, BlobCorruptedError
from fire_core.files import file_sha256
from fire_core.records import Label, LabelledStructure
from fire_core.structures.content import structure_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOLDER: Final = Path(__file__).parent / "assets"
BUNDLED: Final = "fire-mini"


@dataclass(frozen=True, slots=True, eq=False)
class ReplaySet:
    """Pre-training structures to rehearse, and others to measure forgetting on.

    The two share no composition.
    """

    train: Sequence[LabelledStructure]
    heldout: Sequence[LabelledStructure]


def manifest() -> Mapping[str, Any]:
    """Return what the bundled model's manifest says of it."""
    text = (FOLDER / f"{BUNDLED}.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def bundled_model() -> Path:
    """Return the path of the bundled model; its sha256 is verified."""
    return _verified("model")


def load_replay() -> ReplaySet:
    """Return the bundled replay set; its sha256 is verified."""
    theory = manifest()["theory"]["code"]
    with lzma.open(_verified("replay"), "rt", encoding="utf-8") as stream:
        frames = read(io.StringIO(stream.read()), index=":", format="extxyz")
    parts: dict[str, list[LabelledStructure]] = {"train": [], "heldout": []}
    for frame in frames:
        parts[frame.info["split"]].append(labelled(frame, theory))
    return ReplaySet(parts["train"], parts["heldout"])


def labelled(frame: Atoms, theory: str) -> LabelledStructure:
    """Return a frame read by ASE, with its calculator's results as its label."""
    bare = Atoms(
        frame.numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc
    )
    results = {} if frame.calc is None else frame.calc.results
    if "energy" not in results or "forces" not in results:
        msg = (
            f"a replay frame ({frame.get_chemical_formula()}) has no energy or no "
            "forces; expected an extxyz file with both"
        )
        raise BackboneError(msg)
    stress = results.get("stress")
    label = Label(
        float(results["energy"]),
        np.array(results["forces"], dtype=np.float64),
        None if stress is None else np.array(stress, dtype=np.float64),
    )
    return LabelledStructure(structure_key(bare), bare, label, theory)


def _verified(kind: str) -> Path:
    facts = manifest()
    path: Path = FOLDER / facts[f"{kind}_file"]
    expected = facts[f"{kind}_sha256"]
    actual = file_sha256(path) if path.is_file() else "no file"
    if actual != expected:
        msg = (
            f"{path} is corrupted: expected sha256 {expected}, got {actual}; install "
            "FIRE again"
        )
        raise BlobCorruptedError(msg)
    return path
