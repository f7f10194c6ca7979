"""Settings of transport: long dynamics, and how its trajectories are analysed."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from ase.data import chemical_symbols
from pydantic import Field, model_validator

from fire_core.config.base import Count, NonNegative, Part, Positive, Timestep
from fire_core.config.ensemble import BarostatConfig
from fire_core.properties.settings import Needs, PropertySettings


class TransportAnalysis(Part):
    """How diffusion is found in trajectories, whoever computed them."""

    mobile: str | None = None
    """Element that carries the current; left out: the first of Li, Na, K, Ag, Cu, Mg,
    Zn, Ca, Al, H that the structure holds."""
    oxidation: dict[str, float] = Field(default_factory=dict)
    """Charges by element, e; those left out are guessed from the composition."""
    reference: Literal["framework", "centre_of_mass", "none"] = "framework"
    """What displacements are relative to: the centre of mass of all but the mobile
    ions, of all atoms, or nothing."""
    estimator: Literal["gls", "kinisi"] = "gls"
    """What fits the mobile ion's mean squared displacement: generalised least squares
    with the covariance of a Gaussian process, or kinisi's Bayesian regression (the same
    within errors; takes seconds and knows nothing of correlated ions)."""
    earliest: Positive = 1.0
    """No fit begins before this time difference, ps: ions vibrate."""
    site_distance: Positive = 3.0
    """Distance between sites of the mobile ion, Å. An ion that has not left its site
    (growth of the mean squared displacement in the window below the square of this)
    gives no diffusion coefficient."""
    extrapolate_to: tuple[Positive, ...] = (300.0,)
    """Temperatures that the Arrhenius line is read at, K."""
    grid: Positive = 0.4
    """Edge of the density map's boxes, Å, about."""
    measured: tuple[tuple[Positive, Positive], ...] = ()
    """Measured conductivities, [K, S/cm], drawn beside the simulated ones."""

    @model_validator(mode="after")
    def _elements(self) -> Self:
        names = set(self.oxidation) | ({self.mobile} if self.mobile else set())
        if unknown := sorted(names - set(chemical_symbols[1:])):
            msg = f"expected elements such as Li, got {', '.join(unknown)}"
            raise ValueError(msg)
        return self


class TransportConfig(PropertySettings):
    """Diffusion and conductivity from long dynamics at several temperatures."""

    kind: Literal["transport"] = "transport"
    temperatures: Annotated[tuple[Positive, ...], Field(min_length=1)] = (
        600.0,
        800.0,
        1000.0,
        1200.0,
    )
    """K; each has its own replicas."""
    replicas: Count = 3
    """Independent runs of each temperature; their scatter checks the errors."""
    ps: Positive = 100.0
    """Length of each run after its equilibration."""
    equilibration_ps: NonNegative = 5.0
    """Before the first frame that counts."""
    timestep: Timestep = 2.0
    """fs."""
    friction: Positive = 0.001
    """Langevin friction, 1/fs. It slows diffusion down where it is not small against
    what ions feel of each other (some 0.01/fs)."""
    save_every_fs: Positive = 100.0
    """Time between frames."""
    segment_ps: Positive = 5.0
    """Time between two commits to the store; a kill repeats at most this."""
    barostat: BarostatConfig | None = None
    """Find each temperature's cell at this pressure first; left out: the given cell."""
    barostat_ps: Positive = 10.0
    """Time for that; the cell is the mean of the second half."""
    analysis: TransportAnalysis = TransportAnalysis()
    """How the trajectories are analysed."""

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if len(set(self.temperatures)) < len(self.temperatures):
            msg = (
                f"expected temperatures that differ, got {list(self.temperatures)}; "
                "raise `replicas` for more runs of one"
            )
            raise ValueError(msg)
        return self

    def needs(self) -> Needs:
        """Return that a longer run, or another analysis, goes on with the dynamics."""
        return Needs(afterwards=("analysis", "ps"))
