"""A campaign labels the isolated atoms that its references need, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from fire_core.campaign.campaign import register_campaign
from fire_core.campaign.names import ATOMS
from fire_core.campaign.reference import CampaignRef
from fire_core.campaign.state import CampaignState
from fire_core.campaign.steps.references import fill_references
from fire_core.config.campaign import CampaignConfig
from fire_core.config.training import TrainConfig
from fire_core.labelling.isolated import isolated_atom
from fire_core.labelling.makers import run_label
from fire_core.records import Label, LabelledStructure
from flows.label import label_flow
from flows.perturb import perturb_flow

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("prefect_server")


def test_what_nobody_gave_is_labelled_once(tmp_path: Path) -> None:
    salt = bulk("LiCl", "rocksalt", a=5.1)
    write(tmp_path / "cell.extxyz", salt)
    given = {"method": "isolated_atoms", "isolated_atoms": {"Cl": -7.0}}
    config = CampaignConfig.model_validate(
        {
            "name": "atoms",
            "system": {"kind": "file", "path": str(tmp_path / "cell.extxyz")},
            "perturb": {"n": 2},
            "fine_tune": {"references": given},
            "store": {"url": f"sqlite:///{tmp_path}/db", "blobs": str(tmp_path / "b")},
        }
    )
    ref = CampaignRef(name="atoms", db=config.store.url, blobs=config.store.blobs)
    register_campaign(config)
    with CampaignState.find(ref) as campaign:
        store = campaign.store
        perturb_flow(ref)
        chosen = store.selections.get("atoms", 0, ATOMS)
        assert chosen is not None
        assert store.structures.get(chosen.keys) == [isolated_atom("Li")]
        assert not campaign.is_labelled(0, ATOMS)
        assert label_flow(ref, 0, ATOMS).done == 1
        assert campaign.is_labelled(0, ATOMS)

        expected = run_label(config.theory, isolated_atom("Li"), workdir=tmp_path)
        label = Label(0.0, np.zeros((2, 3)))
        labelled = [LabelledStructure("key", salt, label, "theory")]
        filled = fill_references(campaign, config.fine_tune, labelled)
        energies = filled.references.isolated_atoms
        assert energies.pop("Li") == pytest.approx(expected.energy, abs=1e-6)
        assert energies == {"Cl": -7.0}
        fitted = TrainConfig()  # least squares asks for no atom
        assert fill_references(campaign, fitted, labelled) is fitted
