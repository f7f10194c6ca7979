"""Isolated atoms: at which level, in which cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fire_core.config.dft import Cp2kTheory, DftTheory, VaspTheory
from fire_core.config.theory import XtbTheory
from fire_core.labelling.isolated import atom_theory, isolated_atom
from fire_core.labelling.kpoints import monkhorst_pack
from fire_core.labelling.run import run_label
from fire_core.labelling.theory import theory_from_config

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("theory", [Cp2kTheory(), VaspTheory()])
def test_atoms_of_a_code_have_hunds_moment_at_gamma(theory: DftTheory) -> None:
    level = atom_theory(theory)
    assert isinstance(level, DftTheory)
    moments = {"Li": 1.0, "C": 2.0, "N": 3.0, "O": 2.0, "F": 1.0, "P": 3.0, "La": 1.0}
    assert {s: level.fixed_moment([s]) for s in moments} == moments
    assert level.fixed_moment(["Ne"]) == 0.0
    assert theory.fixed_moment(["Li"]) is None  # free where nothing is fixed
    assert monkhorst_pack(isolated_atom("Li"), level.k_spacing) == (1, 1, 1)
    prints = {theory_from_config(t).fingerprint for t in (theory, level)}
    assert len(prints) == 2


def test_an_atom_does_not_feel_its_images(tmp_path: Path) -> None:
    """GFN1-xTB; a cell of 10 Å would lower lithium by 19 meV."""
    theory = XtbTheory()
    assert atom_theory(theory) is theory
    near, far = isolated_atom("Li"), isolated_atom("Li")
    far.set_cell(1.5 * far.cell.array)
    labels = [run_label(theory, atoms, workdir=tmp_path) for atoms in (near, far)]
    assert labels[0].energy == pytest.approx(labels[1].energy, abs=3e-3)
    assert np.abs(labels[0].forces).max() < 1e-6
