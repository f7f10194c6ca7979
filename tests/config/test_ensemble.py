"""Targets of thermostat and barostat, as a campaign file writes them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from fire_core.config.ensemble import target_ends
from fire_core.config.steps import DynamicsConfig


def test_a_ramp_stands_among_constant_temperatures() -> None:
    config = DynamicsConfig.model_validate({"temperatures": [300, [300, 1200]]})
    assert config.temperatures == (300.0, (300.0, 1200.0))
    assert [target_ends(t) for t in config.temperatures] == [(300, 300), (300, 1200)]
    assert config.hottest == 1200.0
    assert DynamicsConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ([[300]], "a ramp is .first, last., two temperatures"),
        ([[300, 600, 900]], "a ramp is .first, last., two temperatures"),
        ([[300, 0]], "greater than 0"),
        ([-5], "greater than 0"),
        (["hot"], "valid number"),
        ([True], "valid number"),
        ([float("inf")], "finite number"),
        ([], "at least 1 item"),
    ],
)
def test_what_is_no_temperature_is_refused_once(given: list, what: str) -> None:
    with pytest.raises(ValidationError, match=what) as caught:
        DynamicsConfig.model_validate({"temperatures": given})
    # that a list with a mistake in it is too short is left out by `config.load`
    errors = [e for e in caught.value.errors() if e["loc"] != ("temperatures",)]
    assert len(errors) == len(given)


def test_without_new_settings_dynamics_is_what_it_was() -> None:
    config = DynamicsConfig()
    assert (config.barostat, config.batch) == (None, "auto")
    assert (config.guards.on_breach, config.guards.max_uncertainty) == ("stop", None)
    for wrong in ({"batch": 0}, {"barostat": {"axes": "z"}}, {"guards": {"rewind": 1}}):
        with pytest.raises(ValidationError, match=r"batch|axes|rewind"):
            DynamicsConfig.model_validate(wrong)
