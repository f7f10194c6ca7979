"""A trained model is kept as neutral weights too, and is never lost by that."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.backbones.mace import MaceBackbone
from fire_core.backbones.neutral import read_neutral
from fire_core.campaign.kinds import NEUTRAL_COPY, NeutralCopy
from fire_core.campaign.steps.outlasting import (
    find_neutral,
    keep_neutral,
    tell_neutral,
)
from fire_core.campaign.views.models import read_model
from fire_core.config.training import TrainConfig
from fire_core.errors import BackboneError
from fire_core.storage.backup import back_up
from fire_core.storage.copying import copy_blobs, copy_store
from fire_core.storage.restoring import restore
from fire_core.storage.store import Store
from tests.training.conftest import make_backbone, rattled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FRAMES = rattled("LiF", 3, 1)


@pytest.fixture(scope="module")
def foundation() -> MaceBackbone:
    return make_backbone()


@pytest.fixture(scope="module")
def trained(foundation: MaceBackbone) -> bytes:
    """The file of a model with other weights and references than the foundation's."""
    network = foundation.network(TrainConfig(strategy="naive"), [], seed=0)
    weights = [1.02 * p.detach() for p in network.module.parameters()]
    return network.export(weights, {"Li": -3.0})


@pytest.fixture
def store(tmp_path: Path, trained: bytes) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'fire.db'}"
    with Store.open(url, tmp_path / "blobs") as store:
        store.campaigns.open("salt", "{}")
        sha = store.blobs.put_bytes(trained)
        store.models.add("salt", "fire-1", sha, parent_sha=None, config_json="{}")
        yield store


def keep(store: Store, foundation: Any) -> tuple[NeutralCopy, list[str]]:
    said: list[str] = []
    copy = keep_neutral(
        store, ("salt", "fire-1"), lambda: foundation, lambda: FRAMES, say=said.append
    )
    return copy, said


def test_the_copy_predicts_what_the_model_does(
    store: Store, foundation: MaceBackbone
) -> None:
    copy, said = keep(store, foundation)
    assert said == []
    assert copy.problem == ""
    assert copy.blob is not None
    assert find_neutral(store, "salt", "fire-1") == copy
    neutral = store.blobs.path(copy.blob)
    model = store.blobs.path(store.models.need("salt", "fire-1").blob_sha)
    assert copy.model == model.name
    assert read_neutral(neutral).family == "mace"
    labels = [foundation.reload(p).predict(FRAMES) for p in (neutral, model)]
    for one, two in zip(*labels, strict=True):
        assert one.energy == pytest.approx(two.energy, abs=1e-5)
        assert np.allclose(one.forces, two.forces, rtol=0, atol=1e-5)
    plain = foundation.predict(FRAMES)
    assert abs(labels[0][0].energy - plain[0].energy) > 1
    facts = read_model(store, "salt", "fire-1")
    assert facts is not None
    assert facts.neutral == copy
    assert facts.neutral_name == "salt-fire-1.safetensors"


def test_it_is_made_once(store: Store, foundation: MaceBackbone) -> None:
    first, _ = keep(store, foundation)
    again, said = keep(store, None)  # nothing is loaded
    assert (again, said) == (first, [])


class Failing(MaceBackbone):
    def neutral(self) -> Any:
        msg = "layers that nobody knows"
        raise BackboneError(msg)

    def reload(self, path: Path) -> MaceBackbone:
        model = super().reload(path)
        model.__class__ = Failing
        return model


class Wrong(MaceBackbone):
    """Its neutral weights are those of another model."""

    def reload(self, path: Path) -> MaceBackbone:
        model = super().reload(path)
        model.__class__ = Wrong
        return model

    def neutral(self) -> Any:
        return make_backbone(seed=5).neutral()


class Crashing(MaceBackbone):
    def reload(self, path: Path) -> MaceBackbone:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (Failing, "BackboneError: layers that nobody knows"),
        (Wrong, "does not predict the same"),
        (Crashing, "ZeroDivisionError"),
    ],
)
def test_a_copy_that_fails_is_told_and_loses_nothing(
    store: Store, trained: bytes, kind: type[MaceBackbone], problem: str
) -> None:
    broken = make_backbone()
    broken.__class__ = kind
    before = len(list(store.blobs.folder.glob("*/*")))
    copy, said = keep(store, broken)
    assert copy.blob is None
    assert problem in copy.problem
    assert "fire model export salt fire-1 PATH --format neutral" in said[0]
    row = store.models.need("salt", "fire-1")
    assert store.blobs.get_bytes(row.blob_sha) == trained
    assert len(list(store.blobs.folder.glob("*/*"))) == before
    assert tell_neutral(store, "salt", "fire-1").problem == copy.problem
    assert keep(store, broken)[1] == []  # it is not tried at every start


def test_of_a_model_of_before_it_is_said_how_to_make_it(store: Store) -> None:
    assert find_neutral(store, "salt", "fire-1") is None
    told = tell_neutral(store, "salt", "fire-1")
    assert "fire model export salt fire-1 PATH --format neutral" in told.problem


def test_a_copy_of_another_file_does_not_count(
    store: Store, foundation: MaceBackbone
) -> None:
    other = NeutralCopy("0" * 64, "1" * 64)
    store.evaluations.save(NEUTRAL_COPY, "salt", other, subject="fire-1")
    assert find_neutral(store, "salt", "fire-1") is None
    copy, _ = keep(store, foundation)
    assert copy.model != other.model
    assert find_neutral(store, "salt", "fire-1") == copy


def test_it_travels_with_copies_and_backups(
    store: Store, foundation: MaceBackbone, tmp_path: Path
) -> None:
    copy, _ = keep(store, foundation)
    assert copy.blob is not None
    here = f"sqlite:///{tmp_path / 'fire.db'}"
    manifest = back_up(here, store.blobs.folder, tmp_path / "backup")
    assert copy.blob in manifest.blobs
    places = []
    for name in ("restored", "copied"):
        url, blobs = f"sqlite:///{tmp_path / name}.db", tmp_path / name
        if name == "restored":
            restore(tmp_path / "backup", url, blobs)
        else:
            copy_store(here, url)
            copy_blobs(store.blobs.folder, blobs)
        places.append((url, blobs))
    for url, blobs in places:
        with Store.open(url, blobs) as other:
            found = find_neutral(other, "salt", "fire-1")
            assert found == copy
            assert read_neutral(other.blobs.path(copy.blob)).family == "mace"


def test_its_record_reads_as_it_was_written() -> None:
    told = NeutralCopy("a" * 64, None, "why")
    body = NEUTRAL_COPY.encode(told)
    assert json.loads(body) == {"model": "a" * 64, "blob": None, "problem": "why"}
    assert NEUTRAL_COPY.decode(body) == told
