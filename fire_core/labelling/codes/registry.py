"""Which program computes which density-functional theory level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fire_core.labelling.codes import abinit, cp2k, espresso, gpaw, vasp

if TYPE_CHECKING:
    from fire_core.config.dft import DftTheory
    from fire_core.labelling.program import Program

PROGRAMS: Final = {
    "abinit": abinit.PROGRAM,
    "cp2k": cp2k.PROGRAM,
    "espresso": espresso.PROGRAM,
    "gpaw": gpaw.PROGRAM,
    "vasp": vasp.PROGRAM,
}


def program_of(theory: DftTheory) -> Program:
    """Return the code of a theory level."""
    return PROGRAMS[theory.kind]
