"""Find a foundation model by its name or path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from fire_core.backbones.assets import BUNDLED, bundled_model
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.config.steps import BackboneConfig, Kernels

CHGNET: Final = "chgnet"
MACE_NAMES: Final = (
    *("small", "medium", "large", "small-0b", "medium-0b", "small-0b2"),
    *("medium-0b2", "large-0b2", "medium-0b3", "medium-mpa-0", "small-omat-0"),
    *("medium-omat-0", "mace-matpes-pbe-0", "mace-matpes-r2scan-0"),
)
"""Names that mace-torch 0.3.16 resolves for models of materials."""


def load_backbone(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "float32",
    threads: int = 0,
    kernels: Literal["auto", Kernels] = "auto",
) -> Backbone:
    """Return a foundation model, or a model fine-tuned from one.

    Parameters
    ----------
    name
        `fire-mini` (bundled), `chgnet`, a name of `MACE_NAMES`, or a path.
    device
        `auto` takes CUDA when there is one.
    dtype
        `float32` or `float64`.
    threads
        CPU threads of torch in this process; 0 leaves them as they are.
    kernels
        What computes MACE's layers; `auto` takes cuEquivariance on a GPU where it is
        installed, else `fire`.

    Raises
    ------
    BackboneError
        The name is unknown, the file missing, or the model cannot be fetched.
    BlobCorruptedError
        The bundled file does not match its manifest.
    """
    where = _prepare_torch(device, threads)
    if name == CHGNET:
        from fire_core.backbones.chgnet import ChgnetBackbone

        return ChgnetBackbone(device=where)
    return _load_mace(name, where, dtype, kernels)


def load_configured(
    settings: BackboneConfig, threads: int, name: str | Path | None = None
) -> Backbone:
    """Return the foundation model of a configuration, or another in its place.

    Parameters
    ----------
    settings
        Which model, where, and in what type.
    threads
        CPU threads; 0 leaves them as they are.
    name
        Path of a model fine-tuned from it.
    """
    return load_backbone(
        str(name or settings.name),
        device=settings.device,
        dtype=settings.dtype,
        threads=threads,
        kernels=settings.kernels,
    )


def count_gpus() -> int:
    """Return how many CUDA devices torch sees in this process."""
    import torch

    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def model_file(name: str) -> Path:
    """Return the file of a MACE model: bundled, published (fetched), or a path.

    Raises
    ------
    BackboneError
        The name is unknown, or the file cannot be fetched.
    """
    if name == BUNDLED:
        return bundled_model()
    if name in MACE_NAMES:
        from fire_core.backbones.mace import download_mace

        return download_mace(name)
    path = Path(name)
    if not path.is_file():
        raise _unknown(name)
    return path


def is_published(name: str) -> bool:
    """Say whether a backbone has to be fetched before it is first used.

    Raises
    ------
    BackboneError
        There is no backbone of that name, and no file.
    """
    if name in MACE_NAMES:
        return True
    if name not in {BUNDLED, CHGNET} and not Path(name).is_file():
        raise _unknown(name)
    return False


def _unknown(name: str) -> BackboneError:
    choices = ", ".join((BUNDLED, CHGNET, *MACE_NAMES))
    msg = (
        f"unknown backbone {name!r}: expected one of {choices}, or the path of "
        "a MACE model file"
    )
    return BackboneError(msg)


def _load_mace(
    name: str, device: str, dtype: str, kernels: Literal["auto", Kernels]
) -> Backbone:
    from fire_core.backbones.mace import load_mace

    path = model_file(name)
    if kernels == "auto":
        kernels = "cuequivariance" if _has_cuequivariance(device) else "fire"
    return load_mace(path, name=name, device=device, dtype=dtype, kernels=kernels)


def _has_cuequivariance(device: str) -> bool:
    import torch

    from fire_core.backbones.kernels.cuequivariance import is_ready

    return is_ready(torch.device(device))


def _prepare_torch(device: str, threads: int) -> str:
    import torch

    if threads > 0:
        torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        msg = "backbone.device is cuda, but torch sees no GPU; use auto or cpu"
        raise BackboneError(msg)
    return "cuda" if device == "auto" and cuda else device.replace("auto", "cpu")
