"""SevenNets of their own package as neutral tensors, read without unpickling."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.neutral import NeutralModel, read_neutral
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from pathlib import Path

FAMILY: Final = "sevenn"
TYPE_MAP: Final = "_type_map"
"""Atomic number → index; JSON's keys are text."""
NOTICE: Final = {
    "package": "sevenn",
    "licence": "MIT",
    "paper": "Park et al., J. Chem. Theory Comput. 20 (2024) 4857",
}


def to_neutral(model: Any, checkpoint: dict[str, Any], constant: str) -> NeutralModel:
    """Return a model as tensors and what its architecture needs.

    Parameters
    ----------
    model
        An `AtomGraphSequential` of the package.
    checkpoint
        Configuration of its checkpoint.
    constant
        In the names of buffers that are no weights.
    """
    import sevenn

    settings = {k: v for k, v in checkpoint.items() if _is_plain(v)}
    settings |= {"version": sevenn.__version__}
    last = model.rescale_atomic_energy
    for name in ("shift", "scale"):
        settings[name] = getattr(last, name).detach().cpu().tolist()
    tensors = {
        key: value.detach().cpu().contiguous()
        for key, value in model.state_dict().items()
        if constant not in key and value.numel()
    }
    return NeutralModel(FAMILY, settings, tensors, NOTICE)


def from_neutral(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the model of a neutral file and the configuration of its checkpoint.

    Raises
    ------
    BackboneError
        The file is of another family.
    """
    from sevenn.model_build import build_E3_equivariant_model

    kept = read_neutral(path)
    if kept.family != FAMILY:
        msg = f"expected the weights of {FAMILY}, {path} has those of {kept.family}"
        raise BackboneError(msg)
    settings = dict(kept.hyperparameters)
    settings[TYPE_MAP] = {int(z): i for z, i in settings[TYPE_MAP].items()}
    model = build_E3_equivariant_model(dict(settings))
    empty = {k: v for k, v in model.state_dict().items() if not v.numel()}
    model.load_state_dict(dict(kept.tensors) | empty)
    return model, settings


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
