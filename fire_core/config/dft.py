"""Density-functional theory levels: every setting that a label depends on, by code.

What only decides whether and how fast a label comes (iteration limits, cores, paths)
is not part of a fingerprint; see `NOT_IN_FINGERPRINT`.
"""

from __future__ import annotations

from typing import Final, Literal

from ase.data import chemical_symbols
from pydantic import Field, field_validator

from fire_core.config.base import Count, NonNegative, Part, Positive

NOT_IN_FINGERPRINT: Final = frozenset({"kind", "release", "max_iterations"})
"""Settings that change no label, or that a fingerprint holds elsewhere."""


class DftTheory(Part):
    """What every code is told."""

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
    insulators only. Energies are free energies, which the forces belong to."""
    spin_polarised: bool = False
    """Separate densities for the two spins."""
    initial_moments: dict[str, float] = Field(default_factory=dict)
    """Magnetic moment that an element's atoms start with, Bohr magnetons."""
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

    kind: Literal["espresso"] = "espresso"
    release: str = "6.7"
    pseudopotentials: Literal["GTH-PBE"] | dict[str, str] = "GTH-PBE"
    """`GTH-PBE` takes those that CP2K ships; else for each element
    `FILE sha256:DIGEST`, as `fire theory pseudopotentials FOLDER` writes them."""
    cutoff: Positive = 100.0
    """Of the wave functions, Ry."""
    density_cutoff: Positive = 400.0
    """Of density and potential, Ry; four times `cutoff` for norm-conserving ones."""
    scf_tolerance: Positive = 1e-9
    """conv_thr for each atom, Ry."""
