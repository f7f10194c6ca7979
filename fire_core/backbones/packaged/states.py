"""Batched dynamics by whatever predicts frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress

from fire_core.backbones.systems import state_to_frames

if TYPE_CHECKING:
    import torch

    from fire_core.backbones.base import Backbone
    from fire_core.backbones.systems import BatchState


class PredictedStates:
    """A batched model of any backbone: the systems of a batch become frames.

    As fast as the backbone's own `predict`, plus some 0.1 ms a frame and call.

    Parameters
    ----------
    backbone
        Predicts.
    device, dtype
        torch's; of the tensors that go in and come out.
    compute_stress
        Whether the stress is given too.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        device: torch.device,
        dtype: torch.dtype,
        compute_stress: bool = False,
    ) -> None:
        self.backbone = backbone
        self.device = device
        self.dtype = dtype
        self.compute_stress = compute_stress

    def __call__(self, state: BatchState) -> dict[str, torch.Tensor]:
        """Return energies, forces and stresses of the systems of a batch.

        Returns
        -------
        dict
            `energy`, (n_systems,), eV, float64; `forces`, (n_atoms, 3), eV/Å; with
            `compute_stress` also `stress`, (n_systems, 3, 3), eV/Å³, positive under
            tension.
        """
        import torch

        labels = self.backbone.predict(state_to_frames(state))

        def tensor(values: Any, dtype: torch.dtype) -> torch.Tensor:
            return torch.as_tensor(np.asarray(values), dtype=dtype, device=self.device)

        forces = np.concatenate([label.forces for label in labels])
        results = {
            "energy": tensor([label.energy for label in labels], torch.float64),
            "forces": tensor(forces, self.dtype),
        }
        if self.compute_stress:
            stresses = [
                np.full((3, 3), np.nan)
                if label.stress is None
                else voigt_6_to_full_3x3_stress(label.stress)
                for label in labels
            ]
            results["stress"] = tensor(stresses, self.dtype)
        return results
