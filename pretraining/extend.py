"""Give a trained MACE more elements, each beginning as one that is like it.

A network that knows 21 elements has learnt how atoms bind; one of 44 need not learn it
anew from random weights. Elements that it knows are computed as before, to rounding.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from fire_core.backbones.torch_types import default_dtype
from pretraining.chemistry import ELEMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fire_core.records import LabelledStructure

ANALOGS: Final[Mapping[str, str]] = {
    "Mg": "Al", "K": "Na", "Ca": "Y", "Ti": "Nb", "V": "Nb", "Cr": "Al", "Mn": "Ga",
    "Fe": "Ga", "Co": "Ga", "Ni": "Ga", "Cu": "Ga", "Zn": "Ga", "As": "Sb", "Se": "S",
    "Br": "Cl", "Sr": "La", "Mo": "Nb", "In": "Ga", "Sn": "Ge", "Te": "S", "I": "Cl",
    "Ba": "La", "W": "Ta",
}  # fmt: skip
"""Near in charge and size, among the 21 of the first fire-mini."""
RIDGE: Final = 1e-3
"""Of the fit of reference energies, in atoms' parts squared for each frame."""


def extend_elements(
    network: Any, elements: Sequence[str], analogs: Mapping[str, str]
) -> Any:
    """Return a ScaleShiftMACE with more elements.

    Parameters
    ----------
    network
        Trained ScaleShiftMACE of one head.
    elements
        Symbols that the new one knows; those of the old one among them.
    analogs
        Known element that each new one begins as.

    Raises
    ------
    KeyError
        A new element has no analog, or one that is unknown itself.
    """
    from mace.modules import ScaleShiftMACE
    from mace.tools.scripts_utils import extract_config_mace_model

    known = [chemical_symbols[z] for z in network.atomic_numbers.tolist()]
    numbers = sorted(atomic_numbers[symbol] for symbol in elements)
    places = {symbol: i for i, symbol in enumerate(known)}
    symbols = [chemical_symbols[z] for z in numbers]
    rows = [places[s if s in places else analogs[s]] for s in symbols]
    energies = network.atomic_energies_fn.atomic_energies.reshape(-1)
    config = extract_config_mace_model(network) | {
        "num_elements": len(numbers),
        "atomic_numbers": numbers,
        "atomic_energies": energies[rows].numpy(),
    }
    dtype = next(network.parameters()).dtype
    with warnings.catch_warnings(), default_dtype(dtype):
        warnings.simplefilter("ignore")  # torch's note on how e3nn compiles
        extended = ScaleShiftMACE(**config).to(dtype)
    state = extended.state_dict()
    for key, old in network.state_dict().items():
        if state[key].shape == old.shape:
            state[key] = old
        elif key not in {"atomic_numbers", ENERGIES}:
            state[key] = _of_elements(key, old, rows, len(known))
    extended.load_state_dict(state)
    return extended


ENERGIES: Final = "atomic_energies_fn.atomic_energies"


def _of_elements(key: str, old: Any, rows: list[int], n_old: int) -> Any:
    """Return the weights of other elements.

    e3nn divides what it sums over elements by the root of their number.
    """
    if "symmetric_contractions" in key:
        return old[rows]
    scale = math.sqrt(len(rows) / n_old)
    n_out = old.numel() // n_old
    if key.startswith("node_embedding"):
        return scale * old.view(n_old, n_out)[rows].reshape(-1)
    if key.endswith("skip_tp.weight"):
        width = math.isqrt(n_out)
        return scale * old.view(width, n_old, width)[:, rows].reshape(-1)
    msg = f"{key} is of no known layer that depends on elements"
    raise ValueError(msg)


def refit_energies(
    backbone: Any, items: Sequence[LabelledStructure]
) -> dict[int, float]:
    """Return reference energies (eV, by atomic number) that fit other labels.

    Least squares of what the interactions leave of the labels' energies per atom, with
    a ridge towards the present references.
    """
    symbols = [s for s in ELEMENTS if s in backbone.elements]
    present = np.array([backbone.atomic_energies[s] for s in symbols])
    frames = [item.atoms for item in items]
    counts = np.array([[f.symbols.count(s) for s in symbols] for f in frames], float)
    fractions = counts / counts.sum(axis=1, keepdims=True)
    found = backbone.predict(frames)
    left = [i.label.energy - p.energy for i, p in zip(items, found, strict=True)]
    residual = np.array(left) / counts.sum(axis=1)
    gram = fractions.T @ fractions + RIDGE * np.eye(len(symbols))
    shift = np.linalg.solve(gram, fractions.T @ residual)
    total = present + shift
    return {atomic_numbers[s]: float(e) for s, e in zip(symbols, total, strict=True)}
