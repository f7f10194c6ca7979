"""Packages of foundation models that live in an environment of their own.

What a family needs is pinned in `NAME.txt` beside this module, one requirement a line,
installed without looking for dependencies: what is not named there is FIRE's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Package:
    """A family of models and the package that computes it.

    Attributes
    ----------
    family
        As `backbone.name` says it, alone or before a colon.
    distribution
        On the package index.
    module
        What Python imports of it.
    models
        What its authors call the models.
    default
        Model that the bare name of the family stands for.
    licence
        Of the package's code, as its wheel says; weights may have their own.
    elements
        What the published models know, in words.
    weights
        Where the weights come from.
    trained
        Whether FIRE fine-tunes it.
    removed
        Files of its wheel that cannot be used with FIRE's torch; it does without them.
    """

    family: str
    distribution: str
    module: str
    models: str
    default: str
    licence: str
    elements: str
    weights: str
    trained: bool = False
    removed: tuple[str, ...] = ()


_FETCHED = "fetched by the package when they are first used"

PACKAGES: Final[Mapping[str, Package]] = {
    package.family: package
    for package in (
        Package(
            family="sevenn",
            distribution="sevenn",
            module="sevenn",
            models="SevenNet-0, SevenNet-l3i5",
            default="sevennet-0",
            licence="MIT",
            elements="89",
            weights="in the wheel",
            trained=True,
        ),
        Package(
            family="mattersim",
            distribution="mattersim",
            module="mattersim",
            models="MatterSim v1",
            default="mattersim-v1.0.0-1m",
            licence="MIT",
            elements="89",
            weights=_FETCHED,
        ),
        Package(
            family="orb",
            distribution="orb-models",
            module="orb_models",
            models="Orb v2, v3",
            default="orb-v3-conservative-inf-omat",
            licence="Apache-2.0",
            elements="89",
            weights=_FETCHED,
        ),
        Package(
            family="upet",
            distribution="upet",
            module="upet",
            models="PET-MAD, PET-OMat, PET-OAM",
            default="pet-mad-s",
            licence="BSD-3-Clause",
            elements="varies",
            weights=_FETCHED,
        ),
        Package(
            family="nequix",
            distribution="nequix",
            module="nequix",
            models="Nequix MP, OMat, OAM",
            default="nequix-mp-1",
            licence="MIT",
            elements="varies",
            weights=_FETCHED,
        ),
        Package(
            family="deepmd",
            distribution="deepmd-kit",
            module="deepmd",
            models="DPA-2, DPA-3",
            default="",
            licence="LGPL-3.0-or-later",
            elements="varies",
            weights="by path: the authors publish files",
            # operators that were compiled for torch 2.11; there are Python ones
            removed=("deepmd/lib/libdeepmd_op_pt.so",),
        ),
        Package(
            family="fairchem",
            distribution="fairchem-core",
            module="fairchem.core",
            models="eSEN, UMA",
            default="uma-s-1p1",
            licence="MIT",
            elements="89",
            weights=f"{_FETCHED}, after a licence is agreed to",
        ),
        Package(
            family="matgl",
            distribution="matgl",
            module="matgl",
            models="M3GNet, TensorNet, CHGNet",
            default="TensorNet-MatPES-PBE-v2025.1-PES",
            licence="BSD-3-Clause",
            elements="89",
            weights=_FETCHED,
        ),
        Package(
            family="matris",
            distribution="matris",
            module="matris",
            models="MatRIS",
            default="matris_10m_oam",
            licence="BSD-3-Clause",
            elements="89",
            weights=_FETCHED,
        ),
    )
}
"""By family, in the order of lists."""


def requirements(family: str) -> list[str]:
    """Return what the environment of a family holds beside FIRE's, all pinned."""
    text = files(__package__).joinpath(f"{family}.txt").read_text(encoding="utf-8")
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]
