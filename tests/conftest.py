"""Fixtures shared by every room's tests."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.postgres import Postgres, missing_programs
from tests import reaper

if TYPE_CHECKING:
    from collections.abc import Iterator

os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # before torch loads; see `cli`
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small models, and two test workers

LONG = (
    "service/test_service.py",
    "campaign/test_campaign.py",
    "campaign/test_led_campaign.py",
    "labelling/test_programs.py",
)
"""Begun first, the longest first, so that no worker is left alone with one of them."""
REPOSITORY = Path(__file__).resolve().parents[1]
# Children of tests import modules of tests, whatever their working folder is, and
# although a command that ran in this process may have set PYTHONSAFEPATH.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH")))
)


def pytest_configure() -> None:
    """Let nothing that a test starts outlive the run."""
    reaper.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes; they wait more than they compute."""

    def rank(item: pytest.Item) -> int:
        place = item.path.relative_to(REPOSITORY / "tests").as_posix()
        return LONG.index(place) if place in LONG else len(LONG)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real DFT data beside the checkout; skips where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("real DFT data (shared/data beside the checkout) is absent")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this session; skips where its programs are absent."""
    absent = missing_programs()
    if absent is not None:
        pytest.skip(absent)
    with Postgres({"fsync": "off"}) as server:  # these tests never cut its power
        yield server


@pytest.fixture
def postgres_database(postgres: Postgres) -> str:
    """Address of an empty database on that server."""
    return postgres.create(f"test_{uuid.uuid4().hex[:12]}")
