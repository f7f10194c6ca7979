"""Frames are read one by one; labels under other names are told, not read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from fire_core.records import Problem
from fire_core.storage.exchange import frame_text
from fire_core.structures.extxyz import LabelledFrame, iter_frame_texts, read_frame
from fire_core.structures.sanity import find_problems

if TYPE_CHECKING:
    from pathlib import Path

CHECK = partial(find_problems, min_distance_factor=0.4)
ATOMS = bulk("LiCl", "rocksalt", a=5.1)
TEXT = frame_text(
    ATOMS, energy=-7.0, forces=np.array([[0.1, 0, 0], [-0.1, 0, 0]]), info={"n": "3"}
)


def test_a_frame_names_its_theory_or_has_the_default() -> None:
    plain = read_frame(TEXT, "pbe", CHECK)
    named = read_frame(TEXT.replace("n=3", "theory=r2scan"), "pbe", CHECK)
    assert isinstance(plain, LabelledFrame)
    assert isinstance(named, LabelledFrame)
    assert (plain.item.theory, named.item.theory) == ("pbe", "r2scan")
    assert plain.item.key == named.item.key
    assert plain.unread == ()


def test_what_looks_like_a_label_and_is_not_read_is_named() -> None:
    text = TEXT.replace("n=3", "virial_kB=1.5 energy_unit=eV dft_energy=-7.1")
    found = read_frame(text, "", CHECK)
    assert isinstance(found, LabelledFrame)
    assert set(found.unread) == {"virial_kB", "dft_energy"}  # a unit is no number
    lost = read_frame(TEXT.replace("forces:R:3", "dft_forces:R:3"), "", CHECK)
    assert isinstance(lost, Problem)
    assert "got energy; the file has dft_forces" in lost.detail


def test_frames_are_cut_apart_by_their_counts(tmp_path: Path) -> None:
    path = tmp_path / "two.extxyz"
    path.write_text(TEXT + "\n" + TEXT + "junk\n" + TEXT)
    texts = list(iter_frame_texts(path))
    assert texts[:2] == [TEXT, TEXT]
    assert texts[2].startswith("junk")  # and all that follows, which is not trusted
    assert len(texts) == 3


@pytest.mark.parametrize("factor", [0.4, 0.6, 0.8, 0.95])
def test_small_and_large_cells_overlap_by_the_same_rule(factor: float) -> None:
    """A neighbour list, as a second implementation of the quick look at all pairs."""
    from ase.data import covalent_radii

    rng = np.random.default_rng(int(100 * factor))
    outcomes = set()
    for _ in range(12):
        atoms = bulk("LiCl", "rocksalt", a=5.1, cubic=True)
        atoms.positions += rng.normal(0, 0.25, atoms.positions.shape)
        i, j, d = neighbor_list("ijd", atoms, 4.0)
        radii = covalent_radii[atoms.numbers]
        expected = bool((d < factor * (radii[i] + radii[j])).any())
        kinds = [p.kind for p in find_problems(atoms, min_distance_factor=factor)]
        assert (kinds == ["overlap"]) is expected
        outcomes.add(expected)
    assert outcomes
