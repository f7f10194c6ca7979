"""Exceptions that a caller branches on; every message says what, where and the cure."""

from __future__ import annotations


class FireError(Exception):
    """Base of every error that FIRE raises on purpose.

    The message states what was expected, what came, and how to mend it; the
    console command prints it without a traceback.
    """


class ConfigError(FireError):
    """A campaign file is missing, unreadable or breaks the schema."""


class ExtensionError(ConfigError):
    """A backbone, labeller, selector, property or gate is unknown or unusable."""


class StructureError(FireError):
    """A structure is unphysical or does not fit the request."""


class UnknownElementError(StructureError):
    """A structure holds an element that a model or labeller does not know."""


class StoreError(FireError):
    """The database or its blobs refuse the request."""


class SchemaTooNewError(StoreError):
    """The database was written by a newer FIRE than this one."""


class StoreUnavailableError(StoreError):
    """The database did not answer for longer than the caller would wait."""


class ReadOnlyStoreError(StoreError):
    """The database takes no changes: a replica, or a file that may only be read."""


class GateError(StoreError):
    """A model did not pass, or was not held against, a gate that it needs."""


class LeaseLostError(StoreError):
    """Another worker owns the label now; this worker's result is discarded."""


class BlobCorruptedError(StoreError):
    """A blob's bytes no longer match the sha256 that names them."""


class LabellingError(FireError):
    """The electronic-structure code gave no usable label for a structure.

    Parameters
    ----------
    kind
        Class of the failure, a value of `fire_core.records.FailureKind`.
    reason
        One sentence for a person.
    log_tail
        Last lines of the code's output; empty when it wrote none.

    Attributes
    ----------
    workdir
        Folder that holds what the calculation left; None: nothing was kept.
    """

    workdir: str | None = None

    def __init__(self, kind: str, reason: str, log_tail: str = "") -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
        self.log_tail = log_tail


class BackboneError(FireError):
    """A foundation model is unknown, missing or cannot do what was asked."""


class UncertaintyError(FireError):
    """An uncertainty cannot be computed or calibrated."""


class OutOfMemoryError(FireError):
    """Not even the smallest part of a computation fits into a device's memory."""


class StudyError(FireError):
    """Cells of a study failed; the others are finished and reported."""


class TrainingError(FireError):
    """Training cannot start or has diverged."""


class PropertyError(FireError):
    """A property cannot be measured of what was given."""
