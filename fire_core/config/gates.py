"""Limits that a model must keep before it is promoted."""

from __future__ import annotations

from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, ValidationError, field_validator, model_validator

from fire_core.config.base import Fraction, Part, Positive, Timestep
from fire_core.config.guards import GuardConfig
from fire_core.config.open_sets import GATES
from fire_core.config.variants import NameOf

GateName = Annotated[str, NameOf(GATES)]
Limits = TypeVar("Limits", bound=Part)


class SurvivalConfig(Part):
    """Thermostatted runs that a model must survive, heated and compressed."""

    heating: Annotated[float, Field(ge=1)] = 1.5
    """Heat to this multiple of the hottest temperature of the campaign's dynamics."""
    hottest: Positive = 1200.0
    """But to no more than this, K; never below the campaign's own hottest."""
    compression: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Part of the volume that is taken away, at the campaign's hottest temperature."""
    steps: Annotated[int, Field(ge=10, multiple_of=10)] = 400
    """MD steps of each run; the guards look at least every ten."""
    timestep: Timestep = 1.0
    """fs."""
    friction: Positive = 0.02
    """Langevin friction, 1/fs."""
    guards: GuardConfig = GuardConfig()
    """What counts as lost, too close or exploding atoms."""


class DimerConfig(Part):
    """Repulsion of two atoms alone, for every pair of the system's elements.

    Distances are fractions of the sum of the two covalent radii.
    """

    start: Fraction = 0.7
    """From here inwards the energy must rise."""
    nearest: Positive = 0.3
    """Innermost distance looked at."""
    wall: Positive = 3.0
    """Rise above the bottom of the well, eV, that must come before any dip. What lies
    behind it is out of reach: 3 eV are 29 k_B T at 1200 K."""

    @model_validator(mode="after")
    def _inwards(self) -> Self:
        if self.nearest >= self.start:
            msg = f"nearest must be below start = {self.start}, got {self.nearest}"
            raise ValueError(msg)
        return self


class ElasticConfig(Part):
    """Small strains of the relaxed test system."""

    bulk_modulus: tuple[Positive, Positive] = (1.0, 500.0)
    """Least and largest credible bulk modulus, GPa."""
    strain: Annotated[float, Field(gt=0, le=0.1)] = 0.01
    """Magnitude of each strain."""
    relax_steps: Annotated[int, Field(ge=0)] = 200
    """Most steps of relaxing the atoms in the unstrained cell."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.bulk_modulus[0] >= self.bulk_modulus[1]:
            msg = f"bulk_modulus must be [least, most], got {list(self.bulk_modulus)}"
            raise ValueError(msg)
        return self


class GatesConfig(Part):
    """Gates between a trained model and its use; see `fire model check`."""

    required: tuple[GateName, ...] = tuple(GATES.builtin)
    """Gates that a model must pass to be promoted; the others are not measured. Those
    that another package adds count where they are named here."""
    energy_rmse: Positive = 10.0
    """Largest energy RMSE on the labelled test structures, meV/atom."""
    force_rmse: Positive = 100.0
    """Largest force RMSE on the labelled test structures, meV/Å."""
    forgetting: Positive = 1.1
    """Largest force MAE on held-out pre-training data, as a multiple of the
    foundation model's."""
    survival: SurvivalConfig = SurvivalConfig()
    """Runs heated and compressed."""
    dimers: DimerConfig = DimerConfig()
    """Repulsion at short range."""
    elastic: ElasticConfig = ElasticConfig()
    """Resistance to small strains."""
    others: dict[GateName, dict[str, Any]] = Field(default_factory=dict)
    """Limits of gates that other packages add, by the gate's name."""

    @field_validator("others")
    @classmethod
    def _as_their_gates_say(cls, others: dict[str, Any]) -> dict[str, Any]:
        for name, limits in others.items():
            model = GATES.load(name).limits
            if model is None:
                msg = f"the gate {name} takes no limits here; leave it out"
                raise ValueError(msg)
            try:
                model.model_validate(limits)
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(str(part) for part in (name, *first["loc"]))
                msg = f"{place}: {first['msg']}"
                raise ValueError(msg) from error
        return others

    def limits_of(self, name: str, model: type[Limits]) -> Limits:
        """Return the limits of another package's gate, defaults where none are said."""
        return model.model_validate(self.others.get(name, {}))
