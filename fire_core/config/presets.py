"""Named theory levels for the interfaces of this project, every setting explicit.

They follow the Materials Project as far as each code can (Jain et al., APL Mater. 1
(2013) 011002; pymatgen's MPStaticSet): PBE, 0.05 eV of smearing, k-points about as
dense. Where they differ, and why:

- Fermi–Dirac smearing in place of the tetrahedron method, which gives forces of metals
  that are no derivatives of the energy, and which CP2K has not.
- No spin: none of the six interfaces is magnetic, and a spin that is zero costs twice.
  For others set `spin_polarised` and `initial_moments`.
- GTH pseudopotentials in place of PAW, in CP2K, ESPRESSO and ABINIT. Energies of
  different codes and potentials must not be mixed; forces nearly agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fire_core.config.dft import (
    AbinitTheory,
    Cp2kTheory,
    EspressoTheory,
    GpawTheory,
    VaspTheory,
)
from fire_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fire_core.config.theory import AnyDft

SHARED: Final = {
    "functional": "PBE",
    "dispersion": "none",
    "k_spacing": 0.25,
    "electronic_temperature": 580.0,
    "spin_polarised": False,
    "initial_moments": {},
    "max_iterations": 80,
}
D3: Final = {"dispersion": "D3(BJ)"}
R2SCAN: Final = {"functional": "r2SCAN"}
CP2K: Final = SHARED | {
    "release": "2023.1",
    "basis": "DZVP-MOLOPT-SR-GTH",
    "potential": "GTH-PBE",
    "cutoff": 600.0,
    "relative_cutoff": 60.0,
    "scf_tolerance": 1e-6,
}
CP2K_R2SCAN: Final = R2SCAN | {
    "basis": "DZVP-MOLOPT-SCAN-GTH",
    "potential": "GTH-SCAN",
    "cutoff": 900.0,  # meta-GGAs need finer grids
}
ESPRESSO: Final = SHARED | {
    "release": "6.7",
    "pseudopotentials": "GTH-PBE",
    "cutoff": 400.0,  # GTH potentials are hard: the stress of O and F asks for it
    "density_cutoff": 1600.0,
    "scf_tolerance": 1e-9,
}
ABINIT: Final = SHARED | {
    "release": "9.6.2",
    "pseudopotentials": "GTH-PBE",
    "cutoff": 200.0,
    "scf_tolerance": 1e-10,
}
GPAW: Final = SHARED | {
    "release": "22.8.0",
    "setups": "0.9.20000",
    "cutoff": 520.0,
    "scf_tolerance": 1e-6,
}
VASP: Final = SHARED | {
    "release": "6.4.3",
    "potentials": "MPRelaxSet",
    "potential_family": "PBE_54",
    "potential_digests": {},
    "cutoff": 520.0,
    "scf_tolerance": 1e-6,
}
PRESETS: Final[Mapping[str, AnyDft]] = {
    "cp2k-pbe": Cp2kTheory.model_validate(CP2K),
    "cp2k-pbe-d3": Cp2kTheory.model_validate(CP2K | D3),
    "cp2k-r2scan": Cp2kTheory.model_validate(CP2K | CP2K_R2SCAN),
    "espresso-pbe": EspressoTheory.model_validate(ESPRESSO),
    "espresso-pbe-d3": EspressoTheory.model_validate(ESPRESSO | D3),
    "abinit-pbe": AbinitTheory.model_validate(ABINIT),
    "abinit-pbe-d3": AbinitTheory.model_validate(ABINIT | D3),
    "gpaw-pbe": GpawTheory.model_validate(GPAW),
    "vasp-pbe": VaspTheory.model_validate(VASP),
    "vasp-pbe-d3": VaspTheory.model_validate(VASP | D3),
    "vasp-r2scan": VaspTheory.model_validate(VASP | R2SCAN | {"cutoff": 680.0}),
}


def get_preset(name: str) -> AnyDft:
    """Return a theory level by its name.

    Raises
    ------
    ConfigError
        There is none of that name; the message lists them.
    """
    if name not in PRESETS:
        msg = f"theory: expected one of {', '.join(PRESETS)}, got {name!r}"
        raise ConfigError(msg)
    return PRESETS[name]


def expand_theory(theory: Any) -> Any:
    """Return what a person wrote under `theory` with its preset filled in.

    A name alone, or `preset: NAME` beside settings that differ from it.
    """
    if isinstance(theory, str):
        return get_preset(theory).model_dump(mode="json")
    if isinstance(theory, dict) and "preset" in theory:
        rest = {key: value for key, value in theory.items() if key != "preset"}
        return get_preset(str(theory["preset"])).model_dump(mode="json") | rest
    return theory
