"""How a campaign judges what its model does not know, and when it goes on."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fire_core.config.base import Count, Fraction, Part, Positive


class TrustConfig(Part):
    """Between which calibrated uncertainties a candidate is worth a label."""

    target: Positive = 100.0
    """Wanted error of a force component on a structure's worst atom, meV/Å, usually
    two to four times the force RMSE that is wanted; below it a candidate is trusted."""
    focus: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Part of the candidates above the target, the most uncertain ones, that labels
    are chosen from; 1: all."""
    high: Positive = 2000.0
    """Above it a candidate is beyond the model's reach and not labelled, meV/Å."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high <= self.target:
            msg = f"high must be above target, got {self.high} and {self.target}"
            raise ValueError(msg)
        return self


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
    """Fewest labels of a round: where fewer candidates are worth one, trusted ones
    drawn at random are added, as a test of small uncertainties."""
    min_gain: Fraction = 0.03
    """Forecast reduction of the force error by the next batch below which the campaign
    ends; 0: never for that reason."""
