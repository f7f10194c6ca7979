"""A finished campaign made by hand, whose labels are fire-mini's own."""

from __future__ import annotations

import copy
import io
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from fire_core.backbones.assets import bundled_model, load_replay
from fire_core.backbones.mace import read_model
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.state import CampaignState
from fire_core.campaign.steps.labels import register_theories
from fire_core.config.campaign import CampaignConfig
from fire_core.config.load import config_to_json
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store
from tests.models import load_mini

if TYPE_CHECKING:
    from pathlib import Path

NAME = "salt"
CONFIG = {
    "name": NAME,
    "threads": 1,
    "system": {"kind": "file", "path": "start.cif"},
    "theory": {"kind": "teacher", "backbone": "fire-mini"},
    "backbone": {"device": "cpu"},
    "evaluate": {
        "stability": {"steps": 10},
        "gates": {"survival": {"steps": 10}, "elastic": {"relax_steps": 5}},
    },
}


@pytest.fixture
def ref(finished: Path, tmp_path: Path) -> CampaignRef:
    """A copy of the campaign: models `fire` (perfect), `good` (the same), `wild`."""
    shutil.copytree(finished, tmp_path / "store")
    return place(tmp_path / "store")


def place(folder: Path) -> CampaignRef:
    return CampaignRef(
        name=NAME, db=f"sqlite:///{folder}/fire.db", blobs=str(folder / "blobs")
    )


def change_gates(ref: CampaignRef, **gates: object) -> None:
    """Give the campaign other gates, as running its changed file again does."""
    with Store.open(ref.db, ref.blobs) as store:
        row = store.campaigns.get(ref.name)
        assert row is not None
        config = CampaignConfig.model_validate_json(row.config_json).model_dump()
        config["evaluate"]["gates"] |= gates
        changed = CampaignConfig.model_validate(config)
        store.campaigns.open(ref.name, config_to_json(changed))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the campaign's store, made once."""
    folder = tmp_path_factory.mktemp("finished")
    ref = place(folder / "store")
    (folder / "store").mkdir()
    replay = {"replay": {"source": str(_write_replay(folder / "replay.extxyz"))}}
    config = CampaignConfig.model_validate(CONFIG | {"fine_tune": replay})
    mini = load_mini("float32")
    start = bulk("LiCl", "rocksalt", a=5.15, cubic=True)
    rng = np.random.default_rng(0)
    frames = [start.copy() for _ in range(4)]
    for frame in frames:
        frame.positions += rng.normal(0, 0.05, frame.positions.shape)
    with Store.open(ref.db, ref.blobs) as store:
        store.campaigns.open(NAME, config_to_json(config))
        campaign = CampaignState(store, config, ref)
        register_theories(campaign)
        theory = campaign.theory()
        for round_, purpose, chosen in ((0, "start", [start]), (1, "test", frames)):
            keys = store.structures.add(chosen, source="test")
            row = SelectionRow("by hand", keys, [], '{"regions": null}')
            store.selections.save(NAME, round_, purpose, row)
        labels = dict(zip(keys, mini.predict(frames), strict=True))
        store.labels.add(labels, theory)
        for name in ("fire", "good", "wild"):
            sha = store.blobs.put_bytes(_model(name))
            store.models.add(NAME, name, sha, parent_sha=mini.sha256, config_json="{}")
    return folder / "store"


def _write_replay(path: Path) -> Path:
    """Write a few frames of the bundled replay set, so that forgetting is quick."""
    frames = []
    moving = [i for i in load_replay().heldout if np.abs(i.label.forces).max() > 0.5]
    for item in moving[::20]:
        item.atoms.calc = SinglePointCalculator(
            item.atoms, energy=item.label.energy, forces=item.label.forces
        )
        frames.append(item.atoms)
    write(path, frames)
    return path


def _model(name: str) -> bytes:
    """Return a model file; `wild` has the sign of its learned part turned."""
    import torch

    if name != "wild":
        return bundled_model().read_bytes()
    network = copy.deepcopy(read_model(bundled_model()))
    network.scale_shift.scale.mul_(-1)
    buffer = io.BytesIO()
    torch.save(network, buffer)
    return buffer.getvalue()
