"""Long dynamics in segments: repeated, resumed, guarded, at constant pressure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fire_core.campaign.steps.properties import open_measurement, register_property
from fire_core.errors import ConfigError, PropertyError
from fire_core.properties.load import parse_property
from fire_core.properties.transport import measure as task
from fire_core.properties.transport import runs
from fire_core.properties.transport.settings import TransportConfig
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.campaign.steps.properties import PropertyRef
    from fire_core.records import PropertyResult

SHORT = {
    "kind": "transport",
    "temperatures": [300, 500],
    "replicas": 2,
    "ps": 0.06,
    "equilibration_ps": 0.02,
    "segment_ps": 0.02,
    "save_every_fs": 4,
}


def enter(folder: Path, **changes: Any) -> PropertyRef:
    raw = {
        "name": "licl",
        "threads": 1,
        "system": {"kind": "crystal", "crystal": "LiCl"},
        "measure": SHORT | changes,
        "store": {"url": f"sqlite:///{folder}/fire.db", "blobs": str(folder / "blobs")},
    }
    return register_property(parse_property(raw))


def measure(ref: PropertyRef) -> PropertyResult:
    with open_measurement(ref, lambda _: None) as stored:
        return task.measure(stored.measurement)


def parts(ref: PropertyRef) -> dict[str, str]:
    with Store.open(ref.db, ref.blobs) as store:
        return store.properties.parts(ref.key)


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_killed_run_repeats_only_the_segment_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = enter(tmp_path / "whole", replicas=1)
    expected = measure(whole)
    torn = enter(tmp_path / "torn", replicas=1)
    advance, ran = runs.advance, []

    def dies_in_the_third(*args: Any, index: int, **options: Any) -> runs.Segment:
        if index == 2 and 2 not in ran:
            ran.append(index)
            raise Killed
        ran.append(index)
        return advance(*args, index=index, **options)

    monkeypatch.setattr(task, "advance", dies_in_the_third)
    with pytest.raises(Killed):
        measure(torn)
    assert measure(torn) == expected
    assert ran == [0, 1, 2, 2, 3]
    assert parts(torn) == parts(whole)  # bit for bit: names by sha256


def test_a_longer_run_and_another_analysis_go_on_with_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(enter(tmp_path / "together", replicas=1))
    advance, ran = runs.advance, []

    def counted(*args: Any, index: int, **options: Any) -> runs.Segment:
        ran.append(index)
        return advance(*args, index=index, **options)

    monkeypatch.setattr(task, "advance", counted)
    fresh = enter(tmp_path / "fresh", replicas=1, ps=0.1)
    expected = measure(fresh)
    assert ran == [0, 1, 2, 3, 4, 5]
    ran.clear()
    for ps, new in ((0.06, []), (0.07, [4]), (0.1, [4, 5])):  # 0.07: one cut short
        longer = enter(tmp_path / "together", replicas=1, ps=ps)
        result = measure(longer)
        assert ran == new
        ran.clear()
    assert result == expected
    again = enter(
        tmp_path / "together", replicas=1, ps=0.1, analysis={"site_distance": 2.0}
    )
    assert again.key != longer.key
    measure(again)
    assert ran == []
    other = enter(tmp_path / "together", replicas=1, ps=0.1, friction=0.002)
    measure(other)
    assert ran == [0, 1, 2, 3, 4, 5]


def test_segments_join_to_whole_runs_of_each_temperature(tmp_path: Path) -> None:
    ref = enter(tmp_path)
    measure(ref)
    config = TransportConfig.model_validate(SHORT)
    with Store.open(ref.db, ref.blobs) as store:
        names = sorted(n for n in parts(ref) if n.startswith("dynamics-0"))
        shas = parts(ref)
        data = [store.blobs.get_bytes(shas[name]) for name in names]
        segments = [runs.bytes_to_segment(d) for d in data]
        density = np.load(store.blobs.path(shas["density"]))
    groups = runs.join_segments(segments, config)
    assert set(groups) == {300.0, 500.0}
    for trajectories in groups.values():
        assert len(trajectories) == 2
        for run in trajectories:
            assert run.positions.shape == (16, 8, 3)  # 0.02, 0.024 … 0.08 ps
            assert run.interval == pytest.approx(0.004)
            steps = np.diff(run.positions, axis=0)
            assert 0 < np.abs(steps).max() < 0.5  # unwrapped and without gaps
        first, second = (run.positions for run in trajectories)
        assert not np.allclose(first, second)
    assert runs.segment_to_bytes(segments[1]) == data[1]
    assert density.sum() * groups[300.0][0].volume / density.size == pytest.approx(
        4.0, rel=1e-5
    )


def test_a_replica_that_breaks_a_guard_is_reported_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replica 1, the first at 500 K, is pushed onto its neighbour."""
    begin = runs.begin

    def pushed(*args: Any) -> list[Any]:
        states = begin(*args)
        x = states[1].positions
        x[0] += 0.7 * (x[1] - x[0])
        return states

    monkeypatch.setattr(task, "begin", pushed)
    result = measure(enter(tmp_path))
    (note,) = (n for n in result.notes if "broke a guard" in n)
    assert "replica 1 at 500 K" in note
    assert [c["replicas"] for c in result.curves["temperatures"]] == [2, 1]


def test_a_run_without_survivors_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tight = runs.GUARDS.model_copy(update={"max_displacement": 1e-3})
    monkeypatch.setattr(runs, "GUARDS", tight)
    with pytest.raises(PropertyError, match="no replica reached the end"):
        measure(enter(tmp_path))


def test_a_barostat_gives_each_temperature_its_cell(tmp_path: Path) -> None:
    ref = enter(tmp_path, barostat={"pressure": 5.0}, barostat_ps=0.2, replicas=1)
    result = measure(ref)
    assert any("mean cell at 5 GPa" in note for note in result.notes)
    with open_measurement(ref, print) as stored:
        cells = np.array(stored.measurement.json_part(task.CELLS, list, shared=True))
        given = stored.structure().cell.volume
        segment = runs.bytes_to_segment(stored.read("000000000-000000010", shared=True))
    assert cells.shape == (2, 3, 3)
    assert (np.linalg.det(cells) < 0.99 * given).all()  # squeezed
    for state in segment.states:
        np.testing.assert_allclose(state.cell, cells[state.replica % 2])


def test_diffusing_ions_are_not_lost_atoms() -> None:
    plan = runs.plan_dynamics(TransportConfig())
    assert plan.guards.max_displacement > 500
    assert plan.friction == 0.001
    assert plan.steps == 52_500
    assert plan.replicas == 12
    with pytest.raises(PropertyError, match="hold no two frames"):
        runs.plan_dynamics(TransportConfig(ps=0.1))


def test_one_temperature_twice_is_refused() -> None:
    measure_twice = SHORT | {"temperatures": [300, 300]}
    with pytest.raises(ConfigError, match="temperatures that differ"):
        parse_property(
            {
                "name": "x",
                "system": {"kind": "crystal", "crystal": "LiCl"},
                "measure": measure_twice,
            }
        )
