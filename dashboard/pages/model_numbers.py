"""The numbers of models in one table, with their units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.campaign.kinds import Judgement

NUMBERS: Final = (
    ("force RMSE", "meV/Å", "test", "force_rmse"),
    ("force MAE", "meV/Å", "test", "force_mae"),
    ("largest force error", "meV/Å", "test", "force_max"),
    ("energy RMSE", "meV/atom", "test", "energy_rmse"),
    ("energy MAE", "meV/atom", "test", "energy_mae"),
    ("stress MAE", "meV/Å³", "test", "stress_mae"),
    ("forgetting: force MAE", "meV/Å", "forgetting", "force_mae"),
    ("forgetting: energy MAE", "meV/atom", "forgetting", "energy_mae"),
    ("NVE drift", "meV/atom/ps", "stability", "drift_mev_per_atom_per_ps"),
)
"""Name, unit and where a judgement keeps it."""


@dataclass(frozen=True, slots=True)
class NumberLine:
    """One quantity of several models; None where it was not measured."""

    name: str
    unit: str
    values: list[float | None]

    @property
    def difference(self) -> float | None:
        """The second less the first."""
        first, second = self.values[:2]
        return None if first is None or second is None else second - first

    @property
    def percent(self) -> float | None:
        """The difference as a part of the first, %."""
        first, difference = self.values[0], self.difference
        return 100 * difference / first if first and difference is not None else None


def tabulate(results: Sequence[Judgement | None]) -> list[NumberLine]:
    """Return every number that at least one of the judgements has."""
    lines = [
        NumberLine(name, unit, [_get(result, part, key) for result in results])
        for name, unit, part, key in NUMBERS
    ]
    errors = [
        {} if result is None else result.test.force_rmse_by_element
        for result in results
    ]
    lines += [
        NumberLine(f"force RMSE of {symbol}", "meV/Å", [e.get(symbol) for e in errors])
        for symbol in sorted({symbol for each in errors for symbol in each})
    ]
    return [line for line in lines if any(v is not None for v in line.values)]


def _get(result: Judgement | None, part: str, key: str) -> float | None:
    value = None if result is None else getattr(getattr(result, part), key)
    return None if value is None else float(value)
