"""A fresh store, and structures to put into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.records import Label
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ase import Atoms

THEORY = "theory-1"


def make_frames(n: int, seed: int = 0) -> list[Atoms]:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        frames.append(atoms)
    return frames


def make_label(atoms: Atoms, seed: int = 0) -> Label:
    rng = np.random.default_rng(seed)
    return Label(-10.0 - seed, rng.normal(size=(len(atoms), 3)), rng.normal(size=6))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/deep/fire.db"
    return str(request.getfixturevalue("postgres_database"))


@pytest.fixture
def store(url: str, tmp_path: Path) -> Iterator[Store]:
    with Store.open(url, tmp_path / "blobs") as opened:
        opened.theories.add(THEORY, "code", "1", "{}")
        yield opened
