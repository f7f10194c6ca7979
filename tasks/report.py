"""Gather what a campaign found and write its report."""

from __future__ import annotations

import base64
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from prefect import task
from prefect.artifacts import create_markdown_artifact

from fire_core.campaign import PERTURB, SELECTED, START, TEST
from fire_core.config.environment import results_folder
from fire_core.labelling.theory import theory_from_config
from fire_core.reading.results import (
    parity_of,
    read_arrays,
    read_learning_curve,
    scores_of,
    stability_of,
)
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
from tasks.context import CampaignRef, open_campaign
from tasks.evaluate import judged_models
from tasks.label import chosen_keys, theory_fingerprint
from tasks.report_rounds import gather_rounds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fire_core.config.campaign import CampaignConfig
    from fire_core.records import JsonDict
    from fire_core.storage.label_queries import LabelRow
    from fire_core.storage.store import Store

PACKAGES = ("fire-mlip", "prefect", "mace-torch", "torch", "tblite", "ase", "dscribe")
SHOWN_FIGURES = ("pca_map", "parity_forces")


def report_folder(config: CampaignConfig) -> str:
    """Return the folder of a campaign's report."""
    return config.results or results_folder(config.name)


@task(name="write-report", task_run_name="report-{ref.name}")
def write_campaign_report(ref: CampaignRef, round_: int, folder: str) -> str:
    """Write the page, its figures and results.json; return the page's path."""
    with open_campaign(ref) as (store, config):
        data = _gather(store, config, ref, round_)
    return str(write_report(data, Path(folder)))


@task(name="publish-figures", task_run_name="figures-{ref.name}")
def publish_figures(ref: CampaignRef, folder: str) -> None:
    """Show the PCA map and the parity plot in Prefect's UI."""
    for name in SHOWN_FIGURES:
        picture = Path(folder) / "figures" / f"{name}.png"
        if picture.is_file():
            data = base64.b64encode(picture.read_bytes()).decode()
            create_markdown_artifact(
                f"![{name}](data:image/png;base64,{data})",
                key=f"{name.replace('_', '-')}-{ref.name}",
                description=name.replace("_", " "),
            )


def _gather(
    store: Store, config: CampaignConfig, ref: CampaignRef, round_: int
) -> ReportData:
    results = {
        kind: json.loads(row.result_json)
        for kind in judged_models(config, round_)
        if (row := store.get_evaluation(ref.name, kind, f"{TEST}-{round_}"))
    }
    curves = {kind: read_arrays(store, r["curves_blob"]) for kind, r in results.items()}
    rows = _label_rows(store, config, ref, round_)
    return ReportData(
        name=ref.name,
        config_yaml=yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False),
        models={kind: scores_of(result) for kind, result in results.items()},
        label_counts=_count(rows),
        failures=[
            FailedLabel(row.key, str(row.kind), str(row.reason))
            for row in rows
            if row.state is LabelState.FAILED
        ],
        seconds=_seconds(store, ref),
        provenance=_provenance(store, config, ref, round_),
        gates=_gates(config, results),
        learning_curves=_learning_curves(store, config, ref, round_),
        parity={kind: parity_of(c) for kind, c in curves.items()},
        stability={k: stability_of(curves[k], results[k]) for k in results},
        pca=_pca(store, ref, round_),
        system=_describe(store, config, ref),
        n_test=max((r["test"]["n_structures"] for r in results.values()), default=None),
        loop=gather_rounds(store, config, ref, round_),
    )


def _label_rows(
    store: Store, config: CampaignConfig, ref: CampaignRef, round_: int
) -> list[LabelRow]:
    keys = chosen_keys(store, ref, 0, PERTURB)
    for number in range(1, round_ + 1):
        keys += chosen_keys(store, ref, number, SELECTED)
    keys += chosen_keys(store, ref, round_, TEST)
    return store.label_rows(theory_fingerprint(store, config), keys)


def _count(rows: list[LabelRow]) -> dict[str, int]:
    return {
        state.value: sum(row.state is state for row in rows) for state in LabelState
    }


def _seconds(store: Store, ref: CampaignRef) -> dict[str, float]:
    """Return wall-clock seconds by step, in the order of first use."""
    seconds: dict[str, float] = {}
    for row in store.get_usage(ref.name):
        seconds[row.step] = seconds.get(row.step, 0.0) + row.wall_s
    return seconds


def _provenance(
    store: Store, config: CampaignConfig, ref: CampaignRef, round_: int
) -> Provenance:
    theory = theory_from_config(config.theory)
    models = {}
    for kind, name in judged_models(config, round_).items():
        row = None if name is None else store.get_model(ref.name, name)
        if row is not None:
            models[kind] = row.blob_sha
            models["zero_shot"] = str(row.parent_sha)
    return Provenance(
        theory=theory.describe(),
        theory_code=config.theory.kind,
        theory_fingerprint=theory.fingerprint,
        models=models,
        seeds={"campaign": config.seed},
        versions={name: version(name) for name in PACKAGES},
    )


def _gates(config: CampaignConfig, results: Mapping[str, JsonDict]) -> list[Verdict]:
    """Judge each fine-tuned model's constant-energy run."""
    limit = config.evaluate.stability.max_drift
    verdicts = []
    for kind, result in results.items():
        stability = result["stability"]
        drift = stability["drift_mev_per_atom_per_ps"]
        passed = bool(stability["completed"] and drift <= limit)
        text = (
            f"{kind}: the total energy at constant energy drifts by {drift:.2f} "
            f"meV/atom/ps (limit {limit:g})"
            if stability["completed"]
            else f"{kind}: the constant-energy run did not reach its end"
        )
        verdicts.append(Verdict(text, passed))
    return verdicts


def _learning_curves(
    store: Store, config: CampaignConfig, ref: CampaignRef, round_: int
) -> dict[str, LearningCurve]:
    curves = {
        kind: read_learning_curve(store, ref.name, name)
        for kind, name in judged_models(config, round_).items()
        if name is not None
    }
    return {kind: curve for kind, curve in curves.items() if curve is not None}


def _pca(store: Store, ref: CampaignRef, round_: int) -> PcaPoints | None:
    row = store.get_selection(ref.name, round_, SELECTED)
    meta = {} if row is None else json.loads(row.meta_json)
    if "map_blob" not in meta:  # nothing was chosen
        return None
    arrays = read_arrays(store, meta["map_blob"])
    ratio = [*meta["explained_variance"], 0.0, 0.0]
    return PcaPoints(
        scores=arrays["coordinates"].astype(np.float64),
        temperatures=arrays["temperatures"],
        picked=arrays["picked"].astype(int).tolist(),
        explained=(ratio[0], ratio[1]),
        **_words(meta.get("explanation")),
    )


def _words(explanation: JsonDict | None) -> JsonDict:
    """Say how well the candidates are covered; nothing for an older selection."""
    if explanation is None:
        return {}
    before, after = explanation["before"], explanation["after"]
    coverage = (
        "Distance of a candidate to the nearest labelled or selected structure, in "
        "units of the candidates' spread in the reduced descriptor space: mean "
        f"{after['mean']:.2f}, largest {after['largest']:.2f}"
    )
    if before is not None:
        coverage += f" (before: {before['mean']:.2f}, {before['largest']:.2f})"
    regions = []
    for region in explanation["regions"]:
        example = region["example"]
        regions.append(
            f"{region['candidates']} candidates around step {example['step']} of "
            f"replica {example['replica']} ({example['temperature']:.0f} K), at "
            f"{region['distance']:.2f}"
        )
    return {"coverage": coverage + ".", "regions": regions}


def _describe(store: Store, config: CampaignConfig, ref: CampaignRef) -> str:
    atoms = store.get_structures(chosen_keys(store, ref, 0, START))[0]
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
