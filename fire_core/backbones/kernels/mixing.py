"""Linear maps of features atom by atom, and of radial functions pair by pair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch
from torch.nn.functional import silu

from fire_core.backbones.sending import read, send

if TYPE_CHECKING:
    from collections.abc import Sequence

SILU_NORM: Final = 1.6791767923989418
"""What e3nn multiplies SiLU with, so that of normal numbers its square averages 1.

e3nn draws a million numbers for it (`normalize2mom`), so it is off by 0.2 %, and part
of every model that was trained with it.
"""

Features = list[torch.Tensor]


GIVE_WAY: Final = 2.0
"""How fast an element's own weights give way to atoms of elements without any."""


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """The atoms of adapted elements, one element after the other.

    Attributes
    ----------
    atoms
        (n_sites,), their indices.
    kinds, counts
        Elements of which there are atoms, and how many.
    weight
        (n_sites,), what their own weights count: 1 where none but adapted elements are
        near, less elsewhere; None: 1 everywhere.
    """

    atoms: torch.Tensor
    kinds: list[int]
    counts: list[int]
    weight: torch.Tensor | None


def find_sites(
    kinds: torch.Tensor,
    vectors: torch.Tensor,
    pairs: torch.Tensor,
    adapted: Sequence[int],
    cutoff: float,
) -> Sites | None:
    """Return where atoms of adapted elements are, and what their own weights count.

    That is exp(-2 Σ (1 - r²/cutoff²)³) over the neighbours of other elements: less, and
    at last nothing, the more of them are near. There the network computes what it did
    before it had weights of elements. None where there are no such atoms.

    Parameters
    ----------
    kinds
        (n_atoms,), index of each atom's element.
    vectors, pairs
        (n_pairs, 3), Å, and (2, n_pairs), atoms; each pair of neighbours once.
    adapted
        Elements with weights of their own.
    cutoff
        Å.
    """
    if not adapted:
        return None
    known = read(kinds)
    mine = torch.isin(known, known.new_tensor(adapted))
    chosen = mine.nonzero()[:, 0]
    if not len(chosen):
        return None
    chosen = chosen[known[chosen].argsort(stable=True)]
    present, counts = known[chosen].unique_consecutive(return_counts=True)
    atoms, weight = send(chosen, kinds.device), None
    if len(atoms) < len(kinds):
        own = send(mine, kinds.device)
        nearness = (1.0 - vectors.square().sum(dim=1) / cutoff**2).clamp(min=0.0) ** 3
        crowd = torch.zeros_like(kinds, dtype=vectors.dtype)
        for one, other in (pairs, pairs.flip(0)):
            crowd = crowd.index_add(0, one, nearness * ~own[other])
        weight = torch.exp(-GIVE_WAY * crowd[atoms])
    return Sites(atoms, present.tolist(), counts.tolist(), weight)


class Mixing(torch.nn.Module):
    """A linear map among the channels of each degree.

    Parameters
    ----------
    n_in, n_out
        Channels of each degree; degrees that one of them has not got are left out.
    n_modes
        See `Architecture`; `mode` is the row of weights of the one that is not 0.
    adapted
        See `Architecture`; `own_L_E` are what degree L of atoms of element E gets
        beside the shared weights, zero at first.
    """

    def __init__(
        self,
        n_in: Sequence[int],
        n_out: Sequence[int],
        *,
        n_modes: int = 0,
        adapted: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.n_modes = n_modes
        self.degrees = [
            degree
            for degree, (a, b) in enumerate(zip(n_in, n_out, strict=False))
            if a and b
        ]
        for degree in self.degrees:
            weight = torch.nn.Parameter(torch.randn(n_in[degree], n_out[degree]))
            self.register_parameter(f"weight_{degree}", weight)
            for kind in adapted:
                own = torch.nn.Parameter(torch.zeros(n_in[degree], n_out[degree]))
                self.register_parameter(f"own_{degree}_{kind}", own)
        if n_modes:
            self.mode = torch.nn.Parameter(torch.randn(n_out[0]))

    def forward(self, x: Features, sites: Sites | None = None) -> Features:
        """Return mixed features, of the degrees that this map has.

        Parameters
        ----------
        x
            Features of the atoms.
        sites
            Which atoms are of adapted elements; None: none of them.
        """
        mixed = []
        for degree in self.degrees:
            weight = getattr(self, f"weight_{degree}")
            n_inputs = len(weight) + (self.n_modes if degree == 0 else 0)
            part = x[degree] @ (weight / math.sqrt(n_inputs))
            if degree == 0 and self.n_modes:
                part = part + self.mode / math.sqrt(n_inputs)
            if sites is not None:
                more = self._of_elements(degree, x[degree], sites)
                part = part.index_add(0, sites.atoms, more / math.sqrt(n_inputs))
            mixed.append(part)
        return mixed

    def _of_elements(self, degree: int, x: torch.Tensor, sites: Sites) -> torch.Tensor:
        """Return what the elements' own weights add, in the order of the sites."""
        theirs = x.index_select(0, sites.atoms)
        if sites.weight is not None:
            theirs = theirs * sites.weight[:, None, None]
        parts = zip(theirs.split(sites.counts), sites.kinds, strict=True)
        return torch.cat([y @ getattr(self, f"own_{degree}_{k}") for y, k in parts])


class RadialNetwork(torch.nn.Module):
    """From radial functions to the weights of each path and channel, per pair."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.weights = torch.nn.ParameterList(
            torch.randn(a, b) for a, b in pairwise(widths)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return weights, (n_pairs, widths[-1]), of functions, (n_pairs, widths[0])."""
        scale = 1.0
        for i, weight in enumerate(self.weights):
            x = x @ (weight * (scale / math.sqrt(len(weight))))
            if i + 1 < len(self.weights):
                x, scale = silu(x), SILU_NORM
        return x
