"""`fire model`: what a person types, reads and is refused."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from cli.main import app
from fire_core.backbones.mace import read_model
from fire_core.backbones.neutral import is_neutral
from fire_core.campaign.kinds import NEUTRAL_COPY, NeutralCopy
from fire_core.config.open_sets import GATES
from fire_core.errors import GateError, StoreError
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from click.testing import Result

    from fire_core.campaign.reference import CampaignRef


def fire(ref: CampaignRef, *words: str) -> Result:
    """Run `fire model …` on the campaign's store; an expected error is raised."""
    place = ("--db", ref.db, "--blobs", ref.blobs)
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["model", *words, *place])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_check_promote_and_rollback(ref: CampaignRef) -> None:
    table = fire(ref, "check", "salt", "fire")
    assert table.exit_code == 0
    assert all(gate in table.stdout for gate in GATES.builtin)
    assert "failed" not in table.stdout
    done = fire(ref, "promote", "salt", "fire")
    assert "fire of salt is in staging; it passed 10 of 10 gates" in done.stdout
    fire(ref, "promote", "salt", "fire", "--to", "production")
    fire(ref, "promote", "salt", "good", "--to", "production")
    rows = json.loads(fire(ref, "list", "salt", "--json").stdout)
    assert [(r["model"], r["state"]) for r in rows] == [
        *(("fire", "retired"), ("good", "production"), ("wild", "candidate")),
    ]
    back = fire(ref, "rollback", "salt", "--reason", "it melts")
    assert "fire of salt is in production again: " in back.stdout
    assert Path(back.stdout.split("again: ")[1].strip()).is_file()
    with pytest.raises(StoreError, match="nothing was in production before 'fire'"):
        fire(ref, "rollback", "salt")
    shown = fire(ref, "show", "salt", "good").stdout
    assert "good: retired" in shown
    assert "it melts" in shown


def test_a_wild_model_fails_its_check_and_stays(ref: CampaignRef) -> None:
    table = fire(ref, "check", "salt", "wild", "--json")
    assert table.exit_code == 1
    results = {r["name"]: r for r in json.loads(table.stdout)}
    assert not results["force_error"]["passed"]
    with pytest.raises(GateError, match="'wild' is not promoted to production"):
        fire(ref, "promote", "salt", "wild", "--to", "production")
    facts = json.loads(fire(ref, "show", "salt", "wild", "--json").stdout)
    assert (facts["state"], facts["history"]) == ("candidate", [])
    assert len(facts["gates"]) == 10


def test_export_of_a_campaigns_model_and_of_a_backbone(
    ref: CampaignRef, tmp_path: Path
) -> None:
    target = tmp_path / "fire.mace"
    done = fire(ref, "export", "salt", "fire", str(target))
    assert "loaded as a MACE model; 3 comparisons agree" in done.stdout
    facts = json.loads(fire(ref, "show", "salt", "fire", "--json").stdout)
    assert target.read_bytes() == Path(facts["path"]).read_bytes()
    folder = tmp_path / "mini"
    done = fire(ref, "export", str(target), str(folder), "--format", "torch-sim")
    installed = importlib.util.find_spec("torch_sim") is not None
    assert ("loaded by its own torch_sim_model.py" in done.stdout) == installed
    assert ("not run by torch-sim" in done.stdout) != installed
    assert fire(ref, "export", "fire-mini").exit_code == 2


def test_neutral_weights_are_made_of_a_model_of_before_and_shown_once_kept(
    ref: CampaignRef, tmp_path: Path
) -> None:
    told = json.loads(fire(ref, "show", "salt", "fire", "--json").stdout)["neutral"]
    assert (told["blob"], told["path"]) == (None, None)
    assert "fire model export salt fire PATH --format neutral" in told["problem"]
    path = tmp_path / "fire.safetensors"
    done = fire(ref, "export", "salt", "fire", str(path), "--format", "neutral")
    assert "built again from the tensors and the JSON in it" in done.stdout
    assert f"use: backbone.name: {path}" in done.stdout.replace("\n", " ")
    kept = path.read_bytes()
    with Store.open(ref.db, ref.blobs) as store:
        model = store.models.need("salt", "fire").blob_sha
        copy = NeutralCopy(model, store.blobs.put_bytes(kept))
        store.evaluations.save(NEUTRAL_COPY, "salt", copy, subject="fire")
    told = json.loads(fire(ref, "show", "salt", "fire", "--json").stdout)["neutral"]
    assert Path(told["path"]).read_bytes() == kept
    shown = fire(ref, "show", "salt", "fire").stdout.replace("\n", "")
    assert f"neutral weights: {told['path']}" in shown
    again = tmp_path / "again.safetensors"
    fire(ref, "export", "salt", "fire", str(again), "--format", "neutral")
    assert again.read_bytes() == kept
    back = tmp_path / "back.model"  # and to mace-torch's own file
    fire(ref, "export", str(path), str(back))
    assert not is_neutral(back)
    assert "MACE" in type(read_model(back)).__name__


def test_what_is_not_there_is_said(ref: CampaignRef) -> None:
    with pytest.raises(StoreError, match=r"no campaign 'sugar' in .*; there: salt"):
        fire(ref, "list", "sugar")
    with pytest.raises(StoreError, match="no campaign 'sugar'"):
        fire(ref, "promote", "sugar", "fire")
    with pytest.raises(StoreError, match=r"has no model 'iron' \(it has: fire, good"):
        fire(ref, "check", "salt", "iron")
