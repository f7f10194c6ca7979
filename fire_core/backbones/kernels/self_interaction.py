"""MACE's self-interaction by the weights of the elements that are there.

A layer adds to an atom's message its own features, mixed by a matrix of its element
(Batatia et al., arXiv:2206.07697, eq. 11). mace-torch has it as e3nn's tensor product
with the one-hot element: features times elements, for every element that the model
knows, 89 of the published ones. Here each atom meets the matrix of its own alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import torch

from fire_core.backbones.sending import MadeOf, host_of, send


@dataclass(frozen=True, slots=True, eq=False)
class ElementGroups:
    """Atoms by their element.

    Attributes
    ----------
    order
        Atoms, those of one element beside each other, (n_atoms,).
    back
        Where each atom stands in that order, (n_atoms,).
    present
        Elements that there are, as the model numbers them, in that order.
    sizes
        How many atoms each has, known to the host.
    """

    order: torch.Tensor
    back: torch.Tensor
    present: torch.Tensor
    sizes: list[int]


def group_elements(elements: torch.Tensor) -> ElementGroups:
    """Return the atoms by element: made once, on the host where it knows them.

    Parameters
    ----------
    elements
        (n_atoms, n_elements), one-hot. The same tensor is given by every layer.
    """

    def make() -> ElementGroups:
        known = host_of(elements)
        kinds = (elements if known is None else known).argmax(dim=1)
        order = torch.argsort(kinds, stable=True)
        present, counts = kinds[order].unique_consecutive(return_counts=True)
        back, device = torch.argsort(order), elements.device
        order, back, present = (send(part, device) for part in (order, back, present))
        return ElementGroups(order, back, present, counts.tolist())

    return _GROUPS.get(elements, None, make)


_GROUPS: Final[MadeOf[ElementGroups]] = MadeOf()


class _Part(NamedTuple):
    """Features of one degree: where they stand, and where their weights do."""

    source: int
    target: int
    first: int
    shape: tuple[int, int, int]
    coefficient: float


class SelfInteraction(torch.nn.Module):
    """Drop-in for the `skip_tp` of a MACE interaction.

    Parameters
    ----------
    product
        The tensor product to replace, whose weights are shared;
        `is_self_interaction` says whether it can be.
    """

    def __init__(self, product: Any) -> None:
        super().__init__()
        self.weight = product.weight
        self.irreps_in1, self.irreps_out = product.irreps_in1, product.irreps_out
        self.n_elements = product.irreps_in2.dim
        self.parts: list[_Part] = []
        first = 0
        for path in product.instructions:
            degree = self.irreps_out[path.i_out].ir.l
            # Wigner's symbol of (l, 0, l) is the unit matrix over √(2l + 1)
            coefficient = path.path_weight / math.sqrt(2 * degree + 1)
            shape = tuple(path.path_shape)
            part = _Part(path.i_in1, path.i_out, first, shape, coefficient)
            self.parts.append(part)
            first += math.prod(shape)

    def forward(self, x: torch.Tensor, elements: torch.Tensor) -> torch.Tensor:
        """Return mixed features, (n_atoms, irreps_out.dim).

        Parameters
        ----------
        x
            (n_atoms, irreps_in1.dim), features.
        elements
            (n_atoms, n_elements), one-hot.
        """
        groups = group_elements(elements)
        sections = x.index_select(0, groups.order).split(
            [block.dim for block in self.irreps_in1], dim=1
        )
        weights = self.weight.split([math.prod(part.shape) for part in self.parts])
        mixed: list[torch.Tensor | None] = [None] * len(self.irreps_out)
        for part, flat in zip(self.parts, weights, strict=True):
            matrices = flat.reshape(part.shape).index_select(1, groups.present)
            features = sections[part.source].unflatten(1, (part.shape[0], -1))
            mixed[part.target] = _by_element(
                features.transpose(1, 2), matrices * part.coefficient, groups.sizes
            )
        joined = torch.cat(
            [
                x.new_zeros(len(x), block.dim) if values is None else values
                for values, block in zip(mixed, self.irreps_out, strict=True)
            ],
            dim=1,
        )
        return joined.index_select(0, groups.back)


def _by_element(
    features: torch.Tensor, matrices: torch.Tensor, sizes: list[int]
) -> torch.Tensor:
    """Return (n_atoms, channels × (2l + 1)) of (n_atoms, 2l + 1, channels).

    Atoms stand by element, so many of each; matrices are (channels, elements,
    channels).
    """
    rows = [
        part.flatten(0, 1) @ matrix
        for part, matrix in zip(features.split(sizes), matrices.unbind(1), strict=True)
    ]
    out = torch.cat(rows).unflatten(0, (-1, features.shape[1]))
    return out.transpose(1, 2).flatten(1)


def is_self_interaction(product: Any) -> bool:
    """Return whether a product mixes features by matrices of one-hot elements."""
    elements: Any = getattr(product, "irreps_in2", ())
    return (
        len(elements) == 1
        and elements[0].ir.l == 0
        and elements[0].ir.p == 1
        and bool(getattr(product, "internal_weights", False))
        and all(
            i.connection_mode == "uvw" and i.has_weight for i in product.instructions
        )
        and len({i.i_out for i in product.instructions}) == len(product.instructions)
    )
