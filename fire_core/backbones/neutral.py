"""Weights as plain tensors and JSON, which outlive the library that made them.

A vendor's model file is a pickle of that vendor's classes: another release may not load
it, and loading it runs code. A neutral file is safetensors: named arrays, and a header
of text that says what they are weights of. It is read without running anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from fire_core.errors import BackboneError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch

FORMAT: Final = "fire-weights"
VERSION: Final = 1
SUFFIX: Final = ".safetensors"
MOST_HEADER: Final = 100_000_000
"""Bytes; safetensors refuse longer headers."""


@dataclass(frozen=True, slots=True, eq=False)
class NeutralModel:
    """A model as plain tensors.

    Attributes
    ----------
    family
        Whose architecture it is: `mace`, `chgnet`, `sevennet`, or a package's own.
    hyperparameters
        All that the architecture needs beside the weights to be built again, of what
        JSON can hold.
    tensors
        Weights and buffers by name, on the CPU.
    notice
        Authors, licence and source, where the weights came from somebody else.
    """

    family: str
    hyperparameters: Mapping[str, Any]
    tensors: Mapping[str, torch.Tensor]
    notice: Mapping[str, str] = field(default_factory=dict)


def pack_neutral(model: NeutralModel) -> bytes:
    """Return a model as the bytes of a neutral file; equal models give equal bytes."""
    from safetensors.torch import save

    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "family": model.family,
        "hyperparameters": json.dumps(dict(model.hyperparameters), sort_keys=True),
        "notice": json.dumps(dict(model.notice), sort_keys=True),
    }
    tensors = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in sorted(model.tensors.items())
    }
    return _with_header(bytes(save(tensors)), header)


def _with_header(packed: bytes, metadata: Mapping[str, str]) -> bytes:
    """Return safetensors with metadata, whose entries the library puts in any order.

    A file is the length of the header in eight bytes, the header, which blanks fill up
    to a multiple of eight, and the data (safetensors' README, "Format").
    """
    length = int.from_bytes(packed[:8], "little")
    places = json.loads(packed[8 : 8 + length])
    text = json.dumps({"__metadata__": dict(metadata)} | places).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + packed[8 + length :]


def read_neutral(path: Path, *, family: str | None = None) -> NeutralModel:
    """Return the model of a neutral file.

    Parameters
    ----------
    path
        What `pack_neutral` made.
    family
        Whose architecture is expected; None: any.

    Raises
    ------
    BackboneError
        The file is not there, is none of these, or is of another family.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            header = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        msg = f"expected a file of neutral weights (safetensors), got {path}: {error}"
        raise BackboneError(msg) from error
    if header.get("format") != FORMAT:
        msg = (
            f"{path} holds tensors but does not say of which model: expected a header "
            f"with format {FORMAT}, got {header.get('format')!r}; write it with FIRE"
        )
        raise BackboneError(msg)
    if int(header["version"]) > VERSION:
        msg = (
            f"{path} is of version {header['version']} of {FORMAT}, this FIRE reads up "
            f"to {VERSION}; install a newer FIRE"
        )
        raise BackboneError(msg)
    if family is not None and header["family"] != family:
        msg = f"expected a model of {family}, got {path}, which is {header['family']}"
        raise BackboneError(msg)
    return NeutralModel(
        header["family"],
        json.loads(header["hyperparameters"]),
        tensors,
        json.loads(header["notice"]),
    )


def is_neutral(path: Path) -> bool:
    """Return whether a file holds safetensors, by its name or its first bytes.

    A blob of the store has no suffix. safetensors begin with the length of a header in
    eight bytes, and the header is a JSON object; pickles and zip archives do not.
    """
    if path.suffix == SUFFIX:
        return True
    try:
        with path.open("rb") as stream:
            start = stream.read(9)
    except OSError:
        return False
    size = int.from_bytes(start[:8], "little")
    return start[8:] == b"{" and size < MOST_HEADER
