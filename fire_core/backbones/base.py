"""What every foundation model offers, whoever trained it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from fire_core.errors import UnknownElementError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from fire_core.records import Label

BATCH_ATOMS = 512
"""Atoms in one forward pass unless the caller says otherwise."""

OTHER_BACKBONE = (
    "Choose a backbone that covers it, for example backbone.name: medium-mpa-0"
)


class Backbone(Protocol):
    """A foundation model, or one fine-tuned from it.

    Attributes
    ----------
    name
        How it was asked for.
    elements
        Chemical symbols that it knows.
    cutoff
        Radius of its neighbourhoods, Å.
    sha256
        Hash of its file; names the model wherever its results are kept.
    trainable
        Whether `training.trainer` can fine-tune it.
    """

    name: str
    elements: frozenset[str]
    cutoff: float
    sha256: str
    trainable: bool

    def calculator(self) -> Calculator:
        """Return an ASE calculator of the model."""

    def predict(
        self, frames: Sequence[Atoms], *, batch_atoms: int = BATCH_ATOMS
    ) -> list[Label]:
        """Return energies (eV), forces (eV/Å) and stresses (eV/Å³) in order.

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        """

    def torch_sim_model(self, *, stress: bool = False) -> Any:
        """Return the model as torch-sim's batched dynamics wants it.

        It gives energies (eV), forces (eV/Å) and, if asked for, stresses (eV/Å³).
        """


def refuse_unknown_elements(
    frames: Sequence[Atoms],
    elements: frozenset[str],
    name: str,
    *,
    what: str = "frame",
    remedy: str = OTHER_BACKBONE,
) -> None:
    """Raise UnknownElementError, naming element and frame, for what is not known.

    `what` names the kind of frame in the message, `remedy` ends it.
    """
    for number, atoms in enumerate(frames):
        unknown = sorted(set(atoms.get_chemical_symbols()) - elements)
        if unknown:
            msg = (
                f"{name} does not know {', '.join(unknown)} in {what} {number} "
                f"({atoms.get_chemical_formula()}); it knows "
                f"{', '.join(sorted(elements))}. {remedy}"
            )
            raise UnknownElementError(msg)


def pack(costs: Sequence[Sequence[int]], limits: Sequence[int]) -> Iterator[list[int]]:
    """Yield consecutive indices whose costs add up to at most the limits.

    Parameters
    ----------
    costs
        For each frame, its costs of each kind, such as atoms and edges.
    limits
        Most of each kind in one batch; 0: no limit. A single frame beyond a limit
        makes a batch of its own.
    """
    batch: list[int] = []
    total = [0] * len(limits)
    for index, cost in enumerate(costs):
        after = [a + b for a, b in zip(total, cost, strict=True)]
        if batch and any(
            limit and a > limit for a, limit in zip(after, limits, strict=True)
        ):
            yield batch
            batch, after = [], list(cost)
        batch.append(index)
        total = after
    if batch:
        yield batch


def pack_by_atoms(sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Yield consecutive indices whose sizes add up to at most `most`; see `pack`."""
    return pack([(size,) for size in sizes], (most,))
