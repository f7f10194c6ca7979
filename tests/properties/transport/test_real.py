"""DFT trajectories of Li6PS5Cl: what 60 frames say, and what they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.transport_li6ps5cl import infer_frame_fs, measured_conductivities
from fire_core.properties.transport.analysis import analyse_transport
from fire_core.properties.transport.settings import TransportAnalysis
from fire_core.properties.transport.trajectory import read_trajectory

if TYPE_CHECKING:
    from pathlib import Path


def test_a_picosecond_of_dft_gives_displacements_and_no_diffusion(
    shared_data: Path,
) -> None:
    frame_fs = round(infer_frame_fs())
    assert frame_fs == 20
    groups = {
        kelvin: [read_trajectory(shared_data / "li6ps5cl" / name, frame_fs)]
        for kelvin, name in ((600.0, "600K.extxyz"), (1200.0, "1200K.extxyz"))
    }
    settings = TransportAnalysis(earliest=0.1)
    found = analyse_transport(groups, settings).result
    assert found.curves["mobile"] == "Li"
    assert found.curves["charge"] == 1.0
    msd = {
        (v.conditions["temperature_k"], v.conditions["species"]): v.value
        for v in found.values
        if v.name == "mean_squared_displacement"
    }
    assert 1.5 < msd[1200.0, "Li"] / msd[600.0, "Li"] < 3.0
    assert all(msd[t, "Li"] > 3 * msd[t, "S"] for t in (600.0, 1200.0))
    diffusion = [v for v in found.values if v.name == "self_diffusion"]
    assert diffusion
    assert all(v.value is None for v in diffusion)
    assert "not diffusive yet" in diffusion[0].note


def test_measured_conductivities_span_the_known_spread(shared_data: Path) -> None:
    found = measured_conductivities()
    assert min(found) == pytest.approx(3.3e-5)
    assert max(found) == pytest.approx(2.05e-3)
