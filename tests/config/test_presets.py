"""Named theory levels: complete, distinct, and good for every system of the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ase import Atoms

from fire_core.config.load import parse_campaign
from fire_core.config.presets import PRESETS
from fire_core.errors import ConfigError
from fire_core.labelling.run import known_elements
from fire_core.labelling.theory import theory_from_config

if TYPE_CHECKING:
    from typing import Any

SYSTEM = {"kind": "file", "path": "cell.cif"}
SIX_INTERFACES = "LiNaSSbPClBOCFLaZrGaTaAlNb"
WITHOUT_LANTHANUM = {"cp2k-r2scan", "gpaw-pbe"}  # no basis set, no PAW dataset


def theory(written: Any) -> Any:
    return parse_campaign({"name": "a", "system": SYSTEM, "theory": written}).theory


@pytest.mark.parametrize("name", PRESETS)
def test_every_setting_is_explicit_and_every_system_is_known(name: str) -> None:
    preset = PRESETS[name]
    assert preset.model_fields_set | {"kind"} == set(type(preset).model_fields)
    missing = set(Atoms(SIX_INTERFACES).symbols) - known_elements(preset)
    assert missing == ({"La"} if name in WITHOUT_LANTHANUM else set())


def test_names_are_different_theories() -> None:
    assert len({theory_from_config(p).fingerprint for p in PRESETS.values()}) == len(
        PRESETS
    )


def test_a_campaign_names_a_preset_and_may_change_it() -> None:
    assert theory("cp2k-pbe") == PRESETS["cp2k-pbe"]
    finer = theory({"preset": "cp2k-pbe", "cutoff": 800})
    assert finer == PRESETS["cp2k-pbe"].model_copy(update={"cutoff": 800.0})
    with pytest.raises(ConfigError, match=r"one of cp2k-pbe, .*got 'pbe'"):
        theory("pbe")
    with pytest.raises(ConfigError, match="cutof"):
        theory({"preset": "cp2k-pbe", "cutof": 800})
