"""The convolution of NequIP's interactions, path by path: what faster ones must equal.

Of the features x of the sender, the spherical harmonics Y of the edge and the weights R
of its length, a path (l₁, l₂ → l₃) sends the message R ⊙ (x ⊗ Y), coupled by Wigner's 3j
symbols; weights are one per channel of x (Batzner et al., Nat. Commun. 13 (2022) 2453,
eq. 9).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

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
    """Messages summed over the edges to each atom, one path after the other.

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
        double precision. They follow the module's device and type, and are no part of
        its state.

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
        widths = [channels[path.l_in] for path in paths]
        self.weight_numel = sum(widths)
        self.n_out = [0] * (1 + max(path.l_out for path in paths))
        for path, width in zip(paths, widths, strict=True):
            self.n_out[path.l_out] += width
        for path in paths:
            value = couplings[path.degrees].clone()
            self.register_buffer(name_of(path), value, persistent=False)

    def couplings(self) -> dict[Degrees, torch.Tensor]:
        """Return the couplings, as they were given."""
        return {path.degrees: getattr(self, name_of(path)) for path in self.paths}

    def forward(
        self,
        x: torch.Tensor,
        edge_harmonics: torch.Tensor,
        weights: torch.Tensor,
        senders: torch.Tensor,
        receivers: torch.Tensor,
        n_nodes: int,
    ) -> torch.Tensor:
        """Return the messages, (n_nodes, Σ n_out × (2l + 1)), in e3nn's layout.

        Parameters
        ----------
        x
            (n_nodes, Σ channels × (2l + 1)), in e3nn's layout.
        edge_harmonics
            (n_edges, (l_edge + 1)²).
        weights
            (n_edges, weight_numel).
        senders, receivers
            (n_edges,), where each edge comes from and leads to.
        n_nodes
            Number of atoms.
        """
        feats = x.index_select(0, senders).split(
            [n * (2 * degree + 1) for degree, n in enumerate(self.channels)], dim=1
        )
        harmonics = edge_harmonics.split(
            [2 * degree + 1 for degree in range(self.l_edge + 1)], dim=1
        )
        widths = [self.channels[path.l_in] for path in self.paths]
        parts = weights.split(widths, dim=1)
        messages = []
        for path, weight, n in zip(self.paths, parts, widths, strict=True):
            coupling = path.factor * getattr(self, name_of(path))
            turned = torch.einsum("eb,abc->eac", harmonics[path.l_edge], coupling)
            feat = feats[path.l_in].reshape(len(weight), n, 2 * path.l_in + 1)
            left = feat * weight[:, :, None]
            messages.append(torch.bmm(left, turned).flatten(1))
        joined = torch.cat(messages, dim=1)
        return joined.new_zeros(n_nodes, joined.shape[1]).index_add(
            0, receivers, joined
        )


def name_of(path: Path) -> str:
    """Return the name of the coupling that a path uses."""
    return f"coupling_{path.l_in}{path.l_edge}{path.l_out}"
