"""Fine-tuning strategies and mace-torch's own trainer on real DFT, same data for all.

``python -m benchmarks.strategies SYSTEM [--case NAME …] [--work FOLDER] [--quick]``
with SYSTEM `li6ps5cl` (AIMD at 600 and 1200 K; the last 15 frames of each are the test)
or `llzo` (192 atoms, energies on another level; the last 60 frames are the test). All
cases start from fire-mini (scratch: from its architecture), see the same training
frames for the same number of epochs, and rehearse Materials Project trajectories where
they rehearse. Each case is a file in FOLDER once it is done and its epochs are
checkpoints, so a stopped run goes on; the table shows what is there.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.data import SHARED, read_frames
from benchmarks.peers import Peer, run_mace
from fire_core.backbones.assets import bundled_model, load_replay
from fire_core.backbones.mace import load_mace
from fire_core.backbones.registry import load_backbone
from fire_core.backbones.trainable import Trainable, need_trainable
from fire_core.config.training import TrainConfig
from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.evaluation.references import fit_references, shift_energies
from fire_core.training.alignment import to_foundation_scale
from fire_core.training.data import TrainingData
from fire_core.training.replay import prepare_replay
from fire_core.training.trainer import fine_tune

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.records import LabelledStructure

N_VALID: Final = 2
CASES: Final = {
    "scratch": {"strategy": "scratch"},
    "naive": {"strategy": "naive"},
    "replay": {"strategy": "replay"},
    "replay_bundled": {"strategy": "replay"},
    "pseudolabel_replay": {"strategy": "pseudolabel_replay"},
    "multihead_replay": {"strategy": "multihead_replay"},
    "mace_naive": {"strategy": "naive"},
    "mace_multihead": {"strategy": "multihead_replay"},
}
BATCH_FRAMES: Final = 2
"""Target frames in a step; FIRE packs by atoms, and replay frames take their part."""
RATIO: Final = {"li6ps5cl": 4.0, "llzo": 2.0}
"""Replay frames to a target frame; they have some 24 atoms."""
REPLAY_WEIGHT: Final = 0.25
"""Many light frames and not few heavy ones: at ratio 0.5 and weight 1 the target's
force error was 6 % worse on Li6PS5Cl (one seed; see RESULTS.md)."""
MACE_BATCH: Final = {"mace_naive": BATCH_FRAMES, "mace_multihead": 2 * BATCH_FRAMES}
"""mace_run_train packs by count: two interfaces, or four frames of the mixture."""


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """What every case of a system sees.

    `replay` (Materials Project trajectories) and `bundled` (fire-mini's own set) share
    no formula with their held-out parts in `forgotten`; of the former, of which
    fire-mini knows the elements of 197 frames, that is half.
    """

    train: list[LabelledStructure]
    valid: list[LabelledStructure]
    test: list[LabelledStructure]
    replay: list[LabelledStructure]
    bundled: list[LabelledStructure]
    forgotten: dict[str, list[LabelledStructure]]
    ratio: float
    seed: int


def load_data(
    system: str, elements: frozenset[str], stride: int, seed: int = 0
) -> Data:
    """Read a system split by time, and the replay set split by formula."""
    if system == "li6ps5cl":
        runs = [
            read_frames(SHARED / "li6ps5cl" / f"{t}K.extxyz", elements)
            for t in (600, 1200)
        ]
        earlier = [item for run in runs for item in run[:-15][::stride]]
        test = [item for run in runs for item in run[-15:]]
    else:
        run = read_frames(SHARED / "llzo" / "train.extxyz", elements)
        earlier, test = run[:-60][::stride], run[-60:][::3]
    pool = [
        item
        for name in ("mptrj_random", "mptrj_high_stress")
        for item in read_frames(SHARED / "replay" / f"{name}.extxyz", elements)
    ]
    held = _every_second_formula(pool)
    bundled = load_replay()
    replay = [i for i in pool if i.atoms.get_chemical_formula() not in held]
    heldout = [i for i in pool if i.atoms.get_chemical_formula() in held]
    forgotten = {"mptrj": heldout, "bundled": bundled.heldout}
    valid = earlier[:: max(1, len(earlier) // N_VALID)][:N_VALID]
    chosen = {item.key for item in valid}
    train = [item for item in earlier if item.key not in chosen]
    return Data(
        train,
        valid,
        test,
        replay,
        bundled.train,
        forgotten,
        ratio=RATIO[system],
        seed=seed,
    )


def _every_second_formula(pool: Sequence[LabelledStructure]) -> set[str]:
    return set(sorted({i.atoms.get_chemical_formula() for i in pool})[::2])


def settings(case: str, epochs: int, data: Data) -> TrainConfig:
    """Return the settings of a case."""
    return TrainConfig.model_validate(
        {
            **CASES[case],
            "epochs": epochs,
            "batch_frames": BATCH_FRAMES,
            "learning_rate": 2e-3,
            "replay": {
                "source": "bundled" if case == "replay_bundled" else "mptrj",
                "ratio": data.ratio,
                "weight": REPLAY_WEIGHT,
            },
        }
    )


def run_case(
    case: str, data: Data, foundation: Trainable, work: Path, epochs: int
) -> dict[str, Any]:
    """Train one case and judge it; return its figures."""
    start = time.monotonic()
    config = settings(case, epochs, data)
    if case.startswith("mace_"):
        shift = fit_references(
            data.train, foundation.predict([i.atoms for i in data.train])
        ).shift
        multihead = case == "mace_multihead"
        folder = work / f"{case}-run"
        folder.mkdir(exist_ok=True)
        run = run_mace(
            folder,
            (
                to_foundation_scale(data.train, shift),
                to_foundation_scale(data.valid, shift),
            ),
            config,
            peer=Peer(bundled_model(), MACE_BATCH[case], data.seed),
            replay=_fixed_subset(foundation, data, config) if multihead else (),
        )
        model, name = run.model, case
    else:
        model, shift = work / f"{case}.model", {}
        model.write_bytes(_train(case, data, foundation, work, config))
        name = case
    seconds = time.monotonic() - start
    tuned = load_mace(model, name=name, device="cpu", dtype="float32")
    return {
        **judge(tuned, data, shift),
        "seconds": seconds,
        "epochs": epochs,
        "n_train": len(data.train),
    }


def _fixed_subset(
    foundation: Trainable, data: Data, config: TrainConfig
) -> list[LabelledStructure]:
    """Return as many replay frames as FIRE sees in an epoch; MACE keeps to them."""
    pool = prepare_replay(foundation, data.replay, data.train, config)
    n = min(round(config.replay.ratio * len(data.train)), len(pool))
    chosen = np.random.default_rng(data.seed).choice(len(pool), n, replace=False)
    return [pool[int(i)] for i in chosen]


def _train(
    case: str, data: Data, foundation: Trainable, work: Path, config: TrainConfig
) -> bytes:
    kept = work / f"{case}.checkpoint"

    def keep(record: Any, state: bytes) -> None:
        partial = kept.with_suffix(".partial")
        partial.write_bytes(state)
        partial.replace(kept)
        print(
            f"{case} epoch {record.epoch}: {record.valid.force_rmse:.0f} meV/Å, "
            f"{record.valid.energy_rmse:.1f} meV/atom, forgetting "
            f"{record.forgetting_force_mae:.0f} ({record.seconds:.0f} s)",
            flush=True,
        )

    which = config.replay.source
    replay = data.bundled if which == "bundled" else data.replay
    tuned = fine_tune(
        foundation,
        TrainingData(data.train, data.valid, replay, data.forgotten[which]),
        config,
        seed=data.seed,
        checkpoint=kept.read_bytes() if kept.is_file() else None,
        on_epoch=keep,
    )
    return tuned.model


def judge(model: Trainable, data: Data, shift: dict[str, float]) -> dict[str, float]:
    """Return errors on the test block and on held-out pre-training structures."""
    errors = _errors(model, data.test, shift)
    return {
        "energy_rmse_mev_per_atom": errors[0],
        "force_rmse_mev_per_angstrom": errors[1],
        **{
            f"forgetting_{name}_force_mae": measure_forgetting(model, items).force_mae
            for name, items in data.forgotten.items()
        },
    }


def _errors(
    model: Trainable, items: Sequence[LabelledStructure], shift: dict[str, float]
) -> tuple[float, float]:
    frames = [item.atoms for item in items]
    predicted = shift_energies(model.predict(frames), frames, shift)
    errors = summarise_errors(predicted, items)
    return errors.energy_rmse, errors.force_rmse


def main() -> None:
    """Run the cases that are missing; print a table and, last, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.strategies", description=__doc__)
    parser.add_argument("system", choices=["li6ps5cl", "llzo"])
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--work", type=Path, default=Path("build/strategies"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--stride", type=int, default=3, help="every n-th frame")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    arguments = parser.parse_args()
    cases = arguments.case or list(CASES)
    epochs, stride = arguments.epochs, arguments.stride
    if arguments.quick:
        cases, epochs, stride = ["naive"], 1, 40
    work = arguments.work / f"{arguments.system}-{stride}-{epochs}-{arguments.seed}"
    work.mkdir(parents=True, exist_ok=True)
    foundation = need_trainable(load_backbone("fire-mini", device="cpu"))
    data = load_data(arguments.system, foundation.elements, stride, arguments.seed)
    figures = {}
    for case in ("zero_shot", *cases):
        done = work / f"{case}.json"
        if not done.is_file():
            if case == "zero_shot":
                frames = [item.atoms for item in data.train]
                shift = fit_references(data.train, foundation.predict(frames)).shift
                result: dict[str, Any] = judge(foundation, data, shift)
            else:
                result = run_case(case, data, foundation, work, epochs)
            done.write_text(json.dumps(result))
        figures[case] = json.loads(done.read_text())
    print(f"{arguments.system}: {len(data.train)} frames to train on, {epochs} epochs")
    for case, result in figures.items():
        shown = "  ".join(
            f"{key} {value:8.2f}"
            for key, value in result.items()
            if key not in {"epochs", "n_train"}
        )
        print(f"{case:20s} {shown}")
    print(json.dumps({"system": arguments.system, **figures}))


if __name__ == "__main__":
    main()
