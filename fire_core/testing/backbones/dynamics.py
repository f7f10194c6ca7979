"""What a backbone keeps to that drives batched dynamics (`DrivesDynamics`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest

from fire_core.backbones.base import drives_dynamics
from fire_core.backbones.systems import frames_to_state
from fire_core.testing.backbones.frames import large, rattled, small, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase import Atoms

    from fire_core.backbones.base import DrivesDynamics


class DynamicsContract:
    """What a backbone keeps to that drives batched dynamics (`DrivesDynamics`).

    Attributes
    ----------
    batched
        Largest difference from single predictions: eV/atom and eV/Å; a tenth of it in
        eV/Å³.
    """

    batched: ClassVar[float] = 1e-4

    def as_single(
        self, backbone: DrivesDynamics, model: Any, frames: Sequence[Atoms]
    ) -> None:
        """Assert that replicas are predicted like single frames."""
        output = model(
            frames_to_state(list(frames), device=model.device, dtype=model.dtype)
        )
        start = 0
        for i, frame in enumerate(frames):
            (label,) = backbone.predict([frame])
            end = start + len(frame)
            energy = float(output["energy"][i])
            limit = self.batched * max(1, len(frame))
            assert energy == pytest.approx(label.energy, abs=limit)
            forces = output["forces"][start:end].detach().cpu().numpy()
            assert np.allclose(forces, label.forces, rtol=0, atol=self.batched)
            if "stress" in output:
                assert label.stress is not None
                stress = output["stress"][i].detach().cpu().numpy()
                expected = tensor(label.stress)
                assert np.allclose(stress, expected, rtol=0, atol=0.1 * self.batched)
            start = end
        assert start == len(output["forces"])

    def test_replicas_in_a_batch_are_predicted_like_single_frames(
        self, backbone: DrivesDynamics, atoms: Atoms
    ) -> None:
        assert drives_dynamics(backbone)
        model = backbone.batched_model(stress=True)
        self.as_single(backbone, model, [atoms, large(atoms), atoms * (2, 1, 1)])

    def test_every_image_in_a_small_cell_is_seen(
        self, backbone: DrivesDynamics, atoms: Atoms
    ) -> None:
        model = backbone.batched_model(stress=True)
        self.as_single(backbone, model, [small(atoms), atoms, small(atoms) * (2, 1, 1)])

    def test_it_follows_replicas_that_move_strain_and_change(
        self, backbone: DrivesDynamics, atoms: Atoms
    ) -> None:
        """What a model keeps between calls never outlives what it was true of."""
        model = backbone.batched_model(stress=True)
        frames = [atoms, atoms * (1, 2, 1)]
        self.as_single(backbone, model, frames)
        moved = [*rattled(frames[0], 1, 3, 0.01), *rattled(frames[1], 1, 4, 0.01)]
        self.as_single(backbone, model, moved)
        far = [*rattled(frames[0], 1, 5, 0.4), *rattled(frames[1], 1, 6, 0.4)]
        self.as_single(backbone, model, far)
        pressed = [frame.copy() for frame in far]
        for frame in pressed:
            frame.set_cell(frame.cell.array * 0.9, scale_atoms=True)
        self.as_single(backbone, model, pressed)
        self.as_single(backbone, model, pressed[:1])  # a replica was stopped
        renumbered = frames[0][::-1]
        self.as_single(backbone, model, [renumbered])

    def test_without_stress_the_rest_is_the_same(
        self, backbone: DrivesDynamics, atoms: Atoms
    ) -> None:
        self.as_single(backbone, backbone.batched_model(), [atoms, atoms * (2, 1, 1)])
