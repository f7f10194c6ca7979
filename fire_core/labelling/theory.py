"""The theory level: everything that changes a label, under one fingerprint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fire_core.config.open_sets import LABELLERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fire_core.config.theory import TheoryConfig


@dataclass(frozen=True, slots=True)
class Theory:
    """A method with every setting that a label depends on.

    Attributes
    ----------
    code, version
        The program that computes, and its release.
    settings_json
        Canonical JSON of the settings.
    """

    code: str
    version: str
    settings_json: str

    @property
    def fingerprint(self) -> str:
        """First 16 hex digits of the sha256 of code, version and settings."""
        text = json.dumps([self.code, self.version, json.loads(self.settings_json)])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def describe(self) -> str:
        """Return the theory level in one line for a person."""
        settings = json.loads(self.settings_json)
        shown = ", ".join(f"{key} {value}" for key, value in sorted(settings.items()))
        return f"{self.code} {self.version}: {shown}"


def make_theory(code: str, version: str, settings: Mapping[str, Any]) -> Theory:
    """Return the theory level of a code in a release with its settings."""
    return Theory(code, version, json.dumps(dict(settings), sort_keys=True))


def theory_from_config(config: TheoryConfig) -> Theory:
    """Return the theory level that a campaign asks for, as its labeller tells it.

    Raises
    ------
    ExtensionError
        There is no labeller of that kind.
    """
    theory: Theory = LABELLERS.load(config.kind).identify(config)
    return theory
