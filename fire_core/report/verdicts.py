"""Put the numbers of a campaign into sentences, each passed, failed or a remark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fire_core.report.data import Verdict, added_forgetting
from fire_core.report.figures import format_short

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fire_core.report.data import ModelScores, ReportData


def judge(data: ReportData) -> list[Verdict]:
    """Compare the models, then repeat the evaluation's own gates."""
    verdicts = [*_judge_accuracy(data.models), *_judge_forgetting(data.models)]
    failed = data.label_counts.get("failed", 0)
    wanted = sum(data.label_counts.values())
    if failed:
        text = f"{failed} of {wanted} labels failed; the rest was used."
        verdicts.append(Verdict(text))
    return [*verdicts, *data.gates]


def describe_theory(code: str) -> str | None:
    """Describe plainly what labels of an embedded theory are not; None for the rest."""
    notes = {
        "xtb": (
            "Labels are GFN-xTB: a semi-empirical electronic-structure method, not "
            "DFT. The errors here say how well a model reproduces xTB, not how well "
            "it reproduces DFT or experiment."
        ),
        "teacher": (
            "Labels come from another interatomic potential, not from an "
            "electronic-structure calculation: this campaign is a rehearsal."
        ),
    }
    return notes.get(code)


def _judge_accuracy(models: Mapping[str, ModelScores]) -> list[Verdict]:
    if not {"fire", "zero_shot"} <= models.keys():
        return []
    fire, start = models["fire"], models["zero_shot"]
    pairs = (
        ("Force", "force_rmse_mev_per_angstrom", "meV/Å"),
        ("Energy", "energy_rmse_mev_per_atom", "meV/atom"),
    )
    verdicts = []
    for word, attribute, unit in pairs:
        after, before = getattr(fire, attribute), getattr(start, attribute)
        better = after < before
        text = (
            f"{word} RMSE on the independent trajectory: {format_short(after)} {unit} "
            f"with FIRE, {format_short(before)} {unit} zero-shot"
            + (f" ({_factor(before, after)} times lower)." if better else ".")
        )
        verdicts.append(Verdict(text, better))
    if "vanilla" in models:
        attribute = "force_rmse_mev_per_angstrom"
        after, plain = getattr(fire, attribute), models["vanilla"]
        text = (
            f"Price of replay on the target: force RMSE {format_short(after)} meV/Å, "
            f"vanilla fine-tuning {format_short(getattr(plain, attribute))} meV/Å."
        )
        verdicts.append(Verdict(text))
    return verdicts


def _judge_forgetting(models: Mapping[str, ModelScores]) -> list[Verdict]:
    if not {"fire", "vanilla"} <= models.keys():
        return []
    attribute = "forgetting_force_mae_mev_per_angstrom"
    fire, plain = (getattr(models[key], attribute) for key in ("fire", "vanilla"))
    text = (
        f"Forgetting, force MAE on held-out pre-training data: {format_short(fire)} "
        f"meV/Å with FIRE, {format_short(plain)} meV/Å with vanilla fine-tuning"
    )
    if "zero_shot" in models:
        start = getattr(models["zero_shot"], attribute)
        added = added_forgetting(models)
        text += (
            f", {format_short(start)} meV/Å before: added {added['fire']:+.1f} and "
            f"{added['vanilla']:+.1f} meV/Å"
        )
    return [Verdict(f"{text}.", fire < plain)]


def _factor(before: float, after: float) -> str:
    return f"{before / after:.1f}" if after > 0 else "∞"
