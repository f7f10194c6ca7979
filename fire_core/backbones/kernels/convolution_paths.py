"""The paths of the convolution in NequIP's interactions.

Of the features x of the sender, the spherical harmonics Y of the edge and the weights R
of its length, a path (l₁, l₂ → l₃) sends the message R ⊙ (x ⊗ Y), coupled by Wigner's
3j symbols; weights are one per channel of x (Batzner et al., Nat. Commun. 13 (2022)
2453, eq. 9).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from fire_core.backbones.kernels.tables import Path as Product
from fire_core.backbones.kernels.tensor_product import TensorProductConvolution

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Degrees = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Path:
    """One path of a convolution, its order in the list being its place in the output.

    Attributes
    ----------
    l_in, l_edge, l_out
        Degrees of features, harmonics and messages.
    factor
        What the coupled product is multiplied with.
    """

    l_in: int
    l_edge: int
    l_out: int
    factor: float

    @property
    def degrees(self) -> Degrees:
        """The three degrees, by which couplings are known."""
        return self.l_in, self.l_edge, self.l_out


def convolution_paths(
    channels: Sequence[int], l_edge: int, l_out: int
) -> tuple[Path, ...]:
    """Return the paths of a convolution, sorted by the degree of the messages.

    Parameters
    ----------
    channels
        Channels of each degree of the features.
    l_edge
        Largest degree of the harmonics.
    l_out
        Largest degree of the messages.
    """
    paths = [
        Path(first, second, third, math.sqrt(2 * third + 1))
        for first, n in enumerate(channels)
        if n
        for second in range(l_edge + 1)
        for third in range(abs(first - second), first + second + 1)
        if third <= l_out
    ]
    return tuple(sorted(paths, key=lambda path: path.l_out))


class PathConvolution(torch.nn.Module):
    """Messages summed over the edges to each atom, those of each path side by side.

    Parameters
    ----------
    channels
        Channels of each degree of the features.
    l_edge
        Largest degree of the harmonics.
    paths
        Of `convolution_paths`.
    couplings
        Wigner's 3j symbol of each path's degrees, (2l₁ + 1, 2l₂ + 1, 2l₃ + 1), in
        double precision. They are no part of the module's state.

    Attributes
    ----------
    n_out
        Channels of each degree of the messages.
    weight_numel
        Weights of an edge: for each path one for each channel of its features.
    """

    def __init__(
        self,
        channels: Sequence[int],
        l_edge: int,
        paths: Sequence[Path],
        couplings: Mapping[Degrees, torch.Tensor],
    ) -> None:
        super().__init__()
        self.channels, self.l_edge, self.paths = tuple(channels), l_edge, tuple(paths)
        self.weight_numel = sum(channels[path.l_in] for path in paths)
        self.n_out = [0] * (1 + max(path.l_out for path in paths))
        for path in paths:
            self.n_out[path.l_out] += channels[path.l_in]
        self.use(couplings)

    def use(self, couplings: Mapping[Degrees, torch.Tensor]) -> None:
        """Take other couplings."""
        needed = {path.degrees for path in self.paths}
        self._couplings = {key: couplings[key].double().cpu() for key in needed}
        self.sums = TensorProductConvolution(
            features=[(n, degree) for degree, n in enumerate(self.channels)],
            harmonics=range(self.l_edge + 1),
            messages=[(self.channels[path.l_in], path.l_out) for path in self.paths],
            paths=[
                Product(
                    path.l_in,
                    path.l_edge,
                    k,
                    path.factor * self._couplings[path.degrees].numpy(),
                )
                for k, path in enumerate(self.paths)
            ],
        )

    def couplings(self) -> dict[Degrees, torch.Tensor]:
        """Return copies of the couplings."""
        return {key: value.clone() for key, value in self._couplings.items()}

    def forward(
        self,
        x: torch.Tensor,
        edge_harmonics: torch.Tensor,
        weights: torch.Tensor,
        senders: torch.Tensor,
        receivers: torch.Tensor,
        n_nodes: int,
    ) -> torch.Tensor:
        """Return the messages; see `TensorProductConvolution.forward`.

        Features and messages are in e3nn's layout, (n_nodes, Σ channels × (2l + 1)).
        """
        messages: torch.Tensor = self.sums(
            x, edge_harmonics, weights, senders, receivers, n_nodes
        )
        return messages
