"""Real foundation models on real DFT, with replay and without: errors and forgetting.

``python -m benchmarks.real_models [--only BACKBONE SYSTEM] [--seeds N …] [--jobs N]
[--threads N] [--epochs N] [--minutes N] [--figure FILE] [--search | --throughput]
[--quick]``.
fire-mini, CHGNet and SevenNet-0 are fine-tuned on frames of Li6PS5Cl, Li7La3Zr2O12 and
Li10GeP2S12, naively and rehearsing Materials Project trajectories (MPtrj), which CHGNet
and SevenNet-0 come from. Blocks are divided by time, MPtrj by formula
(`benchmarks.blocks`). Force errors are per component.

All trainings of a backbone on a system have the same frames, as many of them in each
optimiser step, and the same number of steps. Settings were chosen with `--search`,
which reads the validation block and those held-out MPtrj frames that the table does not
judge by; the test block is read for the table alone. What is done is kept in files,
epochs in checkpoints: a stopped run goes on.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.blocks import FULL, QUICK, has_data
from benchmarks.real_models_run import (
    STRATEGIES,
    Case,
    Settings,
    Strategy,
    judge_case,
    judge_foundation,
    train_case,
)
from benchmarks.real_models_table import (
    describe_search,
    describe_table,
    draw,
    refuse_unequal,
)
from fire_core.errors import FireError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.blocks import Sizes

    Job = tuple[str, Any]
    Figures = dict[str, Any]

ORDER: Final = (
    ("sevennet-0", "li6ps5cl"),
    ("fire-mini", "li6ps5cl"),
    ("fire-mini", "lgps"),
    ("fire-mini", "llzo"),
    ("sevennet-0", "lgps"),
    ("chgnet", "li6ps5cl"),
    ("sevennet-0", "llzo"),
    ("chgnet", "lgps"),
    ("chgnet", "llzo"),
)
"""The most important first: what is not done in time is left to a later run."""
CHOSEN: Final = {
    "fire-mini": Settings(learning_rate=4e-3, weight=0.05),
    "chgnet": Settings(learning_rate=8e-3),
    "sevennet-0": Settings(
        batch_frames=1, ratio=8.0, weight=0.01, elements_weight=0.01
    ),
}
"""Of each backbone, on every system; `ratio` and `weight` are the replay's alone."""
AUTHORS: Final = Settings(
    learning_rate=4e-3, batch_frames=4, energy=1.0, forces=1.0, stress=100.0
)
"""SevenNet's own fine-tuning, as near as FIRE's loss comes to it: its weight of 0.01 is
of stresses in kbar, whose Huber loss is linear from 0.01 kbar on."""
NAIVE_SEARCH: Final = (
    *(Settings(learning_rate=rate) for rate in (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)),
    Settings(batch_frames=1),
    Settings(batch_frames=4),
    AUTHORS,
)
REPLAY_SEARCH: Final = ((1.0, 0.25), (4.0, 0.25), (4.0, 0.05), (4.0, 0.01))
"""Ratios and weights; the rest as chosen for naive."""
ELEMENTS_SEARCH: Final = (0.01, 0.025, 0.1)
"""Weights where only weights of the target's elements change."""
LAYOUTS: Final = ((1, 2), (2, 1))
"""Processes, and threads of each."""


def perform(job: Job, sizes: Sizes, work: Path, deadline: float) -> Figures | None:
    """Do a job in a process of the pool; None where it cannot or may not begin."""
    what, subject = job
    if time.time() > deadline:
        return None
    try:
        if what == "judge":
            return judge_case(subject, sizes, work)
        if what == "train":
            return train_case(subject, sizes, work)
        return judge_foundation(*subject, sizes, work)
    except FireError as error:  # a backbone that is not installed, among others
        name = subject.name if isinstance(subject, Case) else " ".join(subject)
        print(f"left out: {name} ({str(error).partition(':')[0]})", flush=True)
        return None


def perform_all(
    jobs: Sequence[Job],
    sizes: Sizes,
    work: Path,
    layout: tuple[int, int],
    deadline: float = float("inf"),
) -> list[Figures]:
    """Do jobs in processes side by side, in order; return the figures there are."""
    processes, threads = layout
    os.environ["OMP_NUM_THREADS"] = str(threads)
    context = multiprocessing.get_context("spawn")  # reads the environment anew
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        running = [pool.submit(perform, job, sizes, work, deadline) for job in jobs]
        found = [one.result() for one in running]
    return [figures for figures in found if figures is not None]


def strategies_of(backbone: str) -> tuple[Strategy, ...]:
    """Return the trainings that a backbone can be put through."""
    return STRATEGIES[:2] if backbone == "chgnet" else STRATEGIES


def plan_table(
    pairs: Iterable[tuple[str, str]], seeds: Sequence[int], epochs: int | None = None
) -> list[Job]:
    """Return the jobs of the table, the first seed of everything first.

    `epochs` takes the place of those chosen.
    """
    jobs: list[Job] = []
    for number, seed in enumerate(seeds):
        for backbone, system in pairs:
            settings = with_epochs(CHOSEN[backbone], epochs)
            cases = [
                Case(backbone, system, strategy, settings, seed)
                for strategy in strategies_of(backbone)
            ]
            jobs += [("judge", case) for case in cases]
            if number == 0:
                jobs.append(("foundation", (backbone, system)))
    return jobs


def plan_search(
    pairs: Iterable[tuple[str, str]], seeds: Sequence[int], epochs: int | None = None
) -> list[Job]:
    """Return trainings by which settings are chosen."""
    jobs: list[Job] = []
    for backbone, system in pairs:
        chosen = CHOSEN[backbone]
        grids = (
            NAIVE_SEARCH,
            [replace(chosen, ratio=r, weight=w) for r, w in REPLAY_SEARCH],
            [replace(chosen, elements_weight=w) for w in ELEMENTS_SEARCH],
        )
        jobs += [
            (
                "train",
                Case(backbone, system, strategy, with_epochs(settings, epochs), seed),
            )
            for strategy, grid in zip(STRATEGIES, grids, strict=True)
            if strategy in strategies_of(backbone)
            for settings in grid
            for seed in seeds
        ]
    return jobs


def with_epochs(settings: Settings, epochs: int | None) -> Settings:
    """Return settings with as many epochs, or unchanged."""
    return settings if epochs is None else replace(settings, epochs=epochs)


def compare_layouts(pairs: Iterable[tuple[str, str]], work: Path) -> list[Figures]:
    """Return the target frames a second of one process and of two side by side.

    Of the second of two epochs, validation included.
    """
    rows = []
    settings = Settings(epochs=2)
    for backbone, system in pairs:
        for processes, threads in LAYOUTS:
            jobs: list[Job] = [
                ("train", Case(backbone, system, "naive", settings, seed))
                for seed in range(processes)
            ]
            place = work / f"layout-{processes}-{threads}-{time.time():.0f}"
            place.mkdir(parents=True)
            done = perform_all(jobs, QUICK, place, (processes, threads))
            rate = sum(one["n_train"] / one["epoch_seconds"][-1] for one in done)
            rows.append(
                {
                    "backbone": backbone,
                    "system": system,
                    "processes": processes,
                    "threads": threads,
                    "frames_per_second": rate,
                }
            )
            print(rows[-1], flush=True)
    return rows


def parse() -> argparse.Namespace:
    """Return what is asked for."""
    parser = argparse.ArgumentParser(prog="benchmarks.real_models", description=__doc__)
    parser.add_argument("--only", nargs=2, action="append", metavar=("NAME", "SYSTEM"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, help="in place of those chosen")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--minutes", type=float, help="no case begins after these")
    parser.add_argument("--work", type=Path, default=Path("build/real-models"))
    parser.add_argument("--figure", type=Path, help="where to draw the table")
    parser.add_argument("--search", action="store_true", help="choose settings")
    parser.add_argument("--throughput", action="store_true", help="processes, threads?")
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    given = parser.parse_args()
    if not has_data():
        parser.exit(1, "the real DFT data (shared/data beside the project) is absent\n")
    return given


def main() -> None:
    """Run what is missing; print a table and, as the last line, one JSON object."""
    given = parse()
    pairs = [tuple(pair) for pair in given.only or ORDER]
    sizes, work = FULL, given.work
    if given.quick:
        pairs = [pair for pair in pairs if given.only or pair[1] == "lgps"]
        sizes, work, given.epochs = QUICK, work / "quick", given.epochs or 1
    work.mkdir(parents=True, exist_ok=True)
    if given.throughput:
        print(json.dumps({"layouts": compare_layouts(pairs, work)}))
        return
    minutes = float("inf") if given.minutes is None else given.minutes
    plan = plan_search if given.search else plan_table
    rows = perform_all(
        plan(pairs, given.seeds, given.epochs),
        sizes,
        work,
        (given.jobs, given.threads),
        deadline=time.time() + 60 * minutes,
    )
    if given.search:
        print(describe_search(rows))
    else:
        refuse_unequal(rows)
        print(describe_table(rows))
        if given.figure is not None:
            draw(rows, given.figure)
    print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
