"""Figure of a convergence scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FLOOR = 1e-4  # meV; the finest value differs from itself by nothing


class Step(Protocol):
    """One value of a scan; see `labelling.converge.Step`."""

    @property
    def setting(self) -> str:
        """Name of the setting."""

    @property
    def value(self) -> float:
        """Its value."""

    @property
    def energy_mev(self) -> float:
        """Distance to the finest, meV/atom."""

    @property
    def force_mev(self) -> float:
        """Distance to the finest, meV/Å."""


def draw_convergence(
    scans: Sequence[Sequence[Step]], limits: tuple[float, float], path: Path
) -> None:
    """Draw one panel for each scan.

    Parameters
    ----------
    scans
        Steps of each setting, coarsest first; the last is the reference.
    limits
        Wanted precision of energies, meV/atom, and of forces, meV/Å.
    path
        Of the picture, in any format that matplotlib writes.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(scans), figsize=(4.2 * len(scans), 3.4), squeeze=False
    )
    for axis, steps in zip(axes[0], scans, strict=True):
        values = [step.value for step in steps[:-1]]
        for name, errors, limit, colour in (
            ("energy, meV/atom", [s.energy_mev for s in steps], limits[0], "C0"),
            (
                "largest force error, meV/Å",
                [s.force_mev for s in steps],
                limits[1],
                "C3",
            ),
        ):
            shown = [max(error, FLOOR) for error in errors[:-1]]
            axis.plot(values, shown, "o-", color=colour, label=name)
            axis.axhline(limit, color=colour, linestyle=":", linewidth=1)
        axis.set_yscale("log")
        axis.set_xlabel(f"{steps[0].setting} (reference {steps[-1].value:g})")
        if values[0] > steps[-1].value:
            axis.invert_xaxis()
    axes[0][0].set_ylabel("distance to the finest value")
    axes[0][0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=160)
    plt.close(figure)
