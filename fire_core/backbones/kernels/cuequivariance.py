"""NVIDIA's cuEquivariance layers in a MACE model, and MACE's own layers again.

mace-torch rebuilds the model with the other layers and moves the weights over; there
and back is exact. The weights have other shapes in between, so nothing is shared.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import TYPE_CHECKING, Any

from fire_core.errors import BackboneError

if TYPE_CHECKING:
    import torch

PACKAGES = ("cuequivariance_torch", "cuequivariance_ops_torch")
"""What describes the layers, and what computes them on a GPU."""


def is_ready(device: torch.device) -> bool:
    """Return whether the layers would run on a device's own kernels."""
    found = all(importlib.util.find_spec(name) is not None for name in PACKAGES)
    return device.type == "cuda" and found


def to_cuequivariance(model: Any) -> Any:
    """Return a MACE model with cuEquivariance layers; the given one is left alone.

    Without a GPU they are computed by plain torch, slowly.

    Raises
    ------
    BackboneError
        cuEquivariance is not installed, or does not cover the architecture.
    """
    if importlib.util.find_spec(PACKAGES[0]) is None:
        msg = (
            "backbone.kernels is cuequivariance, which is not installed; install "
            "the extra fire-mlip[cuequivariance], or set kernels to auto or fire"
        )
        raise BackboneError(msg)
    from mace.cli.convert_e3nn_cueq import run

    return _converted(run, model)


def from_cuequivariance(model: Any) -> Any:
    """Return the model with MACE's own layers, as it is saved and exported."""
    from mace.cli.convert_cueq_e3nn import run

    return _converted(run, model)


def _converted(run: Any, model: Any) -> Any:
    from fire_core.backbones.torch_types import default_dtype

    first = next(model.parameters())
    try:
        # mace-torch sets the default type for good
        with default_dtype(first.dtype), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notes of e3nn on what torch deprecates
            converted = run(model, device=first.device.type, return_model=True)
    except (NotImplementedError, KeyError, ValueError, RuntimeError) as error:
        msg = (
            f"cuEquivariance's layers do not fit this model ({error}); set "
            "backbone.kernels to fire"
        )
        raise BackboneError(msg) from error
    return converted.to(first.device).train(model.training)
