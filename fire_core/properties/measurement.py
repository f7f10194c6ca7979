"""What every kind measures with: request, structure, model, parts that are done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from fire_core.errors import PropertyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

    from fire_core.backbones.base import Backbone
    from fire_core.config.theory import TheoryConfig
    from fire_core.properties.request import PropertyRequest
    from fire_core.records import PropertyResult

Settings = TypeVar("Settings")


class PartStore(Protocol):
    """Finished parts of a measurement, kept by name.

    Shared parts are those of molecular dynamics that other measurements may use which
    differ in their length or analysis alone.
    """

    def has(self, name: str, *, shared: bool) -> bool:
        """Return whether a part is done."""

    def read(self, name: str, *, shared: bool) -> bytes:
        """Return a part that is done."""

    def save(self, name: str, data: bytes, *, shared: bool) -> None:
        """Keep a finished part."""


class Inputs(Protocol):
    """What a measurement is of; loaded when it is asked for."""

    def structure(self) -> Atoms:
        """Return the structure."""

    def backbone(self) -> Backbone:
        """Load the model."""

    def file(self, path: str) -> bytes:
        """Return what a file of the settings held when they were entered."""

    def earlier(self) -> tuple[str, PropertyResult]:
        """Return name and result of the measurement that this one goes on from."""

    def labeller(self, theory: TheoryConfig) -> Callable[[Atoms], object]:
        """Return a function that computes a label and keeps nothing."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement while it runs.

    Attributes
    ----------
    request
        Every setting.
    subject
        Name of the model, or of what else is measured.
    inputs
        Structure, model and files.
    parts
        Where finished parts are kept.
    log
        Takes a sentence about what is being done.
    """

    request: PropertyRequest
    subject: str
    inputs: Inputs
    parts: PartStore
    log: Callable[[str], None]

    def settings(self, kind: type[Settings]) -> Settings:
        """Return what is measured and how.

        Raises
        ------
        PropertyError
            The settings are those of another kind.
        """
        settings = self.request.measure
        if not isinstance(settings, kind):
            msg = (
                f"expected settings of {kind.__name__}, {self.request.name} is a "
                f"measurement of {settings.kind}; measure it with that kind"
            )
            raise PropertyError(msg)
        return settings

    def part(
        self, name: str, compute: Callable[[], bytes], *, shared: bool = False
    ) -> bytes:
        """Return a part of the measurement: kept before, or computed and kept.

        Work that took long is cut into parts; a measurement that was killed does only
        those again that are missing.
        """
        if not self.parts.has(name, shared=shared):
            self.parts.save(name, compute(), shared=shared)
        return self.parts.read(name, shared=shared)

    def json_part(
        self, name: str, compute: Callable[[], Any], *, shared: bool = False
    ) -> Any:
        """Return a part that is plain numbers, lists and mappings; see `part`."""

        def encoded() -> bytes:
            return json.dumps(compute()).encode()

        return json.loads(self.part(name, encoded, shared=shared))
