"""Passwords of tests are hashed quickly; everything else is as people have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher

from dashboard.access import people
from dashboard.access.roles import Role
from fire_core.storage.store import Store
from tests.dashboard.lab import Browser, Lab, build, enter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

THEORY = "theory-1"


@pytest.fixture(scope="session", autouse=True)
def _quick_hashes() -> Iterator[None]:
    """A hash takes a tenth of a second by design, and hundreds are made here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "HASHER", PasswordHasher(1, 8, 1))
        yield


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A dashboard of this module, which its tests leave as it is."""
    return build(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def viewer(lab: Lab) -> Browser:
    return enter(lab, Role.VIEWER)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path}/fire.db", tmp_path / "blobs") as opened:
        opened.theories.add(THEORY, "code", "1", "{}")
        opened.campaigns.open("salt", "{}")
        yield opened
