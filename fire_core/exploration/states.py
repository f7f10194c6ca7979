"""The state of one MD replica and its exact bytes."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fire_core.errors import StructureError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FORMAT: Final = "fire-replicas-1"
_ARRAYS: Final = {
    "numbers": np.int64,
    "masses": np.float64,
    "positions": np.float64,
    "momenta": np.float64,
    "cell": np.float64,
    "pbc": np.bool_,
    "start_positions": np.float64,
}


@dataclass(frozen=True, slots=True, eq=False)
class ReplicaState:
    """Everything that continues one replica exactly.

    Attributes
    ----------
    replica
        Number of the replica in its run.
    temperature
        Thermostat target, K.
    step
        MD steps done.
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
    """

    replica: int
    temperature: float
    step: int
    energy: float
    start_energy: float
    numbers: NDArray[np.int64]
    masses: NDArray[np.float64]
    positions: NDArray[np.float64]
    momenta: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    start_positions: NDArray[np.float64]


def state_to_bytes(states: Sequence[ReplicaState]) -> bytes:
    """Pack the replicas of a run into one npz; equal states give equal bytes."""
    arrays: dict[str, NDArray[np.generic]] = {}
    heads = []
    for i, state in enumerate(states):
        scalars = [state.temperature, state.energy, state.start_energy]
        heads.append({"replica": state.replica, "step": state.step})
        arrays[f"scalars_{i}"] = np.asarray(scalars, np.float64)
        for name, dtype in _ARRAYS.items():
            arrays[f"{name}_{i}"] = np.ascontiguousarray(getattr(state, name), dtype)
    head = json.dumps({"format": FORMAT, "replicas": heads}, sort_keys=True)
    arrays["head"] = np.frombuffer(head.encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def bytes_to_state(data: bytes) -> list[ReplicaState]:
    """Unpack what `state_to_bytes` packed, bit for bit.

    Raises
    ------
    StructureError
        When the bytes are of another format.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        if "head" not in archive:
            found: object = sorted(archive)
        else:
            head = json.loads(archive["head"].tobytes())
            found = head.get("format")
        if found != FORMAT:
            msg = (
                f"expected replica states of format {FORMAT!r}, got {found!r}; "
                "continue the run with the FIRE that began it, or start a new run"
            )
            raise StructureError(msg)
        states = []
        for i, item in enumerate(head["replicas"]):
            temperature, energy, start_energy = archive[f"scalars_{i}"].tolist()
            states.append(
                ReplicaState(
                    replica=item["replica"],
                    temperature=temperature,
                    step=item["step"],
                    energy=energy,
                    start_energy=start_energy,
                    **{name: archive[f"{name}_{i}"] for name in _ARRAYS},
                )
            )
    return states
