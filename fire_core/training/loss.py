"""The loss of one optimiser step: target and replay, each normalised by itself.

Of a step with the target frames T and the replay frames P it is

    L = U(T) + weight · ratio · U(P)

with MACE's universal loss U: the mean over frames of the energy term, over atoms and
components of the force term, over frames and components of the stress term. Each mean
is over the step's own frames of its kind, so that what replay weighs beside the target
depends on `replay.weight` and `replay.ratio`, on no size of a frame, and not on how
many replay frames happen to fall to the step. Over an epoch in which every step has
ratio · |T| replay frames this is the sum over frames of docs/method.md, divided by |T|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.backbones.sending import send

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
class Share:
    """What one kind of frames of a step counts, whichever parts it is computed in.

    Attributes
    ----------
    frames, atoms
        Of this kind in the whole step.
    weight
        Of its mean in the loss.
    """

    frames: int
    atoms: int
    weight: float


@dataclass(frozen=True, slots=True)
class Shares:
    """Both kinds of frames of a step."""

    target: Share
    replay: Share

    def of(self, example: Example) -> Share:
        """Return the share that a frame belongs to."""
        return self.replay if example.replay else self.target


def share_step(examples: Sequence[Example], config: TrainConfig) -> Shares:
    """Return what the means of a step's loss are taken over."""
    target = [e.n_atoms for e in examples if not e.replay]
    replay = [e.n_atoms for e in examples if e.replay]
    weight = config.replay.weight * config.replay.ratio
    return Shares(
        Share(len(target), sum(target), 1.0),
        Share(len(replay), sum(replay), weight),
    )


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
    frame_weight
        What a term of each frame counts in a mean over the step's frames, (n_frames,).
    atom_weight
        What a term of each of its atoms counts in a mean over the step's atoms,
        (n_frames,).
    has_stress
        1 where a label has a stress, else 0, (n_frames,).
    """

    n_atoms: torch.Tensor
    energy: torch.Tensor
    forces: torch.Tensor
    stress: torch.Tensor
    frame_weight: torch.Tensor
    atom_weight: torch.Tensor
    has_stress: torch.Tensor


def gather_targets(
    examples: Sequence[Example], shares: Shares, *, device: Any, dtype: Any
) -> Targets:
    """Return the labels and weights of a part's examples as tensors."""
    import torch

    def floats(values: Any) -> torch.Tensor:
        return send(torch.tensor(np.asarray(values), dtype=dtype), device)

    labels = [example.label for example in examples]
    counts = [shares.of(example) for example in examples]
    stresses = [np.zeros(6) if i.stress is None else i.stress for i in labels]
    return Targets(
        n_atoms=send(torch.tensor([example.n_atoms for example in examples]), device),
        energy=floats([label.energy for label in labels]),
        forces=floats(np.concatenate([label.forces for label in labels])),
        stress=floats([np.asarray(s)[np.array(FROM_VOIGT)] for s in stresses]),
        frame_weight=floats([s.weight / s.frames for s in counts]),
        atom_weight=floats([s.weight / s.atoms for s in counts]),
        has_stress=floats([float(i.stress is not None) for i in labels]),
    )


def weighted_loss(
    output: Prediction, targets: Targets, config: TrainConfig
) -> torch.Tensor:
    """Return a part's contribution to the loss of a step.

    Energies per atom, forces per component and stresses per component go through a
    Huber function with delta 0.01 (that of forces smaller where forces are large). The
    contributions of a step's parts add up to the loss of the step in one part.

    `mace.modules.UniversalLoss` multiplies residuals by a frame's weight before its
    Huber function, so that a weight of 0.2 counts 0.04 for small residuals and 0.2 for
    large ones. Here the weight multiplies the loss. Without replay the two agree.

    Parameters
    ----------
    output
        The network's prediction for the part.
    targets
        Its labels, and what each counts.
    config
        Weights of the three terms.
    """
    import torch
    from torch.nn.functional import huber_loss

    n_atoms = targets.n_atoms
    of_atoms = torch.repeat_interleave(  # of a size that the host need not ask for
        targets.atom_weight, n_atoms, output_size=len(targets.forces)
    )[:, None]
    energy = huber_loss(  # a network may give energies in double precision
        output.energy / n_atoms,
        targets.energy.to(output.energy.dtype) / n_atoms,
        reduction="none",
        delta=HUBER_DELTA,
    )
    forces = _huber(output.forces - targets.forces, _delta(targets.forces))
    loss = config.energy_weight * (targets.frame_weight * energy).sum()
    loss = loss + config.forces_weight * (of_atoms * forces).sum() / 3
    if output.stress is None:
        return loss
    stress = huber_loss(
        output.stress, targets.stress, reduction="none", delta=HUBER_DELTA
    )
    of_frames = (targets.frame_weight * targets.has_stress)[:, None, None]
    return loss + config.stress_weight * (of_frames * stress).sum() / 9


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
