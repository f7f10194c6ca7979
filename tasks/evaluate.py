"""Judge every model of a campaign on the independent trajectory and beyond."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact

from fire_core.backbones.registry import load_configured
from fire_core.campaign import (
    FIRE,
    PERTURB,
    PRE_FINE_TUNED,
    START,
    TEST,
    VANILLA,
    ZERO_SHOT,
    sub_seed,
)
from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.evaluation.references import fit_references, shift_energies
from fire_core.evaluation.stability import run_nve
from fire_core.reading.kinds import JUDGEMENT
from fire_core.records import JsonDict
from tasks.context import CampaignRef, count_model_usage, hold_step, open_campaign
from tasks.label import chosen_keys, theory_fingerprint
from tasks.naming import model_name
from tasks.replay import read_replay

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.config.campaign import CampaignConfig
    from fire_core.evaluation.stability import StabilityResult
    from fire_core.records import Label, LabelledStructure
    from fire_core.storage.store import Store


def judged_models(config: CampaignConfig, round_: int) -> dict[str, str | None]:
    """Return the models to judge: their report name and stored name."""
    models: dict[str, str | None] = {
        ZERO_SHOT: None,
        PRE_FINE_TUNED: PRE_FINE_TUNED,
        FIRE: model_name(FIRE, round_),
    }
    if config.evaluate.vanilla:
        models[VANILLA] = model_name(VANILLA, round_)
    return models


@task(name="evaluate", task_run_name="evaluate-{kind}-{round_}")
def evaluate_model(ref: CampaignRef, round_: int, kind: str) -> JsonDict:
    """Measure one model's errors, forgetting and stability; keep them in the store.

    The foundation model's energies are on another theory's scale, so its
    per-element offset is fitted on the perturbed structures before its energy
    error is taken; its forces are judged as they are.
    """
    with (
        open_campaign(ref) as (store, config),
        hold_step(store, ref, f"evaluate-{round_}-{kind}", get_run_logger().info),
    ):
        known = store.evaluations.get(JUDGEMENT, ref.name, round_=round_, subject=kind)
        if known is not None:
            return known
        stored = judged_models(config, round_)[kind]
        with count_model_usage(store, config, ref, round_, "evaluate"):
            backbone = _load(store, config, ref, stored)
            result = _judge(store, config, ref, (round_, kind), backbone)
        store.evaluations.save(JUDGEMENT, ref.name, result, round_=round_, subject=kind)
        return result


def _load(
    store: Store, config: CampaignConfig, ref: CampaignRef, stored: str | None
) -> Backbone:
    name = config.backbone.name
    if stored is not None:
        name = str(store.blobs.path(store.models.need(ref.name, stored).blob_sha))
    return load_configured(config.backbone, config.threads, name)


def _judge(
    store: Store,
    config: CampaignConfig,
    ref: CampaignRef,
    which: tuple[int, str],
    backbone: Backbone,
) -> JsonDict:
    round_, kind = which
    theory = theory_fingerprint(store, config)
    test = store.labels.labelled(chosen_keys(store, ref, round_, TEST), theory)
    fitted = store.labels.labelled(chosen_keys(store, ref, 0, PERTURB), theory)
    predicted = backbone.predict([item.atoms for item in test])
    shift = {}
    if kind == ZERO_SHOT:
        shift = fit_references(
            fitted, backbone.predict([item.atoms for item in fitted])
        ).shift
        predicted = shift_energies(predicted, [item.atoms for item in test], shift)
    errors = summarise_errors(predicted, test)
    heldout = read_replay(store, config.fine_tune.replay, backbone).data.heldout
    forgetting = measure_forgetting(backbone, heldout)
    start = store.structures.get(chosen_keys(store, ref, 0, START))[0]
    nve = run_nve(backbone, start, config.evaluate.stability, sub_seed(config, "nve"))
    get_run_logger().info(
        "%s: force RMSE %.1f meV/Å, energy RMSE %.2f meV/atom, forgetting %.1f meV/Å",
        kind, errors.force_rmse, errors.energy_rmse, forgetting.force_mae,
    )  # fmt: skip
    return {
        "test": asdict(errors),
        "forgetting": asdict(forgetting),
        "stability": {
            "drift_mev_per_atom_per_ps": nve.drift_mev_per_atom_per_ps,
            "completed": nve.completed,
        },
        "curves_blob": store.blobs.put_bytes(_curves(predicted, test, nve)),
    }


def _curves(
    predicted: list[Label], test: list[LabelledStructure], nve: StabilityResult
) -> bytes:
    """Pack what the parity and stability plots show, and of which structures."""
    buffer = io.BytesIO()
    n_atoms = np.array([len(item.atoms) for item in test])
    np.savez_compressed(
        buffer,
        keys=np.array([item.key for item in test]),
        n_atoms=n_atoms,
        forces=np.concatenate([label.forces.ravel() for label in predicted]),
        forces_reference=np.concatenate([t.label.forces.ravel() for t in test]),
        energies=np.array([label.energy for label in predicted]) / n_atoms,
        energies_reference=np.array([t.label.energy for t in test]) / n_atoms,
        times=np.asarray(nve.times),
        total_energies=np.asarray(nve.energies),
        temperatures=np.asarray(nve.temperatures),
    )
    return buffer.getvalue()


@task(name="tabulate", task_run_name="tabulate-{ref.name}")
def tabulate_errors(ref: CampaignRef, results: dict[str, JsonDict]) -> None:
    """Show the models' errors as a table artifact."""
    create_table_artifact(
        [
            {
                "model": kind,
                "energy RMSE (meV/atom)": round(r["test"]["energy_rmse"], 2),
                "force RMSE (meV/Å)": round(r["test"]["force_rmse"], 1),
                "forgetting force MAE (meV/Å)": round(r["forgetting"]["force_mae"], 1),
                "NVE drift (meV/atom/ps)": round(
                    r["stability"]["drift_mev_per_atom_per_ps"], 3
                ),
            }
            for kind, r in results.items()
        ],
        key=f"errors-{ref.name}",
        description="Errors on the independent trajectory and what was forgotten",
    )
