"""An element that nobody knows is refused before anything is spent."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
from ase.build import bulk

from fire_core.campaign.steps.perturbing import refuse_unknown_elements
from fire_core.config.campaign import CampaignConfig
from fire_core.errors import BackboneError, UnknownElementError

BASE = {"name": "x", "system": {"kind": "file", "path": "x.xyz"}}


@pytest.mark.parametrize(
    ("symbols", "changes", "message"),
    [
        ("PuO", {}, r"backbone fire-mini does not know Pu of OPu; .*`backbone.name`"),
        ("PuO", {"backbone": {"name": "chgnet"}}, r"labeller xtb does not know Pu"),
        (
            "CsF",
            {
                "backbone": {"name": "chgnet"},
                "theory": {"kind": "teacher", "backbone": "fire-mini"},
            },
            r"labeller teacher does not know Cs",
        ),
    ],
)
def test_model_and_labeller_are_asked_first(
    symbols: str, changes: dict[str, object], message: str
) -> None:
    config = CampaignConfig.model_validate(BASE | changes)
    with pytest.raises(UnknownElementError, match=message):
        refuse_unknown_elements([bulk(symbols, "rocksalt", a=4.8)], config)


def test_what_is_known_passes_and_is_left_alone() -> None:
    salt = bulk("LiCl", "rocksalt", a=5.1)
    refuse_unknown_elements([salt], CampaignConfig.model_validate(BASE))
    assert salt == bulk("LiCl", "rocksalt", a=5.1)


def test_a_model_that_cannot_explore_is_refused_before_a_label_is_paid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = "tests.plugin.src.fire_plugin_example.backbone"
    point = EntryPoint("pair", f"{module}:load_pair", "fire.backbones")
    monkeypatch.setattr("fire_core.extensions._entry_points", lambda _: (point,))
    config = CampaignConfig.model_validate(BASE | {"backbone": {"name": "pair"}})
    salt = bulk("LiCl", "rocksalt", a=5.1)
    with pytest.raises(BackboneError, match="pair cannot drive batched dynamics"):
        refuse_unknown_elements([salt], config)
