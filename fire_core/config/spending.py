"""What a campaign may cost, and who is asked first."""

from __future__ import annotations

from typing import Literal

from fire_core.config.base import Count, NonNegative, Part, Positive


class BudgetConfig(Part):
    """Limits at which a campaign ends cleanly with what it has."""

    labels: Count | None = None
    """Most labels of the whole campaign, perturbed and test structures included."""
    core_hours: Positive | None = None
    """Most core-hours of labelling; the rest is estimated from past labels."""


class ApprovalConfig(Part):
    """When a person is asked before labels are paid for."""

    ask: Literal["never", "selected", "always"] = "never"
    """`selected` asks for the structures that a round selects, `always` for the
    perturbed and the test structures, too."""
    above_core_hours: NonNegative = 0.0
    """Ask only where the estimate is above this, or where there is none."""
