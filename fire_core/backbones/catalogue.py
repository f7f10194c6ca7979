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
    return [*_ours(), *(_packaged(family) for family in PACKAGES), *_added()]


def install(
    name: str, say: Callable[[str], None] = lambda _: None, *, again: bool = False
) -> Path | None:
    """Install the model or the family of a name; return where it is.

    Raises
    ------
    BackboneError
        There is nothing to install of that name, or it cannot be installed.
    """
    family = name.partition(":")[0]
    if family in PACKAGES:
        return install_environment(family, say, again=again)
    if name in {entry.name for entry in (*_ours(), *_added())} or name in MACE_NAMES:
        msg = f"{name} needs no installation; try it with `fire backbone check {name}`"
        raise BackboneError(msg)
    msg = (
        f"there is nothing to install of the name {name!r}: expected one of "
        f"{', '.join(PACKAGES)}"
    )
    raise BackboneError(msg)


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


def _added() -> list[Entry]:
    """Return families beside MACE that run in FIRE's own environment."""
    found = []
    for family in FAMILIES.names():
        if family in PACKAGES:
            continue
        loader = FAMILIES.load(family)
        elements = getattr(loader, "elements", None)
        found.append(
            Entry(
                name=family,
                family=family,
                models=(loader.__doc__ or family).splitlines()[0].rstrip("."),
                environment=None,
                ready=True,
                mend="",
                licence="BSD-3-Clause" if family == "chgnet" else "of its package",
                elements=str(len(elements)) if elements else "of the model",
                weights="in the wheel" if family == "chgnet" else "of its package",
                trained=hasattr(loader, "network"),
                dynamics=hasattr(loader, "torch_sim_model"),
                features=hasattr(loader, "atom_features"),
                export="",
            )
        )
    return found
