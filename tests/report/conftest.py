"""A small campaign's worth of numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fire_core.report.data import (
    FailedLabel,
    LearningCurve,
    ModelScores,
    ParityData,
    PcaPoints,
    Provenance,
    ReportData,
    StabilityCurve,
    Verdict,
)


def _parity(rng, width):
    energy, force = rng.normal(-4, 0.03, 12), rng.normal(0, 1, 180)
    return ParityData(
        energy_label=energy,
        energy_model=energy + rng.normal(0, width / 10, 12),
        force_label=force,
        force_model=force + rng.normal(0, width, 180),
    )


@pytest.fixture(scope="session")
def report_data() -> ReportData:
    rng = np.random.default_rng(0)
    times = np.linspace(0, 0.5, 40)
    epochs = list(range(1, 6))
    widths = {"zero_shot": 0.4, "pre_fine_tuned": 0.2, "vanilla": 0.06, "fire": 0.07}
    return ReportData(
        name="licl-gaf3",
        config_yaml="name: licl-gaf3\nseed: 7\n",
        models={
            "zero_shot": ModelScores(60.0, 400.0, 35.0, None, 300.0, 9.0),
            "pre_fine_tuned": ModelScores(10.0, 200.0, 60.0),
            "vanilla": ModelScores(3.0, 60.0, 170.0),
            "fire": ModelScores(3.5, 70.0, 42.0),
        },
        label_counts={"done": 143, "failed": 1},
        failures=[FailedLabel("ab" * 32, "not_converged", "250 <b>SCF</b> cycles")],
        seconds={"build": 1.5, "explore": 100.0, "label": 200.0},
        provenance=Provenance(
            theory="GFN1-xTB by tblite 0.8.0",
            theory_code="xtb",
            theory_fingerprint="0123456789abcdef",
            models={"fire": "cd" * 32},
            neutral={"fire": "ef" * 32},
            seeds={"campaign": 7},
            versions={"torch": "2.13.0"},
        ),
        gates=[Verdict("NVE drift 0.4 meV/atom/ps, at most 2.", True)],
        learning_curves={
            "fire": LearningCurve(epochs, [9, 8, 7, 6, 5.0], [3, None, 4, None, 5.0])
        },
        parity={key: _parity(rng, width) for key, width in widths.items()},
        stability={
            "zero_shot": StabilityCurve(
                times[:9], -3 + times[:9] ** 2, 300 + 0 * times[:9], np.inf, False
            ),
            "fire": StabilityCurve(times, -4 + 1e-4 * times, None, 0.4, True),
        },
        pca=PcaPoints(
            rng.normal(size=(60, 2)),
            np.tile([300.0, 600.0], 30),
            [1, 5, 9],
            (0.4, 0.2),
            "mean 0.21, largest 1.30.",
            ["7 candidates around step 40 of replica 1 (600 K), at 1.30"],
        ),
        system="LiCl(001)/GaF3(012)",
        n_test=24,
    )


@pytest.fixture(scope="session")
def bare_data(report_data) -> ReportData:
    """What a campaign without vanilla, curves or selection has to show."""
    models = {k: report_data.models[k] for k in ("zero_shot", "fire")}
    return replace(
        report_data,
        models=models,
        failures=[],
        label_counts={"done": 3},
        gates=[],
        learning_curves={},
        parity={},
        stability={},
        pca=None,
    )
