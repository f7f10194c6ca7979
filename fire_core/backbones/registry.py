"""Find a foundation model by its name or path.

What `backbone.name` may say:

- `fire-mini`, a name of `MACE_NAMES`, or the path of a MACE model file;
- the name of another family (`chgnet`, or one that a package adds by an entry point in
  `fire.backbones`), alone or with more behind a colon: `family:variant`, or
  `family:path` for a file of that family.

A family is a `Loader`. What a campaign trains from a model is a file of the family that
the model is of (`same_family`).
"""

from __future__ import annotations

import difflib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from fire_core.backbones.assets import BUNDLED, bundled_model, manifest
from fire_core.backbones.environments.describe import describe_elsewhere
from fire_core.backbones.environments.folders import find_interpreter
from fire_core.backbones.environments.packages import PACKAGES, requirements
from fire_core.errors import BackboneError
from fire_core.extensions import Registry

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone, Loader
    from fire_core.config.steps import BackboneConfig, Kernels

MACE_NAMES: Final = (
    *("small", "medium", "large", "small-0b", "medium-0b", "small-0b2"),
    *("medium-0b2", "large-0b2", "medium-0b3", "medium-mpa-0", "small-omat-0"),
    *("medium-omat-0", "mace-matpes-pbe-0", "mace-matpes-r2scan-0"),
)
"""Names that mace-torch 0.3.16 resolves for models of materials."""
FAMILIES: Final[Registry[Loader]] = Registry(
    "fire.backbones",
    "backbone",
    {
        "chgnet": "fire_core.backbones.chgnet:ChgnetBackbone",
        "sevennet": "fire_core.backbones.sevennet:load_sevennet",
        "sevennet-0": "fire_core.backbones.sevennet:load_sevennet_0",
        "sevennet-l3i5": "fire_core.backbones.sevennet:load_sevennet_l3i5",
        "sevennet-mf-0": "fire_core.backbones.sevennet:load_sevennet_mf_0",
        "sevenn": "fire_core.backbones.packaged.sevenn:SevennBackbone",
        "mattersim": "fire_core.backbones.packaged.loaders:load_mattersim",
        "orb": "fire_core.backbones.packaged.loaders:load_orb",
        "upet": "fire_core.backbones.packaged.loaders:load_upet",
        "nequix": "fire_core.backbones.packaged.loaders:load_nequix",
        "deepmd": "fire_core.backbones.packaged.loaders:load_deepmd",
        "fairchem": "fire_core.backbones.packaged.loaders:load_fairchem",
        "matgl": "fire_core.backbones.packaged.loaders:load_matgl",
        "matris": "fire_core.backbones.packaged.loaders:load_matris",
    },
)
"""Families of models beside MACE."""


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
        `fire-mini` (bundled), `chgnet`, a name of `MACE_NAMES`, the path of a MACE
        model, or what another family answers to.
    device
        `auto` takes CUDA when there is one.
    dtype
        `float32` or `float64`.
    threads
        CPU threads of torch in this process; 0 leaves them as they are.
    kernels
        What computes MACE's layers; `auto` takes cuEquivariance on a GPU where it is
        installed, else `fire`. Other families do not look at it.

    Raises
    ------
    BackboneError
        The name is unknown, the file missing, or the model cannot be fetched.
    BlobCorruptedError
        The bundled file does not match its manifest.
    """
    where = _prepare_torch(device, threads)
    family, model = _divide(name)
    if family is None:
        return _load_mace(name, where, dtype, kernels)
    _refuse_elsewhere(name, family)
    return FAMILIES.load(family)(model, device=where, dtype=dtype)


def backbone_interpreter(name: str) -> Path | None:
    """Return the Python in whose environment a backbone runs; None: in this one's.

    Raises
    ------
    BackboneError
        It needs an environment that was not made yet.
    """
    family, _ = _divide(name)
    return None if family is None else find_interpreter(family)


def load_configured(
    settings: BackboneConfig, threads: int, path: str | Path | None = None
) -> Backbone:
    """Return the foundation model of a configuration, or another in its place.

    Parameters
    ----------
    settings
        Which model, where, and in what type.
    threads
        CPU threads; 0 leaves them as they are.
    path
        File of a model fine-tuned from it.
    """
    return load_backbone(
        settings.name if path is None else same_family(settings.name, path),
        device=settings.device,
        dtype=settings.dtype,
        threads=threads,
        kernels=settings.kernels,
    )


def same_family(name: str, path: str | Path) -> str:
    """Return the name that loads a file as a model of the family that `name` is of."""
    family, _ = _divide(name)
    return str(path) if family is None else f"{family}:{path}"


def known_elements(name: str) -> frozenset[str]:
    """Return the elements that a model knows, without loading it where they are known.

    Raises
    ------
    BackboneError
        The name is unknown, the file missing, or the model cannot be fetched.
    """
    if name == BUNDLED:
        return frozenset(manifest()["elements"])
    interpreter = backbone_interpreter(name)
    if interpreter is not None:
        return describe_elsewhere(name, interpreter).elements
    family, model = _divide(name)
    if family is not None and not model:
        told: Any = getattr(FAMILIES.load(family), "elements", None)
        if isinstance(told, frozenset):
            return told
    return load_backbone(name, device="cpu").elements


def release_of(name: str) -> str:
    """Return which release of its package computes a model, here or elsewhere."""
    family, _ = _divide(name)
    if family is not None and backbone_interpreter(name) is not None:
        return requirements(family)[0].partition("==")[2]
    return version(package_of(name))


def package_of(name: str) -> str:
    """Return the distribution whose code computes a model, such as `mace-torch`."""
    family, _ = _divide(name)
    if family is None:
        return "mace-torch"
    if family.startswith("sevennet"):
        return "fire-mlip"  # FIRE's own layers on the published weights
    if family in PACKAGES:
        return PACKAGES[family].distribution
    return family if family in FAMILIES.builtin else FAMILIES.package(family)


def count_gpus() -> int:
    """Return how many CUDA devices torch sees in this process."""
    import torch

    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def model_file(name: str) -> Path | None:
    """Return the file of a model: bundled, published (fetched), or a path.

    None for a model whose weights come with the package of its family.

    Raises
    ------
    BackboneError
        The name is unknown, or the file cannot be fetched.
    """
    family, model = _divide(name)
    if family is None:
        return _mace_file(name)
    return Path(model) if has_file(name) else None


def has_file(name: str) -> bool:
    """Return whether a model has a file, or its weights come with a package."""
    family, model = _divide(name)
    return family is None or Path(model).is_file()


def is_published(name: str) -> bool:
    """Return whether a backbone has to be fetched before it is first used.

    Raises
    ------
    BackboneError
        There is no backbone of that name, and no file.
    """
    if name in MACE_NAMES:
        return True
    known = name == BUNDLED or _divide(name)[0] is not None or Path(name).is_file()
    if not known:
        raise _unknown(name)
    return False


def _divide(name: str) -> tuple[str | None, str]:
    """Return the family that answers to a name, and what is asked of it.

    None: MACE, whose names come before all others.
    """
    if name == BUNDLED or name in MACE_NAMES:
        return None, name
    family, _, model = name.partition(":")
    return (family, model) if family in FAMILIES else (None, name)


def environment_of(name: str) -> str | None:
    """Return the family whose environment a backbone may need; None: FIRE's is enough.

    Whether it is made on this machine does not matter.
    """
    family, _ = _divide(name)
    return family if family in PACKAGES else None


def _refuse_elsewhere(name: str, family: str) -> None:
    """Raise for a family that this process cannot import, naming who can."""
    interpreter = find_interpreter(family)
    if interpreter is not None:
        msg = (
            f"{name} runs in an environment of its own: steps of a campaign and "
            f"commands go there by themselves, a program of yours is run with "
            f"{interpreter}"
        )
        raise BackboneError(msg)


def _unknown(name: str) -> BackboneError:
    if Path(name).suffix or Path(name).name != name:
        return BackboneError(
            f"no file {name}: give the path of a MACE model file (of another family's "
            "as family:path), or a name that `fire backbone list` shows"
        )
    names = (BUNDLED, *FAMILIES.names(), *MACE_NAMES)
    near = difflib.get_close_matches(name, names, n=2)
    models = [f for f, p in PACKAGES.items() if f in name or name in p.models.lower()]
    meant = " or ".join(dict.fromkeys([*near, *models]))
    msg = (
        f"unknown backbone {name!r}{meant and f'; did you mean {meant}?'}: expected "
        f"one of {', '.join(names)}, or the path of a MACE model file"
    )
    return BackboneError(msg)


def _mace_file(name: str) -> Path:
    if name == BUNDLED:
        return bundled_model()
    if name in MACE_NAMES:
        from fire_core.backbones.mace import download_mace

        return download_mace(name)
    path = Path(name)
    if not path.is_file():
        raise _unknown(name)
    return path


def _load_mace(
    name: str, device: str, dtype: str, kernels: Literal["auto", Kernels]
) -> Backbone:
    from fire_core.backbones.mace import load_mace

    path = _mace_file(name)
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
