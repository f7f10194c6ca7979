"""Begin a campaign: its starting structures and their perturbed copies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fire_core.backbones.base import need_dynamics
from fire_core.backbones.registry import load_backbone
from fire_core.backbones.trainable import need_trainable
from fire_core.campaign.choices import encode_start
from fire_core.campaign.names import ATOMS, PERTURB, START
from fire_core.campaign.steps.elsewhere import where_backbone_lives
from fire_core.campaign.steps.references import find_wanted_atoms
from fire_core.errors import UnknownElementError
from fire_core.labelling.isolated import isolated_atoms
from fire_core.labelling.run import known_elements
from fire_core.progress import Work
from fire_core.records import ModelHash
from fire_core.storage.selections import SelectionRow
from fire_core.structures.interfaces import build_system
from fire_core.structures.perturb import perturb

if TYPE_CHECKING:
    from ase import Atoms

    from fire_core.campaign.state import CampaignState
    from fire_core.config.campaign import CampaignConfig


@where_backbone_lives
def perturb_structures(campaign: CampaignState) -> int:
    """Store the starting structures and their perturbed copies; return how many."""
    store, config, name = campaign.store, campaign.config, campaign.name
    with campaign.holding(PERTURB):
        done = store.selections.get(name, 0, PERTURB)
        if done is not None:
            return len(done.keys)
        with Work("Building the system"):
            start = build_system(config.system, Path())
        foundation = refuse_unknown_elements(start, config)
        keys = store.structures.add(start, source=f"{name}: start")
        meta = encode_start(start[0].arrays.get("region"))
        store.selections.save(name, 0, START, SelectionRow("build", keys, [], meta))
        rng = np.random.default_rng(campaign.seed(PERTURB))
        copies = [
            copy
            for atoms, share in zip(start, _shares(config, len(start)), strict=True)
            if share
            for copy in perturb(
                atoms, config.perturb.model_copy(update={"n": share}), rng
            )
        ]
        atoms_alone = isolated_atoms(find_wanted_atoms(config, start))
        if atoms_alone:
            keys = store.structures.add(
                list(atoms_alone.values()), source="isolated atom"
            )
            store.selections.save(name, 0, ATOMS, SelectionRow("elements", keys))
        keys = store.structures.add(copies, source=f"{name}: perturb")
        store.campaigns.record_identity(
            name, foundation_sha=ModelHash(foundation), replace=True
        )
        store.selections.save(name, 0, PERTURB, SelectionRow("perturb", keys))
        return len(keys)


def refuse_unknown_elements(start: list[Atoms], config: CampaignConfig) -> str:
    """Stop before anything is spent on what model or labeller cannot do.

    Returns
    -------
    str
        sha256 of the foundation model.

    Raises
    ------
    UnknownElementError
        Names the element, who does not know it, and the remedy.
    BackboneError
        The model cannot be trained, or cannot explore.
    """
    present = {symbol for atoms in start for symbol in atoms.get_chemical_symbols()}
    backbone = load_backbone(config.backbone.name, device="cpu")
    for who, known, remedy in (
        (f"backbone {config.backbone.name}", backbone.elements, "backbone.name"),
        (f"labeller {config.theory.kind}", known_elements(config.theory), "theory"),
    ):
        unknown = sorted(present - known)
        if unknown:
            msg = (
                f"{who} does not know {', '.join(unknown)} of "
                f"{start[0].get_chemical_formula()}; choose another `{remedy}` in the "
                "campaign file"
            )
            raise UnknownElementError(msg)
    need_trainable(backbone)
    need_dynamics(backbone)
    return backbone.sha256


def _shares(config: CampaignConfig, n_start: int) -> list[int]:
    """Divide the perturbed copies among the starting structures."""
    whole, rest = divmod(config.perturb.n, n_start)
    return [whole + (i < rest) for i in range(n_start)]
