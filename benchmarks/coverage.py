"""FIRE's selection beside random and farthest-point at equal numbers of labels.

``python -m benchmarks.coverage [--accuracy] [--work FOLDER] [--quick]``. Li10GeP2S12
with PBE labels, 50 atoms a frame; the last fifth of the file, the hottest, is a test
that no choice sees. Five seeds; each draws four fifths of what is left as candidates,
so that every selector has error bars, and holds the others out.

Coverage needs no training: distances of held-out frames to the nearest chosen one, in
units of the candidates' spread, in FIRE's own space (SOAP by species, PCA) and in one
that no selector here sees, fire-mini's invariant features. With `--accuracy` fire-mini
is fine-tuned on what is chosen by `fire study run`, which goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.data import SHARED, read_frames
from benchmarks.efficiency import run_study
from fire_core.backbones.base import mean_features, need_features
from fire_core.backbones.registry import load_backbone
from fire_core.config.steps import SelectConfig, SoapConfig
from fire_core.selection.candidates import nearest_distances
from fire_core.selection.descriptors import soap_features
from fire_core.selection.reduce import fit_pca
from fire_core.selection.selectors import select

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

DATA: Final = SHARED / "lgps" / "train.extxyz"
METHODS: Final = ("kmeans", "farthest_point", "maxdet", "random")
COMPARED: Final = ("kmeans", "farthest_point", "random")
SEEDS: Final = (0, 1, 2, 3, 4)
SIZES: Final = (16, 32, 65)
LABELS: Final = 32
"""Labels of the trainings, validation included."""


def describe(quick: bool) -> tuple[Array, Array, int]:
    """Return the frames in FIRE's space and in the model's, and where the test begins.

    Both are fitted to what is no test.
    """
    backbone = load_backbone("fire-mini", device="cpu")
    items = read_frames(DATA, backbone.elements)[:: 8 if quick else 1]
    frames = [item.atoms for item in items]
    begin = len(frames) - len(frames) // 5
    config = SelectConfig()
    features = soap_features(frames, SoapConfig())
    soap = fit_pca(features[:begin], config.pca_components, config.pca_variance)
    mace = mean_features(need_features(backbone, "coverage"), frames)
    kept = fit_pca(mace[:begin], config.pca_components, 1.0)
    return soap.project(features), kept.project(mace), begin


def cover(
    spaces: dict[str, Array], begin: int, n: int, method: str, seed: int
) -> dict[str, float]:
    """Choose in FIRE's space; return the distances of held-out frames by space."""
    order = np.random.default_rng(seed).permutation(begin)
    candidates, held = np.split(order, [round(0.8 * begin)])
    config = SelectConfig.model_validate({"method": method, "n": n})
    picks = select(spaces["soap"][candidates], config, rng_seed=seed)
    chosen = candidates[[pick.index for pick in picks]]
    found = {}
    for name, points in spaces.items():
        centred = points[candidates] - points[candidates].mean(axis=0)
        unit = np.sqrt(np.mean(np.sum(centred**2, axis=1)))
        for which, rows in (("held", held), ("test", np.arange(begin, len(points)))):
            away = nearest_distances(points[rows], points[chosen]) / unit
            found[f"{name}_{which}_mean"] = float(away.mean())
            found[f"{name}_{which}_p95"] = float(np.percentile(away, 95))
    return found


def measure_coverage(quick: bool) -> list[dict[str, Any]]:
    """Return mean and standard error over the seeds for each method and size."""
    soap, mace, begin = describe(quick)
    spaces = {"soap": soap, "mace": mace}
    rows = []
    for n in (8,) if quick else SIZES:
        for method in METHODS:
            runs = [cover(spaces, begin, n, method, seed) for seed in SEEDS]
            row: dict[str, Any] = {"method": method, "n": n}
            for key in runs[0]:
                values = np.array([run[key] for run in runs])
                row[key] = float(values.mean())
                row[f"{key}_error"] = float(values.std(ddof=1) / np.sqrt(len(values)))
            rows.append(row)
    return rows


def study(quick: bool) -> dict[str, Any]:
    """Return the study that trains on each selector's choice."""
    return {
        "name": "coverage",
        "data": [{"path": str(DATA), "every": 20 if quick else 1}],
        "test": {"fraction": 0.2, "gap": 1},
        "backbone": {"name": "fire-mini", "device": "auto"},
        "train": {"batch_frames": 4, "learning_rate": 0.004},
        "variants": {"naive": {"strategy": "naive", "epochs": 1 if quick else 20}},
        "sizes": [4 if quick else LABELS],
        "selection": list(COMPARED),
        "seeds": [0] if quick else list(SEEDS),
        "threads": 0,
    }


def show_coverage(rows: list[dict[str, Any]]) -> None:
    """Print the table of distances."""
    keys = [
        f"{space}_{which}_{what}"
        for space in ("soap", "mace")
        for which in ("held", "test")
        for what in ("mean", "p95")
    ]
    print(f"{'method':15s} {'n':>3s}  " + "  ".join(f"{key:>17s}" for key in keys))
    for row in rows:
        shown = "  ".join(
            f"{row[key]:8.3f} ± {row[key + '_error']:6.3f}" for key in keys
        )
        print(f"{row['method']:15s} {row['n']:3d}  {shown}")


def main() -> None:
    """Print tables and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.coverage", description=__doc__)
    parser.add_argument("--accuracy", action="store_true", help="train as well")
    parser.add_argument("--work", type=Path, default=Path("build/coverage"))
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    arguments = parser.parse_args()
    if not DATA.is_file():
        parser.exit(1, "the real DFT data (shared/data beside the project) is absent\n")
    rows = measure_coverage(arguments.quick)
    show_coverage(rows)
    result: dict[str, Any] = {"coverage": rows}
    if arguments.accuracy:
        work = arguments.work / ("quick" if arguments.quick else "full")
        found = run_study(work.resolve(), study(arguments.quick))
        result |= {"foundation": found["baseline"], "points": found["points"]}
        for point in found["points"]:
            force = point["spreads"]["force_rmse_mev_per_angstrom"]
            energy = point["spreads"]["energy_rmse_mev_per_atom"]
            print(
                f"{point['selection']:15s} {point['labels']:3d} labels  force RMSE "
                f"{force['mean']:.1f} [{force['low']:.1f}, {force['high']:.1f}] meV/Å  "
                f"energy {energy['mean']:.2f} [{energy['low']:.2f}, "
                f"{energy['high']:.2f}] meV/atom  {force['n']} seeds ({force['kind']})"
            )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
