"""The state of one MD replica and its exact bytes."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fire_core.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FORMAT: Final = "fire-replicas-2"
FIRST_FORMAT: Final = "fire-replicas-1"
"""Before ramps, moving cells and rewinds."""
_SCALARS: Final = ("temperature", "last_temperature", "energy", "start_energy")
_ARRAYS: Final = {
    "numbers": np.int64,
    "masses": np.float64,
    "positions": np.float64,
    "momenta": np.float64,
    "cell": np.float64,
    "pbc": np.bool_,
    "start_positions": np.float64,
    "start_cell": np.float64,
}


@dataclass(frozen=True, slots=True, eq=False)
class ReplicaState:
    """Everything that continues one replica exactly.

    Attributes
    ----------
    replica
        Number of the replica in its run.
    temperature
        Thermostat target at step 0, K.
    last_temperature
        Thermostat target at the last step of the run, K; in between it is linear.
    step
        MD steps done.
    rewinds
        Times that it was taken back.
    energy
        Potential energy of `positions`, eV; nan before the first force call.
    start_energy
        Potential energy of `start_positions`, eV; nan before the first force call.
    numbers
        (n_atoms,), atomic numbers.
    masses
        (n_atoms,), atomic mass units.
    positions
        (n_atoms, 3), Å, never folded into the cell.
    momenta
        (n_atoms, 3), ASE units, √(amu eV).
    cell
        (3, 3), rows are lattice vectors, Å.
    pbc
        (3,), periodic directions.
    start_positions
        (n_atoms, 3), Å, at step 0.
    start_cell
        (3, 3), the cell at step 0, Å.
    """

    replica: int
    temperature: float
    last_temperature: float
    step: int
    rewinds: int
    energy: float
    start_energy: float
    numbers: NDArray[np.int64]
    masses: NDArray[np.float64]
    positions: NDArray[np.float64]
    momenta: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    start_positions: NDArray[np.float64]
    start_cell: NDArray[np.float64]

    def target(self, n_steps: int, *, ahead: float = 0.0) -> float:
        """Return the thermostat target, K, in a run of `n_steps`.

        `ahead` is in steps from the present one.
        """
        rise = self.last_temperature - self.temperature
        return self.temperature + rise * min(1.0, (self.step + ahead) / n_steps)


def state_to_bytes(states: Sequence[ReplicaState]) -> bytes:
    """Pack the replicas of a run into one npz; equal states give equal bytes."""
    arrays: dict[str, NDArray[np.generic]] = {}
    heads = []
    for i, state in enumerate(states):
        scalars = [getattr(state, name) for name in _SCALARS]
        heads.append(
            {"replica": state.replica, "step": state.step, "rewinds": state.rewinds}
        )
        arrays[f"scalars_{i}"] = np.asarray(scalars, np.float64)
        for name, dtype in _ARRAYS.items():
            arrays[f"{name}_{i}"] = np.ascontiguousarray(getattr(state, name), dtype)
    head = json.dumps({"format": FORMAT, "replicas": heads}, sort_keys=True)
    arrays["head"] = np.frombuffer(head.encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def bytes_to_state(data: bytes) -> list[ReplicaState]:
    """Unpack what `state_to_bytes` packed, bit for bit; older formats are upgraded.

    Raises
    ------
    StructureError
        When the bytes are of another format.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive}
    if "head" not in arrays:
        found: object = sorted(arrays)
    else:
        head = json.loads(arrays["head"].tobytes())
        found = head.get("format")
    if found == FIRST_FORMAT:
        _upgrade_first(head, arrays)
    elif found != FORMAT:
        msg = (
            f"expected replica states of format {FORMAT!r}, got {found!r}; "
            "continue the run with the FIRE that began it, or start a new run"
        )
        raise StructureError(msg)
    return [
        ReplicaState(
            replica=item["replica"],
            step=item["step"],
            rewinds=item["rewinds"],
            **dict(zip(_SCALARS, arrays[f"scalars_{i}"].tolist(), strict=True)),
            **{name: arrays[f"{name}_{i}"] for name in _ARRAYS},
        )
        for i, item in enumerate(head["replicas"])
    ]


def _upgrade_first(head: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Add to states of the first format what they did not have, in place."""
    for i, item in enumerate(head["replicas"]):
        item["rewinds"] = 0
        temperature, energy, start_energy = arrays[f"scalars_{i}"]
        arrays[f"scalars_{i}"] = np.array(
            [temperature, temperature, energy, start_energy]
        )
        arrays[f"start_cell_{i}"] = arrays[f"cell_{i}"]
