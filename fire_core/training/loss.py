"""The loss of one optimiser step: MACE's universal loss with exact frame weights.

`mace.modules.UniversalLoss` multiplies residuals by a frame's weight before its Huber
function, so that a weight of 0.2 counts 0.04 for small residuals and 0.2 for large
ones. Here the weight multiplies the loss. For weights of one the two agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from fire_core.backbones.trainable import Prediction
    from fire_core.config.training import TrainConfig
    from fire_core.training.batches import Example

HUBER_DELTA: Final = 0.01
STEPS: Final = ((100.0, 1.0), (200.0, 0.7), (300.0, 0.4), (float("inf"), 0.1))
"""Force norm (eV/Å) below which the Huber delta is multiplied by what factor
(Batatia et al., arXiv:2401.00096, as mace-torch has it)."""
FROM_VOIGT: Final = ((0, 5, 4), (5, 1, 3), (4, 3, 2))
"""Where each component of a stress stands in ASE's order xx, yy, zz, yz, xz, xy."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Size of a whole optimiser step, whichever parts it is computed in."""

    graphs: int
    atoms: int


def count_totals(examples: Sequence[Example]) -> Totals:
    """Return what the mean of a step's loss is taken over."""
    return Totals(len(examples), sum(example.n_atoms for example in examples))


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What a part of a step is compared with, as tensors.

    Attributes
    ----------
    n_atoms
        Atoms of each frame, (n_frames,).
    energy
        (n_frames,), eV.
    forces
        (n_atoms, 3), eV/Å.
    stress
        (n_frames, 3, 3), eV/Å³; zero where a label has none.
    weight, stress_weight
        Of each frame, (n_frames,); the second is 0 where a label has no stress.
    """

    n_atoms: torch.Tensor
    energy: torch.Tensor
    forces: torch.Tensor
    stress: torch.Tensor
    weight: torch.Tensor
    stress_weight: torch.Tensor


def gather_targets(examples: Sequence[Example], *, device: Any, dtype: Any) -> Targets:
    """Return the labels and weights of examples as tensors."""
    import torch

    def floats(values: Any) -> torch.Tensor:
        return torch.tensor(np.asarray(values), dtype=dtype, device=device)

    labels = [example.label for example in examples]
    stresses = [np.zeros(6) if i.stress is None else i.stress for i in labels]
    return Targets(
        n_atoms=torch.tensor([example.n_atoms for example in examples], device=device),
        energy=floats([label.energy for label in labels]),
        forces=floats(np.concatenate([label.forces for label in labels])),
        stress=floats([np.asarray(s)[np.array(FROM_VOIGT)] for s in stresses]),
        weight=floats([example.weight for example in examples]),
        stress_weight=floats([float(i.stress is not None) for i in labels]),
    )


def weighted_loss(
    output: Prediction, targets: Targets, config: TrainConfig, totals: Totals
) -> torch.Tensor:
    """Return a part's contribution to the loss of a step.

    Energies per atom, forces per component and stresses per component go through a
    Huber function with delta 0.01; each frame's are multiplied by its weight, and
    the means are over `totals`. The contributions of a step's parts add up to the
    loss of the step in one part.

    Parameters
    ----------
    output
        The network's prediction for the part.
    targets
        Its labels and weights.
    config
        Weights of the three terms.
    totals
        Size of the whole step.
    """
    import torch
    from torch.nn.functional import huber_loss

    n_atoms = targets.n_atoms
    of_atoms = torch.repeat_interleave(targets.weight, n_atoms)[:, None]
    energy = huber_loss(
        output.energy / n_atoms,
        targets.energy / n_atoms,
        reduction="none",
        delta=HUBER_DELTA,
    )
    forces = _huber(output.forces - targets.forces, _delta(targets.forces))
    loss = config.energy_weight * (targets.weight * energy).sum() / totals.graphs
    loss = loss + config.forces_weight * (of_atoms * forces).sum() / (3 * totals.atoms)
    if output.stress is None:
        return loss
    stress = huber_loss(
        output.stress, targets.stress, reduction="none", delta=HUBER_DELTA
    )
    of_frames = (targets.weight * targets.stress_weight)[:, None, None]
    return loss + config.stress_weight * (of_frames * stress).sum() / (
        9 * totals.graphs
    )


def _delta(forces: torch.Tensor) -> torch.Tensor:
    """Return the Huber delta of each atom, (n_atoms, 1): less for large forces."""
    import torch

    norm = torch.linalg.norm(forces, dim=-1, keepdim=True)
    factor = torch.full_like(norm, STEPS[-1][1])
    for limit, value in reversed(STEPS[:-1]):
        factor = torch.where(norm < limit, value, factor)
    return HUBER_DELTA * factor


def _huber(residual: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    import torch

    size = residual.abs()
    return torch.where(
        size < delta, 0.5 * residual.square(), delta * (size - 0.5 * delta)
    )
