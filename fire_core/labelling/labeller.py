"""What a labeller is: the settings that it takes, what it can do, how it computes.

A labeller is found by the `kind` of its settings, in `config.open_sets.LABELLERS`. All
are equal: tblite, a pair potential, another potential, a density-functional program,
and those that other packages add by an entry point in the group `fire.labellers`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, cast

from fire_core.config.base import TheorySettings
from fire_core.config.open_sets import LABELLERS

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    from fire_core.labelling.program import Resources
    from fire_core.labelling.theory import Theory
    from fire_core.records import FailureKind, Label

Settings = TypeVar("Settings", bound=TheorySettings)


class Labeller(Protocol[Settings]):
    """A method that labels structures; a subclass inherits what has a body here.

    Attributes
    ----------
    settings
        Its part of a campaign file, `theory: {kind: …}`.
    causes
        Patterns in the messages of its exceptions that tell why it failed; first match
        counts. A `LabellingError` tells that itself.
    """

    settings: type[Settings]
    causes: ClassVar[tuple[tuple[FailureKind, str], ...]] = ()

    @abstractmethod
    def identify(self, theory: Settings) -> Theory:
        """Return code, release and all settings that can change a label.

        The same labels have the same fingerprint, and others another one.
        """

    @abstractmethod
    def elements(self, theory: Settings) -> frozenset[str]:
        """Return the symbols of the elements that it can label."""

    @abstractmethod
    def compute(
        self, theory: Settings, atoms: Atoms, folder: Path, machine: Resources
    ) -> Label:
        """Return energy (eV), forces (eV/Å) and stress (eV/Å³, None without a cell).

        Parameters
        ----------
        theory
            What it is told.
        atoms
            The structure, which stays as it is.
        folder
            An empty folder for its files.
        machine
            Cores, and the folder of restart files.

        Raises
        ------
        LabellingError
            There is no label that a calculation can mean; an SCF that did not
            converge is one reason. Any other exception counts as that too.
        """

    def check_ready(self, theory: Settings) -> None:  # noqa: ARG002 - for subclasses
        """Raise ConfigError unless this machine can compute its labels."""
        return

    def interpreter(self, theory: Settings) -> Path | None:  # noqa: ARG002 - as above
        """Return the Python whose environment computes its labels; None: this one's."""
        return None

    def load_libraries(self, theory: Settings) -> None:  # noqa: ARG002 - as above
        """Import what its labels need.

        A time limit that strikes in the middle of an import leaves half a module
        behind, on which every later label of the process would break.
        """
        return

    def for_isolated_atom(self, theory: Settings) -> Settings:
        """Return the level at which isolated atoms of a theory level are labelled."""
        return theory


def labeller_of(theory: TheorySettings) -> Labeller[Any]:
    """Return the labeller of a theory level.

    Raises
    ------
    ExtensionError
        There is none of that kind; the message lists those that there are.
    """
    return cast("Labeller[Any]", LABELLERS.load(theory.kind))
