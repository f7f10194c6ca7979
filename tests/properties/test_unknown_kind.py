"""A kind whose package is not installed here: told, and its stored numbers stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fire_core.errors import ConfigError, ExtensionError
from fire_core.properties.kinds import KINDS, draw_property
from fire_core.properties.load import parse_property
from fire_core.records import PropertyResult

if TYPE_CHECKING:
    from pathlib import Path

KIND = "cohesive_energy"  # of tests/plugin


def test_it_is_refused_by_the_names_that_there_are() -> None:
    raw = {
        "name": "licl-cohesion",
        "system": {"kind": "crystal", "crystal": "LiCl"},
        "measure": {"kind": KIND, "box": 10},
    }
    with pytest.raises(ConfigError, match=r"expected `kind` to be one of 'adhesion'"):
        parse_property(raw)
    with pytest.raises(ExtensionError, match=r"install the package that adds it"):
        KINDS.load(KIND)


def test_what_the_store_has_of_it_is_shown_without_figures(tmp_path: Path) -> None:
    assert draw_property(KIND, PropertyResult(()), tmp_path) == []
