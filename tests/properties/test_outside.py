"""A kind of another package: four files and an entry point, and it is one of all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from ase.build import bulk
from typer.testing import CliRunner

from cli.main import app
from fire_core import extensions
from fire_core.backbones.registry import load_backbone
from fire_core.campaign_properties import (
    measure_property,
    read_measurement,
    register_property,
    write_property,
)
from fire_core.errors import ConfigError, ExtensionError
from fire_core.properties.kinds import KINDS, draw_property
from fire_core.properties.load import load_property, property_schema
from fire_core.records import PropertyResult
from fire_core.testing.properties import PropertyContract

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTSIDE: Final = Path(__file__).parent / "outside"
"""Folder of the package as an installation leaves it; no part of FIRE names it."""
KIND: Final = "cohesive_energy"
FILE: Final = """
name: licl-cohesion
threads: 1
system: {{kind: crystal, crystal: LiCl}}
measure: {{kind: cohesive_energy, box: 10}}
store: {{url: "sqlite:///{folder}/a.db", blobs: {folder}/blobs}}
"""


@pytest.fixture(scope="class")
def installed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(OUTSIDE)
        root = Path(extensions.__file__).parents[1]
        patch.setenv("PYTHONPATH", f"{OUTSIDE}:{root}")
        extensions._entry_points.cache_clear()
        yield
    extensions._entry_points.cache_clear()


@pytest.mark.usefixtures("installed")
class TestCohesiveEnergy(PropertyContract):
    kind = KIND

    @classmethod
    def inputs(cls) -> dict[str, Any]:
        atoms = bulk("LiCl", "rocksalt", a=5.1)
        return {"atoms": atoms, "backbone": load_backbone("fire-mini", device="cpu")}


@pytest.mark.usefixtures("installed")
def test_a_file_asks_for_it_and_the_store_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "cohesion.yaml"
    path.write_text(FILE.format(folder=tmp_path))
    ref = register_property(load_property(path))
    result = measure_property(ref, lambda _: None)
    (value,) = result.values
    assert value.unit == "eV/atom"
    row = read_measurement(ref)
    assert row.need_result() == result
    figures = write_property(row, tmp_path / "results")
    assert [figure.png.name for figure in figures] == ["isolated_atoms.png"]
    again: list[str] = []
    measure_property(ref, again.append)
    assert again == ["licl-cohesion is in the store already"]


@pytest.mark.usefixtures("installed")
def test_schema_and_console_show_it() -> None:
    variants = property_schema()["properties"]["measure"]["discriminator"]["mapping"]
    assert variants[KIND] == "#/$defs/CohesionSettings"
    listed = CliRunner().invoke(app, ["properties", "kinds", "--json"])
    assert KIND in {line["kind"] for line in json.loads(listed.stdout)}
    shown = CliRunner().invoke(app, ["properties", "kinds", KIND])
    assert "Edge of the cube" in shown.stdout


def test_without_its_package_it_is_unknown_and_stored_numbers_stay(
    tmp_path: Path,
) -> None:
    extensions._entry_points.cache_clear()
    path = tmp_path / "cohesion.yaml"
    path.write_text(FILE.format(folder=tmp_path))
    with pytest.raises(ConfigError, match=r"expected `kind` to be one of 'adhesion'"):
        load_property(path)
    with pytest.raises(ExtensionError, match=r"install the package that adds it"):
        KINDS.load(KIND)
    assert draw_property(KIND, PropertyResult(()), tmp_path) == []
