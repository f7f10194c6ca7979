"""Fine-tuning strategies and mace-torch's own trainer on real DFT, same data for all.

``python -m benchmarks.strategies SYSTEM [--case NAME …] [--work FOLDER] [--quick]``
with a SYSTEM of `benchmarks.blocks`, which says what is trained on, validated on and
judged. All cases start from fire-mini (scratch: from its architecture), see the same
training frames for the same number of epochs, with as many of them in each optimiser
step and so in as many steps, and rehearse Materials Project trajectories where they
rehearse. Each case is a file in FOLDER once it is done and its epochs are checkpoints,
so a stopped run goes on; the table shows what is there.

Other foundation models are in `benchmarks.real_models`. Force errors are per component.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.blocks import FULL, QUICK, SYSTEMS, Sizes, load_blocks, load_pretraining
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
"""Target frames in an optimiser step of every case."""
RATIO: Final = 4.0
REPLAY_WEIGHT: Final = 0.25
"""So that all of the replay weighs as much as the target."""


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """What every case of a system sees.

    `replay` (Materials Project trajectories) and `bundled` (fire-mini's own set) share
    no formula with their held-out parts: `watched` after each epoch, and `forgotten`,
    which is judged in the end.
    """

    train: list[LabelledStructure]
    valid: list[LabelledStructure]
    test: list[LabelledStructure]
    replay: dict[str, list[LabelledStructure]]
    watched: dict[str, list[LabelledStructure]]
    forgotten: dict[str, list[LabelledStructure]]
    seed: int


def load_data(
    system: str, elements: frozenset[str], sizes: Sizes = FULL, seed: int = 0
) -> Data:
    """Read a system split by time, and the replay sets split by formula."""
    blocks = load_blocks(system, elements, sizes)
    mptrj, bundled = load_pretraining(elements, sizes), load_replay()
    return Data(
        blocks.train,
        blocks.valid,
        blocks.test,
        replay={"mptrj": mptrj.replay, "bundled": bundled.train},
        watched={"mptrj": mptrj.watched, "bundled": bundled.heldout},
        forgotten={"mptrj": mptrj.judged, "bundled": bundled.heldout},
        seed=seed,
    )


def settings(case: str, epochs: int) -> TrainConfig:
    """Return the settings of a case."""
    return TrainConfig.model_validate(
        {
            **CASES[case],
            "epochs": epochs,
            "batch_frames": BATCH_FRAMES,
            "learning_rate": 2e-3,
            "replay": {
                "source": "bundled" if case == "replay_bundled" else "mptrj",
                "ratio": RATIO,
                "weight": REPLAY_WEIGHT,
            },
        }
    )


def run_case(
    case: str, data: Data, foundation: Trainable, work: Path, epochs: int
) -> dict[str, Any]:
    """Train one case and judge it; return its figures."""
    start = time.monotonic()
    config = settings(case, epochs)
    if case.startswith("mace_"):
        shift = fit_references(
            data.train, foundation.predict([i.atoms for i in data.train])
        ).shift
        rehearsed: Sequence[LabelledStructure] = ()
        if case == "mace_multihead":
            rehearsed = _fixed_subset(foundation, data, config)
        folder = work / f"{case}-run"
        folder.mkdir(exist_ok=True)
        run = run_mace(
            folder,
            (
                to_foundation_scale(data.train, shift),
                to_foundation_scale(data.valid, shift),
            ),
            config,
            peer=Peer(bundled_model(), mace_batch(data, rehearsed), data.seed),
            replay=rehearsed,
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


def mace_batch(data: Data, rehearsed: Sequence[LabelledStructure]) -> int:
    """Return the batch size with which mace_run_train takes FIRE's number of steps.

    It shuffles both sets and counts frames, so that a batch has two target frames on
    average.
    """
    return round(BATCH_FRAMES * (1 + len(rehearsed) / len(data.train)))


def _fixed_subset(
    foundation: Trainable, data: Data, config: TrainConfig
) -> list[LabelledStructure]:
    """Return as many replay frames as FIRE sees in an epoch; MACE keeps to them."""
    pool = prepare_replay(foundation, data.replay["mptrj"], data.train, config)
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
    tuned = fine_tune(
        foundation,
        TrainingData(data.train, data.valid, data.replay[which], data.watched[which]),
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
    parser.add_argument("system", choices=list(SYSTEMS))
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--work", type=Path, default=Path("build/strategies"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--frames", type=int, help="of each trajectory to train on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    arguments = parser.parse_args()
    cases = arguments.case or list(CASES)
    epochs, sizes = arguments.epochs, Sizes(train=arguments.frames)
    if arguments.quick:
        cases, epochs, sizes = arguments.case or ["naive"], 1, QUICK
    which = "quick" if arguments.quick else f"{arguments.frames or 'own'}"
    name = f"{arguments.system}-{which}-{epochs}-{arguments.seed}"
    work = arguments.work / name
    work.mkdir(parents=True, exist_ok=True)
    foundation = need_trainable(load_backbone("fire-mini", device="cpu"))
    data = load_data(arguments.system, foundation.elements, sizes, arguments.seed)
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
