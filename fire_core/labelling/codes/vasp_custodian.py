"""Run VASP under custodian (Ong et al., Comput. Mater. Sci. 68 (2013) 314).

A program of its own, run in the folder of a label: ``… vasp_custodian COMMAND``. It
prints what VASP printed and what custodian did. Its handlers may change how VASP gets
to a label, not the label: `find_changes` tells what they touched beyond that.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fire_core.children import python_command

if TYPE_CHECKING:
    from types import FrameType

LOG: Final = "vasp.out"
MOST_ERRORS: Final = 5
HARMLESS: Final = frozenset(
    {
        "ALGO", "IALGO", "AMIN", "AMIX", "BMIX", "AMIX_MAG", "BMIX_MAG", "IMIX", "WC",
        "MAXMIX", "NELM", "NELMIN", "ISTART", "ICHARG", "INIWAV", "TIME", "NPAR",
        "NCORE", "NSIM", "KPAR", "LWAVE", "LCHARG", "LSCALAPACK", "NBANDS", "NEDOS",
        "EMIN", "EMAX", "POTIM",
    }
)  # fmt: skip
"""Tags of the way to a converged density, of output and of parallelism."""


def is_installed() -> bool:
    """Return whether custodian is here (`pip install fire-mlip[vasp]`)."""
    return find_spec("custodian") is not None


def under_custodian(command: list[str]) -> list[str]:
    """Return the command line that runs VASP's under custodian, where that is here."""
    if not is_installed():
        return command
    return python_command(__name__, *command)


def find_changes(wanted: dict[str, Any], folder: Path) -> list[str]:
    """Return what of a label's INCAR is another now, as `TAG old → new`."""
    from pymatgen.io.vasp.inputs import Incar

    path = folder / "INCAR"
    if not path.is_file():
        return []
    there, meant = Incar.from_file(path), Incar(wanted)
    tags = sorted((there.keys() | meant.keys()) - HARMLESS)
    return [
        f"{tag} {meant.get(tag, 'unset')} → {there.get(tag, 'unset')}"
        for tag in tags
        if there.get(tag) != meant.get(tag)
    ]


def run(command: list[str]) -> int:
    """Run VASP with custodian's handlers; return the exit status."""
    from custodian.custodian import Custodian, CustodianError
    from custodian.vasp.handlers import (
        StdErrHandler,
        UnconvergedErrorHandler,
        VaspErrorHandler,
    )
    from custodian.vasp.jobs import VaspJob

    job = VaspJob(
        command, output_file=LOG, backup=False, auto_npar=False, auto_gamma=False
    )
    handlers = [VaspErrorHandler(LOG), UnconvergedErrorHandler(), StdErrHandler()]
    keeper = Custodian(
        handlers, [job], max_errors=MOST_ERRORS, polling_time_step=1, monitor_freq=5
    )
    try:
        keeper.run()  # type: ignore[no-untyped-call]
    except CustodianError as error:
        sys.stderr.write(f"custodian: {error}\n")
        return 1
    finally:
        _tell(keeper.run_log)
    return 0


def _tell(jobs: list[dict[str, Any]]) -> None:
    """Print what VASP said last and what custodian did."""
    for line in Path(LOG).read_text(encoding="utf-8", errors="replace").splitlines():
        sys.stdout.write(f"{line}\n")
    for job in jobs:
        for correction in job["corrections"]:
            did = f"{correction['errors']} → {correction['actions']}"
            sys.stdout.write(f"custodian: {did}\n")


def _end_all(_signal: int, _frame: FrameType | None) -> None:
    os.killpg(0, signal.SIGKILL)  # VASP is of our process group


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end_all)
    sys.exit(run(sys.argv[1:]))
