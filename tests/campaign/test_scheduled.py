"""What schedules run: production models against new labels, unfinished campaigns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk

from fire_core.backbones.assets import bundled_model
from fire_core.campaign.kinds import (
    JUDGEMENT,
    REGRESSION,
    EnergyConservation,
    Judgement,
)
from fire_core.campaign.views.overview import unfinished_campaigns
from fire_core.config.campaign import CampaignConfig
from fire_core.config.load import config_to_json
from fire_core.config.theory import LennardJonesTheory
from fire_core.errors import GateError
from fire_core.labelling.codes import lennard_jones
from fire_core.labelling.theory import theory_from_config
from fire_core.records import ErrorSummary
from fire_core.storage.selections import SelectionRow
from fire_core.storage.store import Store
from flows.regression import regression_flow
from tests.campaign.conftest import TINY

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

THEORY = LennardJonesTheory()


def cell(seed: int, symbols: str = "LiCl") -> Atoms:
    atoms = bulk(symbols, "rocksalt", a=5.1, cubic=True)
    atoms.rattle(0.05, seed=seed)
    return atoms


@pytest.fixture
def produced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store, found by the environment, with fire-mini in production."""
    url, blobs = f"sqlite:///{tmp_path}/fire.db", tmp_path / "blobs"
    monkeypatch.setenv("FIRE_DB", url)
    monkeypatch.setenv("FIRE_BLOBS", str(blobs))
    config = CampaignConfig.model_validate(TINY | {"theory": THEORY.model_dump()})
    store = Store.open(url, blobs)
    store.campaigns.open("tiny", config_to_json(config))
    (start,) = store.structures.add([cell(0)], source="test")
    store.selections.save("tiny", 0, "start", SelectionRow("build", [start]))
    sha = store.blobs.put_file(bundled_model())
    store.models.add("tiny", "fire", sha, parent_sha=None, config_json="{}")
    store.models.promote("tiny", "fire", "production", [], required=())
    return store


def label(store: Store, frames: list[Atoms]) -> None:
    theory = theory_from_config(THEORY)
    store.theories.add(
        theory.fingerprint, theory.code, theory.version, theory.settings_json
    )
    keys = store.structures.add(frames, source="test")
    labels = [lennard_jones.compute(THEORY, atoms) for atoms in frames]
    store.labels.add(dict(zip(keys, labels, strict=True)), theory.fingerprint)


@pytest.mark.usefixtures("prefect_server")
def test_a_production_model_that_fails_on_new_labels_fails_the_night(
    produced: Store,
) -> None:
    regression_flow()  # no label is newer: nothing to say
    assert produced.evaluations.list(REGRESSION, "tiny") == []
    label(produced, [cell(n) for n in range(1, 4)])
    label(produced, [cell(9, "NaCl")])  # another system's, not its business
    with pytest.raises(GateError, match=r"fire of tiny: force RMSE \d+ meV.* 3 new"):
        regression_flow()
    (row,) = produced.evaluations.list(REGRESSION, "tiny")
    assert row.subject.startswith("fire/20")
    assert row.value.test.n_structures == 3
    assert np.isfinite(row.value.test.force_rmse)
    produced.close()


def test_a_campaign_without_a_judged_model_is_unfinished(produced: Store) -> None:
    assert unfinished_campaigns(produced) == ["tiny"]
    errors = ErrorSummary(1, 8, 1.0, 1.0, 10.0, 8.0, 20.0)
    judged = Judgement(errors, errors, EnergyConservation(0.1, completed=True))
    produced.evaluations.save(JUDGEMENT, "tiny", judged, round_=1, subject="fire")
    assert unfinished_campaigns(produced) == []
    produced.close()
