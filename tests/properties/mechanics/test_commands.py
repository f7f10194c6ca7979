"""Commands make the request that a file would, and a stored measurement goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from typer.testing import CliRunner

from cli.properties import main, running
from cli.properties.options import crystal_or_file, plain_name
from fire_core.campaign.steps.properties import (
    StoredMeasurement,
    open_measurement,
    register_property,
)
from fire_core.config.system import InterfaceSystem
from fire_core.errors import ConfigError
from fire_core.properties.adhesion.settings import AdhesionConfig
from fire_core.properties.elasticity.measure import measure
from fire_core.properties.elasticity.settings import ElasticityConfig
from fire_core.properties.load import parse_property
from fire_core.properties.thermal_elasticity.settings import ThermalElasticityConfig
from fire_core.properties.values import with_interval
from tests.properties.mechanics.conftest import values_of

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.properties.request import PropertyRequest


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[PropertyRequest]:
    """Requests that commands would measure."""
    found: list[PropertyRequest] = []
    monkeypatch.setattr(running, "measure", lambda request, **_: found.append(request))
    return found


def run(*words: str) -> None:
    done = CliRunner().invoke(main.app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_elasticity_of_a_crystal(asked: list[PropertyRequest]) -> None:
    run("elasticity", "LiF", "--symmetry", "reduce", "--repeat", "1", "1", "2")
    (request,) = asked
    assert request.name == "lif-fire-mini-elasticity"
    assert request.measure == ElasticityConfig(symmetry="reduce")
    assert request.system.model_dump()["repeat"] == (1, 1, 2)


def test_elasticity_of_a_file_at_a_temperature(
    asked: list[PropertyRequest], tmp_path: Path
) -> None:
    path = tmp_path / "cell.extxyz"
    write(path, bulk("LiF", "rocksalt", a=4.08))
    run("elasticity", str(path), "--temperature", "300", "--steps", "20000")
    (request,) = asked
    assert request.name == "cell-fire-mini-elasticity-300k"
    assert request.measure == ThermalElasticityConfig(temperature=300, steps=20_000)
    assert request.system.model_dump()["path"] == str(path)


def test_adhesion_of_a_named_interface(asked: list[PropertyRequest]) -> None:
    run("adhesion", "licl-gaf3", "--vacuum", "20", "--no-relax", "--model", "chgnet")
    (request,) = asked
    assert request.measure == AdhesionConfig(relax=False)
    assert isinstance(request.system, InterfaceSystem)
    assert request.system.vacuum == 20
    assert request.system.bottom.crystal == "LiCl"
    assert request.backbone.name == "chgnet"
    with pytest.raises(ConfigError, match="li-llzto"):
        run("adhesion", "no-such-interface")


def test_any_kind_is_measured_by_its_settings(asked: list[PropertyRequest]) -> None:
    run("measure", "phonons", "LiF", "--set", "supercell=[2, 2, 2]", "--seed", "3")
    run("measure", "adhesion", "licl-gaf3", "--set", "relax=false")
    given = "conductivity={source: given, value: 1e-3}"
    run("measure", "impedance", "--set", given, "--name", "pellet")
    phonons, adhesion, impedance = asked
    assert phonons.name == "lif-phonons"
    assert phonons.measure.model_dump()["supercell"] == (2, 2, 2)
    assert phonons.seed == 3
    assert adhesion.measure == AdhesionConfig(relax=False)
    assert isinstance(adhesion.system, InterfaceSystem)
    assert (impedance.system, impedance.backbone) == (None, None)
    with pytest.raises(ConfigError, match="did you mean `mesh`"):
        run("measure", "phonons", "LiF", "--set", "mash=3")


def test_kinds_say_what_they_measure_and_take() -> None:
    listed = CliRunner().invoke(main.app, ["kinds"], catch_exceptions=False)
    assert "bands, density of states" in " ".join(listed.stdout.split())
    shown = CliRunner().invoke(main.app, ["kinds", "phonons", "--json"])
    lines = {line["setting"]: line for line in json.loads(shown.stdout)}
    assert lines["mesh"]["default"] == "30.0"
    assert lines["displacement"]["meaning"] == "Å."


def test_names_and_systems() -> None:
    assert plain_name("My Cell_2.cif", "CAMPAIGN/m1") == "my-cell-2-campaign-m1"
    assert crystal_or_file("LiF", (2, 1, 1))["kind"] == "crystal"


def test_unknown_settings_are_refused() -> None:
    raw: dict[str, Any] = {
        "name": "x",
        "system": {"kind": "crystal", "crystal": "LiF"},
        "measure": {"kind": "elasticity", "strain": [0.01]},
    }
    with pytest.raises(ConfigError, match="did you mean `strains`"):
        parse_property(raw)
    raw["measure"] = {"kind": "elastic"}
    with pytest.raises(ConfigError, match="thermal_elasticity"):
        parse_property(raw)


def test_a_killed_measurement_goes_on_after_its_last_state(tmp_path: Path) -> None:
    """fire-mini on LiCl through the store; the second process does what is missing."""
    raw = {
        "name": "licl",
        "threads": 1,
        "system": {"kind": "crystal", "crystal": "LiCl"},
        "measure": {
            "kind": "elasticity",
            "symmetry": "reduce",
            "strains": [0.005, 0.01],
            "relax": False,
            "force_tolerance": 1e-3,
        },
        "store": {"url": f"sqlite:///{tmp_path}/f.db", "blobs": str(tmp_path / "b")},
    }
    ref = register_property(parse_property(raw))

    class KilledError(Exception):
        pass

    def stop_at_second(text: str) -> None:
        if text == "strain yz":
            raise KilledError

    with (
        pytest.raises(KilledError),
        open_measurement(ref, stop_at_second) as stored,
    ):
        measure(stored.measurement)
    computed: list[str] = []

    class Counted(StoredMeasurement):
        def save(self, name: str, data: bytes, *, shared: bool) -> None:
            computed.append(name)
            super().save(name, data, shared=shared)

    with open_measurement(ref, lambda _: None) as stored:
        stored.__class__ = Counted
        result = measure(stored.measurement)
    assert sorted(computed) == sorted(
        f"strain-yz{size:+.4f}" for size in (-0.01, -0.005, 0.005, 0.01)
    )
    values = values_of(result)
    c11, c12, c44 = (values[name].value for name in ("c11", "c12", "c44"))
    bulk_modulus = values["bulk_modulus_hill"]
    assert bulk_modulus.value == pytest.approx((c11 + 2 * c12) / 3, rel=1e-6)
    assert c11 > c12 > 0
    assert c44 > 0
    assert with_interval(bulk_modulus) == bulk_modulus
    json.dumps(result.curves)
    assert np.array(result.curves["tensor"]).shape == (6, 6)
