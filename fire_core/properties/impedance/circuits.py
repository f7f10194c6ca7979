"""Equivalent circuits: the pellet's, and impedance of any; the door to impedance.py."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.constants import epsilon_0

from fire_core.properties.impedance.settings import (
    BlockingElectrodes,
    ReversibleElectrodes,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.properties.impedance.settings import (
        GrainBoundaryConfig,
        ImpedanceConfig,
    )

    Array = NDArray[np.float64]
    Complex = NDArray[np.complex128]

EPSILON_0: Final = epsilon_0 / 100
"""Vacuum permittivity, F/cm."""
UNITS: Final = {
    "R": ("Ω",),
    "C": ("F",),
    "L": ("H",),
    "W": ("Ω s^-1/2",),
    "CPE": ("S s^α", ""),
    "Wo": ("Ω", "s"),
    "Ws": ("Ω", "s"),
}
"""Units of each element's parameters, in impedance.py's order."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """A circuit and its parameters.

    Attributes
    ----------
    text
        In impedance.py's notation: R0-p(R1,C1)-CPE2.
    values
        Parameters in the order of the text, in the units of `UNITS`.
    """

    text: str
    values: tuple[float, ...]

    def named(self) -> dict[str, float]:
        """Return each parameter by its name."""
        return dict(zip(parameter_names(self.text), self.values, strict=True))


def element_names(text: str) -> list[str]:
    """Return the elements of a circuit, such as R0, CPE1, in order."""
    return re.findall(r"[A-Z][A-Za-z]*\d+", text)


def element_kind(name: str) -> str:
    """Return an element's kind: CPE of CPE1."""
    return name.rstrip("0123456789")


def parameter_names(text: str) -> list[str]:
    """Return the parameters of a circuit: R0, CPE1_0, CPE1_1, … in order."""
    names = []
    for element in element_names(text):
        n = len(UNITS[element_kind(element)])
        names += [element] if n == 1 else [f"{element}_{i}" for i in range(n)]
    return names


def parameter_units(text: str) -> list[str]:
    """Return the unit of each parameter of a circuit."""
    return [u for name in element_names(text) for u in UNITS[element_kind(name)]]


def pellet_circuit(settings: ImpedanceConfig, conductivity: float) -> Circuit:
    """Return the circuit of a pellet between two electrodes.

    Bulk and grain boundaries are in series by the brick-layer model: boundaries of
    thickness share x lie across the current, those along it carry nothing (S. M.
    Haile, D. L. West, J. Campbell, J. Mater. Res. 13, 1576 (1998)):

        R_b = (1 - x) L / (A σ),     C_b = ε₀ ε A / ((1 - x) L)
        R_gb = x L / (A σ_gb),       C_gb = ε₀ ε_gb A / (x L)

    Parameters
    ----------
    settings
        Geometry, permittivities, grain boundaries, electrodes.
    conductivity
        Of the bulk, S/cm.
    """
    boundary = settings.grain_boundary
    share = 0.0 if boundary is None else boundary.thickness_share
    length = (1 - share) * settings.thickness
    resistance = length / (settings.area * conductivity)
    capacitance = EPSILON_0 * settings.permittivity * settings.area / length
    text, values = "R0-p(R1,C1)", [settings.series_resistance, resistance, capacitance]
    if boundary is not None:
        more, parameters = _boundary(settings, boundary, conductivity)
        text, values = text + more, values + parameters
    more, parameters = _electrodes(settings)
    return Circuit(text + more, tuple(values + parameters))


def impedance(circuit: Circuit, frequencies: Array) -> Complex:
    """Return the impedance, Ω, at frequencies in Hz, both (n,); by impedance.py."""
    found: Complex = np.asarray(
        custom_circuit(circuit).predict(frequencies, use_initial=False)
    )
    return found


def custom_circuit(circuit: Circuit) -> Any:
    """Return impedance.py's own circuit with these parameters, ready to fit."""
    from impedance.models.circuits import CustomCircuit

    values = [float(v) for v in circuit.values]
    made = CustomCircuit(circuit.text, initial_guess=values)
    made.parameters_ = np.array(values)
    return made


def _boundary(
    settings: ImpedanceConfig, boundary: GrainBoundaryConfig, conductivity: float
) -> tuple[str, list[float]]:
    length = boundary.thickness_share * settings.thickness
    ratio = boundary.conductivity_ratio
    resistance = length / (settings.area * conductivity * ratio)
    permittivity = boundary.permittivity or settings.permittivity
    capacitance = EPSILON_0 * permittivity * settings.area / length
    if boundary.exponent == 1.0:
        return "-p(R2,C2)", [resistance, capacitance]
    # the same time constant: (R Q)^(1/α) = R C
    admittance = (resistance * capacitance) ** boundary.exponent / resistance
    return "-p(R2,CPE2)", [resistance, admittance, boundary.exponent]


def _electrodes(settings: ImpedanceConfig) -> tuple[str, list[float]]:
    """Return both electrodes as one: resistances add, admittances halve."""
    electrodes, area = settings.electrodes, settings.area
    if isinstance(electrodes, BlockingElectrodes):
        return "-CPE3", [electrodes.admittance * area / 2, electrodes.exponent]
    if isinstance(electrodes, ReversibleElectrodes):
        transfer = 2 * electrodes.resistance / area
        layer = [electrodes.admittance * area / 2, electrodes.exponent]
        if electrodes.warburg is None:
            return "-p(R3,CPE3)", [transfer, *layer]
        diffusion = 2 * electrodes.warburg / area
        return "-p(R3-W3,CPE3)", [transfer, diffusion, *layer]
    return "", []
