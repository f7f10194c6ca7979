"""How far a committee's forces on the replicas of a batch lie apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fire_core.exploration.batch import ReplicaBatch


class BatchedSpread:
    """The spread of the forces of what drives a batch and of other models.

    The same number as `uncertainty.committee.force_spread`; all replicas are computed
    at once, with neighbours that are kept from one look to the next.

    Parameters
    ----------
    members
        Batched models beside the driving one (`DrivesDynamics.batched_model`).
    """

    def __init__(self, members: Sequence[Any]) -> None:
        self.members = members

    def __call__(self, batch: ReplicaBatch) -> list[NDArray[np.float64]]:
        """Return the spread of each replica's atoms, (n_atoms,), eV/Å.

        σᵢ² = Σₘ |Fₘᵢ − F̄ᵢ|² / (3 (M − 1)); the driving model's forces are the batch's.
        """
        import torch

        others = [batch.predict(member)["forces"] for member in self.members]
        forces = torch.stack([batch.forces, *others])
        spread = forces.var(dim=0, correction=1).mean(dim=1).sqrt().cpu().numpy()
        return [spread[a:b] for a, b in batch.systems.bounds()]
