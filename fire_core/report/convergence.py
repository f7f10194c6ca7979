"""Figure of a convergence scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FLOOR = 1e-4  # the finest value differs from itself by nothing
CURVES = (
    ("energy, meV/atom", "C0"),
    ("largest force error, meV/Å", "C3"),
    ("largest stress error, GPa", "C2"),
)


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

    @property
    def stress_gpa(self) -> float | None:
        """Distance to the finest, GPa."""


def draw_convergence(
    scans: Sequence[Sequence[Step]], limits: tuple[float, float, float], path: Path
) -> None:
    """Draw one panel for each scan.

    Parameters
    ----------
    scans
        Steps of each setting, coarsest first; the last is the reference.
    limits
        Wanted precision of energies, meV/atom, forces, meV/Å, and stress, GPa.
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
        for (name, colour), limit, errors in zip(
            CURVES, limits, _errors(steps), strict=True
        ):
            if None in errors:
                continue
            shown = [max(error or 0.0, FLOOR) for error in errors[:-1]]
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


def _errors(steps: Sequence[Step]) -> tuple[Sequence[float | None], ...]:
    """Return a list of distances for each of `CURVES`."""
    return (
        [step.energy_mev for step in steps],
        [step.force_mev for step in steps],
        [step.stress_gpa for step in steps],
    )
