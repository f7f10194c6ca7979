"""Register a campaign and perturb its starting structures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from prefect import get_run_logger, task
from prefect.runtime import deployment

from fire_core.backbones.registry import check_campaign
from fire_core.backbones.registry import known_elements as elements_of
from fire_core.campaign import PERTURB, START, sub_seed
from fire_core.config.campaign import CampaignConfig
from fire_core.config.load import config_to_json
from fire_core.errors import ConfigError, UnknownElementError
from fire_core.labelling.isolated import isolated_atoms
from fire_core.labelling.makers import known_elements
from fire_core.progress import Work
from fire_core.storage.campaigns import SelectionRow
from fire_core.storage.store import Store
from fire_core.structures.interfaces import build_system
from fire_core.structures.perturb import perturb
from tasks.context import PATIENCE_S, CampaignRef, hold_step, open_campaign
from tasks.label import ATOMS
from tasks.references import find_wanted_atoms

if TYPE_CHECKING:
    from ase import Atoms


@task(name="register-campaign", task_run_name="register-{config.name}")
def register_campaign(config: CampaignConfig) -> CampaignRef:
    """Enter the campaign in the store, or find it there unchanged."""
    if deployment.id is not None:
        _refuse_relative(config)
    ref = CampaignRef(name=config.name, db=config.store.url, blobs=config.store.blobs)
    with Store.open(ref.db, ref.blobs, patience_s=PATIENCE_S) as store:
        store.open_campaign(config.name, config_to_json(config))
    return ref


def _refuse_relative(config: CampaignConfig) -> None:
    """Refuse a store that each worker would look for in its own folder."""
    url, blobs = config.store.url, config.store.blobs
    lost = [blobs] if not Path(blobs).is_absolute() else []
    if url.startswith("sqlite:///") and not url.startswith("sqlite:////"):
        lost.append(url)
    if lost:
        msg = (
            f"on a work pool a relative path ({', '.join(lost)}) is another one for "
            "each run: set FIRE_DB and FIRE_BLOBS on the workers, or give absolute "
            "paths under `store`"
        )
        raise ConfigError(msg)


@task(name="perturb", task_run_name="perturb-{ref.name}")
def perturb_structures(ref: CampaignRef) -> int:
    """Store the starting structures and their perturbed copies; return how many."""
    with (
        open_campaign(ref) as (store, config),
        hold_step(store, ref, "perturb", get_run_logger().info),
    ):
        done = store.get_selection(ref.name, 0, PERTURB)
        if done is not None:
            return len(done.keys)
        with Work("Building the system"):
            start = build_system(config.system, Path())
        refuse_unknown_elements(start, config)
        keys = store.add_structures(start, source=f"{ref.name}: start")
        store.save_selection(
            ref.name, 0, START, SelectionRow("build", keys, [], _meta(start))
        )
        rng = np.random.default_rng(sub_seed(config, PERTURB))
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
            keys = store.add_structures(
                list(atoms_alone.values()), source="isolated atom"
            )
            store.save_selection(ref.name, 0, ATOMS, SelectionRow("elements", keys))
        keys = store.add_structures(copies, source=f"{ref.name}: perturb")
        store.save_selection(ref.name, 0, PERTURB, SelectionRow("perturb", keys))
        return len(keys)


def refuse_unknown_elements(start: list[Atoms], config: CampaignConfig) -> None:
    """Stop before anything is spent on an element that model or labeller lacks.

    Raises
    ------
    UnknownElementError
        Names the element, who does not know it, and the remedy.
    """
    present = {symbol for atoms in start for symbol in atoms.get_chemical_symbols()}
    backbone = config.backbone.name
    for who, known, remedy in (
        (f"backbone {backbone}", elements_of(backbone), "backbone.name"),
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
    check_campaign(backbone)


def _meta(start: list[Atoms]) -> str:
    """Return what is known of the starting structures beside their content."""
    regions = start[0].arrays.get("region")
    return json.dumps({"regions": None if regions is None else regions.tolist()})


def _shares(config: CampaignConfig, n_start: int) -> list[int]:
    """Divide the perturbed copies among the starting structures."""
    whole, rest = divmod(config.perturb.n, n_start)
    return [whole + (i < rest) for i in range(n_start)]
