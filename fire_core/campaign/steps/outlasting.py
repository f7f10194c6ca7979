"""Keep a trained model as neutral weights too, beside its library's own file.

The file of a library is what its programs read, and may be unreadable to the next
release of it. The neutral one (`backbones.neutral`) is made when a training ends, is a
blob like any other, and is found from the model's name (`kinds.NEUTRAL_COPY`).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fire_core.backbones.export import ExportFormat, export_model
from fire_core.backbones.neutral import SUFFIX
from fire_core.campaign.kinds import NEUTRAL_COPY, NeutralCopy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms

    from fire_core.backbones.trainable import Trainable
    from fire_core.storage.store import Store

COMPARED: Final = 2
"""Structures that the copy is compared with the model on."""


def keep_neutral(
    store: Store,
    which: tuple[str, str],
    load: Callable[[], Trainable],
    frames: Callable[[], Sequence[Atoms]],
    *,
    say: Callable[[str], None],
) -> NeutralCopy:
    """Make the neutral copy of a trained model unless it was tried already.

    The model is in the store before; whatever goes wrong with its copy is noted and
    told, and costs nothing else.

    Parameters
    ----------
    store
        Has the model, and takes the copy.
    which
        Campaign and name of the model.
    load
        Returns a backbone of the model's family, which reads its file.
    frames
        Returns structures; the smallest are predicted with the model and its copy,
        which have to agree.
    say
        Is given a warning where the copy could not be made.
    """
    campaign, name = which
    model = store.models.need(campaign, name).blob_sha
    known = find_neutral(store, campaign, name)
    if known is not None:
        return known
    try:
        trained = load().reload(store.blobs.path(model))
        smallest = sorted(frames(), key=len)[:COMPARED]
        with tempfile.TemporaryDirectory(prefix="fire-neutral-") as folder:
            path = Path(folder) / f"model{SUFFIX}"
            export_model(trained, ExportFormat.NEUTRAL, path, frames=smallest)
            copy = NeutralCopy(model, store.blobs.put_file(path))
    except Exception as error:  # noqa: BLE001 - the model must not be lost by its copy
        copy = NeutralCopy(model, None, f"{type(error).__name__}: {error}")
        say(
            f"{name}: no neutral copy of its weights ({error}); the model itself is "
            f"kept. Try again with `fire model export {campaign} {name} PATH --format "
            "neutral`"
        )
    store.evaluations.save(NEUTRAL_COPY, campaign, copy, subject=name)
    return copy


def find_neutral(store: Store, campaign: str, name: str) -> NeutralCopy | None:
    """Return what is known of a model's neutral copy; None: none was tried."""
    known = store.evaluations.get(NEUTRAL_COPY, campaign, subject=name)
    row = store.models.get(campaign, name)
    if known is None or row is None or known.model != row.blob_sha:
        return None
    return known


def tell_neutral(store: Store, campaign: str, name: str) -> NeutralCopy:
    """Return a model's neutral copy; without a blob its `problem` says what to do."""
    known = find_neutral(store, campaign, name)
    if known is not None:
        return known
    made = f"made by `fire model export {campaign} {name} PATH --format neutral`"
    return NeutralCopy(store.models.need(campaign, name).blob_sha, None, made)
