"""The numbers of a structure check: density, cell, first shells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from ase.geometry import cell_to_cellpar
from scipy.constants import atomic_mass

from fire_core.properties.structure_check.averages import average_in_blocks
from fire_core.properties.structure_check.pair_distribution import (
    count_pairs,
    find_first_shell,
)
from fire_core.properties.values import with_interval
from fire_core.records import PropertyResult, PropertyValue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase import Atoms
    from numpy.typing import NDArray

    from fire_core.properties.structure_check.pair_distribution import PairCounts
    from fire_core.properties.structure_check.settings import StructureCheckConfig
    from fire_core.records import JsonDict

    Array = NDArray[np.float64]
    Conditions = dict[str, float | str]
    Series = Callable[[Atoms], float]

GRAM_PER_CM3: Final = atomic_mass * 1e3 * 1e24
"""Of an atomic mass unit in a cubic ångström."""
CELL: Final = (
    ("lattice_a", "Å"),
    ("lattice_b", "Å"),
    ("lattice_c", "Å"),
    ("lattice_alpha", "°"),
    ("lattice_beta", "°"),
    ("lattice_gamma", "°"),
)


def check_structure(
    runs: Sequence[Sequence[Atoms]],
    settings: StructureCheckConfig,
    conditions: Conditions,
    repeat: tuple[int, int, int] = (1, 1, 1),
) -> PropertyResult:
    """Return density, cell, pair distributions and coordination of trajectories.

    Parameters
    ----------
    runs
        Independent trajectories under the same conditions: frames of the same atoms.
    settings
        Cutoff, bins, blocks.
    conditions
        What the numbers hold for.
    repeat
        Unit cells along each lattice vector; lengths are those of one.
    """
    counted = [count_pairs(run, settings.cutoff, settings.bin_width) for run in runs]
    values = _cell_values(runs, settings.blocks, conditions, repeat)
    shells, curves = _shells(counted, settings.blocks, conditions)
    return PropertyResult((*values, *shells), curves)


def density(atoms: Atoms) -> float:
    """Return the density of a periodic cell, g/cm³."""
    volume = abs(float(np.linalg.det(atoms.cell.array)))
    return float(atoms.get_masses().sum() / volume * GRAM_PER_CM3)


def _cell_values(
    runs: Sequence[Sequence[Atoms]],
    n_blocks: int,
    conditions: Conditions,
    repeat: tuple[int, int, int],
) -> list[PropertyValue]:
    cells = [np.array([cell_to_cellpar(f.cell.array) for f in run]) for run in runs]
    scale = np.array([*repeat, 1, 1, 1])
    series = {"density": [np.array([density(f) for f in run]) for run in runs]}
    for i, (name, _) in enumerate(CELL):
        series[name] = [cell[:, i] / scale[i] for cell in cells]
    fixed = all(np.ptp(run) < 1e-9 for run in series["density"])
    note = "given: the cell was fixed" if fixed else ""
    values = []
    for name, unit in (("density", "g/cm³"), *CELL):
        found = average_in_blocks(series[name], n_blocks)
        value = PropertyValue(
            name,
            found.mean,
            unit,
            None if fixed else found.error,
            conditions=conditions,
            note=note,
        )
        values.append(with_interval(value))
    return values


def _shells(
    counted: Sequence[PairCounts], n_blocks: int, conditions: Conditions
) -> tuple[list[PropertyValue], JsonDict]:
    first = counted[0]
    pairs: JsonDict = {}
    values = []
    for a in first.species:
        for b in first.species:
            pair = (a, b)
            g = np.mean([run.distribution(pair) for run in counted], axis=0)
            numbers = np.mean([run.running_number(pair) for run in counted], axis=0)
            shell = find_first_shell(first.edges, g)
            name = f"{a}-{b}"
            here = conditions | {"pair": name}
            pairs[name] = {"g": g.tolist(), "n": numbers.tolist(), "minimum": None}
            if shell is None:
                note = "g(r) has no minimum behind a maximum below the cutoff"
                values.append(
                    PropertyValue(
                        "coordination_number", None, "", conditions=here, note=note
                    )
                )
                continue
            pairs[name]["minimum"] = shell.minimum
            series = [run.coordination(pair, shell.n_bins) for run in counted]
            found = average_in_blocks(series, n_blocks)
            note = f"{b} around {a}, up to {shell.minimum:.2f} Å"
            values.append(
                with_interval(
                    PropertyValue(
                        "coordination_number",
                        found.mean,
                        "",
                        found.error,
                        conditions=here,
                        note=note,
                    )
                )
            )
            if first.species.index(a) <= first.species.index(b):
                values.append(
                    PropertyValue("first_peak", shell.peak, "Å", conditions=here)
                )
    return values, {"r": first.centres.tolist(), "pairs": pairs}
