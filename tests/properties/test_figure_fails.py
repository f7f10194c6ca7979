"""A figure that cannot be drawn costs no measurement."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fire_core.campaign.steps import properties
from fire_core.records import PropertyResult, PropertyValue
from fire_core.storage.properties import PropertyAsked, PropertyRow

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_numbers_are_written_where_the_figure_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        msg = "zero-size array"
        raise ValueError(msg)

    monkeypatch.setattr(properties, "draw_property", fail)
    asked = PropertyAsked(
        key="a" * 64, name="lif", work="b" * 64, kind="elasticity",
        subject="fire-mini", subject_sha="c" * 64, structure=None, formula="FLi",
        request_json="{}",
    )  # fmt: skip
    result = PropertyResult((PropertyValue("youngs_modulus", 121.1, "GPa"),))
    row = PropertyRow(asked, result, 1.0, 0.0, 1.0)
    assert properties.write_property(row, tmp_path) == []
    kept = json.loads((tmp_path / "elasticity.json").read_text())
    assert kept["result"]["values"][0]["value"] == 121.1
    assert "figures could not be drawn" in caplog.text
