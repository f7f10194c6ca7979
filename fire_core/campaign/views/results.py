"""A campaign's results as a store has them: errors, parity, learning, stability."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np

from fire_core.campaign.kinds import JUDGEMENT
from fire_core.campaign.names import TEST
from fire_core.report.data import (
    MODEL_NAMES,
    LearningCurve,
    ModelScores,
    ParityData,
    StabilityCurve,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fire_core.campaign.kinds import Judgement
    from fire_core.storage.store import Store

    Arrays = Mapping[str, NDArray[np.float64]]


def read_judgements(store: Store, campaign: str, round_: int) -> dict[str, Judgement]:
    """Return what was measured of each model on a round's independent trajectory.

    By key of `MODEL_NAMES`, in its order; empty before the first is judged.
    """
    judged = store.evaluations.list(JUDGEMENT, campaign, round_=round_)
    found = {row.subject: row.value for row in judged}
    return {kind: found[kind] for kind in MODEL_NAMES if kind in found}


def read_arrays(store: Store, sha: str) -> dict[str, NDArray[np.float64]]:
    """Return the arrays of a blob."""
    with np.load(io.BytesIO(store.blobs.get_bytes(sha))) as archive:
        return {name: archive[name] for name in archive.files}


def scores_of(judgement: Judgement) -> ModelScores:
    """Return the errors of a judgement."""
    test, forgetting = judgement.test, judgement.forgetting
    return ModelScores(
        energy_rmse_mev_per_atom=test.energy_rmse,
        force_rmse_mev_per_angstrom=test.force_rmse,
        forgetting_force_mae_mev_per_angstrom=forgetting.force_mae,
        energy_mae_mev_per_atom=test.energy_mae,
        force_mae_mev_per_angstrom=test.force_mae,
        forgetting_energy_mae_mev_per_atom=forgetting.energy_mae,
        forgetting_stress_mae_mev_per_cubic_angstrom=forgetting.stress_mae,
    )


def parity_of(arrays: Arrays) -> ParityData:
    """Return predictions beside labels."""
    return ParityData(
        energy_label=arrays["energies_reference"],
        energy_model=arrays["energies"],
        force_label=arrays["forces_reference"],
        force_model=arrays["forces"],
    )


def stability_of(arrays: Arrays, judgement: Judgement) -> StabilityCurve:
    """Return the run at constant energy; times in ps."""
    return StabilityCurve(
        times=arrays["times"] / 1000.0,
        energies=arrays["total_energies"],
        temperatures=arrays["temperatures"],
        drift=judgement.stability.drift_mev_per_atom_per_ps,
        completed=judgement.stability.completed,
    )


def read_learning_curve(store: Store, campaign: str, name: str) -> LearningCurve | None:
    """Return a training epoch by epoch; None before its first epoch."""
    records = [json.loads(r.record_json) for r in store.models.epochs(campaign, name)]
    if not records:
        return None
    return LearningCurve(
        [r["epoch"] for r in records],
        [r["valid"]["force_rmse"] for r in records],
        [r["forgetting_force_mae"] for r in records],
    )


def last_force_rmse(store: Store, campaign: str, name: str) -> float | None:
    """Return the validation force RMSE after a training's last epoch, meV/Å."""
    last = store.models.last_epoch(campaign, name)
    if last is None:
        return None
    return float(json.loads(last.record_json)["valid"]["force_rmse"])


def test_elements(
    store: Store, campaign: str, round_: int, theory: str
) -> NDArray[np.str_] | None:
    """Return the element of each force component that was judged in a round.

    None where the labels of the test structures have changed since.
    """
    row = store.selections.get(campaign, round_, TEST)
    if row is None:
        return None
    done = store.labels.get(row.keys, theory)
    frames = store.structures.get([key for key in row.keys if key in done])
    if not frames:
        return None
    symbols = [atoms.get_chemical_symbols() for atoms in frames]
    return np.repeat(np.concatenate(symbols), 3)
