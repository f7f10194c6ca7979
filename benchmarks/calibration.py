"""Expected against observed force errors, on data that no model has seen.

``python -m benchmarks.calibration [--folder FOLDER] [--quick]``. fire-mini is
fine-tuned with replay on frames of Li10GeP2S12 (PBE; beside the project, `DATA`), and
so is a committee, each member on its part. The set is split in its order: what is
trained on, then labels to calibrate with, then the frames that are judged. Committee
and last layer are compared before and after calibration. Trained models are kept.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.data import SHARED, read_frames
from fire_core.backbones.mace import MaceBackbone, load_mace
from fire_core.backbones.registry import load_backbone
from fire_core.backbones.trainable import Trainable, need_trainable
from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.report.loop_data import ReliabilityCurve
from fire_core.report.loop_figures import draw_reliability
from fire_core.training.committee import choose_subset
from fire_core.training.data import TrainingData, sample_evenly
from fire_core.training.sources import load_replay_source
from fire_core.training.trainer import fine_tune
from fire_core.uncertainty.calibration import Calibration, assess
from fire_core.uncertainty.estimate import (
    CommitteeEstimator,
    build_last_layer,
    calibrate,
    force_errors,
)
from fire_core.uncertainty.last_layer import sum_features

if TYPE_CHECKING:
    from fire_core.records import LabelledStructure
    from fire_core.uncertainty.calibration import Reliability
    from fire_core.uncertainty.estimate import Estimator

DATA: Final = SHARED / "lgps" / "train.extxyz"
FULL: Final = {"n_train": 60, "n_known": 20, "n_test": 60, "epochs": 12, "members": 4}
QUICK: Final = {"n_train": 4, "n_known": 3, "n_test": 3, "epochs": 1, "members": 2}
REHEARSED: Final = 256


def split_by_time(
    items: list[LabelledStructure], sizes: dict[str, int]
) -> tuple[list[LabelledStructure], ...]:
    """Return frames to train on, to calibrate with and to judge by, in that order.

    Half of the trajectory, a fifth, and the rest; evenly spaced within each.
    """
    first, second = len(items) // 2, int(0.7 * len(items))
    return (
        sample_evenly(items[:first], sizes["n_train"]),
        sample_evenly(items[first:second], sizes["n_known"]),
        sample_evenly(items[second:], sizes["n_test"]),
    )


def train(
    foundation: Trainable, data: TrainingData, epochs: int, which: tuple[Path, int]
) -> MaceBackbone:
    """Return a fine-tuned model, from its file where it is there."""
    folder, seed = which
    path = folder / f"member-{seed}.model"
    if not path.is_file():
        replay = ReplayConfig(ratio=0.5)
        config = TrainConfig(epochs=epochs, batch_frames=4, replay=replay)
        path.write_bytes(fine_tune(foundation, data, config, seed=seed).model)
        print(f"trained {path.name}", flush=True)
    return load_mace(path, name=path.stem, device="cpu", dtype="float32")


def judge(
    estimator: Estimator,
    known: list[LabelledStructure],
    test: list[LabelledStructure],
) -> dict[str, Reliability]:
    """Return the reliability on the test frames, before and after calibration."""
    calibration = calibrate(estimator, known).calibration
    estimate = estimator.estimate([item.atoms for item in test])
    errors, raw = force_errors(estimate, test), np.concatenate(estimate.raw)
    print(f"  σ = {calibration.scale:.3g} × raw^{calibration.exponent:.2f}")
    return {
        "raw": assess(Calibration().apply(raw), errors),
        "calibrated": assess(calibration.apply(raw), errors),
    }


def run(folder: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """Train what is missing, judge both estimators, draw, return the figures."""
    foundation = need_trainable(load_backbone("fire-mini", device="cpu"))
    items = read_frames(DATA, foundation.elements)
    learnt, known, test = split_by_time(items, sizes)
    replay = load_replay_source(ReplayConfig(), foundation.elements).data
    models = []
    for member in range(sizes["members"] + 1):
        part = choose_subset(learnt, 0.8, seed=0, member=member) if member else learnt
        data = TrainingData(part, known[:2], replay.train, replay.heldout[:8])
        models.append(train(foundation, data, sizes["epochs"], (folder, member)))
    driver = models[0]
    atoms = [i.atoms for i in (*learnt, *sample_evenly(replay.train, REHEARSED))]
    estimators: dict[str, Estimator] = {
        "committee": CommitteeEstimator(driver, models[1:]),
        "last layer": build_last_layer(
            driver, sum_features(driver.atom_features(atoms)), known
        ),
    }
    found: dict[str, Reliability] = {}
    for name, estimator in estimators.items():
        print(name)
        for stage, reliability in judge(estimator, known, test).items():
            found[f"{name}, {stage}"] = reliability
    curves = {
        name: ReliabilityCurve(
            r.expected, r.observed, r.predicted, r.measured, r.miscalibration
        )
        for name, r in found.items()
        if name != "last layer, raw"  # it has no unit
    }
    draw_reliability(curves, folder)
    return {name: asdict(reliability) for name, reliability in found.items()}


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.calibration", description=__doc__)
    parser.add_argument("--folder", type=Path, help="keeps models and picture")
    parser.add_argument("--quick", action="store_true", help="under a minute")
    given = parser.parse_args()
    if not DATA.is_file():
        parser.error(f"the data are not here: {DATA.name} of lgps, beside the project")
    sizes = QUICK if given.quick else FULL
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        figures = run(folder, sizes)
    print(f"{'':26s}miscal.   ENCE   rank   RMSE   expected (meV/Å)")
    for name, row in figures.items():
        print(
            f"{name:26s}{row['miscalibration']:7.3f}{row['ence']:7.2f}"
            f"{row['rank_correlation']:7.2f}{1e3 * row['rmse']:7.0f}"
            f"{1e3 * row['rms_sigma']:11.0f}"
        )
    print(json.dumps({"sizes": sizes} | figures))


if __name__ == "__main__":
    main()
