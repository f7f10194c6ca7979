"""Frames of an indexed file are those that were written, and only read when wanted."""

from __future__ import annotations

import multiprocessing
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from fire_core.errors import StructureError
from fire_core.records import Label, LabelledStructure
from fire_core.structures.content import structure_key
from fire_core.structures.frame_index import FrameIndex, build_index, formula_place

if TYPE_CHECKING:
    from pathlib import Path

CRYSTALS = [bulk("LiF", "rocksalt", a=4.0), bulk("LiCl", "rocksalt", a=5.1)]
KINDS = [*CRYSTALS, molecule("H2O"), Atoms("Og2", cell=[3, 4, 5], pbc=(1, 0, 1))]


def items(n: int = 12) -> list[LabelledStructure]:
    """Different sizes, cells and directions; every third without stress."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(n):
        atoms = KINDS[i % 4].repeat(1 + i % 2)
        atoms.positions += rng.normal(0, 0.1, atoms.positions.shape)
        stress = None if i % 3 == 0 else rng.normal(size=6)
        label = Label(float(rng.normal()), rng.normal(size=(len(atoms), 3)), stress)
        made.append(LabelledStructure(structure_key(atoms), atoms, label, "pbe"))
    return made


def read_one(index: FrameIndex) -> str:
    return index[3].key


def test_frames_come_back_to_the_last_bit(tmp_path: Path) -> None:
    written = items()
    index = build_index(iter(written), tmp_path / "a.lmdb", theory="pbe")
    assert len(index) == len(written)
    for before, after in zip(written, index, strict=True):
        assert after.key == before.key == structure_key(after.atoms)
        assert after.label.energy == before.label.energy
        assert np.array_equal(after.label.forces, before.label.forces)
        if before.label.stress is None:
            assert after.label.stress is None
        else:
            assert np.array_equal(after.label.stress, before.label.stress)
    assert index.n_atoms.tolist() == [len(item.atoms) for item in written]
    assert index[-1].key == written[-1].key
    assert [i.key for i in index[2:5]] == [i.key for i in written[2:5]]


def test_frames_are_chosen_by_element_without_being_read(tmp_path: Path) -> None:
    written = items()
    index = build_index(written, tmp_path / "a.lmdb", theory="pbe")
    symbols = [set(item.atoms.get_chemical_symbols()) for item in written]
    for wanted in ({"Li"}, {"Og"}, {"Cl", "H"}, {"Li", "F", "H", "O"}, {"Na"}):
        expected = [bool(wanted & found) for found in symbols]
        assert index.holding(wanted).tolist() == expected
        assert index.within(wanted).tolist() == [found <= wanted for found in symbols]
    assert index.elements == {"Li", "F", "Cl", "H", "O", "Og"}
    part = index.take(index.holding({"Og"}))
    assert part.elements == {"Og"}
    assert [item.key for item in part] == [written[i].key for i in (3, 7, 11)]
    assert part.take(np.array([1])).places[0] == formula_place(written[7].atoms)


def test_other_frames_or_labels_have_another_digest(tmp_path: Path) -> None:
    written = items()
    index = build_index(written, tmp_path / "a.lmdb", theory="pbe")
    again = build_index(written, tmp_path / "b.lmdb", theory="pbe")
    assert index.digest == again.digest
    label = replace(written[5].label, energy=written[5].label.energy + 1e-12)
    other = [*written[:5], replace(written[5], label=label), *written[6:]]
    changed = build_index(other, tmp_path / "c.lmdb", theory="pbe")
    digests = {index.digest, changed.digest, index[:-1].digest, index[::-1].digest}
    assert len(digests) == 4


def test_another_process_reads_it(tmp_path: Path) -> None:
    """Forked with the file open, and sent to a fresh one."""
    index = build_index(items(), tmp_path / "a.lmdb", theory="pbe")
    for method in ("fork", "spawn"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(read_one, [index]) == index[3].key
    assert pickle.loads(pickle.dumps(index))[4].key == index[4].key


def test_what_is_not_finite_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    broken = items()
    broken[7].label.forces[0, 1] = np.nan
    with pytest.raises(StructureError, match=r"frame 7 \(Og16\) has .* not a number"):
        build_index(broken, tmp_path / "a.lmdb", theory="pbe")
    with pytest.raises(StructureError, match=r"set\.extxyz holds no frame"):
        build_index([], tmp_path / "a.lmdb", theory="set.extxyz")
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_index_are_told(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="there is no file"):
        FrameIndex(tmp_path / "a.lmdb")
    (tmp_path / "b.lmdb").write_text("2\nnothing\n" * 1000)
    with pytest.raises(StructureError, match="is no index of frames"):
        FrameIndex(tmp_path / "b.lmdb")
    import lmdb

    with (
        lmdb.open(str(tmp_path / "c.lmdb"), subdir=False) as env,
        env.begin(write=True) as write,
    ):
        write.put(b"a", b"b")
    with pytest.raises(StructureError, match=r"written to its end.*fire replay index"):
        FrameIndex(tmp_path / "c.lmdb")
