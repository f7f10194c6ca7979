"""`fire properties trajectory` and `transport` as they are typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import write
from typer.testing import CliRunner

from benchmarks import transport_models as models
from cli.main import app
from cli.properties import running
from cli.properties.options import read_settings
from fire_core.errors import ConfigError, PropertyError
from fire_core.storage.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from fire_core.properties.request import PropertyRequest

EDGE = 15.0


def write_run(path: Path, seed: int) -> None:
    """20 ions with D = 6e-5 cm²/s among 20 that vibrate, folded into the cell."""
    rng = np.random.default_rng(seed)
    ions = models.jumps(rng, (300, 20), 0.04, 3.0, 0.2)
    host = models.cage(rng, (300, 20), 0.1, 1.0)
    places = np.concatenate([ions, host], axis=1) + rng.uniform(0, EDGE, (40, 3))
    frames = [Atoms("Li20Cl20", x, cell=[EDGE] * 3, pbc=True) for x in places]
    for frame in frames:
        frame.wrap()
    write(path, frames)


def call(folder: Path, *arguments: object) -> Any:
    store = ["--db", f"sqlite:///{folder}/fire.db", "--blobs", f"{folder}/blobs"]
    line = ["properties", *map(str, arguments), *store]
    return CliRunner().invoke(app, line, catch_exceptions=False)


def test_trajectories_of_others_are_analysed_and_kept(tmp_path: Path) -> None:
    files = [tmp_path / "a.extxyz", tmp_path / "b.extxyz"]
    for seed, file in enumerate(files):
        write_run(file, seed)
    arguments = ("trajectory", *files, "--temperature", 600, "--timestep-fs", 100,
                 "--theory", "pbe", "--name", "hops", "--results", tmp_path / "r",
                 "--json")  # fmt: skip
    facts = json.loads(call(tmp_path, *arguments).stdout)
    values = {v["name"]: v for v in facts["result"]["values"]}
    diffusion = values["self_diffusion"]
    assert diffusion["low"] < 6e-5 < diffusion["high"]
    assert diffusion["unit"] == "cm²/s"
    assert facts["subject"] == "pbe"
    assert facts["result"]["curves"]["temperatures"][0]["replicas"] == 2
    for figure in ("msd", "density"):
        assert (tmp_path / "r" / f"{figure}.png").stat().st_size > 10_000
    again = json.loads(call(tmp_path, *arguments).stdout)
    assert again["key"] == facts["key"]
    assert again["created_at"] == facts["created_at"]
    other = (*arguments, "--set", "site_distance=2.5")
    assert json.loads(call(tmp_path, *other).stdout)["key"] != facts["key"]
    with Store.open(f"sqlite:///{tmp_path}/fire.db", tmp_path / "blobs") as store:
        assert len(store.properties.list(kind="transport")) == 2


def test_wrong_files_and_settings_are_explained(tmp_path: Path) -> None:
    text = tmp_path / "a.extxyz"
    text.write_text("no frames")
    common = ("trajectory", text, "--temperature", 600, "--timestep-fs", 100)
    with pytest.raises(PropertyError, match=r"ASE cannot read .*a\.extxyz"):
        call(tmp_path, *common)
    with pytest.raises(ConfigError, match="did you mean `earliest`"):
        call(tmp_path, *common, "--set", "earlyest=2")
    with pytest.raises(ConfigError, match="once or for each of 1 files"):
        call(tmp_path, *common, "--temperature", 700)


def test_options_become_the_request_that_a_file_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def keep(request: PropertyRequest, *, as_json: bool) -> None:
        seen.append(request)

    monkeypatch.setattr(running, "measure", keep)
    call(tmp_path, "transport", "--crystal", "Li6PS5Cl", "--temperature", 700,
         "--temperature", 900, "--ps", 20, "--replicas", 2, "--repeat", 2, 1, 1,
         "--set", "friction=0.0005", "--set", "analysis.mobile=Li")  # fmt: skip
    (request,) = seen
    assert request.name == "transport-li6ps5cl"
    assert request.system.repeat == (2, 1, 1)
    assert request.measure.temperatures == (700.0, 900.0)
    assert request.measure.ps == 20.0
    assert request.measure.friction == 0.0005
    assert request.measure.analysis.mobile == "Li"
    with pytest.raises(ConfigError, match="either --crystal or --structure"):
        call(tmp_path, "transport", "--ps", 20)


def test_settings_are_read_as_yaml_by_their_path() -> None:
    found = read_settings(["a.b=1.5", "a.c=[1, 2]", "d=none"])
    assert found == {"a": {"b": 1.5, "c": [1, 2]}, "d": "none"}
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        read_settings(["friction"])
    with pytest.raises(ConfigError, match="was given a value before"):
        read_settings(["a=1", "a.b=2"])
