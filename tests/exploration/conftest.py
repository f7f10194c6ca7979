"""Cheap real potentials for the dynamics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ase.build import bulk

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

ARGON_SIGMA = 3.405  # Å, Rahman 1964
ARGON_EPSILON = 0.01032  # eV
ARGON_CUTOFF = 4.9  # Å, between the first and the second shell of the crystal


class Argon:
    """Lennard-Jones argon behind the small face that the dynamics asks for."""

    elements = frozenset({"Ar"})
    sha256 = "argon"

    def __init__(self, *, single: bool = False) -> None:
        self.model = LennardJones(single=single)

    def batched_model(self, *, stress: bool = False) -> Any:
        return self.model


class LennardJones:
    """Truncated and not shifted; every image within the cutoff counts."""

    cutoff = ARGON_CUTOFF

    def __init__(self, *, single: bool) -> None:
        import torch

        self.device = torch.device("cpu")
        self.dtype = torch.float32 if single else torch.float64

    def __call__(self, state: Any) -> dict[str, Any]:
        import torch

        counts = torch.bincount(state.systems.owner)
        energy = state.positions.new_zeros(len(counts))
        stress = state.positions.new_zeros(len(counts), 3, 3)
        forces = torch.zeros_like(state.positions)
        for size in counts.unique().tolist():  # systems of one size together
            which = counts == size
            atoms = which[state.systems.owner]
            positions = state.positions[atoms].reshape(-1, size, 3)
            found = self._equal(positions, state.cells[which])
            energy[which], stress[which] = found[0], found[2]
            forces[atoms] = found[1].reshape(-1, 3)
        return {"energy": energy, "forces": forces, "stress": stress}

    def _equal(self, positions: Any, cells: Any) -> tuple[Any, Any, Any]:
        import torch

        inverse = torch.linalg.inv(cells)
        heights = (1 / inverse.norm(dim=1)).amin(dim=0)
        most = (self.cutoff / heights + 1).floor().long().tolist()
        ranges = [torch.arange(-m, m + 1) for m in most]
        images = torch.cartesian_prod(*ranges).to(cells) @ cells
        folded = (positions @ inverse).remainder(1.0) @ cells
        vectors = (folded[:, None] - folded[:, :, None])[..., None, :]
        vectors = vectors + images[:, None, None]
        squared = vectors.square().sum(dim=-1)
        near = (squared > 1e-12) & (squared < self.cutoff**2)
        ratio = torch.where(near, ARGON_SIGMA**2 / squared, 0.0)
        sixth = ratio**3
        energy = 2 * ARGON_EPSILON * (sixth**2 - sixth).sum(dim=(1, 2, 3))
        slope = 24 * ARGON_EPSILON * (2 * sixth**2 - sixth) * ratio / ARGON_SIGMA**2
        pulls = slope[..., None] * vectors
        virial = 0.5 * torch.einsum("sijna,sijnb->sab", pulls, vectors)
        stress = -virial / cells.det().abs()[:, None, None]
        return energy, -pulls.sum(dim=(2, 3)), stress


class Free:
    """Atoms that do not interact."""

    elements = frozenset({"Ar", "Li", "Cl"})

    def __init__(self) -> None:
        import torch

        self.device = torch.device("cpu")
        self.dtype = torch.float64

    def batched_model(self, *, stress: bool = False) -> Any:
        return self

    def __call__(self, state: Any) -> dict[str, Any]:
        import torch

        return {
            "energy": torch.zeros(len(state.systems), dtype=torch.float64),
            "forces": torch.zeros_like(state.positions),
            "stress": torch.zeros(len(state.systems), 3, 3, dtype=torch.float64),
        }


class Trap:
    """Independent harmonic wells at the start positions: everything is known.

    The centres of one system are used for all.
    """

    elements = frozenset({"Ar", "Li", "Cl"})

    def __init__(self, centres: np.ndarray, stiffness: float) -> None:
        import torch

        self.device = torch.device("cpu")
        self.dtype = torch.float64
        self.centres = torch.as_tensor(centres)
        self.stiffness = stiffness

    def batched_model(self, *, stress: bool = False) -> Any:
        return self

    def __call__(self, state: Any) -> dict[str, Any]:
        moved = state.positions - self.centres.repeat(len(state.systems), 1)
        energy = 0.5 * self.stiffness * (moved**2).sum(dim=1)
        return {
            "energy": energy.view(len(state.systems), -1).sum(dim=1),
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


@pytest.fixture
def free() -> Free:
    return Free()
