"""A study small enough for a test: Lennard-Jones labels, a MACE of 8 channels."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

import yaml

from fire_core.storage.exchange import frame_text
from tests.training.conftest import labelled, make_backbone, rattled

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.records import LabelledStructure

TINY = {
    "name": "tiny",
    "data": [{"path": "lif.extxyz"}, {"path": "licl.extxyz"}],
    "test": {"last": 2},
    "backbone": {"name": "tiny.model", "device": "cpu"},
    "train": {
        "epochs": 2,
        "batch_frames": 2,
        "learning_rate": 0.01,
        "replay": {"source": "replay.extxyz"},
    },
    "variants": {"naive": {"strategy": "naive"}, "fire": {"strategy": "replay"}},
    "sizes": [4, 1.0],
    "selection": ["kmeans"],
    "soap": {"n_max": 2, "l_max": 1, "workers": 1},
    "seeds": [0, 1],
    "threads": 1,
}
"""8 cells: 2 variants × 2 sizes × 2 seeds."""


@functools.cache
def model_file() -> bytes:
    """Return a model's file; made once, since no two have the same sha256."""
    import torch

    buffer = io.BytesIO()
    torch.save(make_backbone().model, buffer)
    return buffer.getvalue()


def write_frames(path: Path, items: list[LabelledStructure]) -> Path:
    path.write_text(
        "".join(
            frame_text(
                i.atoms,
                energy=i.label.energy,
                forces=i.label.forces,
                stress=i.label.stress,
            )
            for i in items
        )
    )
    return path


def write_study(folder: Path, **changes: object) -> Path:
    """Write the files of the tiny study, changed as said; return the study file."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "tiny.model").exists():
        (folder / "tiny.model").write_bytes(model_file())
        write_frames(folder / "lif.extxyz", labelled(rattled("LiF", 6, 1)))
        write_frames(folder / "licl.extxyz", labelled(rattled("LiCl", 6, 2)))
        rehearsed = rattled("LiF", 5, 3) + rattled("LiCl", 5, 4)
        write_frames(folder / "replay.extxyz", labelled(rehearsed, epsilon=0.1))
    store = {"url": f"sqlite:///{folder}/fire.db", "blobs": str(folder / "blobs")}
    path = folder / "tiny.yaml"
    raw = TINY | {"store": store, "results": str(folder / "results")} | changes
    path.write_text(yaml.safe_dump(raw))
    return path
