"""The models of `benchmarks.real_models` on DFT that none of them was trained on.

``python -m benchmarks.real_models_elsewhere [--work FOLDER] [--quick]``: force MAE, per
component, of every SevenNet that the folder holds and of SevenNet-0 as it is: on
lithium metal, whose element is every target's, on Li–Al, which mixes it with another,
and on the test block of Li10GeP2S12.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.blocks import FULL, SYSTEMS, has_data, load_blocks
from benchmarks.data import SHARED, read_frames
from benchmarks.real_models import CHOSEN
from benchmarks.real_models_run import STRATEGIES, Case
from fire_core.backbones.registry import load_backbone, same_family
from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.training.data import sample_evenly

if TYPE_CHECKING:
    from fire_core.records import LabelledStructure

FOUNDATION: Final = "sevennet-0"
OTHERS: Final = {
    "li_metal": ("Li metal", "li_metal/train", 61),
    "li_al": ("Li–Al", "li_al/validation", 17),
}
"""Name, file and number of frames."""


def load_sets(elements: frozenset[str]) -> dict[str, list[LabelledStructure]]:
    """Return the frames to judge by."""
    sets = {
        name: sample_evenly(read_frames(SHARED / f"{file}.extxyz", elements), n)
        for name, (_, file, n) in OTHERS.items()
    }
    return sets | {"lgps": load_blocks("lgps", elements).test}


def find_models(work: Path) -> dict[str, str]:
    """Return the names of backbones by what they are: the table's trainings."""
    found = {"as it is": FOUNDATION}
    for system, strategy in product(SYSTEMS, STRATEGIES):
        case = Case(FOUNDATION, system, strategy, CHOSEN[FOUNDATION])
        path = work / f"{case.key(FULL)}.model"
        if path.is_file():
            name = f"{SYSTEMS[system].name}, {strategy}"
            found[name] = same_family(FOUNDATION, path)
    return found


def main() -> None:
    """Judge every model; print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/real-models"))
    parser.add_argument("--quick", action="store_true", help="the foundation alone")
    given = parser.parse_args()
    if not has_data():
        parser.exit(1, "the real DFT data (shared/data beside the project) is absent\n")
    models = find_models(Path() if given.quick else given.work)
    sets = load_sets(load_backbone(FOUNDATION, device="cpu").elements)
    titles = [*(title for title, _, _ in OTHERS.values()), SYSTEMS["lgps"].name]
    print("| SevenNet-0 | " + " | ".join(titles) + " |\n" + "|---" * 4 + "|")
    rows = {}
    for name, backbone in models.items():
        model = load_backbone(backbone, device="cpu")
        rows[name] = {
            k: measure_forgetting(model, v).force_mae for k, v in sets.items()
        }
        cells = [f"{value:.1f}" for value in rows[name].values()]
        print("| " + " | ".join([name, *cells]) + " |", flush=True)
    print(json.dumps({"force_mae_mev_per_angstrom": rows}))


if __name__ == "__main__":
    main()
