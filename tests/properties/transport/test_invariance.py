"""Diffusion does not depend on the frame of reference, its axes, or its units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial.transform import Rotation

from benchmarks import transport_models as models
from fire_core.errors import PropertyError
from fire_core.properties.transport.analysis import Transport, analyse_transport
from fire_core.properties.transport.settings import TransportAnalysis
from fire_core.properties.transport.trajectory import (
    Trajectory,
    frames_to_trajectory,
    remove_drift,
)

EDGE = 24.0
SETTINGS = TransportAnalysis(oxidation={"Li": 1, "Cl": -1})


def run(seed: int = 0, n_frames: int = 600) -> Trajectory:
    """20 ions that jump through 30 that vibrate."""
    rng = np.random.default_rng(seed)
    ions = models.jumps(rng, (n_frames, 20), 0.05, 2.0, 0.2)
    host = models.cage(rng, (n_frames, 30), 0.15, 1.0)
    sites = rng.uniform(0, EDGE, (50, 3))
    return Trajectory(
        positions=np.concatenate([ions, host], axis=1) + sites,
        interval=0.1,
        symbols=np.array(["Li"] * 20 + ["Cl"] * 30),
        masses=np.array([6.94] * 20 + [35.45] * 30),
        cell=EDGE * np.eye(3),
    )


def values(trajectory: Trajectory, settings: TransportAnalysis = SETTINGS) -> dict:
    found: Transport = analyse_transport({600.0: [trajectory]}, settings)
    return {v.name: v.value for v in found.result.values}


def test_a_drift_of_the_whole_cell_is_no_diffusion() -> None:
    still = run()
    times = np.arange(600)[:, None, None]
    drift = times * np.array([0.05, -0.02, 0.01]) + 3 * np.sin(times / 40)
    moving = replace(still, positions=still.positions + drift)
    expected, found = values(still), values(moving)
    for name in ("self_diffusion", "charge_diffusion", "conductivity"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6)
    plain = SETTINGS.model_copy(update={"reference": "none"})
    assert values(moving, plain).get("self_diffusion") != pytest.approx(
        expected["self_diffusion"], rel=0.5
    )


def test_a_rotation_changes_no_number_and_turns_the_tensor() -> None:
    turn = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    plain = run()
    stretched = replace(plain, positions=plain.positions * [1.0, 1.0, 2.0])
    turned = replace(
        stretched, positions=stretched.positions @ turn.T, cell=plain.cell @ turn.T
    )
    results = [
        analyse_transport({600.0: [t]}, SETTINGS).result for t in (stretched, turned)
    ]
    first, second = (r.curves["temperatures"][0]["fit"] for r in results)
    assert second["slope"] == pytest.approx(first["slope"], rel=1e-6)
    before, after = (np.array(fit["tensor_cm2_per_s"]) for fit in (first, second))
    np.testing.assert_allclose(after, turn @ before @ turn.T, rtol=1e-5, atol=1e-10)
    along = {v.name: v for v in results[0].values}
    assert along["self_diffusion_z"].value == pytest.approx(
        4 * along["self_diffusion_x"].value, rel=0.5
    )
    assert along["anisotropy"].value > 2.5


def test_time_and_length_scale_as_their_units_do() -> None:
    plain = run()
    slower = replace(plain, interval=0.2)
    later = SETTINGS.model_copy(update={"earliest": 2.0})
    assert values(slower, later)["self_diffusion"] == pytest.approx(
        values(plain)["self_diffusion"] / 2, rel=1e-9
    )
    larger = replace(plain, positions=plain.positions * 2, cell=plain.cell * 2)
    apart = SETTINGS.model_copy(update={"site_distance": 6.0})
    assert values(larger, apart)["self_diffusion"] == pytest.approx(
        values(plain)["self_diffusion"] * 4, rel=1e-9
    )
    assert values(larger, apart)["conductivity"] == pytest.approx(
        values(plain)["conductivity"] / 2, rel=1e-9
    )


def test_folded_frames_are_unwrapped() -> None:
    plain = run()
    cell = np.array([[EDGE, 0, 0], [6, EDGE, 0], [-4, 5, EDGE]])
    frames = [Atoms("Li20Cl30", x, cell=cell, pbc=True) for x in plain.positions]
    assert max(abs(f.get_scaled_positions(wrap=False)).max() for f in frames) > 1
    for frame in frames:
        frame.wrap()
    found = frames_to_trajectory(frames, 0.1)
    moved = found.positions - found.positions[0]
    np.testing.assert_allclose(moved, plain.positions - plain.positions[0], atol=1e-9)


def test_a_breathing_cell_is_no_displacement() -> None:
    site = np.array([[0.9, 0.2, 0.7], [0.1, 0.5, 0.5]])
    frames = [
        Atoms("LiCl", cell=np.eye(3) * edge, pbc=True, scaled_positions=site)
        for edge in (10.0, 10.3, 9.8, 10.1)
    ]
    found = frames_to_trajectory(frames, 0.1)
    np.testing.assert_allclose(np.ptp(found.positions, axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(found.cell, 10.05 * np.eye(3))


def test_a_jump_too_far_to_be_told_is_refused() -> None:
    places = [[1.0, 0, 0], [5.9, 0, 0]]
    frames = [Atoms("LiCl2", [p, [0, 5, 0], [5, 5, 5]], cell=[10] * 3, pbc=True)
              for p in places]  # fmt: skip
    with pytest.raises(PropertyError, match="save frames more often"):
        frames_to_trajectory(frames, 0.1)


def test_other_atoms_in_a_frame_are_refused() -> None:
    frames = [Atoms("LiCl", cell=[9] * 3), Atoms("ClLi", cell=[9] * 3)]
    with pytest.raises(PropertyError, match=r"frame 1 .* another order"):
        frames_to_trajectory(frames, 0.1)


def test_the_framework_stands_still_and_the_callers_arrays_stay() -> None:
    plain = run()
    kept = plain.positions.copy()
    found = remove_drift(plain, "Li", "framework")
    weights = plain.masses * (plain.symbols != "Li")
    centre = np.einsum("a,fad->fd", weights / weights.sum(), found.positions)
    np.testing.assert_allclose(centre, centre[:1].repeat(600, axis=0), atol=1e-9)
    np.testing.assert_array_equal(plain.positions, kept)
    alone = replace(plain, symbols=np.array(["Li"] * 50))
    with pytest.raises(PropertyError, match="no framework"):
        remove_drift(alone, "Li", "framework")
