"""Many cells at once, by operations that do not wait for the device.

torch's solvers look at the device for errors at each call; of 3 × 3 matrices
everything wanted here has a closed form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def inverses(cells: torch.Tensor) -> torch.Tensor:
    """Return the inverse of each cell; x @ inverse are fractional coordinates.

    Parameters
    ----------
    cells
        (n, 3, 3), rows are lattice vectors, Å. Of one without volume the result is
        not finite.

    Returns
    -------
    torch.Tensor
        (n, 3, 3), columns are reciprocal vectors, 1/Å.
    """
    import torch

    a, b, c = cells.unbind(1)
    faces = [torch.linalg.cross(p, q) for p, q in ((b, c), (c, a), (a, b))]
    volumes = (a * faces[0]).sum(dim=1)
    return torch.stack(faces, dim=2) / volumes[:, None, None]


def displacement_gradients(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Return D = h₀⁻¹ (h − h₀): a point x that a cell takes along moves by x D.

    Parameters
    ----------
    before, after
        The cells h₀ and h, (n, 3, 3), rows are lattice vectors, Å.

    Returns
    -------
    torch.Tensor
        (n, 3, 3); exactly zero for a cell that has not changed, also for one without
        volume.
    """
    import torch

    changes = inverses(before) @ (after - before)
    unchanged = (before == after).all(dim=2).all(dim=1)[:, None, None]
    return torch.where(unchanged, 0.0, changes)


def least_stretches(gradients: torch.Tensor) -> torch.Tensor:
    """Return for each deformation 1 + D a bound of what is left of any length, (n,).

    The smallest singular value of F is 1 / ‖F⁻¹‖₂, and ‖M‖₂² ≤ ‖M‖₁ ‖M‖∞ (Golub and
    Van Loan, Matrix Computations, section 2.3.3); the bound is exact where the axes
    are stretched.

    Parameters
    ----------
    gradients
        D, (n, 3, 3); see `displacement_gradients`.
    """
    import torch

    one = torch.eye(3, dtype=gradients.dtype, device=gradients.device)
    back = inverses(gradients + one).abs()
    rows, columns = back.sum(dim=2).amax(dim=1), back.sum(dim=1).amax(dim=1)
    return (rows * columns).rsqrt()


def move_along(
    points: torch.Tensor, gradients: torch.Tensor, owner: torch.Tensor
) -> torch.Tensor:
    """Return where points are when their cells have taken them along, (n_points, 3), Å.

    Parameters
    ----------
    points
        (n_points, 3), Å.
    gradients
        D of each cell, (n, 3, 3); see `displacement_gradients`.
    owner
        The cell of each point, (n_points,).
    """
    return points + (points[:, None, :] @ gradients[owner])[:, 0]
