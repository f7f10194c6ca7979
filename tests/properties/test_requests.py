"""A measurement is one content: asked twice it is one, killed it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ase.build import bulk

from fire_core.campaign.steps.properties import open_measurement, register_property
from fire_core.errors import ConfigError, LeaseLostError, UnknownElementError
from fire_core.properties.load import parse_property
from fire_core.records import PropertyResult, PropertyValue
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from fire_core.campaign.steps.properties import PropertyRef
    from fire_core.properties.request import PropertyRequest

ROOT = Path(__file__).resolve().parents[2]


def request(folder: Path, **changes: Any) -> PropertyRequest:
    raw: dict[str, Any] = {
        "name": "licl",
        "system": {"kind": "crystal", "crystal": "LiCl"},
        "measure": {"kind": "equation_of_state", "points": 5},
        "store": {"url": f"sqlite:///{folder}/fire.db", "blobs": str(folder / "blobs")},
    }
    return parse_property(raw | changes)


def enter(folder: Path, **changes: Any) -> PropertyRef:
    return register_property(request(folder, **changes))


def test_the_key_names_the_content_and_nothing_else(tmp_path: Path) -> None:
    first = enter(tmp_path)
    same = (
        {"name": "again"},
        {"threads": 1},
        {"results": "elsewhere"},
        {"system": {"kind": "crystal", "crystal": "LiCl", "repeat": [1, 1, 1]}},
    )
    other = (
        {"seed": 1},
        {"measure": {"kind": "equation_of_state", "points": 7}},
        {"system": {"kind": "crystal", "crystal": "LiF"}},
        {"backbone": {"name": "chgnet"}},
        {"backbone": {"dtype": "float64"}},
    )
    assert {enter(tmp_path, **change).key for change in same} == {first.key}
    keys = {enter(tmp_path, **change).key for change in other}
    assert len(keys | {first.key}) == len(other) + 1


def test_a_model_file_is_known_by_its_bytes_wherever_it_lies(tmp_path: Path) -> None:
    first = enter(tmp_path)
    with Store.open(first.db, first.blobs) as store:
        sha = store.properties.need(first.key).asked.subject_sha
        copy = tmp_path / "copy.model"
        copy.write_bytes(store.blobs.get_bytes(sha))
    assert enter(tmp_path, backbone={"name": str(copy)}).key == first.key


def test_an_element_that_the_model_lacks_is_refused_before_anything_is_kept(
    tmp_path: Path,
) -> None:
    gold = tmp_path / "gold.extxyz"
    bulk("Au").write(gold)
    with pytest.raises(UnknownElementError, match="does not know Au"):
        enter(tmp_path, system={"kind": "file", "path": str(gold)})
    with Store.open(f"sqlite:///{tmp_path}/fire.db", tmp_path / "blobs") as store:
        assert store.properties.list() == []


def test_a_wrong_setting_is_explained_by_its_place(tmp_path: Path) -> None:
    measure = {"kind": "equation_of_state", "point": 5}
    with pytest.raises(ConfigError, match="did you mean `points`"):
        request(tmp_path, measure=measure)


def test_the_result_comes_back_as_it_was_and_the_first_one_stays(
    tmp_path: Path,
) -> None:
    ref = enter(tmp_path)
    value = PropertyValue("bulk_modulus", 32.5, "GPa", 0.3, 31.9, 33.1, {"t_k": 0.0})
    result = PropertyResult((value,), {"x": [1.0, 2.0]}, ("a note",))
    with open_measurement(ref, print) as stored:
        stored.finish(result, 1.5)
        stored.finish(PropertyResult(()), 2.5)
        row = stored.row()
    assert row.need_result() == result
    assert row.wall_s == 1.5


def test_who_lost_a_measurement_may_not_write(tmp_path: Path) -> None:
    ref = enter(tmp_path)
    with (
        open_measurement(ref, print) as stored,
        Store.open(ref.db, ref.blobs) as store,
    ):
        store.properties.release(ref.key, stored.lease.owner)
        assert store.properties.hold(ref.key, "heir", 30) is None
        stored.lease.renew()
        with pytest.raises(LeaseLostError):
            stored.measurement.part("points", lambda: b"late")
        assert store.properties.parts(ref.key) == {}


KILLED = """
import sys, time
from fire_core.campaign.steps import properties
from fire_core.campaign.steps.properties import PropertyRef, open_measurement
properties.LEASE_S = 4  # in place of 40 s, for the heir's sake
ref = PropertyRef.model_validate_json(sys.argv[1])
def slow():
    print("computing", flush=True)
    time.sleep(600)
with open_measurement(ref, print) as stored:
    stored.measurement.part("first", lambda: b"1")
    stored.measurement.part("second", slow)
"""


def test_killed_it_keeps_finished_parts_and_another_process_goes_on(
    tmp_path: Path,
) -> None:
    ref = enter(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, ref.model_dump_json()],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "computing\n"
        process.send_signal(signal.SIGKILL)
    with Store.open(ref.db, ref.blobs) as store:  # its lease, run out
        assert store.properties.hold(ref.key, "heir", 30) is not None
    computed = []

    def compute() -> bytes:
        computed.append(1)
        return b"2"

    with open_measurement(ref, print) as stored:
        assert stored.measurement.part("first", compute) == b"1"
        assert stored.measurement.part("second", compute) == b"2"
    assert computed == [1]
