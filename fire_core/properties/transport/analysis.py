"""From trajectories at several temperatures to numbers, curves and notes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fire_core.errors import PropertyError
from fire_core.properties.transport.curves import arrhenius_curve, ensemble_curve
from fire_core.properties.transport.density import density_map, projections
from fire_core.properties.transport.ensemble import Ensemble, analyse_ensemble
from fire_core.properties.transport.lines import ArrheniusLines, fit_lines
from fire_core.properties.transport.trajectory import find_mobile
from fire_core.properties.transport.values import (
    ensemble_values,
    line_values,
)
from fire_core.records import PropertyResult
from fire_core.structures.composition import guess_oxidation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fire_core.properties.transport.settings import TransportAnalysis
    from fire_core.properties.transport.trajectory import Trajectory
    from fire_core.records import JsonDict

FEW_IONS: Final = 50
"""Mobile ions below which the size of the cell is worth a warning."""


@dataclass(frozen=True, slots=True, eq=False)
class Transport:
    """A finished analysis.

    Attributes
    ----------
    result
        Numbers, curves and notes.
    density
        (n_a, n_b, n_c), ions/Å³, of the mobile ion; the temperature is in the curves.
    formula
        Of the cell.
    """

    result: PropertyResult
    density: NDArray[np.float64]
    formula: str


def analyse_transport(
    groups: Mapping[float, Sequence[Trajectory]],
    settings: TransportAnalysis,
    notes: Sequence[str] = (),
) -> Transport:
    """Analyse replicas at each temperature, K.

    Parameters
    ----------
    groups
        Runs of each temperature, at least one.
    settings
        How.
    notes
        Sentences of what was done before, kept with the result.

    Raises
    ------
    PropertyError
        No trajectories, or ones that do not belong together; an ion without charge.
    """
    if not groups or not all(groups.values()):
        msg = "expected at least one trajectory, got none"
        raise PropertyError(msg)
    first = next(iter(groups.values()))[0]
    mobile = find_mobile(first.symbols, settings.mobile)
    charges = guess_oxidation(Counter(first.symbols.tolist()), settings.oxidation)
    charge = charges[mobile]
    if charge == 0 and len(charges) > 1:
        msg = (
            f"{mobile} has no charge in {_counts(first)}; give it with `oxidation`, "
            f"such as {mobile}: 1"
        )
        raise PropertyError(msg)
    ensembles = [
        analyse_ensemble(temperature, groups[temperature], mobile, charge, settings)
        for temperature in sorted(groups)
    ]
    lines = fit_lines(ensembles)
    values = [v for ensemble in ensembles for v in ensemble_values(ensemble, mobile)]
    values += line_values(lines, ensembles, settings.extrapolate_to, mobile)
    seen = next((e for e in ensembles if e.tracer.tensor is not None), ensembles[-1])
    density = density_map(seen.runs, mobile, settings.grid)
    result = PropertyResult(
        values=tuple(values),
        curves={
            "mobile": mobile,
            "charge": charge,
            "temperatures": [ensemble_curve(e, mobile) for e in ensembles],
            "arrhenius": arrhenius_curve(ensembles, lines, settings.extrapolate_to),
            "measured": [list(pair) for pair in settings.measured],
            "density": _density_curve(density, seen),
        },
        notes=(*notes, *_notes(ensembles, lines, mobile, charge, settings)),
    )
    return Transport(result, density, _counts(first))


def _density_curve(density: NDArray[np.float64], ensemble: Ensemble) -> JsonDict:
    return {
        "temperature_k": ensemble.temperature,
        "cell": ensemble.runs[0].cell.tolist(),
        "along": [p.round(6).tolist() for p in projections(density)],
    }


def _notes(
    ensembles: Sequence[Ensemble],
    lines: ArrheniusLines,
    mobile: str,
    charge: float,
    settings: TransportAnalysis,
) -> list[str]:
    first = ensembles[0].runs[0]
    n_ions = int((first.symbols == mobile).sum())
    notes = [
        f"{n_ions} {mobile} ions of charge {charge:+g} in {_counts(first)}; "
        f"displacements relative to {settings.reference.replace('_', ' ')}",
        "intervals are statistical: they know nothing of the model's errors, of sites "
        "that no run visited, and of phases that change between the temperatures",
    ]
    if n_ions < FEW_IONS:
        notes.append(
            f"{n_ions} mobile ions: concerted motion and the charge diffusion may "
            "depend on the size of the cell; repeat it to see"
        )
    restless = [
        f"{element} at {e.temperature:g} K"
        for e in ensembles
        for element, msd in e.others.items()
        if msd[e.last_lag] > settings.site_distance**2
    ]
    if restless:
        notes.append(
            f"also moves by more than a site: {', '.join(restless)}; the structure may "
            "be molten, or this ion diffuses, too"
        )
    for name, line in (("D", lines.diffusion), ("σT", lines.conductivity)):
        if line is not None and line.widened > 1:
            notes.append(
                f"{name} is no straight line in 1/T within its errors, which were "
                f"widened {line.widened:.1f}-fold: the mechanism or the phase may "
                "change between the temperatures"
            )
    return notes


def _counts(run: Trajectory) -> str:
    counts = Counter(run.symbols.tolist())
    return "".join(f"{element}{n}" for element, n in sorted(counts.items()))
