"""Judge a model of a campaign on the independent trajectory and beyond."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from fire_core.campaign.kinds import JUDGEMENT, EnergyConservation, Judgement
from fire_core.campaign.names import PERTURB, TEST, ZERO_SHOT, judged_models
from fire_core.campaign.steps.elsewhere import where_backbone_lives
from fire_core.campaign.steps.replay import held_out
from fire_core.campaign.usage import count_model_usage
from fire_core.evaluation.errors import summarise_errors
from fire_core.evaluation.forgetting import measure_forgetting
from fire_core.evaluation.references import fit_references, shift_energies
from fire_core.evaluation.stability import run_nve

if TYPE_CHECKING:
    from fire_core.backbones.base import Backbone
    from fire_core.campaign.state import CampaignState
    from fire_core.evaluation.stability import StabilityResult
    from fire_core.records import Label, LabelledStructure


@where_backbone_lives
def judge_model(campaign: CampaignState, round_: int, kind: str) -> Judgement:
    """Measure one model's errors, forgetting and stability; keep them in the store.

    The foundation model's energies are on another theory's scale, so its
    per-element offset is fitted on the perturbed structures before its energy
    error is taken; its forces are judged as they are.
    """
    kept = campaign.store.evaluations
    with campaign.holding(f"evaluate-{round_}-{kind}"):
        known = kept.get(JUDGEMENT, campaign.name, round_=round_, subject=kind)
        if known is not None:
            return known
        stored = judged_models(campaign.config, round_)[kind]
        with count_model_usage(campaign, round_, "evaluate"):
            found = _judge(campaign, round_, kind, campaign.load(stored))
        kept.save(JUDGEMENT, campaign.name, found, round_=round_, subject=kind)
        return found


def _judge(
    campaign: CampaignState, round_: int, kind: str, backbone: Backbone
) -> Judgement:
    store, config = campaign.store, campaign.config
    test = campaign.labelled(round_, TEST)
    predicted = backbone.predict([item.atoms for item in test])
    if kind == ZERO_SHOT:
        fitted = campaign.labelled(0, PERTURB)
        shift = fit_references(
            fitted, backbone.predict([item.atoms for item in fitted])
        ).shift
        predicted = shift_energies(predicted, [item.atoms for item in test], shift)
    errors = summarise_errors(predicted, test)
    heldout = held_out(campaign, backbone)
    forgetting = measure_forgetting(backbone, heldout)
    start = campaign.start()[0]
    nve = run_nve(backbone, start, config.evaluate.stability, campaign.seed("nve"))
    campaign.observer.info(
        f"{kind}: force RMSE {errors.force_rmse:.1f} meV/Å, energy RMSE "
        f"{errors.energy_rmse:.2f} meV/atom, forgetting {forgetting.force_mae:.1f} "
        "meV/Å"
    )
    return Judgement(
        test=errors,
        forgetting=forgetting,
        stability=EnergyConservation(nve.drift_mev_per_atom_per_ps, nve.completed),
        curves_blob=store.blobs.put_bytes(_curves(predicted, test, nve)),
    )


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
