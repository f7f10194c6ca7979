"""What a foundation model offers, whoever trained it: to predict, and perhaps more.

Every model predicts (`Backbone`). Some also give what they see of each atom
(`HasFeatures`), run many replicas at once (`DrivesDynamics`), or can be fine-tuned
(`backbones.trainable`). What a step of the method needs beyond predictions it asks for
by `need_...`, which raises for a model that has not got it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

import numpy as np

from fire_core.errors import BackboneError, UnknownElementError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ase import Atoms
    from ase.calculators.calculator import Calculator
    from numpy.typing import NDArray

    from fire_core.records import Label

BATCH_ATOMS = 512
"""Atoms in one forward pass on a CPU, and at first on a GPU; see `batch_sizes`."""

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
    """

    name: str
    elements: frozenset[str]
    cutoff: float
    sha256: str

    def calculator(self) -> Calculator:
        """Return an ASE calculator of the model."""

    def predict(
        self, frames: Sequence[Atoms], *, batch_atoms: int | None = None
    ) -> list[Label]:
        """Return energies (eV), forces (eV/Å) and stresses (eV/Å³) in order.

        Parameters
        ----------
        frames
            Structures.
        batch_atoms
            Most atoms in one forward pass; None: as many as the device's memory holds.

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        """


class HasFeatures(Backbone, Protocol):
    """A backbone that gives what it sees of each atom."""

    def atom_features(
        self, frames: Sequence[Atoms], *, batch_atoms: int | None = None
    ) -> list[NDArray[np.float64]]:
        """Return for each frame features of its atoms, (n_atoms, k).

        They do not change when the frame is turned or shifted, and go along when its
        atoms are renumbered.

        Raises
        ------
        UnknownElementError
            A frame holds an element that the model does not know.
        """


class DrivesDynamics(Backbone, Protocol):
    """A backbone that computes many replicas at once, as batched dynamics needs it."""

    def batched_model(self, *, stress: bool = False) -> Any:
        """Return what computes the systems of a batch.

        Called with a `backbones.systems.BatchState` whose positions and cells are on
        its `device` in its `dtype` (torch's), it gives a dict of tensors: `energy`,
        (n_systems,), eV; `forces`, (n_atoms, 3), eV/Å; and, if asked for, `stress`,
        (n_systems, 3, 3), eV/Å³, positive under tension. `copy.copy` of it is called
        with the systems of a part of a batch.
        """


class Loader(Protocol):
    """A family of models: what makes a backbone of a name or a file.

    A function, or the class of the backbone. Where it has an attribute `elements`, a
    frozenset, these are known without loading the model that the bare name stands for.
    """

    def __call__(self, model: str, *, device: str, dtype: str) -> Backbone:
        """Return a backbone.

        Parameters
        ----------
        model
            What stands behind the family's name and a colon: a variant, or the path of
            a file that `Trainable.save` or a training wrote. Empty: the family's model.
        device
            `cpu` or `cuda`.
        dtype
            `float32` or `float64`.

        Raises
        ------
        BackboneError
            There is no such model.
        """


def has_features(backbone: Backbone) -> TypeGuard[HasFeatures]:
    """Return whether a backbone gives features of atoms."""
    return hasattr(backbone, "atom_features")


def drives_dynamics(backbone: Backbone) -> TypeGuard[DrivesDynamics]:
    """Return whether a backbone can drive batched dynamics."""
    return hasattr(backbone, "batched_model")


def need_features(backbone: Backbone, purpose: str) -> HasFeatures:
    """Return the backbone, which has to give features of atoms.

    Raises
    ------
    BackboneError
        It does not; `purpose`, which needs them, begins the message.
    """
    if not has_features(backbone):
        msg = (
            f"{purpose} needs features of atoms, which {backbone.name} does not give; "
            "use a backbone that does, such as fire-mini"
        )
        raise BackboneError(msg)
    return backbone


def need_dynamics(backbone: Backbone) -> DrivesDynamics:
    """Return the backbone, which has to drive batched dynamics.

    Raises
    ------
    BackboneError
        It cannot.
    """
    if not drives_dynamics(backbone):
        msg = (
            f"{backbone.name} cannot drive batched dynamics; use a backbone that can, "
            "such as fire-mini"
        )
        raise BackboneError(msg)
    return backbone


def mean_features(
    backbone: HasFeatures, frames: Sequence[Atoms]
) -> NDArray[np.float64]:
    """Return the features of each frame, averaged over its atoms, (n_frames, k)."""
    return np.array([rows.mean(axis=0) for rows in backbone.atom_features(frames)])


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
