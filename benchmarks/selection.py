"""Choosing from many large frames, beside the plain script of dscribe and scikit-learn.

``python -m benchmarks.selection [--frames N] [--quick]``. Frames of 216 atoms of four
species are made from a seed as they are needed; SOAP with 5 Å, n 8, l 6; 12 principal
components; K-means into 500 clusters, of each the frame nearest to the centre. Both
sides average SOAP over all atoms after the power spectrum (dscribe's `outer`), so that
their features are the same; FIRE's own average by species is reported too. Each runs in
processes of its own on two cores; memory is the largest sum of the resident sizes of a
process and its children, and CPU time the sum over them, looked at every 50 ms. On a
machine that others use, the ratio of CPU times is the steadier one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from benchmarks.selection_frames import SPECIES, make_frames
from fire_core.config.steps import SelectConfig
from fire_core.selection.candidates import nearest_distances
from fire_core.selection.descriptors import describe, plan_soap
from fire_core.selection.pipeline import reduce_features
from fire_core.selection.selectors import select

CORES: Final = 2
COMPONENTS: Final = 12
SOAP: Final[dict[str, Any]] = {"cutoff": 5.0, "n_max": 8, "l_max": 6, "sigma": 0.5}
WIDTH: Final = 3696
"""Features of one average over all atoms."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one side took; seconds, MiB; CPU seconds with start and imports."""

    side: str
    frames: int
    seconds: float
    features_s: float
    pca_s: float
    kmeans_s: float
    peak_mib: float = 0.0
    cpu_s: float = 0.0


def choose_with_fire(frames: int, picks: int, average: str, out: Path) -> Run:
    """Choose as a campaign does; save points and picks."""
    config = SelectConfig.model_validate(
        {
            "n": picks,
            "soap": {**SOAP, "average": average, "workers": CORES},
            "pca_components": COMPONENTS,
            "pca_variance": 1.0,
        }
    )
    start = time.perf_counter()
    like = next(make_frames(0, 1))
    plan = plan_soap(config.soap, like, species=SPECIES)
    ended = [start]

    def blocks() -> Any:
        yield from describe(make_frames(0, frames), plan)
        ended.append(time.perf_counter())

    reduced = reduce_features(blocks(), (), config)
    ended.append(time.perf_counter())
    chosen = select(reduced.points, config, rng_seed=0)
    ended.append(time.perf_counter())
    np.savez(out, points=reduced.points, picks=[pick.index for pick in chosen])
    return _run(f"FIRE, {average}", frames, ended)


def choose_plainly(frames: int, picks: int, out: Path) -> Run:
    """Choose as a script of a page would; save points and picks."""
    from dscribe import descriptors
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.metrics import pairwise_distances_argmin

    start = time.perf_counter()
    structures = list(make_frames(0, frames))
    soap = descriptors.SOAP(
        species=list(SPECIES),
        r_cut=SOAP["cutoff"],
        n_max=SOAP["n_max"],
        l_max=SOAP["l_max"],
        sigma=SOAP["sigma"],
        periodic=True,
        average="outer",
    )
    features = soap.create(structures, n_jobs=CORES)
    ended = [start, time.perf_counter()]
    points = PCA(COMPONENTS, random_state=0).fit_transform(features)
    ended.append(time.perf_counter())
    model = KMeans(picks, random_state=0).fit(points)
    chosen = pairwise_distances_argmin(model.cluster_centers_, points)
    ended.append(time.perf_counter())
    np.savez(out, points=points, picks=chosen)
    return _run("dscribe + scikit-learn", frames, ended)


def _run(side: str, frames: int, ended: list[float]) -> Run:
    features, pca, kmeans = np.diff(ended)
    return Run(side, frames, ended[-1] - ended[0], features, pca, kmeans)


def measure(side: str, frames: int, picks: int, out: Path) -> Run:
    """Run one side in a process of its own and watch its memory."""
    threads = {name: str(CORES) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [
        *(sys.executable, "-W", "ignore", "-m", "benchmarks.selection"),
        *("--side", side, "--frames", str(frames), "--picks", str(picks)),
        *("--out", str(out)),
    ]
    child = subprocess.Popen(
        command, env=os.environ | threads, stdout=subprocess.PIPE, text=True
    )
    peak, spent = 0, dict[int, float]()
    with child:
        while child.poll() is None:
            peak = max(peak, _look(child.pid, spent))
            time.sleep(0.05)
        assert child.stdout is not None
        text = child.stdout.read()
    if child.returncode:
        msg = f"{side} with {frames} frames ended with {child.returncode}"
        raise RuntimeError(msg)
    found = json.loads(text.splitlines()[-1])
    spent_s = sum(spent.values())
    run = Run(**{**found, "peak_mib": peak / 2**20, "cpu_s": spent_s})
    print(json.dumps(asdict(run)), file=sys.stderr, flush=True)  # each takes minutes
    return run


def _look(pid: int, spent: dict[int, float]) -> int:
    """Return the resident bytes of a process and its children; note their CPU time."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_info().rss
            times = process.cpu_times()
            spent[process.pid] = times.user + times.system
    except psutil.NoSuchProcess:
        pass
    return total


def coverage(points: Any, picks: Any) -> dict[str, float]:
    """Return how near the frames are to a choice, in units of their spread."""
    spread = np.sqrt(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=1)))
    away = nearest_distances(points, points[np.unique(picks)]) / spread
    return {
        "mean": float(away.mean()),
        "percentile_95": float(np.percentile(away, 95)),
        "chosen": len(np.unique(picks)),
    }


def compare(folder: Path, frames: int, picks: int) -> dict[str, Any]:
    """Compare the choices of both sides with a random one, in one space."""
    ours, plain = (
        np.load(folder / f"{side}-{frames}.npz") for side in ("ours", "plain")
    )
    points = ours["points"]
    drawn = np.random.default_rng(0).choice(len(points), picks, replace=False)
    sets = {"FIRE": ours["picks"], "plain": plain["picks"], "random": drawn}
    found: dict[str, Any] = {k: coverage(points, v) for k, v in sets.items()}
    found["same_picks"] = len(
        set(ours["picks"].tolist()) & set(plain["picks"].tolist())
    )
    return found


def show(runs: list[Run]) -> None:
    """Print what each run took."""
    print(f"{'side':24s} {'frames':>7s} {'s':>8s} {'SOAP':>8s} {'PCA':>7s} "
          f"{'K-means':>8s} {'CPU s':>8s} {'peak MiB':>9s}")  # fmt: skip
    for run in runs:
        print(
            f"{run.side:24s} {run.frames:7d} {run.seconds:8.1f} {run.features_s:8.1f} "
            f"{run.pca_s:7.1f} {run.kmeans_s:8.1f} {run.cpu_s:8.1f} "
            f"{run.peak_mib:9.0f}",
            flush=True,
        )


def measure_all(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure both sides at one size, and FIRE at others."""
    frames, picks = arguments.frames, arguments.picks
    runs = {
        side: measure(side, frames, picks, folder / f"{side}-{frames}.npz")
        for side in ("ours", "plain", "species")
    }
    growth = [
        measure("ours", n, picks, folder / f"ours-{n}.npz") for n in arguments.growth
    ]
    show([*runs.values(), *growth])
    found = compare(folder, frames, picks)
    for name in ("FIRE", "plain", "random"):
        print(f"{name:8s} {json.dumps(found[name])}")
    print(
        f"same picks: {found['same_picks']} of {picks}; the plain script's matrix "
        f"takes {8 * WIDTH * frames / 2**20:.0f} MiB, of 50,000 frames "
        f"{8 * WIDTH * 50_000 / 2**20:.0f} MiB, by species four times as much"
    )
    return {
        "time_ratio": runs["ours"].seconds / runs["plain"].seconds,
        "cpu_ratio": runs["ours"].cpu_s / runs["plain"].cpu_s,
        "peak_mib": runs["ours"].peak_mib,
        "coverage_ratio": found["FIRE"]["mean"] / found["plain"]["mean"],
        "runs": [asdict(run) for run in [*runs.values(), *growth]],
        **found,
    }


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.selection", description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--picks", type=int, default=500)
    parser.add_argument(
        "--growth", type=int, nargs="*", default=[2_000, 5_000, 10_000, 50_000]
    )
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.frames, arguments.picks, arguments.growth = 300, 20, [100]
    if arguments.side:
        average = "species" if arguments.side == "species" else "frame"
        size = (arguments.frames, arguments.picks)
        if arguments.side == "plain":
            run = choose_plainly(*size, arguments.out)
        else:
            run = choose_with_fire(*size, average, arguments.out)
        print(json.dumps(asdict(run)))
        return
    with tempfile.TemporaryDirectory(prefix="fire-selection-") as folder:
        result = measure_all(arguments, Path(folder))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
