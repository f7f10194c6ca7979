"""Draw a figure, or keep why it could not be drawn: no report is lost to a picture."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from fire_core.report.figures import FigureFiles


@dataclass(frozen=True, slots=True)
class Attempt:
    """A figure that was drawn, or in one sentence why it was not.

    Exactly one of the two is there: `files` is None where there is a `problem`, which
    is empty otherwise.
    """

    files: FigureFiles | None
    problem: str = ""


def attempt_figure(draw: Callable[[], FigureFiles]) -> Attempt:
    """Draw a figure; an error is logged and becomes its problem."""
    try:
        return Attempt(draw())
    except Exception as error:  # noqa: BLE001 - numbers of any shape; the rest is good
        _log().warning("a figure could not be drawn", exc_info=True)
        return Attempt(None, f"{type(error).__name__}: {error}")


def attempt_figures(draw: Callable[[], list[FigureFiles]]) -> list[FigureFiles]:
    """Draw figures that belong together; an error is logged, and there are none."""
    try:
        return draw()
    except Exception:  # noqa: BLE001 - as above
        _log().warning("figures could not be drawn", exc_info=True)
        return []


def _log() -> logging.Logger:
    return logging.getLogger(__name__)
