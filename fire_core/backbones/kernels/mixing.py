"""Linear maps of features atom by atom, and of radial functions pair by pair."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch
from torch.nn.functional import silu

if TYPE_CHECKING:
    from collections.abc import Sequence

SILU_NORM: Final = 1.6791767923989418
"""What e3nn multiplies SiLU with, so that of normal numbers its square averages 1.

e3nn draws a million numbers for it (`normalize2mom`), so it is off by 0.2 %, and part
of every model that was trained with it.
"""

Features = list[torch.Tensor]
Sites = Mapping[int, torch.Tensor]
"""Indices of the atoms of each adapted element of which there are any."""


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

    def forward(self, x: Features, sites: Sites) -> Features:
        """Return mixed features, of the degrees that this map has.

        Parameters
        ----------
        x
            Features of the atoms.
        sites
            Which atoms are of each adapted element.
        """
        mixed = []
        for degree in self.degrees:
            weight = getattr(self, f"weight_{degree}")
            n_inputs = len(weight) + (self.n_modes if degree == 0 else 0)
            part = x[degree] @ (weight / math.sqrt(n_inputs))
            if degree == 0 and self.n_modes:
                part = part + self.mode / math.sqrt(n_inputs)
            for kind in sites:
                own = getattr(self, f"own_{degree}_{kind}") / math.sqrt(n_inputs)
                theirs = x[degree].index_select(0, sites[kind]) @ own
                part = part.index_add(0, sites[kind], theirs)
            mixed.append(part)
        return mixed


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
