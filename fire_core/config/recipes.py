"""How the authors of the published MACE models advise to train them, by name.

A training that leaves a setting out follows its model's recipe (`TrainConfig.recipe`);
of other models FIRE's defaults are the recipe. What a training took from it is kept
with it, as `from_recipe`.

Sources, all of github.com/ACEsuit:

- Learning rate, average and clipping depend on the method: mace's docs/guide/
  finetuning_guidance.rst (Tompa et al., arXiv:2606.12704), which also leaves out weight
  decay; the command of docs/guide/finetuning.rst takes two frames a step. They know no
  single-headed replay. FIRE's takes as many steps as naive fine-tuning does, and its
  settings.
- The weights of the loss are those each model was trained with, by the same loss
  (`training.loss`): the scripts of mace-foundations, `backbones.mace_architectures`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fire_core.config.training import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Values = dict[str, float]

FINE: Final[Values] = {"learning_rate": 1e-3, "ema_decay": 0.999, "clip": 1.0}
COARSE: Final[Values] = {"learning_rate": 1e-2, "ema_decay": 0.99, "clip": 10.0}
HEADS: Final[Values] = {"learning_rate": 1e-4, "ema_decay": 0.9999, "clip": 1.0}
METHODS: Final[Mapping[str, Values]] = {
    "scratch": COARSE,
    "naive": FINE,
    "replay": FINE,
    "pseudolabel_replay": FINE,
    "multihead_replay": HEADS,
    "lora": COARSE,
}
"""By strategy; `lora` where adapters are trained on one readout head."""
COMMON: Final[Values] = {"weight_decay": 0.0, "batch_frames": 2}

_SINCE_0B: Final = (1.0, 10.0, 10.0)
LOSS: Final[Mapping[str, tuple[float, float, float]]] = {
    "small": (10.0, 1.0, 100.0),
    "medium": (1.0, 1.0, 100.0),
    "large": (1.0, 10.0, 100.0),
    **dict.fromkeys(
        (
            *("small-0b", "medium-0b", "small-0b2", "medium-0b2", "large-0b2"),
            *("medium-0b3", "medium-mpa-0", "small-omat-0", "medium-omat-0"),
            *("mace-matpes-pbe-0", "mace-matpes-r2scan-0"),
        ),
        _SINCE_0B,
    ),
}
"""Weights of energy, forces and stress, by the name of a model."""
FILES: Final[Mapping[str, str]] = {
    "2023-12-10-mace-128-L0_energy_epoch-249.model": "small",
    "2023-12-03-mace-128-L1_epoch-199.model": "medium",
    "MACE_MPtrj_2022.9.model": "large",
    "2024-01-07-mace-128-L2_epoch-199.model": "large",
    "mace_agnesi_small.model": "small-0b",
    "mace_agnesi_medium.model": "medium-0b",
    "mace-small-density-agnesi-stress.model": "small-0b2",
    "mace-medium-density-agnesi-stress.model": "medium-0b2",
    "mace-large-density-agnesi-stress.model": "large-0b2",
    "mace-mp-0b3-medium.model": "medium-0b3",
    "mace-mpa-0-medium.model": "medium-mpa-0",
    "mace-omat-0-small.model": "small-omat-0",
    "mace-omat-0-medium.model": "medium-omat-0",
    "MACE-matpes-pbe-omat-ft.model": "mace-matpes-pbe-0",
    "MACE-matpes-r2scan-omat-ft.model": "mace-matpes-r2scan-0",
}
"""What the authors call the files, for those who fetched one by hand."""


def published_name(backbone: str) -> str | None:
    """Return the published model that a name or the path of its file stands for."""
    if backbone in LOSS:
        return backbone
    return FILES.get(Path(backbone).name)


def recipe_of(backbone: str, method: str) -> Values:
    """Return the settings that a training of a backbone takes where it says nothing.

    Parameters
    ----------
    backbone
        As `backbone.name` says it.
    method
        A key of `METHODS`.

    Returns
    -------
    Values
        By the names of `TrainConfig`; empty where FIRE's own defaults are the recipe.
    """
    name = published_name(backbone)
    if name is None or method not in METHODS:
        return {}
    names = ("energy_weight", "forces_weight", "stress_weight")
    return METHODS[method] | COMMON | dict(zip(names, LOSS[name], strict=True))


def follow_recipe(training: Mapping[str, Any], backbone: str) -> dict[str, Any]:
    """Return what a person wrote of a training, completed by the backbone's recipe.

    Settings that are there stay; `from_recipe` names those that were not.
    """
    written = dict(training)
    if written.get("recipe", "auto") != "auto":
        return written
    strategy = str(written.get("strategy", "replay"))
    single = strategy not in {"scratch", "multihead_replay"}
    method = "lora" if single and written.get("lora") is not None else strategy
    values = recipe_of(backbone, method)
    missing = [name for name in values if name not in written]
    if not missing:
        return written
    taken = dict.fromkeys((*written.get("from_recipe", ()), *missing))
    more = {name: values[name] for name in missing}
    return written | more | {"from_recipe": tuple(taken)}


def with_recipe(config: TrainConfig, backbone: str) -> TrainConfig:
    """Return a training whose unset settings are those of the backbone's recipe."""
    written = config.model_dump(exclude_unset=True)
    return TrainConfig.model_validate(follow_recipe(written, backbone))


def follow_recipes(raw: Any, keys: Sequence[str]) -> Any:
    """Return a mapping whose trainings, under some keys, follow its backbone's recipe.

    What is no mapping or no training is left for validation to refuse.
    """
    if not isinstance(raw, dict):
        return raw
    backbone = backbone_of(raw)
    if published_name(backbone) is None:
        return raw
    completed = dict(raw)
    for key in keys:
        training = raw.get(key, {})
        if isinstance(training, TrainConfig):
            training = training.model_dump(exclude_unset=True)
        if isinstance(training, dict):
            completed[key] = follow_recipe(training, backbone)
    return completed


def backbone_of(raw: Mapping[str, Any]) -> str:
    """Return the name of the backbone in a mapping that is not validated yet."""
    backbone = raw.get("backbone", {})
    if isinstance(backbone, dict):
        return str(backbone.get("name", ""))
    return str(getattr(backbone, "name", ""))


def without_recipes(stored: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return a stored configuration whose trainings of before recipes follow none.

    Parameters
    ----------
    stored
        As the store has it.
    keys
        Where trainings are described; one that is no training itself has them by name.
    """
    kept = dict(stored)
    for key in keys:
        value = kept.get(key)
        if not isinstance(value, dict):
            continue
        if all(isinstance(inner, dict) for inner in value.values()):
            kept[key] = {name: {"recipe": "none"} | t for name, t in value.items()}
        else:
            kept[key] = {"recipe": "none"} | value
    return kept


def keep_older_settings(
    stored: Mapping[str, Any], given: Mapping[str, Any], keys: Sequence[str]
) -> dict[str, Any]:
    """Return a configuration whose trainings go on as they were begun.

    Parameters
    ----------
    stored
        The same campaign's configuration in the store. Where its trainings follow no
        recipe, as all that were begun before there were any, what the given
        configuration took from one is put back.
    given
        The configuration that it is opened with now.
    keys
        Where trainings are described.
    """
    kept = dict(given)
    for key in keys:
        old, new = stored.get(key), given.get(key)
        if not (isinstance(old, dict) and isinstance(new, dict)):
            continue
        if old.get("recipe", "none") != "none":
            continue
        back = {name: old[name] for name in new.get("from_recipe", ()) if name in old}
        if back:
            kept[key] = new | back | {"recipe": "none", "from_recipe": []}
    return kept
