"""Outputs of real calculations, and the samples of VASP's that ASE ships."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of real outputs; its README says how they were made."""
    return DATA


@pytest.fixture(scope="session")
def vasp_samples() -> Path:
    """Folder of real VASP outputs in ASE's wheel; skips where a release lacks them."""
    import ase

    folder = Path(ase.__file__).parent / "test" / "testdata" / "vasp"
    if not (folder / "vasprun_pstress.xml").is_file():
        pytest.skip("this release of ASE ships no VASP outputs")
    return folder
