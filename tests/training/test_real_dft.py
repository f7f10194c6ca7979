"""A short replay fine-tune on real DFT, through the store and the same trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.real_dft import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_errors_on_an_aimd_trajectory_fall(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shared_data / "li6ps5cl/1200K.extxyz"
    figures = run([file], None, n_train=4, n_test=2, epochs=8)
    before, after = figures["before"], figures["after"]
    with capsys.disabled():
        print(f"\nLi6PS5Cl at 1200 K, before {before}, after {after}")
    assert after["force_rmse_mev_per_angstrom"] < (
        0.95 * before["force_rmse_mev_per_angstrom"]
    )
    assert after["forgetting_force_mae_mev_per_angstrom"] < (
        1.3 * before["forgetting_force_mae_mev_per_angstrom"]
    )
