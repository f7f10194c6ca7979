"""What is reported of an elastic tensor: numbers, curves, sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.properties.elasticity.moduli import (
    compute_moduli,
    propagate,
    stability_eigenvalues,
    youngs_extremes,
    youngs_modulus,
)
from fire_core.properties.elasticity.tensor import independent_places
from fire_core.properties.values import with_interval
from fire_core.records import PropertyValue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fire_core.properties.elasticity.fit import ElasticTensor
    from fire_core.properties.elasticity.moduli import Extreme
    from fire_core.records import JsonDict

    Array = NDArray[np.float64]

PLANES: Final = {"xy": (0, 1), "yz": (1, 2), "xz": (0, 2)}
ANGLES: Final = 181
"""Points of a polar cut."""
AVERAGES: Final = (
    ("bulk_modulus", "GPa", "voigt"),
    ("bulk_modulus", "GPa", "reuss"),
    ("bulk_modulus", "GPa", "hill"),
    ("shear_modulus", "GPa", "voigt"),
    ("shear_modulus", "GPa", "reuss"),
    ("shear_modulus", "GPa", "hill"),
    ("youngs_modulus", "GPa", "hill"),
    ("poisson_ratio", "", "hill"),
    ("universal_anisotropy", "", "voigt, reuss"),
)
"""Names of the fields of `Moduli`, in order."""
UNSTABLE: Final = "not elastically stable: the crystal yields to a small strain"


def tensor_values(
    tensor: ElasticTensor, conditions: dict[str, float | str]
) -> tuple[PropertyValue, ...]:
    """Return constants, stability and, of a stable tensor, its moduli."""
    lowest = stability_eigenvalues(tensor.matrix())[0]
    (error,) = propagate(
        lambda p: stability_eigenvalues(tensor.matrix(p))[:1],
        tensor.parameters,
        tensor.covariance,
    )
    stable = bool(lowest > 0)
    note = "stable: all six eigenvalues are positive" if stable else UNSTABLE
    value = PropertyValue(
        "smallest_stiffness_eigenvalue", float(lowest), "GPa", float(error),
        conditions=conditions, note=note,
    )  # fmt: skip
    moduli = _moduli(tensor, conditions) if stable else _no_moduli(conditions)
    return (*_constants(tensor, conditions), with_interval(value), *moduli)


def tensor_curves(tensor: ElasticTensor) -> JsonDict:
    """Return the tensor, its errors and Young's modulus in three planes, GPa."""
    matrix = tensor.matrix()
    curves: JsonDict = {
        "tensor": matrix.tolist(),
        "tensor_errors": tensor.errors().tolist(),
        "eigenvalues": stability_eigenvalues(matrix).tolist(),
    }
    if curves["eigenvalues"][0] <= 0:
        return curves
    angles = np.linspace(0, 2 * np.pi, ANGLES)
    cuts = {}
    for name, (first, second) in PLANES.items():
        directions = np.zeros((ANGLES, 3))
        directions[:, first], directions[:, second] = np.cos(angles), np.sin(angles)
        cuts[name] = youngs_modulus(matrix, directions).tolist()
    return curves | {"angles": angles.tolist(), "youngs_modulus": cuts}


def _constants(
    tensor: ElasticTensor, conditions: dict[str, float | str]
) -> list[PropertyValue]:
    matrix, errors = tensor.matrix(), tensor.errors()
    return [
        with_interval(
            PropertyValue(
                f"c{i + 1}{j + 1}", float(matrix[i, j]), "GPa", float(errors[i, j]),
                conditions=conditions,
            )
        )
        for i, j in independent_places(tensor.basis)
    ]  # fmt: skip


def _moduli(
    tensor: ElasticTensor, conditions: dict[str, float | str]
) -> list[PropertyValue]:
    def averages(parameters: Array) -> Array:
        moduli = compute_moduli(tensor.matrix(parameters))
        return np.array([getattr(moduli, name) for name in moduli.__slots__])

    at = tensor.parameters
    numbers = averages(at)
    errors = propagate(averages, at, tensor.covariance)
    values = [
        PropertyValue(
            name, float(number), unit, float(error),
            conditions=conditions | {"average": average},
        )
        for (name, unit, average), number, error in zip(
            AVERAGES, numbers, errors, strict=True
        )
    ]  # fmt: skip
    for which, extreme in zip(
        ("lowest", "highest"), youngs_extremes(tensor.matrix()), strict=True
    ):
        values.append(_directed(tensor, extreme, which, conditions))
    return [with_interval(value) for value in values]


def _directed(
    tensor: ElasticTensor,
    extreme: Extreme,
    which: str,
    conditions: dict[str, float | str],
) -> PropertyValue:
    unit = np.array(extreme.direction) / np.linalg.norm(extreme.direction)
    (error,) = propagate(
        lambda p: youngs_modulus(tensor.matrix(p), unit[None]),
        tensor.parameters,
        tensor.covariance,
    )
    text = "[" + " ".join(f"{x:.3g}" for x in extreme.direction) + "]"
    return PropertyValue(
        "youngs_modulus", extreme.value, "GPa", float(error),
        conditions=conditions | {"direction": text}, note=f"{which} of all directions",
    )  # fmt: skip


def _no_moduli(conditions: dict[str, float | str]) -> list[PropertyValue]:
    return [
        PropertyValue(
            name,
            None,
            unit,
            conditions=conditions | {"average": average},
            note=UNSTABLE,
        )
        for name, unit, average in AVERAGES
        if average == "hill"
    ]
