"""A run's frames are screened, described, chosen from and explained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase.build import bulk
from typer.testing import CliRunner

from cli.main import app
from fire_core.backbones.assets import bundled_model
from fire_core.backbones.registry import load_backbone
from fire_core.campaign.names import PERTURB, PRE_FINE_TUNED, SELECTED, START, RunPlan
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.state import CampaignState
from fire_core.campaign.steps.selecting import select_candidates
from fire_core.config.campaign import CampaignConfig
from fire_core.config.load import config_to_json
from fire_core.errors import StructureError
from fire_core.records import Frame, FrameTag
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

N_SOUND = 70


@pytest.fixture(scope="module")
def calm() -> list[Atoms]:
    """Frames of a warm crystal; the last ten are stirred far more than the others."""
    frames = []
    for seed in range(N_SOUND):
        atoms = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
        atoms.rattle(0.05 if seed < N_SOUND - 10 else 0.2, seed=seed)
        frames.append(atoms)
    return frames


def _faulty() -> dict[str, Atoms]:
    salt = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
    near, lost, swollen, high = salt.copy(), salt[1:], salt.copy(), salt.copy()
    near.positions[1] = near.positions[0] + [0.9, 0, 0]
    swollen.set_cell(salt.cell * 1.3, scale_atoms=True)
    high.rattle(0.01, seed=99)
    return {
        "overlap": near,
        "composition": lost,
        "volume": swollen,
        "high_energy": high,
    }


def _campaign(folder: Path, frames: list[Atoms], **select: Any) -> tuple[Any, RunPlan]:
    """Store a campaign that has explored these frames and the faulty ones."""
    config = CampaignConfig.model_validate(
        {
            "name": "small",
            "system": {"kind": "file", "path": "x.xyz"},
            "threads": 1,
            "select": {"n": 8, "soap": {"n_max": 4, "l_max": 3}, **select},
            "store": {"url": f"sqlite:///{folder}/fire.db", "blobs": str(folder / "b")},
        }
    )
    ref = CampaignRef(name="small", db=config.store.url, blobs=config.store.blobs)
    with Store.open(ref.db, ref.blobs) as store:
        store.campaigns.open("small", config_to_json(config))
        start = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
        keys = store.structures.add([start, *frames[:3]], source="test")
        meta = json.dumps({"regions": None})
        store.selections.save(
            "small", 0, START, SelectionRow("file", keys[:1], [], meta)
        )
        store.selections.save("small", 0, PERTURB, SelectionRow("rattle", keys[1:]))
        blob = store.blobs.put_file(bundled_model())
        store.models.add(
            "small", PRE_FINE_TUNED, blob, parent_sha=None, config_json="{}"
        )
        run = store.runs.open("small", 1, "explore", blob, "{}")
        everything = [*frames, *_faulty().values()]
        store.runs.save_segment(
            run, 0, [_frame(i, a) for i, a in enumerate(everything)], b"", {}
        )
    return ref, RunPlan(run, "explore", 1, PRE_FINE_TUNED, 1)


def _frame(number: int, atoms: Atoms) -> Frame:
    energy = (-4.0 if number < N_SOUND + 3 else 0.0) * len(atoms)
    temperature = 300.0 if number < N_SOUND - 10 else 900.0
    return Frame(atoms, FrameTag("m", 0, temperature, number), energy)


def _select(ref: CampaignRef, plan: RunPlan) -> SelectionRow:
    with CampaignState.find(ref) as campaign:
        assert select_candidates(campaign, plan) == 8
        row = campaign.store.selections.get("small", 1, SELECTED)
    assert row is not None
    return row


def test_a_choice_is_screened_explained_and_shown(calm, tmp_path) -> None:
    ref, plan = _campaign(tmp_path, calm)
    row = _select(ref, plan)
    meta = json.loads(row.meta_json)
    assert meta["candidates"] == N_SOUND + 4
    assert meta["refused"] == dict.fromkeys(_faulty(), 1)
    with Store.open(ref.db, ref.blobs) as store:
        flags = json.loads(store.blobs.get_bytes(meta["refused_blob"]))
        by_reason = {kind: key for key, (kind, _) in flags.items()}
        for kind, atoms in _faulty().items():
            kept = store.structures.get([by_reason[kind]])[0]
            assert np.array_equal(kept.positions, atoms.positions)
        labelled = store.selections.get("small", 0, PERTURB)
        assert not set(row.keys) & (set(flags) | set(labelled.keys))
    found = meta["explanation"]
    assert [p["key"] for p in found["picks"]] == row.keys
    assert all(p["labelled_distance"] > 0 for p in found["picks"])
    assert any(p["temperature"] == 900.0 for p in found["picks"])
    assert found["after"]["mean"] < found["before"]["mean"]
    assert sum(p["cluster_size"] for p in found["picks"]) == N_SOUND - 3
    distances = [region["distance"] for region in found["regions"]]
    assert distances == sorted(distances, reverse=True)
    where = ["--db", ref.db, "--blobs", ref.blobs]
    plain = CliRunner().invoke(app, ["campaign", "explain", "small", *where])
    assert plain.exit_code == 0, plain.output
    assert "refused by screening: composition 1, high_energy 1" in plain.output
    assert row.keys[0][:12] in plain.output
    coded = CliRunner().invoke(app, ["campaign", "explain", "small", "--json", *where])
    assert json.loads(coded.output)["regions"] == found["regions"]


def test_picks_with_great_forces_give_way_to_others(calm, tmp_path) -> None:
    model = load_backbone(str(bundled_model()), device="cpu", threads=1)
    largest = [
        float(np.linalg.norm(label.forces, axis=1).max())
        for label in model.predict(calm)
    ]
    limit = float(np.median(largest[:-10])) * 1.5
    ref, plan = _campaign(tmp_path, calm, screen={"max_force": limit})
    row = _select(ref, plan)
    with Store.open(ref.db, ref.blobs) as store:
        chosen = model.predict(store.structures.get(row.keys))
    assert max(np.linalg.norm(c.forces, axis=1).max() for c in chosen) <= limit
    assert json.loads(row.meta_json)["refused"]["large_force"] >= 1


def test_maces_own_features_describe_as_well(calm, tmp_path) -> None:
    soap = _select(*_campaign(tmp_path / "a", calm))
    mace = _select(*_campaign(tmp_path / "b", calm, descriptor="backbone"))
    stirred = [json.loads(r.meta_json)["explanation"]["picks"] for r in (soap, mace)]
    for picks in stirred:
        assert any(pick["temperature"] == 900.0 for pick in picks)
    assert soap.keys != mace.keys


def test_too_few_left_says_what_was_refused(calm, tmp_path) -> None:
    ref, plan = _campaign(tmp_path, calm, screen={"min_distances": {"Li-Cl": 2.5}})
    message = r"at least 8 candidates to select from, got \d; .*'pair_distance': \d+"
    with (
        CampaignState.find(ref) as campaign,
        pytest.raises(StructureError, match=message),
    ):
        select_candidates(campaign, plan)
