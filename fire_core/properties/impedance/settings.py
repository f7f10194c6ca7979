"""Settings of impedance spectra: pellet, boundaries, electrodes, a measured one.

Lengths are in cm and areas in cm², as conductivities are in S/cm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from fire_core.config.base import Count, NonNegative, Part, Positive
from fire_core.properties.settings import Earlier, Needs, PropertySettings

if TYPE_CHECKING:
    from pathlib import Path

Exponent = Annotated[float, Field(gt=0, le=1)]
"""Exponent α of a constant-phase element: 1 is a capacitor."""

ELEMENTS = ("CPE", "Wo", "Ws", "R", "C", "L", "W")
"""Elements that a circuit may hold, by impedance.py's names."""
_TOKEN = re.compile(rf"p\(|[(),-]|(?:{'|'.join(ELEMENTS)})\d+")


class GivenConductivity(Part):
    """A bulk conductivity as a number."""

    source: Literal["given"] = "given"
    value: Positive
    """S/cm."""
    error: NonNegative | None = None
    """Its standard error, S/cm."""
    temperature: Positive = 298.15
    """K; enters nothing but the conditions of the results."""


class TransportConductivity(Part):
    """The bulk conductivity of a finished measurement of transport."""

    source: Literal["transport"] = "transport"
    measurement: str
    """Its name, or the beginning of its key."""
    temperature: Positive | None = None
    """K; one of those it was measured at. Left out: it has only one."""


Conductivity = Annotated[
    GivenConductivity | TransportConductivity, Field(discriminator="source")
]


class GrainBoundaryConfig(Part):
    """Grain boundaries across the current, by the brick-layer model."""

    thickness_share: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """Thickness of boundaries divided by the size of grains."""
    conductivity_ratio: Positive = 1e-2
    """Conductivity of a boundary divided by that of the bulk."""
    permittivity: Positive | None = None
    """Relative permittivity of a boundary; left out: that of the bulk."""
    exponent: Exponent = 1.0
    """1: a capacitor; below: a constant-phase element with the same time constant."""


class NoElectrodes(Part):
    """Nothing but the pellet, as if seen by four probes."""

    kind: Literal["none"] = "none"


class BlockingElectrodes(Part):
    """Two electrodes that ions cannot pass, such as gold: a CPE for both together."""

    kind: Literal["blocking"] = "blocking"
    admittance: Positive = 1e-5
    """Q of one electrode, S s^α/cm²; for α = 1 its capacitance, F/cm²."""
    exponent: Exponent = 0.9


class ReversibleElectrodes(Part):
    """Two electrodes that exchange ions, such as lithium: R parallel to a CPE, W."""

    kind: Literal["reversible"] = "reversible"
    resistance: Positive = 10.0
    """Charge transfer at one electrode, Ω cm²."""
    admittance: Positive = 1e-5
    """Q of its double layer, S s^α/cm²."""
    exponent: Exponent = 0.9
    warburg: Positive | None = None
    """Coefficient A of semi-infinite diffusion, A (1 - i) / √ω, at one electrode,
    Ω cm² s^-1/2, in series with the charge transfer; left out: none."""


Electrodes = Annotated[
    NoElectrodes | BlockingElectrodes | ReversibleElectrodes,
    Field(discriminator="kind"),
]


class FrequencyConfig(Part):
    """Logarithmically spaced frequencies."""

    low: Positive = 1e-2
    """Hz."""
    high: Positive = 1e8
    """Hz."""
    per_decade: Count = 12

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            msg = f"expected low below high, got {self.low:g} and {self.high:g} Hz"
            raise ValueError(msg)
        return self


class MeasuredSpectrum(Part):
    """A measured spectrum of the same cell, to lay over the computed one and to fit."""

    file: str
    """CSV with a header that names its columns (or frequency, Z', Z'' without one), or
    an instrument's file."""
    instrument: Literal[
        "csv",
        "gamry",
        "autolab",
        "biologic",
        "parstat",
        "zplot",
        "versastudio",
        "powersuite",
        "chinstruments",
    ] = "csv"
    """Who wrote the file."""
    circuit: str | None = None
    """Circuit to fit in impedance.py's notation, such as R0-p(R1,CPE1)-CPE2; left out:
    that of the computed spectrum, grain boundaries and electrodes as configured."""
    bulk: str = "R1"
    """Element of the circuit that is the bulk's resistance."""
    low: Positive | None = None
    """Frequencies below are left out, Hz."""
    high: Positive | None = None
    """Frequencies above are left out, Hz."""
    kramers_kronig_limit: Positive = 0.02
    """Largest root mean square residual of the lin-KK test, relative to |Z|, of a
    spectrum that is called consistent."""

    @field_validator("circuit")
    @classmethod
    def _known(cls, circuit: str | None) -> str | None:
        return None if circuit is None else check_circuit(circuit)


class ImpedanceConfig(PropertySettings):
    """Nyquist and Bode spectra of a pellet between two electrodes."""

    kind: Literal["impedance"] = "impedance"
    conductivity: Conductivity | None = None
    """Of the bulk. Left out: nothing is computed, `measured` alone is fitted."""
    permittivity: Positive = 20.0
    """Relative permittivity of the bulk; measured or assumed, a model gives none."""
    thickness: Positive = 0.1
    """Between the electrodes, cm."""
    area: Positive = 1.0
    """Of one electrode, cm²."""
    series_resistance: NonNegative = 0.0
    """Of the wires, Ω."""
    grain_boundary: GrainBoundaryConfig | None = None
    """Left out: a single crystal, or boundaries that cost nothing."""
    electrodes: Electrodes = BlockingElectrodes()
    frequencies: FrequencyConfig = FrequencyConfig()
    measured: MeasuredSpectrum | None = None
    """Left out: nothing is fitted."""

    @model_validator(mode="after")
    def _has_something(self) -> Self:
        if self.conductivity is None and self.measured is None:
            msg = (
                "expected a `conductivity` to compute a spectrum from, a `measured` "
                "spectrum to fit, or both"
            )
            raise ValueError(msg)
        return self

    def needs(self) -> Needs:
        """Return what the conductivity and the measured spectrum are taken from."""
        source, measured = self.conductivity, self.measured
        earlier = None
        if isinstance(source, TransportConductivity):
            earlier = Earlier("transport", source.measurement)
        files = () if measured is None else (measured.file,)
        return Needs(structure=False, model=False, files=files, earlier=earlier)

    def resolve_files(self, base: Path) -> Self:
        """Return the same settings with an absolute path of the measured spectrum."""
        if self.measured is None:
            return self
        path = str((base / self.measured.file).resolve())
        measured = self.measured.model_copy(update={"file": path})
        return self.model_copy(update={"measured": measured})


def check_circuit(circuit: str) -> str:
    """Return a circuit without blanks, which impedance.py may evaluate.

    Raises
    ------
    ValueError
        It holds something else than series, parallels and known elements.
    """
    text = circuit.replace(" ", "")
    tokens = _TOKEN.findall(text)
    names = [t for t in tokens if t[0].isupper()]
    balanced = text.count("(") == text.count(")")
    if "".join(tokens) != text or not names or not balanced:
        msg = (
            f"expected elements ({', '.join(ELEMENTS)}, each with a number) in series "
            f"(-) and in parallel (p(A,B)), such as R0-p(R1,CPE1)-CPE2; got {circuit!r}"
        )
        raise ValueError(msg)
    if len(set(names)) < len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        msg = f"elements need different numbers, {', '.join(twice)} is there twice"
        raise ValueError(msg)
    return text
