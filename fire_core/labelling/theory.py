"""The theory level: everything that changes a label, under one fingerprint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from fire_core.config.dft import NOT_IN_FINGERPRINT, DftTheory

if TYPE_CHECKING:
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


def theory_from_config(config: TheoryConfig) -> Theory:
    """Return the theory level that a campaign asks for.

    A teacher given as a file is identified by the file's sha256, not by its path.
    """
    if config.kind == "xtb":
        settings: dict[str, object] = {
            "method": config.method,
            "accuracy": config.accuracy,
            "electronic_temperature_k": config.electronic_temperature,
            # The iteration limit decides whether a label exists, never its value.
        }
        return Theory("tblite", version("tblite"), _canonical(settings))
    if isinstance(config, DftTheory):
        settings = config.model_dump(mode="json", exclude=set(NOT_IN_FINGERPRINT))
        if config.revision > 1:
            settings["revision"] = config.revision
        return Theory(config.kind, config.release, _canonical(settings))
    if config.kind == "lennard_jones":
        settings = config.model_dump(mode="json", exclude={"kind"})
        return Theory("ase/lj", version("ase"), _canonical(settings))
    from fire_core.backbones.registry import package_of

    path = Path(config.backbone)
    name = (
        f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        if path.is_file()
        else config.backbone
    )
    code = package_of(config.backbone)
    return Theory(f"teacher/{code}", version(code), _canonical({"model": name}))


def _canonical(settings: dict[str, object]) -> str:
    return json.dumps(settings, sort_keys=True)
