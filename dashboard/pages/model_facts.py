"""What the store knows of a model: training, errors, gates, parents."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING, Any, Final

from fastapi import HTTPException, status
from pydantic import ValidationError

from fire_core.campaign import GATES, PRE_FINE_TUNED, TEST, ZERO_SHOT
from fire_core.config.campaign import STUDY_PREFIX, CampaignConfig
from fire_core.errors import StoreError, StoreUnavailableError
from fire_core.labelling.theory import theory_from_config
from fire_core.reading.gates import known_gates
from fire_core.records import GateResult, JsonDict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.storage.campaigns import CampaignRow
    from fire_core.storage.models import EvaluationRow, ModelRow
    from fire_core.storage.store import Store

UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
OLDER: Final = (
    "this campaign was stored by another version of FIRE and its settings no longer "
    "read, so its gates cannot be told: run it once more with `fire campaign run FILE`"
)
LONGEST_CHAIN: Final = 20


@dataclass(frozen=True, slots=True)
class Gates:
    """How a model stands before the gates of its campaign.

    Attributes
    ----------
    required
        Gates that a promotion needs.
    results
        Those that are measured and hold for the model as it is.
    theory
        Fingerprint of the campaign's theory level; empty where unknown.
    problem
        Why nothing can be told, one sentence; empty where it can.
    """

    required: tuple[str, ...] = ()
    results: list[GateResult] = field(default_factory=list)
    theory: str = ""
    problem: str = ""

    @property
    def n_passed(self) -> int:
        """Required gates that are passed."""
        return sum(r.passed and r.name in self.required for r in self.results)

    @property
    def missing(self) -> list[str]:
        """Required gates that are not measured."""
        known = {result.name for result in self.results}
        return [gate for gate in self.required if gate not in known]

    @property
    def failed(self) -> list[GateResult]:
        """Required gates that were failed."""
        return [r for r in self.results if not r.passed and r.name in self.required]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a campaign asks of its models; without a configuration, why nobody knows."""

    config: CampaignConfig | None
    theory: str
    problem: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A measurement on a round's independent trajectory, and the foundation model's."""

    round: int
    result: JsonDict
    foundation: JsonDict | None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model with what was measured of it.

    Attributes
    ----------
    campaign
        Whose it is.
    row
        As stored.
    training
        How it was made, as the trainer wrote it; parts may be missing.
    judged
        On the independent trajectory; None before.
    gates
        Before a promotion.
    """

    campaign: str
    row: ModelRow
    training: JsonDict
    judged: Judged | None
    gates: Gates

    @property
    def name(self) -> str:
        """Of the model."""
        return self.row.name

    @property
    def strategy(self) -> str:
        """How it was fine-tuned; empty where that was not kept."""
        return str(self.training.get("settings", {}).get("strategy", ""))

    @property
    def epochs(self) -> str:
        """The kept epoch and how many were run, counted from one."""
        kept, run = self.training.get("kept_epoch"), self.training.get("epochs")
        if kept is None:
            return "–"
        return f"{kept + 1}" if run is None else f"{kept + 1} of {run}"

    @property
    def elements(self) -> str:
        """Symbols that it was fine-tuned on, separated by blanks."""
        return " ".join(self.training.get("references", {}).get("shift", {}))

    @property
    def file_name(self) -> str:
        """Name that a download has; letters that a shell reads are left out."""
        return f"{UNSAFE.sub('_', f'{self.campaign}-{self.name}')}.model"


@dataclass(frozen=True, slots=True)
class Parent:
    """A model that another was trained from; without a name it is no campaign's."""

    sha: str
    campaign: str = ""
    name: str = ""


def read_models(store: Store, campaign: str, names: Sequence[str]) -> list[ModelFacts]:
    """Return models of one campaign, oldest first."""
    rows = [row for row in store.list_models(campaign) if row.name in set(names)]
    evaluations = store.list_evaluations(campaign)
    terms = read_terms(store.get_campaign(campaign))
    checked = {row.model for row in evaluations if row.dataset == GATES}
    return [
        ModelFacts(
            campaign=campaign,
            row=row,
            training=_read_training(row.config_json),
            judged=find_judged(evaluations, row.name),
            gates=read_gates(store, terms, row.name, is_known=row.name in checked),
        )
        for row in rows
    ]


def need_facts(store: Store, campaign: str, name: str) -> ModelFacts:
    """Return one model; where there is none of that name, the answer is 404."""
    found = read_models(store, campaign, [name])
    if not found:
        raise HTTPException(
            status.HTTP_404_NOT_FOUND, f"there is no model {name!r} of {campaign!r}"
        )
    return found[0]


def _read_training(config_json: str) -> JsonDict:
    found = json.loads(config_json or "{}")
    return found if isinstance(found, dict) else {}


def find_judged(evaluations: Sequence[EvaluationRow], name: str) -> Judged | None:
    """Return a model's latest measurement on an independent trajectory.

    They are kept by kind and round: that of `fire-2` under `fire` and `test-2`.
    """
    found = {
        (row.model, round_): row.result_json
        for row in evaluations
        if (round_ := _round_of(row.dataset)) is not None
    }
    mine = [
        (round_, text)
        for (kind, round_), text in found.items()
        if name == (kind if kind == PRE_FINE_TUNED else _stored_name(kind, round_))
    ]
    if not mine:
        return None
    round_, text = max(mine)
    foundation = found.get((ZERO_SHOT, round_))
    return Judged(
        round_, json.loads(text), None if foundation is None else json.loads(foundation)
    )


def _stored_name(kind: str, round_: int) -> str:
    return kind if round_ <= 1 else f"{kind}-{round_}"


def _round_of(dataset: str) -> int | None:
    head, _, tail = dataset.rpartition("-")
    return int(tail) if head == TEST and tail.isdigit() else None


def read_terms(stored: CampaignRow | None) -> Terms:
    """Return what a campaign asks of its models, or why nobody can say."""
    if stored is None or stored.name.startswith(STUDY_PREFIX):
        return Terms(None, "", "a study's models are compared, not promoted")
    try:
        config = CampaignConfig.model_validate_json(stored.config_json)
        return Terms(config, theory_from_config(config.theory).fingerprint, "")
    except ValidationError:
        return Terms(None, "", OLDER)
    except PackageNotFoundError as error:
        problem = f"the theory level's program is not installed here: {error}"
        return Terms(None, "", problem)


def read_gates(store: Store, terms: Terms, name: str, *, is_known: bool) -> Gates:
    """Return how a model stands before its campaign's gates.

    Parameters
    ----------
    store
        Where the campaign is.
    terms
        Of the campaign.
    name
        The model.
    is_known
        Whether results are on record; they may hold no longer.
    """
    if terms.config is None:
        return Gates(problem=terms.problem)
    required, theory = terms.config.evaluate.gates.required, terms.theory
    try:
        results = known_gates(store, terms.config, theory, name) if is_known else []
    except StoreUnavailableError:
        raise
    except StoreError as error:
        return Gates(required, theory=theory, problem=str(error))
    return Gates(required, results, theory)


def read_parents(store: Store, row: ModelRow) -> list[Parent]:
    """Return the models that a model comes from, the nearest first."""
    chain: list[Parent] = []
    seen = {row.blob_sha}
    sha = row.parent_sha
    while sha is not None and sha not in seen and len(chain) < LONGEST_CHAIN:
        seen.add(sha)
        known = store.find_models(sha)
        if not known:
            return [*chain, Parent(sha)]
        campaign, parent = known[0]
        chain.append(Parent(sha, campaign, parent.name))
        sha = parent.parent_sha
    return chain


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """Return nested settings as dotted names and their values in words."""
    if isinstance(value, dict) and value:
        flat: dict[str, str] = {}
        for key, inner in value.items():
            flat |= flatten(inner, f"{prefix}.{key}" if prefix else str(key))
        return flat
    return {prefix: value if isinstance(value, str) else json.dumps(value)}
