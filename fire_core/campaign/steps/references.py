"""Energies of isolated atoms: those a campaign needs, and those the store has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.campaign.names import ATOMS, FIRE, PRE_FINE_TUNED, training_of
from fire_core.labelling.isolated import isolated_atoms
from fire_core.structures.content import structure_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ase import Atoms

    from fire_core.campaign.state import CampaignState
    from fire_core.config.campaign import CampaignConfig
    from fire_core.config.training import TrainConfig
    from fire_core.records import LabelledStructure


def find_wanted_atoms(config: CampaignConfig, start: Iterable[Atoms]) -> set[str]:
    """Return the elements whose isolated atoms a campaign has to label itself."""
    present = {symbol for atoms in start for symbol in atoms.get_chemical_symbols()}
    return {
        symbol
        for kind in (PRE_FINE_TUNED, FIRE)
        for symbol in present
        if _is_wanted(training_of(config, kind), symbol)
    }


def fill_references(
    campaign: CampaignState,
    settings: TrainConfig,
    labelled: Sequence[LabelledStructure],
) -> TrainConfig:
    """Return a training's settings with the stored energies of isolated atoms, eV.

    Those that the settings give stay; those that the store lacks are left out.
    """
    present = {s for item in labelled for s in item.atoms.get_chemical_symbols()}
    wanted = isolated_atoms(s for s in present if _is_wanted(settings, s))
    if not wanted:
        return settings
    keys = [structure_key(atoms) for atoms in wanted.values()]
    labels = campaign.store.labels.get(keys, campaign.theory(ATOMS))
    found = {
        symbol: labels[key].energy
        for symbol, key in zip(wanted, keys, strict=True)
        if key in labels
    }
    given = settings.references.isolated_atoms
    references = settings.references.model_copy(
        update={"isolated_atoms": found | given}
    )
    return settings.model_copy(update={"references": references})


def _is_wanted(settings: TrainConfig, symbol: str) -> bool:
    references = settings.references
    is_asked = references.method == "isolated_atoms"
    return is_asked and symbol not in references.isolated_atoms
