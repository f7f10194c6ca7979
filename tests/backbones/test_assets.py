"""The bundled files are whole, small, and a corrupted one is noticed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fire_core.backbones import assets
from fire_core.backbones.registry import load_backbone
from fire_core.errors import BlobCorruptedError
from pretraining.chemistry import ELEMENTS

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 5 * 2**20  # bytes


def test_model_and_replay_set_are_small_and_cover_the_systems() -> None:
    facts = assets.manifest()
    for kind in ("model", "replay"):
        assert (assets.FOLDER / facts[f"{kind}_file"]).stat().st_size <= LIMIT
    backbone = load_backbone("fire-mini", device="cpu")
    assert backbone.elements == set(ELEMENTS)
    assert backbone.sha256 == facts["model_sha256"]


def test_replay_labels_are_finite_forces_balance_and_stress_is_there() -> None:
    replay = assets.load_replay()
    for item in (*replay.train, *replay.heldout):
        assert np.isfinite(item.label.energy)
        assert np.abs(item.label.forces).max() < 20.0  # eV/Å
        assert np.abs(item.label.forces.sum(axis=0)).max() < 1e-2
        assert item.label.stress is not None


def test_the_bundled_model_knows_its_replay_set() -> None:
    """Its force error on structures it was trained on is far below their size."""
    replay = assets.load_replay()
    sample = replay.train[::20]
    backbone = load_backbone("fire-mini", device="cpu")
    predicted = backbone.predict([i.atoms for i in sample])
    error = np.concatenate(
        [
            (p.forces - i.label.forces).ravel()
            for p, i in zip(predicted, sample, strict=True)
        ]
    )
    size = np.concatenate([i.label.forces.ravel() for i in sample])
    assert np.abs(error).mean() < 0.5 * np.abs(size).mean()


def test_a_corrupted_bundle_is_named_with_both_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "assets"
    shutil.copytree(assets.FOLDER, copy)
    monkeypatch.setattr(assets, "FOLDER", copy)
    model = copy / assets.manifest()["model_file"]
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))
    with pytest.raises(BlobCorruptedError, match=r"expected sha256 \w+, got \w+"):
        load_backbone("fire-mini", device="cpu")
