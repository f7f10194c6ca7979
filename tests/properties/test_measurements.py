"""Requests without a model, entered and measured; and the commands for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from fire_core.campaign.steps.properties import (
    measure_property,
    register_property,
    write_property,
)
from fire_core.errors import ConfigError, PropertyError, StoreError
from fire_core.properties.impedance.circuits import Circuit, impedance
from fire_core.properties.load import parse_property
from fire_core.properties.request import PropertyRequest
from fire_core.records import PropertyResult, PropertyValue
from fire_core.storage.properties import PropertyAsked
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from pathlib import Path

GIVEN = {"source": "given", "value": 1e-3}


def make(folder: Path, measure: dict, **more: object) -> PropertyRequest:
    store = {"url": f"sqlite:///{folder}/a.db", "blobs": str(folder / "blobs")}
    raw = {"name": "a", "measure": measure, "store": store, **more}
    return parse_property(raw, base=folder)


def run(request: PropertyRequest) -> PropertyResult:
    return measure_property(register_property(request), lambda _: None)


def number(result: PropertyResult, name: str) -> PropertyValue:
    return next(value for value in result.values if value.name == name)


def test_a_kind_says_what_it_needs_and_what_it_does_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="phonons needs a `system`"):
        make(tmp_path, {"kind": "phonons"})
    crystal = {"kind": "crystal", "crystal": "LiCl"}
    with pytest.raises(ConfigError, match="without a `system`; leave it out"):
        make(tmp_path, {"kind": "impedance", "conductivity": GIVEN}, system=crystal)
    with pytest.raises(ConfigError, match="without a `backbone`; leave it out"):
        make(
            tmp_path,
            {"kind": "impedance", "conductivity": GIVEN},
            backbone={"name": "chgnet"},
        )
    with pytest.raises(ConfigError, match=r"1 problem\n.*unknown key"):
        make(tmp_path, {"kind": "impedance", "conductivity": GIVEN, "areaa": 1})
    found = make(tmp_path, {"kind": "phonons"}, system=crystal)
    assert found.need_backbone().name == "fire-mini"
    again = PropertyRequest.model_validate_json(found.model_dump_json())
    assert again == found


def test_impedance_is_measured_without_model_and_structure(tmp_path: Path) -> None:
    request = make(tmp_path, {"kind": "impedance", "conductivity": GIVEN})
    assert request.backbone is None
    assert PropertyRequest.model_validate_json(request.model_dump_json()) == request
    result = run(request)
    assert number(result, "resistance_bulk").value == pytest.approx(100)
    with Store.open(request.store.url, request.store.blobs) as store:
        row = store.properties.need("a")
    assert (row.asked.subject, row.asked.structure) == ("given", None)
    figures = write_property(row, tmp_path / "out")
    assert {f.png.name for f in figures} == {"nyquist.png", "bode.png"}


def test_impedance_goes_on_from_a_transport_measurement(tmp_path: Path) -> None:
    source = {"source": "transport", "measurement": "li-motion"}
    measure = {"kind": "impedance", "conductivity": source}
    request = make(tmp_path, measure)
    asked = PropertyAsked(
        *("k" * 64, "li-motion", "k" * 64, "transport", "m", "s", None, "X", "{}")
    )
    values = [
        PropertyValue(
            "conductivity", s, "S/cm", s / 10, conditions={"temperature_k": t}
        )
        for s, t in ((2e-3, 300.0), (0.1, 600.0))
    ]
    with Store.open(request.store.url, request.store.blobs) as store:
        with pytest.raises(StoreError, match="no measurement is called"):
            run(request)
        store.properties.open(asked)
        with pytest.raises(StoreError, match="not finished"):
            run(request)
        store.properties.finish(asked.key, PropertyResult(tuple(values)), 1.0)
    with pytest.raises(PropertyError, match=r"300, 600 K; asked for was no temp"):
        run(request)
    source["temperature"] = 300.0
    result = run(make(tmp_path, measure))
    bulk_value = number(result, "resistance_bulk")
    assert bulk_value.value == pytest.approx(50)
    assert bulk_value.error == pytest.approx(5)


def test_measured_spectrum_is_kept_by_its_content(tmp_path: Path) -> None:
    """Moved, it is the same measurement; changed, another one."""
    f = np.geomspace(1e1, 1e7, 50)
    z = impedance(Circuit("R0-p(R1,C1)-CPE3", (1.0, 400.0, 1e-10, 1e-6, 0.9)), f)
    rows = "\n".join(f"{a},{b.real},{b.imag}" for a, b in zip(f, z, strict=True))
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text(rows)
    (tmp_path / "three.csv").write_text(rows.replace("400", "401") + "\n1e8,1,-1")
    refs = []
    for name in ("one.csv", "two.csv", "three.csv"):
        request = make(tmp_path, {"kind": "impedance", "measured": {"file": name}})
        refs.append(register_property(request).key)
    assert refs[0] == refs[1] != refs[2]
    result = run(make(tmp_path, {"kind": "impedance", "measured": {"file": "two.csv"}}))
    assert number(result, "fit_R1").value == pytest.approx(400, rel=1e-3)
    expected = 0.1 / 400
    assert number(result, "fitted_conductivity_bulk").value == pytest.approx(
        expected, rel=1e-3
    )
    assert "consistent" in number(result, "kramers_kronig_residual").note
    with pytest.raises(PropertyError, match="cannot read"):
        run(make(tmp_path, {"kind": "impedance", "measured": {"file": "none.csv"}}))


def test_structure_of_given_trajectories(tmp_path: Path) -> None:
    frames = []
    for seed in range(8):
        frame = bulk("LiCl", "rocksalt", a=5.13, cubic=True)
        frame.rattle(0.05, seed=seed)
        frames.append(frame)
    write(tmp_path / "md.xyz", frames, format="extxyz")
    measure = {"kind": "structure_check", "trajectories": ["md.xyz"], "blocks": 2}
    result = run(make(tmp_path, measure | {"cutoff": 6.0, "temperature": 300}))
    found = [v for v in result.values if v.name == "coordination_number"]
    assert {v.conditions["pair"]: v.value for v in found}["Li-Cl"] == pytest.approx(6)
    assert json.dumps(result.curves)


def test_structure_of_dynamics_goes_on_after_its_last_segment(tmp_path: Path) -> None:
    dynamics = {
        "temperatures": [300],
        "replicas": 1,
        "steps": 20,
        "save_every": 2,
        "equilibration": 4,
        "segment": 10,
    }
    measure = {
        "kind": "structure_check",
        "dynamics": dynamics,
        "blocks": 4,
        "cutoff": 5.0,
    }
    crystal = {"kind": "crystal", "crystal": "LiCl"}
    request = make(tmp_path, measure, system=crystal, threads=1)
    result = run(request)
    lattice = number(result, "lattice_a")
    assert lattice.note.startswith("given")
    with Store.open(request.store.url, request.store.blobs) as store:
        key = store.properties.need("a").asked.key
        parts = store.properties.parts(key)
    assert sorted(parts) == ["md-0000", "md-0001"]
    assert run(request) == result  # from the parts alone
