"""extxyz in and out: exact to the last bit, and nothing refused in silence."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.data import chemical_symbols
from ase.io import read

from fire_core.errors import StoreError
from fire_core.storage.exchange import export_extxyz, frame_text, import_extxyz
from fire_core.storage.store import Store
from fire_core.structures.sanity import find_problems
from tests.storage.conftest import THEORY, make_frames, make_label

if TYPE_CHECKING:
    from pathlib import Path

CHECK = partial(
    find_problems,
    min_distance_factor=0.4,
    known_elements=frozenset(chemical_symbols[1:]),
)


def text_of(index: int, **changes: object) -> str:
    atoms = make_frames(8)[index]
    label = make_label(atoms, index)
    options: dict[str, object] = {
        "energy": label.energy,
        "forces": label.forces,
        "stress": label.stress,
    }
    return frame_text(atoms, **(options | changes))  # type: ignore[arg-type]


def test_a_round_trip_restores_every_bit(store: Store, tmp_path: Path) -> None:
    frames = make_frames(4)
    frames[0].positions[0] = [5e-324, 1 / 3, 1e-17]
    keys = store.structures.add(frames, source="test")
    labels = {
        k: make_label(a, i) for i, (k, a) in enumerate(zip(keys, frames, strict=True))
    }
    store.labels.add(labels, THEORY)
    path = tmp_path / "out.extxyz"
    assert export_extxyz(store, path, THEORY) == 4
    with Store.open(f"sqlite:///{tmp_path}/other.db", tmp_path / "b") as other:
        other.theories.add(THEORY, "code", "1", "{}")
        report = import_extxyz(other, path, THEORY, CHECK)
        assert sorted(report.accepted) == sorted(keys)  # keys are hashes of the bits
        for key, label in other.labels.get(keys, THEORY).items():
            assert label.energy == labels[key].energy
            assert label.forces.tobytes() == labels[key].forces.tobytes()
            assert label.stress is not None
            assert labels[key].stress is not None
            assert label.stress.tobytes() == labels[key].stress.tobytes()
        again = tmp_path / "again.extxyz"
        export_extxyz(other, again, THEORY)
        assert again.read_bytes() == path.read_bytes()


def test_ase_reads_what_is_written_in_its_own_conventions(tmp_path: Path) -> None:
    path = tmp_path / "one.extxyz"
    path.write_text(text_of(2))
    frame = read(path)
    label = make_label(frame, 2)
    assert frame.get_potential_energy() == label.energy
    assert np.array_equal(frame.get_stress(), label.stress)
    assert frame.pbc.all()


REFUSED = {
    "no_energy": lambda: text_of(0).replace("energy=-10.0 ", ""),
    "not_finite": lambda: text_of(1, energy=float("nan")),
    "wrong_shape": lambda: text_of(2).replace("forces:R:3", "forces:R:2:x:R:1"),
    "overlap": lambda: text_of(3).replace(
        text_of(3).splitlines()[3], "Cl 0.0 0.0 0.1 0 0 0"
    ),
    "mixed_theory": lambda: text_of(4, info={"theory": "other"}),
    "unreadable": lambda: text_of(5).replace("Cl ", "Xq "),
    "truncated": lambda: "\n".join(text_of(6).splitlines()[:-3]) + "\n",
}  # fmt: skip


def test_the_sound_frames_are_imported_and_each_other_is_refused_with_its_reason(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.extxyz"
    broken = [make() for make in REFUSED.values()]
    path.write_text("".join([*broken[:-1], text_of(7), broken[-1]]))
    report = import_extxyz(store, path, THEORY, CHECK)
    assert len(report.accepted) == 1
    assert [r.problem.kind for r in report.refused] == list(REFUSED)
    assert [r.frame for r in report.refused] == [0, 1, 2, 3, 4, 5, 7]
    assert import_extxyz(store, path, THEORY, CHECK).duplicates == report.accepted


def test_positions_that_are_not_finite_are_refused(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "nan.extxyz"
    lines = text_of(0).splitlines()
    path.write_text("\n".join([*lines[:2], "Li nan 0 0 0 0 0", *lines[3:]]) + "\n")
    report = import_extxyz(store, path, THEORY, CHECK)
    assert [r.problem.kind for r in report.refused] == ["not_finite"]


def test_missing_and_empty_files_are_errors(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no file at"):
        import_extxyz(store, tmp_path / "nowhere.extxyz", THEORY, CHECK)
    (tmp_path / "empty.extxyz").touch()
    with pytest.raises(StoreError, match="holds no frame"):
        import_extxyz(store, tmp_path / "empty.extxyz", THEORY, CHECK)


def test_real_dft_data_is_imported_and_exported_unchanged(
    store: Store, shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "li6ps5cl" / "1200K.extxyz"
    head = tmp_path / "head.extxyz"
    with source.open() as stream:
        head.write_text("".join(next(stream) for _ in range(3 * 418)))
    report = import_extxyz(store, head, THEORY, CHECK)
    assert (len(report.accepted), report.refused) == (3, [])
    for key, frame in zip(report.accepted, read(head, index=":"), strict=True):
        label = store.labels.get([key], THEORY)[key]
        assert label.energy == frame.get_potential_energy()
        assert np.array_equal(label.forces, frame.get_forces())
