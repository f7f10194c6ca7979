"""Wall time of an MD step by model against a label, 16 to 3456 atoms.

``python -m benchmarks.speed [--models fire-mini chgnet] [--threads N] [--crystal LiCl]
[--label-limit S] [--quick]``. Supercells of a crystal, rattled; each step is timed by
itself after a warm-up and the median counts. Labels are GFN1-xTB by tblite, the time of
one self-consistent calculation with forces; sizes that would take longer than the limit
are not tried. Exponents are fitted to sizes from 250 atoms on (models) and to all
(labels).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import TYPE_CHECKING, Any

from fire_core.backbones.device import describe_device, device_of
from fire_core.backbones.registry import load_backbone
from fire_core.config.theory import XtbTheory
from fire_core.errors import LabellingError, OutOfMemoryError
from fire_core.labelling.codes import xtb
from fire_core.properties.speed.memory import MemoryTrend
from fire_core.properties.speed.settings import SIZES, SpeedConfig
from fire_core.properties.speed.timing import (
    Timing,
    fit_power_law,
    is_too_slow,
    repeats_for,
    time_calls,
    time_dynamics,
)
from fire_core.properties.speed.values import LARGE
from fire_core.structures.crystals import build_crystal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

QUICK = (16, 64, 128, 256, 512)


def time_sizes(
    cell: Atoms, settings: SpeedConfig, run: Callable[[Atoms], Timing]
) -> list[Timing]:
    """Time each size until one would take longer than the limit."""
    found: list[Timing] = []
    memory = MemoryTrend()
    for size in settings.sizes:
        atoms = cell.repeat(repeats_for(cell, size))
        atoms.rattle(0.05, seed=0)
        if is_too_slow(found, len(atoms), settings.time_limit):
            print(f"  {len(atoms)} atoms and more would take over the limit")
            break
        if not memory.will_fit(len(atoms)):
            gib = memory.expect(len(atoms)) / 2**30
            print(f"  {len(atoms)} atoms and more would take some {gib:.0f} GiB")
            break
        memory.begin()
        try:
            found.append(run(atoms))
            memory.note(len(atoms))
        except (LabellingError, OutOfMemoryError) as error:
            print(f"  ended at {len(atoms)} atoms: {error}")
            break
        last = found[-1]
        print(
            f"  {last.n_atoms:5d} atoms  {1e3 * last.median:10.1f} ms  "
            f"({1e3 * last.low:.1f} … {1e3 * last.high:.1f})",
            flush=True,
        )
    return found


def label_with_xtb(atoms: Atoms) -> Timing:
    """Time one label."""
    times = time_calls(lambda: xtb.compute(XtbTheory(), atoms), warm_up=0, repeats=1)
    return Timing(len(atoms), *times, 1)


def summarise(timings: list[Timing], start: int) -> dict[str, Any]:
    """Return times by atoms and the exponent with its standard error."""
    law = fit_power_law(timings, from_atoms=start)
    return {
        "ms": {str(t.n_atoms): round(1e3 * t.median, 2) for t in timings},
        "exponent": None if law is None else law.exponent,
        "exponent_error": None if law is None else law.error,
        "from_atoms": start,
    }


def main() -> None:
    """Print a table and, as the last line, one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.speed", description=__doc__)
    parser.add_argument("--models", nargs="+", default=["fire-mini", "chgnet"])
    parser.add_argument("--crystal", default="LiCl")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--label-limit", type=float, default=300.0)
    parser.add_argument("--quick", action="store_true", help="a look at the machinery")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else SIZES
    repeats, limit = (3, 10.0) if arguments.quick else (10, arguments.label_limit)
    step_limit = 2.0 if arguments.quick else 60.0
    steps = SpeedConfig(sizes=sizes, repeats=repeats, warm_up=1, time_limit=step_limit)
    labels = SpeedConfig(sizes=sizes, time_limit=limit)
    cell = build_crystal(arguments.crystal)
    results: dict[str, Any] = {}
    device = ""
    for name in arguments.models:
        backbone = load_backbone(name, threads=arguments.threads)
        device = describe_device(device_of(backbone))
        print(f"{name}, an MD step ({device})")
        found = time_sizes(
            cell,
            steps,
            lambda atoms, b=backbone: time_dynamics(b, atoms, steps, seed=0),
        )
        results[name] = summarise(found, LARGE)
    print("GFN1-xTB, a label")
    xtb.compute(XtbTheory(), cell)  # loads the library
    results["xtb"] = summarise(time_sizes(cell, labels, label_with_xtb), 0)
    for name, result in results.items():
        if result["exponent"] is not None:
            error = result["exponent_error"]
            spread = "" if error is None else f" ± {error:.2f}"
            print(f"{name}: time ∝ N^{result['exponent']:.2f}{spread}")
    facts = {
        "crystal": arguments.crystal,
        "device": device,
        "omp_threads": os.environ.get("OMP_NUM_THREADS"),
        "processor": platform.processor() or platform.machine(),
        "results": results,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
