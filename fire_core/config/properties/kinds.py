"""Every kind of measurement, one settings class each; a new kind is added here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from fire_core.config.properties.adhesion import AdhesionConfig
from fire_core.config.properties.elasticity import (
    ElasticityConfig,
    ThermalElasticityConfig,
)
from fire_core.config.properties.equation_of_state import EquationOfStateConfig
from fire_core.config.properties.impedance import ImpedanceConfig
from fire_core.config.properties.phonons import PhononsConfig
from fire_core.config.properties.speed import SpeedConfig
from fire_core.config.properties.structure_check import StructureCheckConfig
from fire_core.config.properties.transport import TransportConfig

MeasureConfig = Annotated[
    AdhesionConfig
    | ElasticityConfig
    | EquationOfStateConfig
    | ImpedanceConfig
    | PhononsConfig
    | SpeedConfig
    | StructureCheckConfig
    | ThermalElasticityConfig
    | TransportConfig,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a measurement needs beside its settings.

    Attributes
    ----------
    structure
        Whether it is of a structure: `system`.
    model
        Whether it is of a model: `backbone`.
    files
        Files whose content the result depends on.
    afterwards
        Settings that say how long the dynamics go on and what is made of them; the
        dynamics themselves do not depend on them.
    machine
        Whether the result depends on where it is measured: threads enter its identity.
    """

    structure: bool = True
    model: bool = True
    files: tuple[str, ...] = ()
    afterwards: tuple[str, ...] = ()
    machine: bool = False


def needs_of(measure: MeasureConfig) -> Needs:
    """Return what a measurement needs; most are of one model and one structure."""
    if isinstance(measure, ImpedanceConfig):
        measured = measure.measured
        files = () if measured is None else (measured.file,)
        return Needs(structure=False, model=False, files=files)
    if isinstance(measure, StructureCheckConfig) and measure.trajectories:
        return Needs(structure=False, model=False, files=measure.trajectories)
    if isinstance(measure, TransportConfig):
        return Needs(afterwards=("analysis", "ps"))
    return Needs(machine=isinstance(measure, SpeedConfig))
