"""Electronic-structure programs as labellers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ase.data import chemical_symbols, ground_state_magnetic_moments

from fire_core.config.dft import NOT_IN_FINGERPRINT, DftTheory
from fire_core.errors import ConfigError
from fire_core.labelling.labeller import Labeller, labeller_of
from fire_core.labelling.program import check_program, compute
from fire_core.labelling.theory import Theory, make_theory

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from fire_core.labelling.program import Program, Resources
    from fire_core.records import Label

GAMMA: Final = 1.0  # 1/Å, wider than 2π over any edge of an isolated atom's cell
LOOSER: Final = 100.0
"""An energy is of second order in what is left of an SCF, and an atom has no forces."""
HUND: Final = {
    symbol: float(moment)
    for symbol, moment in zip(
        chemical_symbols, ground_state_magnetic_moments, strict=False
    )
    if moment > 0
}


@dataclass(frozen=True)
class ProgramLabeller(Labeller[DftTheory]):
    """An electronic-structure program that FIRE runs.

    Attributes
    ----------
    settings
        Its theory level.
    program
        How it is called and what it says.
    """

    settings: type[DftTheory]
    program: Program

    def identify(self, theory: DftTheory) -> Theory:
        """Return the release that is asked for, and the settings of its input."""
        settings = theory.model_dump(mode="json", exclude=set(NOT_IN_FINGERPRINT))
        if theory.revision > 1:
            settings["revision"] = theory.revision
        return make_theory(theory.kind, theory.release, settings)

    def elements(self, theory: DftTheory) -> frozenset[str]:
        """Return the elements that the program has what it needs of."""
        return self.program.elements(theory)

    def compute(
        self, theory: DftTheory, atoms: Atoms, folder: Path, machine: Resources
    ) -> Label:
        """Run the program; see `program.compute`."""
        return compute(self.program, theory, atoms, folder, machine)

    def check_ready(self, theory: DftTheory) -> None:
        """Raise ConfigError unless the program is here in its release."""
        check_program(self.program, theory)

    def for_isolated_atom(self, theory: DftTheory) -> DftTheory:
        """Return the level with what an open shell needs.

        Both spins, the moment of Hund's rules, fixed occupations (a smeared p shell
        oscillates between its orbitals), the Γ point.
        """
        fields = theory.model_dump()
        changes = {
            "scf_tolerance": LOOSER * fields["scf_tolerance"],
            "k_spacing": GAMMA,
            "electronic_temperature": 0.0,
            "spin_polarised": True,
            "initial_moments": HUND | theory.initial_moments,
        }
        return type(theory).model_validate(fields | changes)


def program_of(theory: DftTheory) -> Program:
    """Return the program of a theory level.

    Raises
    ------
    ConfigError
        Something else labels at it.
    """
    labeller = labeller_of(theory)
    if not isinstance(labeller, ProgramLabeller):
        msg = (
            f"expected a density-functional theory level, got {theory.kind!r}, which "
            "no program computes"
        )
        raise ConfigError(msg)
    return labeller.program
