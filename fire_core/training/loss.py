"""The loss of one optimiser step: MACE's universal loss with exact frame weights.

`mace.modules.UniversalLoss` multiplies residuals by a frame's weight before its Huber
function, so that a weight of 0.2 counts 0.04 for small residuals and 0.2 for large
ones. Here the weight multiplies the loss. For weights of one the two agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from fire_core.config.training import TrainConfig

HUBER_DELTA: Final = 0.01
STEPS: Final = ((100.0, 1.0), (200.0, 0.7), (300.0, 0.4), (float("inf"), 0.1))
"""Force norm (eV/Å) below which the Huber delta is multiplied by what factor
(Batatia et al., arXiv:2401.00096, as mace-torch has it)."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Size of a whole optimiser step, whichever parts it is computed in."""

    graphs: int
    atoms: int


def count_totals(graphs: Sequence[Any]) -> Totals:
    """Return what the mean of a step's loss is taken over."""
    return Totals(len(graphs), sum(int(graph.num_nodes) for graph in graphs))


def weighted_loss(
    output: Mapping[str, torch.Tensor], batch: Any, config: TrainConfig, totals: Totals
) -> torch.Tensor:
    """Return a part's contribution to the loss of a step.

    Energies per atom, forces per component and stresses per component go through a
    Huber function with delta 0.01; each frame's are multiplied by its weight, and
    the means are over `totals`. The contributions of a step's parts add up to the
    loss of the step in one part.

    Parameters
    ----------
    output
        MACE's prediction for the part.
    batch
        The part, with labels; `weight` is the frame's, `stress_weight` is 0 where a
        frame has no stress.
    config
        Weights of the three terms.
    totals
        Size of the whole step.
    """
    import torch
    from torch.nn.functional import huber_loss

    n_atoms = batch.ptr[1:] - batch.ptr[:-1]
    of_atoms = torch.repeat_interleave(batch.weight, n_atoms)[:, None]
    energy = huber_loss(
        output["energy"] / n_atoms,
        batch.energy / n_atoms,
        reduction="none",
        delta=HUBER_DELTA,
    )
    forces = _huber(output["forces"] - batch.forces, _delta(batch.forces))
    loss = config.energy_weight * (batch.weight * energy).sum() / totals.graphs
    loss = loss + config.forces_weight * (of_atoms * forces).sum() / (3 * totals.atoms)
    if output.get("stress") is None:
        return loss
    stress = huber_loss(
        output["stress"], batch.stress, reduction="none", delta=HUBER_DELTA
    )
    of_frames = (batch.weight * batch.stress_weight)[:, None, None]
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
