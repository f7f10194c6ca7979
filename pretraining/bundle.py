"""Put the trained model, a replay subset and the manifest into the package."""

from __future__ import annotations

import json
import logging
import lzma
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.io import read

from fire_core.files import file_sha256
from fire_core.storage.exchange import frame_text
from pretraining.chemistry import ELEMENTS
from pretraining.dataset import is_heldout
from pretraining.evaluate import evaluate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ase import Atoms

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).parents[1] / "fire_core" / "backbones" / "assets"
REPLAY_TRAIN = 4000
REPLAY_HELDOUT = 400
MAX_ATOMS = 40
SHARES = {
    "element": 0.05, "binary": 0.17, "ternary": 0.13, "mixture": 0.08,
    "published": 0.27, "random": 0.12, "crystal": 0.1, "interface": 0.07,
    "molecule": 0.01,
}  # fmt: skip


def bundle(model: Path, data: Path, seed: int, training: Mapping[str, Any]) -> None:
    """Write the three assets; the manifest last.

    Parameters
    ----------
    model
        Trained MACE model.
    data
        Folder with `train.extxyz` and `heldout.extxyz`.
    seed
        Of the draw of the replay subset.
    training
        What the manifest shall say of the training.
    """
    ASSETS.mkdir(parents=True, exist_ok=True)
    target = ASSETS / "fire-mini.model"
    parameters, r_max = slim(model, target)
    replay = ASSETS / "fire-mini.replay.extxyz.xz"
    write_replay(data, replay, seed)
    facts: dict[str, Any] = {
        "name": "fire-mini",
        "version": 2,
        "format": f"mace-torch {version('mace-torch')}",
        "model_file": target.name,
        "model_sha256": file_sha256(target),
        "replay_file": replay.name,
        "replay_sha256": file_sha256(replay),
        "elements": list(ELEMENTS),
        "r_max": r_max,
        "num_parameters": parameters,
        "theory": {
            "code": "sevennet-l3i5",
            "version": "sevenn 0.13",
            "note": "a potential trained on MPtrj (PBE and PBE+U), not DFT itself",
        },
        "licence": "MIT, as the project; the teacher SevenNet-l3i5 is MIT",
        "training": dict(training),
        "heldout_errors": evaluate(target, data / "heldout.extxyz"),
    }
    manifest = ASSETS / "fire-mini.json"
    manifest.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    logger.info("assets: %s", json.dumps(facts["heldout_errors"]))


def slim(model: Path, target: Path) -> tuple[int, float]:
    """Keep the model in single precision on the CPU, and nothing beside it.

    Returns
    -------
    tuple
        The number of its parameters and its cutoff in Å.
    """
    from fire_core.backbones.mace import read_model

    loaded = read_model(model)
    import torch

    torch.save(loaded.to("cpu").float(), target)
    return sum(p.numel() for p in loaded.parameters()), float(loaded.r_max)


def write_replay(data: Path, target: Path, seed: int) -> None:
    """Draw the replay subset by family; held-out compositions stay held out."""
    rng = np.random.default_rng(seed)
    lines: list[str] = []
    for split, number in (("train", REPLAY_TRAIN), ("heldout", REPLAY_HELDOUT)):
        frames = [
            f for f in read(data / f"{split}.extxyz", index=":") if len(f) <= MAX_ATOMS
        ]
        for frame in _stratified(frames, number, rng):
            if is_heldout(frame) != (split == "heldout"):
                msg = f"{frame.get_chemical_formula()} is in the wrong part"
                raise RuntimeError(msg)
            lines.append(_replay_text(frame, split))
    with lzma.open(target, "wt", encoding="utf-8", preset=9) as stream:
        stream.write("".join(lines))


def _stratified(
    frames: list[Atoms], number: int, rng: np.random.Generator
) -> list[Atoms]:
    chosen: list[Atoms] = []
    for family, share in SHARES.items():
        pool = [f for f in frames if f.info["family"] == family]
        wanted = min(round(share * number), len(pool))
        chosen += [pool[i] for i in sorted(rng.permutation(len(pool))[:wanted])]
    return chosen


def _replay_text(frame: Atoms, split: str) -> str:
    return frame_text(
        frame,
        energy=frame.get_potential_energy(),
        forces=frame.get_forces(),
        stress=frame.get_stress(),
        info={"split": split, "family": frame.info["family"]},
        digits=6,
    )
