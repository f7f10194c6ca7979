"""Density-functional theory levels: every setting that a label depends on, by code.

What only decides whether and how fast a label comes (iteration limits, cores, paths)
is not part of a fingerprint; see `NOT_IN_FINGERPRINT`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from ase.data import chemical_symbols
from pydantic import Field, field_validator, model_validator

from fire_core.config.base import Count, NonNegative, Positive, TheorySettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NOT_IN_FINGERPRINT: Final = frozenset({"kind", "release", "max_iterations"})
"""Settings that change no label, or that a fingerprint holds elsewhere."""
FINER_UPWARDS: Final = MappingProxyType(
    {
        "cutoff": True,
        "relative_cutoff": True,
        "density_cutoff": True,
        "k_spacing": False,
        "electronic_temperature": False,
        "scf_tolerance": False,
    }
)
"""Settings that can be scanned; whether a larger value is the finer one."""


class DftTheory(TheorySettings):
    """What every code is told."""

    revision: ClassVar[int] = 1
    """Of the input that FIRE writes: raised where the same settings give other labels,
    so that old and new ones are not mixed."""
    scanned: ClassVar[Mapping[str, bool]] = FINER_UPWARDS
    kind: str
    """Which code."""
    release: str
    """Release of the code; labellers refuse to run another one."""
    functional: Literal["PBE", "r2SCAN"] = "PBE"
    """Exchange and correlation."""
    dispersion: Literal["none", "D3", "D3(BJ)"] = "none"
    """Grimme's D3 with zero or Becke–Johnson damping."""
    k_spacing: Positive = 0.25
    """Largest distance between k-points, 1/Å with the factor 2π, as VASP's KSPACING; a
    Monkhorst–Pack mesh."""
    electronic_temperature: NonNegative = 580.0
    """Fermi–Dirac smearing, K; 580 K are 0.05 eV. 0 fixes the occupations, for
    insulators only. Energies are the free energies of which the forces are
    the derivatives."""
    spin_polarised: bool = False
    """Separate densities for the two spins."""
    initial_moments: dict[str, float] = Field(default_factory=dict)
    """Magnetic moment that an element's atoms start with, Bohr magnetons. With fixed
    occupations their sum is the moment of the cell."""
    max_iterations: Count = 80
    """SCF iterations before the remedy is tried, which takes four times as many."""

    @field_validator("initial_moments")
    @classmethod
    def _known_elements(cls, moments: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(moments) - set(chemical_symbols[1:]))
        if unknown:
            msg = f"chemical symbols, got {', '.join(unknown)}"
            raise ValueError(msg)
        return moments

    def fixed_moment(self, symbols: Iterable[str]) -> float | None:
        """Return the moment that fixed occupations need; None where it is free."""
        if not self.spin_polarised or self.electronic_temperature > 0:
            return None
        return sum(self.initial_moments.get(symbol, 0.0) for symbol in symbols)


class Cp2kTheory(DftTheory):
    """CP2K's Gaussian and plane waves (GPW) with GTH pseudopotentials."""

    kind: Literal["cp2k"] = "cp2k"
    release: str = "2023.1"
    basis: str = "DZVP-MOLOPT-SR-GTH"
    """Basis set of every element, as CP2K's files name it."""
    potential: str = "GTH-PBE"
    """Pseudopotential of every element, as CP2K's files name it."""
    cutoff: Positive = 600.0
    """Plane-wave cutoff of the finest density grid, Ry."""
    relative_cutoff: Positive = 60.0
    """Cutoff that decides which grid a Gaussian is put on, Ry."""
    scf_tolerance: Positive = 1e-6
    """EPS_SCF."""


class EspressoTheory(DftTheory):
    """Plane waves by Quantum ESPRESSO's pw.x."""

    revision: ClassVar[int] = 2  # GTH as UPF, no symmetry
    kind: Literal["espresso"] = "espresso"
    release: str = "6.7"
    functional: Literal["PBE"] = "PBE"
    """pw.x 6.7 stops at r2SCAN."""
    pseudopotentials: Literal["GTH-PBE"] | dict[str, str] = "GTH-PBE"
    """`GTH-PBE` takes those that CP2K ships; else for each element
    `FILE sha256:DIGEST`, as `fire theory pseudopotentials FOLDER` writes them."""
    cutoff: Positive = 100.0
    """Of the wave functions, Ry."""
    density_cutoff: Positive = 400.0
    """Of density and potential, Ry; four times `cutoff` for norm-conserving ones."""
    scf_tolerance: Positive = 1e-9
    """conv_thr for each atom, Ry."""


class AbinitTheory(DftTheory):
    """Plane waves by ABINIT with norm-conserving pseudopotentials.

    No r2SCAN, at which ABINIT 9.6 stops with these pseudopotentials; no D3 with zero
    damping, where it gave three times the energy of CP2K and Quantum ESPRESSO.
    """

    kind: Literal["abinit"] = "abinit"
    release: str = "9.6.2"
    functional: Literal["PBE"] = "PBE"
    """ABINIT 9.6 computes no meta-GGA with these pseudopotentials."""
    dispersion: Literal["none", "D3(BJ)"] = "none"
    """With Becke–Johnson damping only: for LiH ABINIT 9.6's D3 with zero damping gave
    three times the energy that CP2K and Quantum ESPRESSO agree on."""
    pseudopotentials: Literal["GTH-PBE"] | dict[str, str] = "GTH-PBE"
    """`GTH-PBE` takes those that CP2K ships; else for each element
    `FILE sha256:DIGEST`, as `fire theory pseudopotentials FOLDER` writes them."""
    cutoff: Positive = 50.0
    """Of the wave functions, hartree; half of Quantum ESPRESSO's number in Ry."""
    scf_tolerance: Positive = 1e-10
    """tolvrs, squared residual of the potential."""


class GpawTheory(DftTheory):
    """Projector-augmented waves by GPAW, in its plane-wave mode.

    PBE without dispersion only: GPAW 22.8 has no stress of a meta-GGA and no D3.
    """

    kind: Literal["gpaw"] = "gpaw"
    release: str = "22.8.0"
    functional: Literal["PBE"] = "PBE"
    """GPAW 22.8 has no stress of a meta-GGA."""
    dispersion: Literal["none"] = "none"
    """GPAW has no D3 of its own."""
    setups: Literal["0.9.20000"] = "0.9.20000"
    """Release of the PAW datasets; a machine with others is refused."""
    cutoff: Positive = 520.0
    """Of the wave functions, eV."""
    scf_tolerance: Positive = 1e-6
    """Convergence of the density, electrons for each valence electron."""


class VaspTheory(DftTheory):
    """Projector-augmented waves by VASP, set as the Materials Project sets it."""

    kind: Literal["vasp"] = "vasp"
    release: str = "6.4.3"
    potentials: Literal["MPRelaxSet"] | dict[str, str] = "MPRelaxSet"
    """`MPRelaxSet` takes the POTCARs of the Materials Project; else one for each
    element, such as `Li_sv`."""
    potential_family: Literal["PBE", "PBE_52", "PBE_54", "PBE_64"] = "PBE"
    """Set of POTCARs, as pymatgen names it; the Materials Project takes `PBE`, and
    `PBE_54` with r2SCAN."""
    potential_digests: dict[str, str] = Field(default_factory=dict)
    """First digits of the sha256 of an element's POTCAR; others are refused."""
    cutoff: Positive = 520.0
    """ENCUT, eV; the Materials Project takes 680 with r2SCAN."""
    scf_tolerance: Positive = 1e-6
    """EDIFF for each atom, eV; the Materials Project's 5e-5 is too coarse for
    forces."""

    @model_validator(mode="after")
    def _has_kinetic_energy(self) -> VaspTheory:
        if self.functional == "r2SCAN" and self.potential_family == "PBE":
            msg = (
                "potential_family PBE_52 or newer with r2SCAN, as the older POTCARs "
                "lack the kinetic energy density of the core"
            )
            raise ValueError(msg)
        return self
