"""What FIRE does on a GPU, in one command: `make gpu`.

``python -m benchmarks.gpu [--quick] [--device cuda|cpu] [--parts PART ...]``. Each part
runs in a process of its own, so that none finds another's memory: a training epoch
beside mace_run_train's, dynamics of replicas beside ASE's, an MD step of 16 to 3456
atoms, and a campaign from perturbing to its report. Prints a table, as the last line
one JSON object, and adds a section to benchmarks/RESULTS.md; with ``--quick`` or on the
CPU, which rehearse the machinery, it leaves that file alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.device import describe_device
from fire_core.backbones.registry import count_gpus, load_backbone
from fire_core.children import python_command

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
NO_GPU: Final = (
    "torch sees no GPU here, and these are measurements of one; `--device cpu --quick` "
    "rehearses them"
)
FLAT: Final = 4.0
"""What a step of the most atoms may take, in steps of the fewest."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Attributes
    ----------
    what, value
        What was measured, and what came out, in words.
    target
        What was to be reached; empty where nothing was.
    reached
        Whether it was; None without a target.
    """

    what: str
    value: str
    target: str = ""
    reached: bool | None = None


def measure_training(device: str, quick: bool) -> dict[str, Any]:
    """Train the same data by FIRE and by mace_run_train; return frames per second."""
    from benchmarks.data import mixed_set
    from benchmarks.peers import Peer, run_mace
    from fire_core.backbones.assets import bundled_model
    from fire_core.config.training import TrainConfig
    from fire_core.evaluation.references import fit_references
    from fire_core.training.alignment import to_foundation_scale
    from fire_core.training.data import TrainingData
    from fire_core.training.trainer import fine_tune

    n_target, n_replay, epochs = (3, 12, 2) if quick else (48, 384, 4)
    backbone: Any = load_backbone("fire-mini", device=device)
    target, replay, data = mixed_set(backbone, n_target + 2, n_replay)
    parts = []
    for items in (target, replay):
        shift = fit_references(items, backbone.predict([i.atoms for i in items])).shift
        parts.append(to_foundation_scale(items, shift))
    train, valid = [*parts[0][:-2], *parts[1]], parts[0][-2:]
    config = TrainConfig.model_validate(
        {
            "strategy": "naive",
            "epochs": epochs,
            "batch_frames": 4,
            "references": {"method": "keep"},
        }
    )
    ours = fine_tune(backbone, TrainingData(train, valid, [], []), config, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(bundled_model(), config.batch_frames, device=device)
        theirs = run_mace(Path(folder), (train, valid), config, peer=peer)
    seconds = {
        "fire": min(record.seconds for record in ours.records),
        "mace_run_train": min(epoch.seconds for epoch in theirs.epochs),
    }
    return {
        "data": data,
        "frames": len(train),
        "frames_per_second": {who: len(train) / s for who, s in seconds.items()},
        "ratio": seconds["mace_run_train"] / seconds["fire"],
    }


def measure_dynamics(device: str, quick: bool) -> dict[str, Any]:
    """Return the figures of `benchmarks.exploration`."""
    options = ["--quick"] if quick else []
    return run_module("benchmarks.exploration", "--device", device, *options)


def measure_steps(device: str, quick: bool) -> dict[str, Any]:
    """Time MD steps of one cell after another; return medians in ms by atoms."""
    from benchmarks.speed import summarise, time_sizes
    from fire_core.properties.speed.settings import SIZES, SpeedConfig
    from fire_core.properties.speed.timing import time_dynamics
    from fire_core.properties.speed.values import LARGE
    from fire_core.structures.crystals import build_crystal

    sizes, repeats = ((16, 64), 3) if quick else (SIZES, 20)
    settings = SpeedConfig(sizes=sizes, repeats=repeats, warm_up=3, time_limit=60.0)
    backbone = load_backbone("fire-mini", device=device)
    found = time_sizes(
        build_crystal("LiCl"),
        settings,
        lambda atoms: time_dynamics(backbone, atoms, settings, seed=0),
    )
    return summarise(found, LARGE)


def measure_campaign(device: str, quick: bool) -> dict[str, Any]:
    """Run a campaign with a teacher's labels; return the seconds of its steps."""
    from benchmarks.rehearsal import NAME, describe, run, tabulate

    config = describe(quick) | {"backbone": {"name": "fire-mini", "device": device}}
    if quick:
        config["explore"] |= {"steps": 40, "segment": 20}
        config["select"] |= {"n": 4}
        config["perturb"] = {"n": 4}
    with tempfile.TemporaryDirectory() as folder:
        samples = run(Path(folder), config)
        steps = tabulate(Path(folder), samples)
        results = Path(folder) / "results" / NAME / "results.json"
        models = json.loads(results.read_text(encoding="utf-8")).get("models", {})
    seconds = {step["step"]: round(step["wall_s"], 1) for step in steps}
    return {"seconds": seconds, "wall_s": sum(seconds.values()), "models": models}


PARTS: Final[dict[str, Callable[[str, bool], dict[str, Any]]]] = {
    "training": measure_training,
    "dynamics": measure_dynamics,
    "steps": measure_steps,
    "campaign": measure_campaign,
}


def run_module(module: str, *arguments: str) -> dict[str, Any]:
    """Run a module in a fresh process; return the JSON of its last line.

    Raises
    ------
    RuntimeError
        It failed; the message ends with what it wrote.
    """
    command = python_command(module, *arguments, quiet=True)
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=root
    )
    if done.returncode:
        msg = f"{module} failed: {done.stderr[-2000:]}"
        raise RuntimeError(msg)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def rows_of(figures: dict[str, Any]) -> list[Row]:
    """Return the table of what was measured; parts that failed say why."""
    rows = []
    for part, found in figures.items():
        if "error" in found:
            rows.append(Row(part, f"failed: {found['error'].splitlines()[-1]}"))
        elif part == "training":
            rates = found["frames_per_second"]
            words = ", ".join(f"{who} {rate:.1f}" for who, rate in rates.items())
            ratio = found["ratio"]
            rows.append(Row("training epoch, frames/s", words))
            rows.append(Row("training ratio", f"{ratio:.2f}", "2", ratio >= 2))
        elif part == "dynamics":
            ratio = found["ratio"]
            rows.append(
                Row("dynamics beside ASE, 64 atoms", f"{ratio:.1f}", "10", ratio >= 10)
            )
        elif part == "steps":
            times = found["ms"]
            words = ", ".join(f"{n}: {ms:g}" for n, ms in times.items())
            first, *_, last = times.values()
            rows.append(Row("MD step by atoms, ms", words))
            rows.append(
                Row(
                    "most atoms in steps of fewest",
                    f"{last / first:.1f}",
                    f"{FLAT:g} at most",
                    last <= FLAT * first,
                )
            )
        else:
            rows.append(Row("campaign, s", f"{found['wall_s']:.0f}"))
    return rows


def section(title: str, rows: list[Row]) -> str:
    """Return the section of RESULTS.md about a run."""
    lines = ["", f"## {title}", "", "`make gpu`.", ""]
    lines += ["| what | measured | target | reached |", "|---|---|---|---|"]
    told = {None: "", True: "yes", False: "no"}
    lines += [
        f"| {r.what} | {r.value} | {r.target} | {told[r.reached]} |" for r in rows
    ]
    return "\n".join([*lines, ""])


def measure(parts: list[str], device: str, quick: bool) -> dict[str, Any]:
    """Run parts in processes of their own; one that fails ends none of the others."""
    figures: dict[str, Any] = {}
    for part in parts:
        options = ["--part", part, "--device", device, *(["--quick"] if quick else [])]
        print(f"{part} …", flush=True)
        try:
            figures[part] = run_module("benchmarks.gpu", *options)
        except (RuntimeError, ValueError, IndexError) as error:
            figures[part] = {"error": str(error)}
    return figures


def main() -> None:
    """Print a table and, as the last line, one JSON object; keep the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not count_gpus():
        sys.exit(NO_GPU)
    if arguments.part:
        found = PARTS[arguments.part](arguments.device, arguments.quick)
        print(json.dumps(found))
        return
    figures = measure(arguments.parts, arguments.device, arguments.quick)
    rows = rows_of(figures)
    for row in rows:
        target = f"   target {row.target}" if row.target else ""
        print(f"{row.what:32s} {row.value}{target}")
    import torch

    where = describe_device(torch.device(arguments.device))
    now = datetime.now(UTC)
    facts = {
        "device": where,
        "torch": version("torch"),
        "python": platform.python_version(),
        "date": f"{now:%Y-%m-%d}",
        "quick": arguments.quick,
    }
    kept = arguments.device == "cuda" and not arguments.quick
    if kept or arguments.results != RESULTS:
        words = f"{where}, torch {facts['torch']} ({facts['date']})"
        with arguments.results.open("a", encoding="utf-8") as file:
            file.write(section(f"On a GPU: {words}" if kept else words, rows))
    print(json.dumps({**facts, "figures": figures}))
    if any("error" in found for found in figures.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
