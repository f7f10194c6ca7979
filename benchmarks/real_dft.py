"""Replay fine-tuning of fire-mini on real DFT of Li6PS5Cl, errors before and after.

``python -m benchmarks.real_dft FILE... [--save MODEL] [--quick]``; each FILE is an
extxyz of an AIMD run, such as the 600 K and 1200 K trajectories of Li6PS5Cl. Each run
is split by time: the first part to train on, two frames between to keep the best epoch
by, the last to judge by, so that no judged frame neighbours a trained one.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fire_core.backbones.mace import load_mace
from fire_core.backbones.registry import load_backbone
from fire_core.config.training import ReplayConfig, TrainConfig
from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.evaluation.references import fit_references, shift_energies
from fire_core.storage.exchange import import_extxyz
from fire_core.storage.store import Store
from fire_core.structures.sanity import find_problems
from fire_core.training.data import TrainingData
from fire_core.training.sources import load_replay_source
from fire_core.training.trainer import fine_tune

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.records import LabelledStructure

THEORY = "vasp-pbe"
BETWEEN = 2


def load_frames(file: Path, folder: Path, most: int) -> list[LabelledStructure]:
    """Import a trajectory through the store; return `most` frames in order of time."""
    with Store.open(f"sqlite:///{folder}/fire.db", folder / "blobs") as store:
        store.theories.add(THEORY, "vasp", "unknown", "{}")
        check = functools.partial(find_problems, min_distance_factor=0.4)
        report = import_extxyz(store, file, THEORY, check)
        if report.refused:
            print(f"refused: {report.refused}")
        labelled = store.labels.labelled(store.labels.labelled_keys(THEORY), THEORY)
    return labelled[:: max(1, len(labelled) // most)][:most]


def measure(
    backbone: Backbone,
    test: list[LabelledStructure],
    heldout: list[LabelledStructure],
    shift: dict[str, float],
) -> dict[str, float]:
    """Return errors on the test frames and forgetting, meV/atom and meV/Å."""
    frames = [item.atoms for item in test]
    predicted = shift_energies(backbone.predict(frames), frames, shift)
    errors = summarise_errors(predicted, test)
    return {
        "energy_rmse_mev_per_atom": errors.energy_rmse,
        "force_rmse_mev_per_angstrom": errors.force_rmse,
        "forgetting_force_mae_mev_per_angstrom": measure_forgetting(
            backbone, heldout
        ).force_mae,
    }


def run(
    files: list[Path], save: Path | None, *, n_train: int, n_test: int, epochs: int
) -> dict[str, Any]:
    """Fine-tune and return the figures; `n_train` and `n_test` are of each file."""
    train: list[LabelledStructure] = []
    valid: list[LabelledStructure] = []
    test: list[LabelledStructure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, file in enumerate(files):
            place = folder / str(number)
            place.mkdir()
            frames = load_frames(file, place, n_train + BETWEEN + n_test)
            train += frames[:n_train]
            valid += frames[n_train : n_train + BETWEEN]
            test += frames[-n_test:]
        foundation = load_backbone("fire-mini", device="auto")
        replay = load_replay_source(ReplayConfig(), foundation.elements).data
        predicted = foundation.predict([item.atoms for item in train])
        shift = fit_references(train, predicted).shift
        before = measure(foundation, test, replay.heldout, shift)
        start = time.monotonic()
        tuned = fine_tune(
            foundation,
            TrainingData(train, valid, replay.train, replay.heldout),
            TrainConfig(
                epochs=epochs,
                batch_frames=1,
                replay=ReplayConfig(ratio=8.0, weight=0.05),
            ),
            seed=0,
        )
        seconds = time.monotonic() - start
        (folder / "tuned.model").write_bytes(tuned.model)
        if save is not None:
            save.write_bytes(tuned.model)
        model = load_mace(
            folder / "tuned.model", name="tuned", device="cpu", dtype="float32"
        )
        after = measure(model, test, replay.heldout, {})
    return {
        "n_train": len(train),
        "n_test": len(test),
        "epochs": epochs,
        "seconds": seconds,
        "before": before,
        "after": after,
    }


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.real_dft", description=__doc__)
    parser.add_argument("file", type=Path, nargs="+")
    parser.add_argument("--save", type=Path, help="where to write the model")
    parser.add_argument("--quick", action="store_true", help="under a minute")
    arguments = parser.parse_args()
    size = {"n_train": 4, "n_test": 2, "epochs": 2}
    if not arguments.quick:
        size = {"n_train": 30, "n_test": 10, "epochs": 12}
    figures = run(arguments.file, arguments.save, **size)
    for key in figures["before"]:
        before, after = figures["before"][key], figures["after"][key]
        print(f"{key:42s} before {before:9.2f}  after {after:9.2f}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
