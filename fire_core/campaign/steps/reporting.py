"""Gather what a campaign found and write its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from fire_core.backbones.registry import package_of
from fire_core.campaign.choices import read_choice
from fire_core.campaign.names import PERTURB, SELECTED, TEST, judged_models
from fire_core.campaign.steps.outlasting import find_neutral
from fire_core.campaign.steps.rounds import gather_rounds
from fire_core.campaign.views.candidate_map import read_map
from fire_core.campaign.views.results import (
    parity_of,
    read_arrays,
    read_judgements,
    read_learning_curve,
    scores_of,
    stability_of,
)
from fire_core.config.environment import results_folder
from fire_core.errors import StoreError
from fire_core.extensions import installed_versions
from fire_core.records import LabelState
from fire_core.report.campaign_report import write_report
from fire_core.report.data import (
    FailedLabel,
    LearningCurve,
    PcaPoints,
    Provenance,
    ReportData,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fire_core.campaign.choices import RoundChoice
    from fire_core.campaign.kinds import Judgement
    from fire_core.campaign.state import CampaignState
    from fire_core.config.campaign import CampaignConfig
    from fire_core.storage.label_queries import LabelRow

PACKAGES: Final = (
    *("fire-mlip", "prefect", "mace-torch", "torch", "tblite", "ase", "dscribe"),
)


def report_folder(config: CampaignConfig) -> str:
    """Return the folder of a campaign's report."""
    return config.results or results_folder(config.name)


def write_campaign_report(
    campaign: CampaignState, folder: Path | str | None = None, round_: int | None = None
) -> Path:
    """Write the page, its figures and results.json; return the page's path.

    Parameters
    ----------
    campaign
        With a judged model.
    folder
        Left out: that of its configuration.
    round_
        Left out: the last one that was judged.

    Raises
    ------
    StoreError
        No round was judged yet.
    """
    number = campaign.last_judged_round() if round_ is None else round_
    if number is None:
        msg = (
            f"campaign {campaign.name!r} has no judged model yet, so there is nothing "
            "to report; `fire campaign run FILE` goes on where it is"
        )
        raise StoreError(msg)
    target = Path(folder or report_folder(campaign.config))
    return Path(write_report(_gather(campaign, number), target))


def _gather(campaign: CampaignState, round_: int) -> ReportData:
    store, config = campaign.store, campaign.config
    found = read_judgements(store, campaign.name, round_)
    judged = {k: found[k] for k in judged_models(config, round_) if k in found}
    curves = {
        kind: read_arrays(store, result.curves_blob)
        for kind, result in judged.items()
        if result.curves_blob is not None
    }
    rows = _label_rows(campaign, round_)
    sizes = [result.test.n_structures for result in judged.values()]
    heldout = [result.forgetting.n_structures for result in judged.values()]
    return ReportData(
        name=campaign.name,
        config_yaml=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False),
        models={kind: scores_of(result) for kind, result in judged.items()},
        label_counts=_count(rows),
        failures=[
            FailedLabel(row.key, str(row.kind), str(row.reason))
            for row in rows
            if row.state is LabelState.FAILED
        ],
        seconds=_seconds(campaign),
        provenance=_provenance(campaign, round_),
        gates=_verdicts(config, judged),
        learning_curves=_learning_curves(campaign, round_),
        parity={kind: parity_of(arrays) for kind, arrays in curves.items()},
        stability={k: stability_of(arrays, judged[k]) for k, arrays in curves.items()},
        pca=_pca(campaign, round_),
        system=_describe(campaign),
        n_test=max(sizes, default=None),
        n_heldout=max(heldout, default=None),
        heldout_source=config.fine_tune.replay.source,
        loop=gather_rounds(campaign, round_),
    )


def _label_rows(campaign: CampaignState, round_: int) -> list[LabelRow]:
    keys = campaign.chosen_keys(0, PERTURB)
    for number in range(1, round_ + 1):
        keys += campaign.chosen_keys(number, SELECTED)
    keys += campaign.chosen_keys(round_, TEST)
    return campaign.store.labels.rows(campaign.theory(), keys)


def _count(rows: list[LabelRow]) -> dict[str, int]:
    return {
        state.value: sum(row.state is state for row in rows) for state in LabelState
    }


def _seconds(campaign: CampaignState) -> dict[str, float]:
    """Return wall-clock seconds by step, in the order of first use."""
    seconds: dict[str, float] = {}
    for row in campaign.store.usage.list(campaign.name):
        seconds[row.step] = seconds.get(row.step, 0.0) + row.wall_s
    return seconds


def _provenance(campaign: CampaignState, round_: int) -> Provenance:
    config = campaign.config
    theory = campaign.theory_level()
    models, neutral = {}, {}
    for kind, name in judged_models(config, round_).items():
        row = None if name is None else campaign.store.models.get(campaign.name, name)
        if row is not None:
            models[kind] = row.blob_sha
            models["zero_shot"] = str(row.parent_sha)
            copy = find_neutral(campaign.store, campaign.name, row.name)
            if copy is not None and copy.blob is not None:
                neutral[kind] = copy.blob
    return Provenance(
        theory=theory.describe(),
        theory_code=config.theory.kind,
        theory_fingerprint=theory.fingerprint,
        models=models,
        neutral=neutral,
        seeds={"campaign": config.seed},
        versions=installed_versions([*PACKAGES, package_of(config.backbone.name)]),
    )


def _verdicts(config: CampaignConfig, judged: Mapping[str, Judgement]) -> list[Verdict]:
    """Judge each fine-tuned model's constant-energy run."""
    limit = config.evaluate.stability.max_drift
    verdicts = []
    for kind, result in judged.items():
        stability = result.stability
        drift = stability.drift_mev_per_atom_per_ps
        passed = bool(stability.completed and drift <= limit)
        text = (
            f"{kind}: the total energy at constant energy drifts by {drift:.2f} "
            f"meV/atom/ps (limit {limit:g})"
            if stability.completed
            else f"{kind}: the constant-energy run did not reach its end"
        )
        verdicts.append(Verdict(text, passed))
    return verdicts


def _learning_curves(campaign: CampaignState, round_: int) -> dict[str, LearningCurve]:
    curves = {
        kind: read_learning_curve(campaign.store, campaign.name, name)
        for kind, name in judged_models(campaign.config, round_).items()
        if name is not None
    }
    return {kind: curve for kind, curve in curves.items() if curve is not None}


def _pca(campaign: CampaignState, round_: int) -> PcaPoints | None:
    drawn = read_map(campaign.store, campaign.name, round_)
    choice = read_choice(campaign.store, campaign.name, round_)
    if drawn is None or choice is None:
        return None
    return PcaPoints(
        scores=drawn.coordinates,
        temperatures=drawn.temperatures,
        picked=drawn.picked,
        explained=drawn.explained,
        coverage=_coverage(choice),
        regions=[
            f"{region.candidates} candidates around step {region.step} of replica "
            f"{region.replica} ({region.temperature:.0f} K), at {region.distance:.2f}"
            for region in choice.regions
        ],
    )


def _coverage(choice: RoundChoice) -> str:
    """Return how well the candidates are covered; nothing for an older selection."""
    before, after = choice.before, choice.after
    if after is None:
        return ""
    text = (
        "Distance of a candidate to the nearest labelled or selected structure, in "
        "units of the candidates' spread in the reduced descriptor space: mean "
        f"{after.mean:.2f}, largest {after.largest:.2f}"
    )
    if before is not None:
        text += f" (before: {before.mean:.2f}, {before.largest:.2f})"
    return text + "."


def _describe(campaign: CampaignState) -> str:
    config, atoms = campaign.config, campaign.start()[0]
    lengths = " × ".join(f"{length:.2f}" for length in atoms.cell.lengths())
    cell = f"{atoms.get_chemical_formula()}, {len(atoms)} atoms, {lengths} Å"
    if config.system.kind == "interface":
        sides = (config.system.bottom, config.system.top)
        names = [
            f"{s.crystal}({' '.join(map(str, s.miller))})"
            + (f", {s.thickness:g} Å" if s.thickness else f"×{s.layers or 1}")
            for s in sides
        ]
        return f"Interface {' / '.join(names)}: {cell}"
    return f"Structures from {config.system.path}: {cell}"
