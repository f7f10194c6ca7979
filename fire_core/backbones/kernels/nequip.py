"""A stack of NequIP's interactions with gates, as SevenNet has them.

Batzner et al., Nat. Commun. 13 (2022) 2453; Park et al., J. Chem. Theory Comput. 20
(2024) 4857. Every feature is even under inversion, so all that tells features apart is
their degree l; those of a layer are a list of tensors (n_atoms, 2l + 1, channels), one
for each l.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import silu

from fire_core.backbones.kernels.convolution_paths import (
    Degrees,
    PathConvolution,
    convolution_paths,
)
from fire_core.backbones.kernels.harmonics import (
    bessel,
    harmonics,
    parity,
    polynomial,
    xplor,
)
from fire_core.backbones.kernels.mixing import (
    SILU_NORM,
    Features,
    Mixing,
    RadialNetwork,
    Sites,
    find_sites,
)
from fire_core.backbones.sending import host_of, send_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a network is built from beside its weights.

    Attributes
    ----------
    elements
        Chemical symbols in the order of the embedding.
    cutoff
        Å.
    channels
        Channels of each degree l, before the first layer and after each.
    l_edge
        Largest degree of the spherical harmonics.
    n_radial
        Number of radial Bessel functions.
    hidden
        Widths of the hidden layers of the radial networks.
    envelope
        `xplor`, with `envelope_from` in Å, or `polynomial`, with it as the power.
    envelope_from
        See there.
    n_modes
        Levels of theory that the network was trained on at once, of which it is at one
        now: that many further inputs of the mixing layers, all but one of them 0. None
        of them: 0.
    adapted
        Elements, by their place in `elements`, whose atoms the mixing layers treat by
        weights of their own, added to those that all atoms share. They count by
        exp(-2 Σ (1 - r²/cutoff²)³) over neighbours of other elements.
    """

    elements: tuple[str, ...]
    cutoff: float
    channels: tuple[tuple[int, ...], ...]
    l_edge: int
    n_radial: int = 8
    hidden: tuple[int, ...] = (64, 64)
    envelope: str = "xplor"
    envelope_from: float = 4.5
    n_modes: int = 0
    adapted: tuple[int, ...] = ()


class Interaction(torch.nn.Module):
    """Mix, gather the neighbours' messages, mix, add what was before, pass the gate."""

    def __init__(
        self,
        n_in: Sequence[int],
        n_out: Sequence[int],
        setting: Architecture,
        couplings: Mapping[Degrees, torch.Tensor],
    ) -> None:
        super().__init__()
        self.n_out = tuple(n_out)
        gated = [n_out[0] + sum(n_out[1:]), *n_out[1:]]
        paths = convolution_paths(n_in, setting.l_edge, len(n_out) - 1)
        self.convolution = PathConvolution(n_in, setting.l_edge, paths, couplings)
        widths = (setting.n_radial, *setting.hidden, self.convolution.weight_numel)
        modes, adapted = setting.n_modes, setting.adapted
        self.keep = Mixing(n_in, gated, adapted=adapted)
        self.before = Mixing(n_in, n_in, n_modes=modes, adapted=adapted)
        self.radial = RadialNetwork(widths)
        n_messages = self.convolution.n_out
        self.after = Mixing(n_messages, gated, n_modes=modes, adapted=adapted)
        self.register_buffer("denominator", torch.ones(()))

    def forward(self, x: Features, edges: Edges, sites: Sites | None) -> Features:
        """Return the features after the layer."""
        messages = self.convolution(
            flatten(self.before(x, sites)),
            edges.harmonics,
            self.radial(edges.radial),
            edges.senders,
            edges.receivers,
            len(x[0]),
        )
        messages = messages / self.denominator
        mixed = self.after(unflatten(messages, self.convolution.n_out), sites)
        for degree, kept in zip(self.keep.degrees, self.keep(x, sites), strict=True):
            mixed[degree] = mixed[degree] + kept
        return self._pass_gate(mixed)

    def _pass_gate(self, x: Features) -> Features:
        activated = SILU_NORM * silu(x[0])
        scalars, *gates = activated.split([self.n_out[0], *self.n_out[1:]], dim=2)
        return [scalars, *(g * v for g, v in zip(gates, x[1:], strict=True))]


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """What every layer is told of the pairs of neighbours.

    A pair is two edges: the first half of them leads one way, the second half the same
    pairs the other way.

    Attributes
    ----------
    harmonics
        (n_edges, (l_edge + 1)²).
    radial
        (n_pairs, n_radial), radial functions under the envelope.
    senders, receivers
        (n_edges,), the neighbour and the atom that it is a neighbour of.
    """

    harmonics: torch.Tensor
    radial: torch.Tensor
    senders: torch.Tensor
    receivers: torch.Tensor


class NequipStack(torch.nn.Module):
    """Energies of atoms from the vectors to their neighbours.

    Parameters
    ----------
    setting
        The architecture; weights are drawn anew from torch's generator.
    couplings
        See `convolution_paths.PathConvolution`; of all of `couplings_of(setting)`.

    Attributes
    ----------
    shift, scale
        Reference energies, (n_elements,), eV, in double precision, and what the
        network's output is multiplied with, (n_elements,), eV. Neither is trained.
    """

    def __init__(
        self, setting: Architecture, couplings: Mapping[Degrees, torch.Tensor]
    ) -> None:
        super().__init__()
        self.setting = setting
        n_elements, first, last = (
            len(setting.elements),
            setting.channels[0][0],
            setting.channels[-1][0],
        )
        numbers = torch.arange(1, setting.n_radial + 1) * math.pi / setting.cutoff
        self.wave_numbers = torch.nn.Parameter(numbers)
        self.embedding = torch.nn.Parameter(torch.randn(n_elements, first))
        self.layers = torch.nn.ModuleList(
            Interaction(a, b, setting, couplings) for a, b in pairwise(setting.channels)
        )
        modes, adapted = setting.n_modes, setting.adapted
        self.hidden = Mixing([last], [last // 2], n_modes=modes, adapted=adapted)
        self.energy = Mixing([last // 2], [1])
        self.register_buffer("scale", torch.ones(n_elements))
        self.register_buffer("shift", torch.zeros(n_elements))

    def forward(
        self,
        kinds: torch.Tensor,
        vectors: torch.Tensor,
        pairs: torch.Tensor,
        scalars: list[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Return the interaction energy of each atom, (n_atoms,), eV.

        Reference energies are not in it.

        Parameters
        ----------
        kinds
            (n_atoms,), index of each atom's element.
        vectors
            (n_pairs, 3), from the first to the second atom of each pair, Å.
        pairs
            (2, n_pairs), atoms; each pair once.
        scalars
            Filled with the invariant features after each layer, (n_atoms, channels).
        """
        edges = self.edges(vectors, pairs)
        sites = find_sites(
            kinds, vectors, pairs, self.setting.adapted, self.setting.cutoff
        )
        rows = self.embedding / math.sqrt(len(self.embedding))
        x = [rows.index_select(0, kinds)[:, None]]
        for layer in self.layers:
            x = layer(x, edges, sites)
            if scalars is not None:
                scalars.append(x[0][:, 0])
        (energy,) = self.energy(self.hidden(x, sites))
        return energy[:, 0, 0] * self.scale[kinds]

    def couplings(self) -> dict[Degrees, torch.Tensor]:
        """Return the couplings of all layers."""
        found: dict[Degrees, torch.Tensor] = {}
        for layer in self.layers:
            found |= layer.convolution.couplings()
        return found

    def edges(self, vectors: torch.Tensor, pairs: torch.Tensor) -> Edges:
        """Return what the layers are told of pairs; see `forward`."""
        setting = self.setting
        lengths = vectors.square().sum(dim=1).sqrt()
        if setting.envelope == "xplor":
            envelope = xplor(lengths, setting.envelope_from, setting.cutoff)
        else:
            envelope = polynomial(lengths, round(setting.envelope_from), setting.cutoff)
        radial = bessel(lengths, self.wave_numbers, setting.cutoff)
        one_way = harmonics(vectors, lengths, setting.l_edge)
        return Edges(
            torch.cat([one_way, one_way * parity(setting.l_edge, one_way)]),
            radial * envelope[:, None],
            pairs.flip(0).flatten(),
            flattened(pairs),
        )


def couplings_of(setting: Architecture) -> list[Degrees]:
    """Return the degrees of every coupling that a network needs."""
    needed = {
        path.degrees
        for a, b in pairwise(setting.channels)
        for path in convolution_paths(a, setting.l_edge, len(b) - 1)
    }
    return sorted(needed)


def flattened(pairs: torch.Tensor) -> torch.Tensor:
    """Return the atoms that edges lead to, known to the host where the pairs are."""
    known = host_of(pairs)
    if known is None or known is pairs:
        return pairs.flatten()
    return send_known(known.flatten(), pairs.device)


def flatten(x: Features) -> torch.Tensor:
    """Return features in e3nn's layout: (n_atoms, Σ channels × (2l + 1))."""
    return torch.cat([part.transpose(1, 2).flatten(1) for part in x], dim=1)


def unflatten(x: torch.Tensor, channels: Sequence[int]) -> Features:
    """Return features in e3nn's layout as one tensor for each degree."""
    widths = [n * (2 * degree + 1) for degree, n in enumerate(channels)]
    return [
        part.reshape(len(x), n, 2 * degree + 1).transpose(1, 2)
        for degree, (part, n) in enumerate(
            zip(x.split(widths, 1), channels, strict=True)
        )
    ]
