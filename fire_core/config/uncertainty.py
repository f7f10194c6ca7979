"""How a campaign judges what its model does not know, and when it goes on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fire_core.config.base import Count, Fraction, Part, Positive


class TrustConfig(Part):
    """Between which calibrated uncertainties a candidate is worth a label."""

    target: Positive = 50.0
    """Wanted error of a force component on the worst atom, meV/Å; below it a candidate
    is trusted whatever else is known."""
    known: Annotated[float, Field(gt=0, le=1)] = 0.95
    """The lower level is this quantile over labelled structures that the model was not
    trained on, and so falls from round to round, down to `target`."""
    high: Positive = 2000.0
    """Above it a candidate is beyond the model's reach and not labelled, meV/Å."""


class UncertaintyConfig(Part):
    """Rounds led by uncertainty; `rounds` is then the most of them."""

    method: Literal["none", "committee", "last_layer"] = "none"
    """`committee`: spread of the members' forces, from the second round on;
    `last_layer`: prediction rigidity of the last layer's features, from the first."""
    frames: Count = 2000
    """Most candidates whose uncertainty is computed, evenly spaced over the run."""
    trust: TrustConfig = TrustConfig()
    converged: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Trusted part of the candidates from which on a campaign has converged, if the
    errors on the newest labels agree with what was expected of them."""
    tolerance: Annotated[float, Field(ge=1)] = 1.5
    """Most that the observed error may be as a multiple of the expected one."""
    verify: Count = 8
    """Fewest labels of a round: where fewer candidates are worth one, trusted ones are
    added, which test the uncertainty where it claims to know."""
    min_gain: Fraction = 0.03
    """Forecast reduction of the force error by the next batch below which the campaign
    ends; 0: never for that reason."""
