"""FIRE as a Python library: models, labels, selection, training and the store.

Everything in `__all__` can be imported from here, and this is what keeps its name
between releases::

    from fire_core import load_backbone

    atoms.calc = load_backbone("fire-mini").calculator()

Modules are imported when a name of theirs is first used, so `import fire_core` is quick
and loads no torch. Nothing here needs Prefect.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.backbones.registry import load_backbone
    from fire_core.campaign.campaign import Campaign, Round
    from fire_core.config.campaign import CampaignConfig
    from fire_core.config.load import load_campaign, load_study
    from fire_core.config.steps import PerturbConfig, SelectConfig
    from fire_core.config.study import StudyConfig
    from fire_core.config.training import TrainConfig
    from fire_core.errors import (
        BackboneError,
        ConfigError,
        FireError,
        LabellingError,
        PropertyError,
        StoreError,
        StructureError,
        TrainingError,
    )
    from fire_core.evaluation.errors import summarise_errors
    from fire_core.records import (
        EpochRecord,
        ErrorSummary,
        Frame,
        GateResult,
        Label,
        LabelledStructure,
        LabelState,
        Pick,
        PropertyResult,
        Split,
    )
    from fire_core.selection.selectors import select
    from fire_core.storage.store import Store
    from fire_core.structures.content import structure_key
    from fire_core.structures.crystals import build_crystal
    from fire_core.structures.interfaces import build_system
    from fire_core.structures.perturb import perturb
    from fire_core.training.data import TrainingData
    from fire_core.training.trainer import FineTuned, fine_tune

__version__ = "0.2.0"

__all__ = [
    "Backbone",
    "BackboneError",
    "Campaign",
    "CampaignConfig",
    "ConfigError",
    "EpochRecord",
    "ErrorSummary",
    "FineTuned",
    "FireError",
    "Frame",
    "GateResult",
    "Label",
    "LabelState",
    "LabelledStructure",
    "LabellingError",
    "PerturbConfig",
    "Pick",
    "PropertyError",
    "PropertyResult",
    "Round",
    "SelectConfig",
    "Split",
    "Store",
    "StoreError",
    "StructureError",
    "StudyConfig",
    "TrainConfig",
    "TrainingData",
    "TrainingError",
    "build_crystal",
    "build_system",
    "fine_tune",
    "load_backbone",
    "load_campaign",
    "load_study",
    "perturb",
    "select",
    "structure_key",
    "summarise_errors",
]

if not TYPE_CHECKING:
    # Type checkers read the imports above; this would hide a misspelt name from them.

    _MODULES = {
        "backbones.base": ("Backbone",),
        "backbones.registry": ("load_backbone",),
        "campaign.campaign": ("Campaign", "Round"),
        "config.campaign": ("CampaignConfig",),
        "config.load": ("load_campaign", "load_study"),
        "config.steps": ("PerturbConfig", "SelectConfig"),
        "config.study": ("StudyConfig",),
        "config.training": ("TrainConfig",),
        "errors": (
            *("BackboneError", "ConfigError", "FireError", "LabellingError"),
            *("PropertyError", "StoreError", "StructureError", "TrainingError"),
        ),
        "evaluation.errors": ("summarise_errors",),
        "records": (
            *("EpochRecord", "ErrorSummary", "Frame", "GateResult", "Label"),
            *("LabelledStructure", "LabelState", "Pick", "PropertyResult", "Split"),
        ),
        "selection.selectors": ("select",),
        "storage.store": ("Store",),
        "structures.content": ("structure_key",),
        "structures.crystals": ("build_crystal",),
        "structures.interfaces": ("build_system",),
        "structures.perturb": ("perturb",),
        "training.data": ("TrainingData",),
        "training.trainer": ("FineTuned", "fine_tune"),
    }
    _HOMES = {name: module for module, names in _MODULES.items() for name in names}

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used."""
        if name not in _HOMES:
            msg = (
                f"module {__name__!r} has no attribute {name!r}; public names: "
                f"{', '.join(__all__)}"
            )
            raise AttributeError(msg)
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """Return the public names."""
        return [*__all__, "__version__"]
