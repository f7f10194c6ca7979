"""One file of finished calculations into the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fire_core.errors import StoreError
from fire_core.importing.agreement import find_difference
from fire_core.importing.formats import Format, read_calculations
from fire_core.importing.frames import (
    CalculatedFrame,
    Outcome,
    RefusedFrame,
    refuse,
)
from fire_core.labelling.theory import Theory
from fire_core.progress import tracked
from fire_core.records import Label
from fire_core.storage.store import Store
from fire_core.structures.content import structure_key

SAME_ENERGY = 1e-3  # eV per atom: a label that differs by more contradicts


@dataclass(slots=True)
class Given:
    """The theory level that a person names for all files.

    Attributes
    ----------
    fingerprint
        Of the level in the store.
    stated
        What the first file that says its theory level said; others must agree.
    """

    fingerprint: str
    stated: Theory | None = None


@dataclass(slots=True)
class Imported:
    """What became of a file.

    Attributes
    ----------
    path
        The file.
    n_frames
        Frames in it, refused ones too.
    added, known
        Keys of structures whose label is new, or was there already.
    refused
        Frames left out, each with its reason.
    theories
        What the file says of its theory levels, by fingerprint; empty for one that a
        person named.
    n_unsaid
        Frames whose theory level neither file nor person says; not imported.
    broken
        Why reading ended before the end of the file; None: it did not.
    """

    path: Path
    n_frames: int = 0
    added: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    refused: list[RefusedFrame] = field(default_factory=list)
    theories: dict[str, str] = field(default_factory=dict)
    n_unsaid: int = 0
    broken: str | None = None


def import_one(store: Store, path: Path, kind: Format, given: Given | None) -> Imported:
    """Read a file and store its sound frames, each theory level by itself."""
    done = Imported(path)
    levels = {row[0]: "" for row in store.theories.list()}
    frames: dict[str, list[CalculatedFrame]] = {}
    for outcome in _read(path, kind, done):
        fit = outcome
        if isinstance(outcome, CalculatedFrame):
            fit = _check_theory(outcome, given, levels)
        if isinstance(fit, RefusedFrame):
            done.refused.append(fit)
        elif (fingerprint := _fingerprint(fit, given)) is None:
            done.n_unsaid += 1
        else:
            frames.setdefault(fingerprint, []).append(fit)
    if done.n_frames == 0 and not done.broken:
        done.broken = f"{path} holds no frame; read as {kind}"
    for fingerprint, part in frames.items():
        _store_frames(store, fingerprint, part, done)
    done.refused.sort(key=lambda refusal: refusal.number)
    return done


def _read(path: Path, kind: Format, done: Imported) -> list[Outcome]:
    """Return all frames up to where the file breaks."""
    outcomes: list[Outcome] = []
    try:
        outcomes.extend(
            tracked(read_calculations(path, kind), f"Frames of {path.name}")
        )
    except StoreError as error:
        done.broken = str(error)
    done.n_frames = len(outcomes)
    return outcomes


def _check_theory(
    frame: CalculatedFrame, given: Given | None, levels: dict[str, str]
) -> Outcome:
    """Refuse a frame of another theory level than what it would be stored under."""
    stated = frame.theory
    if isinstance(stated, str):
        if given is not None and stated != given.fingerprint:
            detail = f"labelled with {stated}, expected {given.fingerprint}"
            return refuse(frame.number, "mixed_theory", detail)
        if given is None and stated not in levels:
            detail = (
                f"theory {stated} is not in this store; name it with --theory NAME "
                "after taking `theory=` out of the file, or copy the store"
            )
            return refuse(frame.number, "unknown_theory", detail)
    if given is None or not isinstance(stated, Theory):
        return frame
    given.stated = given.stated or stated
    if difference := find_difference(given.stated, stated):
        detail = f"{difference}; leave --theory out to keep theory levels apart"
        return refuse(frame.number, "mixed_theory", detail)
    return frame


def _fingerprint(outcome: Outcome, given: Given | None) -> str | None:
    """Return the theory level to store a frame under; None: nobody says."""
    if given is not None:
        return given.fingerprint
    stated = outcome.theory if isinstance(outcome, CalculatedFrame) else None
    return stated.fingerprint if isinstance(stated, Theory) else stated


def _store_frames(
    store: Store, fingerprint: str, frames: list[CalculatedFrame], done: Imported
) -> None:
    level = frames[0].theory
    done.theories[fingerprint] = ""
    if isinstance(level, Theory) and level.fingerprint == fingerprint:
        done.theories[fingerprint] = level.describe()
        store.theories.add(fingerprint, level.code, level.version, level.settings_json)
    keys = [structure_key(frame.atoms) for frame in frames]
    labels = store.labels.get(keys, fingerprint)
    fresh: dict[str, CalculatedFrame] = {}
    for key, frame in zip(keys, frames, strict=True):
        before = labels.get(key) or (fresh[key].label if key in fresh else None)
        if before is None:
            fresh[key] = frame
        elif problem := _contradicts(frame, before):
            done.refused.append(problem)
        else:
            done.known.append(key)
    store.structures.add(
        [frame.atoms for frame in fresh.values()], source=f"import {done.path.name}"
    )
    added, known = store.labels.add(
        {key: frame.label for key, frame in fresh.items()}, fingerprint
    )
    done.added += added
    done.known += known


def _contradicts(frame: CalculatedFrame, before: Label) -> RefusedFrame | None:
    off = abs(frame.label.energy - before.energy) / max(len(frame.atoms), 1)
    if off <= SAME_ENERGY:
        return None
    detail = (
        f"the same structure has an energy {off * 1000:.1f} meV/atom away at this "
        "theory level already"
    )
    return refuse(frame.number, "contradiction", detail)
