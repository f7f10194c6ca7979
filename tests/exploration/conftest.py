"""A cheap real potential for the dynamics: Lennard-Jones argon by torch-sim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ase.build import bulk

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

ARGON_SIGMA = 3.405  # Å, Rahman 1964
ARGON_EPSILON = 0.01032  # eV


class Argon:
    """Lennard-Jones argon behind the small face that the dynamics asks for."""

    elements = frozenset({"Ar"})
    sha256 = "argon"

    def __init__(self, *, single: bool = False) -> None:
        import torch
        from torch_sim.models.lennard_jones import LennardJonesModel

        self.model = LennardJonesModel(
            sigma=ARGON_SIGMA,
            epsilon=ARGON_EPSILON,
            cutoff=6.5,
            dtype=torch.float32 if single else torch.float64,
            compute_stress=False,
        )

    def torch_sim_model(self) -> Any:
        return self.model


class Trap:
    """Independent harmonic wells at the start positions: everything is known."""

    elements = frozenset({"Ar", "Li", "Cl"})

    def __init__(self, centres: np.ndarray, stiffness: float) -> None:
        import torch

        self.device = torch.device("cpu")
        self.dtype = torch.float64
        self.centres = torch.as_tensor(centres)
        self.stiffness = stiffness

    def torch_sim_model(self) -> Any:
        return self

    def __call__(self, state: Any) -> dict[str, Any]:
        moved = state.positions - self.centres.repeat(state.n_systems, 1)
        energy = 0.5 * self.stiffness * (moved**2).sum(dim=1)
        return {
            "energy": energy.view(state.n_systems, -1).sum(dim=1),
            "forces": -self.stiffness * moved,
        }


@pytest.fixture(scope="session")
def argon() -> Argon:
    return Argon()


@pytest.fixture
def crystal() -> Atoms:
    return bulk("Ar", "fcc", a=5.26, cubic=True)


@pytest.fixture
def trap_factory() -> type[Trap]:
    return Trap


@pytest.fixture
def argon_factory() -> type[Argon]:
    return Argon
