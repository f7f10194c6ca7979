"""VASP's OUTCAR, read by ASE; vasprun.xml has more digits and is preferred."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.importing.frames import (
    CalculatedFrame,
    Outcome,
    bare,
    refuse,
    refuse_unconverged,
)
from fire_core.importing.mesh import describe_mesh
from fire_core.importing.vasp_theory import vasp_theory
from fire_core.records import Label

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ase.io.vasp_parsers.vasp_outcar_parsers import OUTCARChunk

    from fire_core.labelling.theory import Theory

REACHED: Final = "aborting loop because EDIFF is reached"
PARAMETER: Final = r"(?:^ +|; *){} *= *([^\s;]+)"
FIXED_DENSITY: Final = 10  # from here on ICHARG says so
ECHOED: Final = r"^ {3}([A-Z][A-Z0-9_]*) *= *(.+)$"


def read_outcar(path: Path) -> Iterator[Outcome]:
    """Yield every ionic step; positions have five digits in this file."""
    from ase.io.vasp_parsers.vasp_outcar_parsers import outcarchunks

    head, begun = _head(path)
    theory = _theory(head)
    charge = re.search(PARAMETER.format("ICHARG"), head, re.M)
    fixed = charge is not None and int(charge.group(1)) >= FIXED_DENSITY
    number = -1
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, chunk in enumerate(outcarchunks(stream)):
            if fixed:
                detail = "ICHARG says that the density was held fixed"
                yield refuse_unconverged(number, detail)
            elif not any(REACHED in line for line in chunk.lines):
                yield refuse_unconverged(number, f"VASP does not say {REACHED!r}")
            else:
                yield _outcome(number, chunk, theory)
    for missing in range(number + 1, begun):
        yield refuse(missing, "truncated", "the file ends within this ionic step")


def _head(path: Path) -> tuple[str, int]:
    """Return the file up to its first SCF, and the number of ionic steps begun."""
    begun = 0
    head: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            head += [] if begun else [line]
            begun += bool(re.search(r"Iteration +\d+\( +1\)", line))
    return "".join(head), begun


def _outcome(number: int, chunk: OUTCARChunk, theory: Theory | None) -> Outcome:
    from ase.io.vasp_parsers.vasp_outcar_parsers import ParseError

    try:
        image = chunk.build()
    except (ParseError, ValueError) as error:
        return refuse(number, "unreadable", str(error))
    results = image.calc.results
    if "forces" not in results or "free_energy" not in results:
        return refuse(number, "no_forces", "the step has no energy or no forces")
    found = results.get("stress")
    stress = None if found is None else np.array(found, dtype=np.float64)
    forces = np.array(results["forces"], dtype=np.float64)
    label = Label(float(results["free_energy"]), forces, stress)
    return CalculatedFrame(number, bare(image), label, theory)


def _theory(head: str) -> Theory | None:
    version = re.match(r" *vasp\.(\d+(?:\.\d+)*)", head)
    titles = dict.fromkeys(
        " ".join(title.split())
        for title in re.findall(r"^ POTCAR: +(\S.*)$", head, re.M)
    )
    names = (
        "PREC", "ENCUT", "EDIFF", "ISMEAR", "SIGMA", "ISPIN", "LREAL", "LASPH",
        "METAGGA", "GGA", "ADDGRID", "LHFCALC", "LNONCOLLINEAR", "LSORBIT", "LUSE_VDW",
        "AEXX", "HFSCREEN", "LDAUTYPE", "LDIPOL", "IDIPOL", "NUPDOWN", "GGA_COMPAT",
    )  # fmt: skip
    effective: dict[str, object] = {"IVDW": 0, "LDAU": "LDAUTYPE" in head}
    for name in names:
        if found := re.search(PARAMETER.format(name), head, re.M):
            effective[name] = found.group(1)
    # VASP 6 repeats the INCAR; older releases have an empty list there
    echo = head.partition(" INCAR:")[2].partition(" POTCAR:")[0]
    given: dict[str, object] = dict(re.findall(ECHOED, echo, re.M))
    effective["IVDW"] = given.get("IVDW", _dispersion(head))
    extra = {
        n: v for n, v in effective.items() if n in {"LDAUTYPE", "AEXX", "HFSCREEN"}
    }
    return vasp_theory(
        version.group(1) if version else "unknown",
        list(titles),
        effective,
        extra | given,
        _mesh(head),
    )


def _dispersion(head: str) -> object:
    found = re.search(r"^ +IVDW *= *(\d+)", head, re.M)
    return found.group(1) if found else 0


def _mesh(head: str) -> str:
    _, _, table = head.partition("Following reciprocal coordinates:")
    rows = re.findall(r"^ +(-?\d\.\d+) +(-?\d\.\d+) +(-?\d\.\d+) +\d", table, re.M)
    count = re.search(r"Found +(\d+) irreducible", head)
    if count is None or len(rows) < int(count.group(1)):
        return "unknown"
    return describe_mesh(np.array(rows[: int(count.group(1))], dtype=np.float64))
