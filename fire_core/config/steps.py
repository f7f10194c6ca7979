"""One configuration part for each step of a round."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from ase.data import chemical_symbols
from pydantic import Field, field_validator, model_validator

from fire_core.config.base import Count, NonNegative, Part, Positive, Timestep
from fire_core.config.ensemble import BarostatConfig, Target, target_ends
from fire_core.config.gates import GatesConfig
from fire_core.config.guards import GuardConfig
from fire_core.config.open_sets import SELECTORS
from fire_core.config.variants import NameOf

Kernels = Literal["fire", "cuequivariance"]


class BackboneConfig(Part):
    """The foundation model to fine-tune."""

    name: str = "fire-mini"
    """`fire-mini` (bundled), a `mace_mp` name such as `medium-mpa-0`, or a path."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it runs; `auto` takes CUDA when there is one."""
    dtype: Literal["float32", "float64"] = "float32"
    """Floating-point type of training and dynamics."""
    kernels: Literal["auto", Kernels] = "auto"
    """What computes MACE's layers: `fire`, this package's; `cuequivariance`, NVIDIA's,
    from the extra of that name; `auto` takes the latter on a GPU where it is there."""


class PerturbConfig(Part):
    """Rattled and strained copies of the starting cell that begin a campaign."""

    n: Count = 24
    """Configurations; the paper takes 20 to 50."""
    rattle: tuple[NonNegative, NonNegative] = (0.01, 0.1)
    """Smallest and largest standard deviation of the displacements, Å."""
    strain: NonNegative = 0.03
    """Largest magnitude of each random strain component."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.rattle[0] > self.rattle[1]:
            msg = f"rattle must be [smallest, largest], got {list(self.rattle)}"
            raise ValueError(msg)
        return self


class DynamicsConfig(Part):
    """A set of MD replicas run in one batch."""

    temperatures: Annotated[tuple[Target, ...], Field(min_length=1)] = (300.0, 600.0)
    """Thermostat targets, K; replicas go round them. [300, 1200] in place of a number
    is a ramp from the first step to the last."""
    barostat: BarostatConfig | None = None
    """Constant pressure; left out: constant volume."""
    replicas: Count = 8
    """Replicas in all."""
    steps: Count = 1250
    """MD steps of each replica."""
    timestep: Timestep = 2.0
    """fs."""
    friction: Positive = 0.02
    """Langevin friction, 1/fs."""
    save_every: Count = 5
    """MD steps between saved frames."""
    equilibration: Annotated[int, Field(ge=0)] = 0
    """Steps before the first saved frame."""
    segment: Count = 250
    """Steps between two commits to the store; a kill repeats at most this."""
    batch: Literal["auto"] | Count = "auto"
    """Most replicas in one force call. `auto`: all on a GPU, some 500 atoms on a CPU.
    Either is halved where memory runs out; no trajectory depends on it."""
    guards: GuardConfig = GuardConfig()
    """Limits of each replica."""

    @property
    def hottest(self) -> float:
        """Highest temperature that a replica is taken to, K."""
        return max(end for t in self.temperatures for end in target_ends(t))

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        for name in ("steps", "segment", "equilibration"):
            if getattr(self, name) % self.save_every:
                msg = (
                    f"{name} must be a multiple of save_every = {self.save_every}, "
                    f"got {getattr(self, name)}"
                )
                raise ValueError(msg)
        return self


class SoapConfig(Part):
    """SOAP descriptor (Bartók 2013) averaged over each frame."""

    cutoff: Positive = 5.0
    """Å."""
    n_max: Count = 6
    """Radial functions."""
    l_max: Count = 4
    """Degree of the spherical harmonics."""
    sigma: Positive = 0.5
    """Gaussian width, Å."""
    average: Literal["frame", "species", "species_region", "atom"] = "species"
    """What atoms are averaged over: all; those of one species; of one species on
    one side of the interface; or no others (`atom`: frames of few, the same atoms)."""
    engine: Literal["fire", "dscribe"] = "fire"
    """What computes it; dscribe gives the same within 1e-6, and takes longer."""
    workers: Count = 2
    """Threads; does not change the result."""


class ScreenConfig(Part):
    """Which candidates may be labelled at all.

    Those that may not are counted by reason, and named in the selection's record; the
    store keeps them.
    """

    min_distance_factor: Positive = 0.6
    """Refuse below this fraction of the sum of two covalent radii."""
    min_distances: dict[str, Positive] = Field(default_factory=dict)
    """Smallest distance of pairs of elements, Å, such as `Li-S: 1.6`; beside the factor
    above."""
    max_volume_change: Positive | None = 0.5
    """Refuse a cell whose volume differs from its starting cell's by more than this
    part; null: never."""
    same_composition: bool = True
    """Refuse a frame with another formula than each starting cell: atoms were lost."""
    charges: dict[str, float] = Field(default_factory=dict)
    """Formal charge of each element, such as `Li: 1`; where given, a frame whose
    charges do not add up to zero is refused."""
    max_energy: Positive | None = 2.0
    """Refuse a frame whose energy by the exploring model lies this far above the
    lowest of its formula, eV/atom; null: never."""
    max_force: Positive = 30.0
    """Refuse above this largest force by the exploring model, eV/Å."""
    forces: Literal["picks", "never"] = "picks"
    """Whose forces are computed for that: those of what would be chosen, and of what
    takes the place of the refused; or nobody's."""

    @field_validator("min_distances")
    @classmethod
    def _pairs(cls, distances: dict[str, float]) -> dict[str, float]:
        for pair in distances:
            names = pair.split("-")
            if len(names) != 2 or not set(names) <= set(chemical_symbols[1:]):
                msg = f"expected two elements such as Li-S, got {pair!r}"
                raise ValueError(msg)
        return distances

    @field_validator("charges")
    @classmethod
    def _elements(cls, charges: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(set(charges) - set(chemical_symbols[1:])):
            msg = f"expected elements such as Li, got {', '.join(unknown)}"
            raise ValueError(msg)
        return charges


Method = Annotated[str, NameOf(SELECTORS)]


class SelectConfig(Part):
    """Choice of the candidates worth a label."""

    method: Method = "kmeans"
    """Selector: the frame nearest to the centre of each K-means cluster; farthest
    points; random; K-means weighted by an uncertainty that the run must have; or
    `maxdet`, what a linear model on the descriptor would learn most from; or one that
    another package adds."""
    n: Count = 96
    """Structures to select."""
    descriptor: Literal["soap", "backbone", "mace"] = "soap"
    """What describes a frame: SOAP; or the invariant features that the exploring model
    gives its atoms, averaged over the same groups. `mace`: the older name of
    `backbone`."""
    soap: SoapConfig = SoapConfig()
    """Descriptor; of `backbone` its `average` alone counts."""
    pca_components: Count = 12
    """Most components kept."""
    pca_variance: Annotated[float, Field(gt=0, le=1)] = 0.999
    """Variance to keep; the smaller of the two limits holds."""
    memory_mib: Count = 256
    """Features up to this size are held in memory, MiB; larger ones go to a file in the
    temporary folder and are read in blocks."""
    screen: ScreenConfig = ScreenConfig()
    """What is refused before selection."""


class StabilityConfig(Part):
    """NVE run that a model must survive."""

    temperature: Positive = 600.0
    """Start, K."""
    steps: Count = 500
    """MD steps of the run."""
    timestep: Timestep = 1.0
    """fs."""
    max_drift: Positive = 2.0
    """Largest drift of the total energy, meV/atom/ps."""


class EvaluateConfig(Part):
    """How the models of a campaign are judged."""

    dynamics: DynamicsConfig = DynamicsConfig(
        replicas=2, steps=500, save_every=20, equilibration=100, segment=100
    )
    """The independent trajectory, driven by the final model with its own seed."""
    n: Count = 24
    """Its frames to label, evenly spaced."""
    vanilla: bool = True
    """Also train without replay on the same data, for comparison."""
    stability: StabilityConfig = StabilityConfig()
    gates: GatesConfig = GatesConfig()
    """What a model must pass before it is promoted."""
