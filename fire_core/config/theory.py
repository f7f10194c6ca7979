"""Which method labels the structures."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Final, Literal

from fire_core.config.base import Count, Part, Positive, TheorySettings
from fire_core.config.dft import (
    AbinitTheory,
    Cp2kTheory,
    EspressoTheory,
    GpawTheory,
    VaspTheory,
)
from fire_core.config.open_sets import LABELLERS
from fire_core.config.variants import VariantOf


class XtbTheory(TheorySettings):
    """GFN-xTB by tblite: an electronic-structure method, not DFT."""

    kind: Literal["xtb"] = "xtb"
    method: Literal["GFN1-xTB", "GFN2-xTB"] = "GFN1-xTB"
    """Parametrisation; GFN1-xTB is the one tblite supports for periodic cells."""
    accuracy: Positive = 1.0
    """tblite's accuracy factor; smaller is tighter."""
    electronic_temperature: Positive = 300.0
    """Fermi smearing, K."""
    max_iterations: Count = 250
    """Most SCF iterations."""


class TeacherTheory(TheorySettings):
    """Labels from another potential, for rehearsals."""

    kind: Literal["teacher"] = "teacher"
    backbone: str
    """Name of a backbone (`fire-mini`, `chgnet`, a MACE name or a path)."""


class LennardJonesTheory(TheorySettings):
    """A pair potential that takes milliseconds and is right for nothing here.

    It rehearses pools, databases and approvals before core-hours are spent.
    """

    kind: Literal["lennard_jones"] = "lennard_jones"
    epsilon: Positive = 0.01
    """Depth of the well, eV."""
    sigma: Positive = 2.3
    """Distance of zero energy, Å."""
    cutoff: Positive = 6.0
    """Where the smoothed potential ends, Å."""


AnyDft = Cp2kTheory | EspressoTheory | AbinitTheory | GpawTheory | VaspTheory
OWN_THEORIES: Final = MappingProxyType(
    {
        "xtb": XtbTheory,
        "teacher": TeacherTheory,
        "lennard_jones": LennardJonesTheory,
        "cp2k": Cp2kTheory,
        "espresso": EspressoTheory,
        "abinit": AbinitTheory,
        "gpaw": GpawTheory,
        "vasp": VaspTheory,
    }
)
"""Settings that are here; those of other labellers are what these say of themselves."""
TheoryConfig = Annotated[TheorySettings, VariantOf(LABELLERS, OWN_THEORIES)]


class LabelConfig(Part):
    """How labelling runs; none of this can change a label."""

    workers: Count = 2
    """Labelling processes at once on a machine."""
    machines: Count = 1
    """Label runs at once; with a service, each on a machine of the CPU pool."""
    batch: Count | None = None
    """Labels after which a labelling process is replaced by a fresh one; left out: some
    minutes of work, from what past labels of the theory took."""
    lease: Positive = 60.0
    """Seconds until a silent worker's claim expires."""
    max_attempts: Count = 3
    """Claims of one label before it is given up as failed."""
    timeout: Positive = 600.0
    """Wall-clock seconds that one structure may take."""
    cores: Count = 1
    """Cores of each labelling process's electronic-structure code (MPI ranks)."""
    restart: bool = True
    """Start a calculation from the wave functions or the density of the nearest
    finished structure of the same atoms on this machine."""
