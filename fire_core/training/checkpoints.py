"""The state of a training after an epoch, as bytes that resume it exactly.

Nothing random is in it: each epoch's order, replay and learning rate follow from the
seed and the epoch's number.
"""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from fire_core.errors import TrainingError
from fire_core.records import EpochRecord, ErrorSummary, StepMakeup

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION: Final = 3
UNREADABLE: Final = (RuntimeError, EOFError, KeyError, TypeError, ValueError)


def pack_checkpoint(
    parts: dict[str, Any],
    records: Sequence[EpochRecord],
    identity: str,
    best: list[Any] | None = None,
    *,
    layout: str = "",
) -> bytes:
    """Return the states of model, optimiser and average as bytes.

    Parameters
    ----------
    parts
        Objects with a `state_dict`, by name.
    records
        What the epochs so far reached.
    identity
        Says which training this is; resuming another one is refused.
    best
        Averaged weights of the epoch to keep, where that is not the last one.
    layout
        `Trainable.layout` of the backbone that is trained.
    """
    import torch

    buffer = io.BytesIO()
    content = {
        "version": VERSION,
        "identity": identity,
        "records": [asdict(record) for record in records],
        "states": {name: part.state_dict() for name, part in parts.items()},
        "best": best,
        "layout": layout,
    }
    torch.save(content, buffer)
    return buffer.getvalue()


def recorded_layout(data: bytes) -> str | None:
    """Return the layout that a training began in; None: its checkpoint says none.

    Checkpoints of before it was recorded say none, and what is no checkpoint.
    """
    import pickle

    import torch

    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=False)
        layout = content.get("layout")
    except (*UNREADABLE, AttributeError, pickle.UnpicklingError):
        return None
    return layout if isinstance(layout, str) else None


def unpack_checkpoint(
    data: bytes, parts: dict[str, Any], identity: str
) -> tuple[list[EpochRecord], list[Any] | None]:
    """Load the states into the given objects; return the records and the best weights.

    Raises
    ------
    TrainingError
        The bytes are not a checkpoint, are of another version, or belong to a
        training with other data or settings.
    """
    import torch

    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=False)
        version, found = content["version"], content["identity"]
    except UNREADABLE as error:
        msg = f"the checkpoint cannot be read: {error}; delete it to start afresh"
        raise TrainingError(msg) from error
    if version != VERSION or found != identity:
        msg = (
            f"the checkpoint is of training {found} (format {version}), expected "
            f"{identity} (format {VERSION}): data or settings changed, or "
            "backbone.kernels did; start a campaign under another name"
        )
        raise TrainingError(msg)
    for name, part in parts.items():
        part.load_state_dict(content["states"][name])
    return [_record(values) for values in content["records"]], content["best"]


def _record(values: dict[str, Any]) -> EpochRecord:
    typed = {
        "valid": ErrorSummary(**values["valid"]),
        "steps": StepMakeup(**values["steps"]),
    }
    return EpochRecord(**(values | typed))
