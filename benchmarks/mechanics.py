"""Elastic moduli of LiF and LiCl against PBE, and against the model's own curve.

``python -m benchmarks.mechanics [--quick] [--threads N]``. Each model is measured as
`fire properties` measures it. Two things are told apart: whether the measurement is
right (its bulk modulus, from stresses, against that of the model's equation of state,
from energies) and whether the model is (its moduli against PBE). The lines below the
table say what the bulk modulus of the model would be at PBE's lattice constant, so how
much of its error is that of the volume. A model that is rough on the scale of the
strains has no single bulk modulus: the curve is taken over ±1.5 % and over ±0.25 %, of
which the second must agree with the stresses, and the tensor once more as the mean
slope over ±2 % (rows marked so).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import units

from fire_core.campaign.steps.properties import measure_property, register_property
from fire_core.properties.equation_of_state.fit import birch_murnaghan
from fire_core.properties.request import PropertyRequest
from fire_core.structures.crystal_data import CRYSTALS

if TYPE_CHECKING:
    from fire_core.records import PropertyResult

SOURCE: Final = "Materials Project, PBE (mp-1138 LiF, mp-22905 LiCl)"
PBE: Final = {
    "LiF": {"bulk": 69.6, "shear": 50.0, "youngs": 121.1, "poisson": 0.210},
    "LiCl": {"bulk": 32.2, "shear": 20.8, "youngs": 51.3, "poisson": 0.234},
}
"""GPa but for the last; Hill's averages of the Materials Project's elastic tensors."""
AGREE: Final = 0.01
"""Part by which both ways to the bulk modulus may differ."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model on one crystal: Å, GPa, seconds."""

    crystal: str
    model: str
    lattice: float
    c11: float
    c12: float
    c44: float
    bulk: float
    shear: float
    youngs: float
    poisson: float
    bulk_of_curve: float
    bulk_of_near_curve: float
    bend: float
    bulk_at_pbe_lattice: float
    seconds: float
    wide: bool

    @property
    def passed(self) -> bool:
        """Whether both ways to the bulk modulus agree at the smallest strains."""
        return self.wide or abs(self.bulk_of_near_curve / self.bulk - 1) < AGREE


def main() -> None:
    """Print the table and, last, one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fire-mini on LiF alone")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    models = ("fire-mini",) if options.quick else ("chgnet", "fire-mini")
    crystals = ("LiF",) if options.quick else tuple(PBE)
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            measure_row(crystal, model, folder, options.threads, wide=wide)
            for crystal in crystals
            for model in models
            for wide in ((False,) if options.quick else (False, True))
        ]
    print_table(rows)
    facts = {
        "source": SOURCE,
        "rows": [asdict(row) for row in rows],
        "reference": PBE,
        "passed": all(row.passed for row in rows),
    }
    print(json.dumps(facts))


def measure_row(
    crystal: str, model: str, folder: str, threads: int, *, wide: bool
) -> Row:
    """Measure tensor and equation of state of one crystal by one model."""
    start = time.monotonic()
    settings: dict[str, Any] = {"kind": "elasticity", "symmetry": "reduce"}
    if wide:
        settings |= {"strains": [0.005, 0.01, 0.015, 0.02], "order": 2}
    tensor = _measure(crystal, model, folder, threads, settings)
    curve, near = (
        _measure(
            crystal, model, folder, threads,
            {"kind": "equation_of_state", "strain": s, "force_tolerance": 1e-3},
        )
        for s in (0.015, 0.0025)
    )  # fmt: skip
    found = {
        "_".join([v.name, str(v.conditions.get("average", ""))]): v.value
        for v in tensor.values
        if "direction" not in v.conditions
    }
    c = np.array(tensor.curves["tensor"])
    return Row(
        crystal=crystal,
        model=model,
        lattice=float((8 * (found["volume_"] or np.nan)) ** (1 / 3)),
        c11=c[0, 0],
        c12=c[0, 1],
        c44=c[3, 3],
        bulk=found["bulk_modulus_hill"] or np.nan,
        shear=found["shear_modulus_hill"] or np.nan,
        youngs=found["youngs_modulus_hill"] or np.nan,
        poisson=found["poisson_ratio_hill"] or np.nan,
        bulk_of_curve=_bulk(curve),
        bulk_of_near_curve=_bulk(near),
        bend=tensor.curves["fit"]["bend"],
        bulk_at_pbe_lattice=_bulk_at(curve, CRYSTALS[crystal].cellpar[0] ** 3 / 8),
        seconds=time.monotonic() - start,
        wide=wide,
    )


def _measure(
    crystal: str, model: str, folder: str, threads: int, measure: dict[str, Any]
) -> PropertyResult:
    request = PropertyRequest.model_validate(
        {
            "name": f"{crystal}-{model}".lower(),
            "threads": threads,
            "system": {"kind": "crystal", "crystal": crystal},
            "backbone": {"name": model},
            "measure": measure,
            "store": {"url": f"sqlite:///{folder}/fire.db", "blobs": f"{folder}/blobs"},
        }
    )
    return measure_property(register_property(request), lambda _: None)


def _bulk(curve: PropertyResult) -> float:
    return next(v.value or np.nan for v in curve.values if v.name == "bulk_modulus")


def _bulk_at(curve: PropertyResult, volume: float) -> float:
    """Return V d²E/dV² of the fitted curve at a volume, Å³/atom; GPa."""
    names = ("volume", "energy", "bulk_modulus", "bulk_modulus_derivative")
    found = {v.name: v.value for v in curve.values}
    at, energy, modulus, derivative = (found[name] or np.nan for name in names)
    step = 1e-3 * volume
    here = volume + step * np.array([-1.0, 0.0, 1.0])
    low, middle, high = birch_murnaghan(
        here, at, energy, modulus * units.GPa, derivative
    )
    return float(volume * (low + high - 2 * middle) / step**2 / units.GPa)


def print_table(rows: list[Row]) -> None:
    """Print the rows and PBE's numbers as Markdown."""
    print(
        "| crystal | model | a, Å | C11 | C12 | C44 | K | K of the curve | G | E | ν |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for crystal, pbe in PBE.items():
        if not any(row.crystal == crystal for row in rows):
            continue
        lattice = CRYSTALS[crystal].cellpar[0]
        numbers = f"{pbe['shear']:.1f} | {pbe['youngs']:.1f} | {pbe['poisson']:.3f}"
        bulk = f"{pbe['bulk']:.1f} |"
        print(f"| {crystal} | PBE | {lattice:.3f} | | | | {bulk} | {numbers} |")
        for row in (row for row in rows if row.crystal == crystal):
            print(_line(row, pbe))
    for row in (row for row in rows if not row.wide):
        print(
            f"{row.model} {row.crystal}: K {row.bulk_at_pbe_lattice:.1f} GPa at PBE's "
            f"lattice constant, {row.bulk_of_near_curve:.1f} GPa of the curve over "
            f"±0.25 %; stress bent by {100 * row.bend:.1f} %; {row.seconds:.0f} s"
        )


def _line(row: Row, pbe: dict[str, float]) -> str:
    def against(name: str) -> str:
        value = getattr(row, name)
        return f"{value:.1f} ({100 * (value / pbe[name] - 1):+.0f} %)"

    name = f"{row.model}, mean over ±2 %" if row.wide else row.model
    constants = f"{row.c11:.1f} | {row.c12:.1f} | {row.c44:.1f}"
    poisson = f"{row.poisson:.3f} ({row.poisson - pbe['poisson']:+.3f})"
    return (
        f"| {row.crystal} | {name} | {row.lattice:.3f} | {constants} | "
        f"{against('bulk')} | {row.bulk_of_curve:.1f} | {against('shear')} | "
        f"{against('youngs')} | {poisson} |"
    )


if __name__ == "__main__":
    main()
