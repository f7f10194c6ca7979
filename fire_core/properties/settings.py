"""What the settings of every kind of property have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from fire_core.config.base import Part

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Earlier:
    """A finished measurement that another one goes on from.

    Attributes
    ----------
    kind
        Kind of property that it has to be.
    name
        Its name, or the beginning of its key.
    """

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Needs:
    """What a measurement needs beside its settings.

    Attributes
    ----------
    structure
        Whether it is of a structure: `system`.
    model
        Whether it is of a model: `backbone`.
    files
        Files whose content the result depends on.
    earlier
        Measurement that it goes on from; None: of no other.
    afterwards
        Settings that say how long the dynamics go on and what is made of them; the
        dynamics themselves do not depend on them.
    machine
        Whether the result depends on where it is measured: threads enter its identity.
    """

    structure: bool = True
    model: bool = True
    files: tuple[str, ...] = ()
    earlier: Earlier | None = None
    afterwards: tuple[str, ...] = ()
    machine: bool = False


class PropertySettings(Part):
    """How one kind of property is measured; each kind has settings of its own.

    A kind adds its fields, and a field `kind` that is a literal: its name.
    """

    kind: str

    def needs(self) -> Needs:
        """Return what the measurement needs: one model and one structure, for most."""
        return Needs()

    def resolve_files(self, base: Path) -> Self:
        """Return the same settings with paths of files resolved against a folder."""
        del base  # of no files, for most
        return self
