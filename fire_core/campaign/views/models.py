"""What the store knows of a model: training, errors, gates, parents."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING, Any, Final

from fire_core.backbones.neutral import SUFFIX
from fire_core.campaign.kinds import GATE_RECORD, JUDGEMENT, NEUTRAL_COPY
from fire_core.campaign.names import ZERO_SHOT, model_name
from fire_core.campaign.state import CampaignState
from fire_core.campaign.steps.gates import known_gates
from fire_core.config.campaign import STUDY_PREFIX
from fire_core.errors import FireError, StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fire_core.campaign.kinds import Judgement, NeutralCopy
    from fire_core.records import GateResult, JsonDict
    from fire_core.storage.campaigns import CampaignRow
    from fire_core.storage.evaluations import Evaluated
    from fire_core.storage.models import ModelRow
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
class Judged:
    """A measurement on a round's independent trajectory, and the foundation model's."""

    round: int
    result: Judgement
    foundation: Judgement | None


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
    neutral
        Its weights as plain tensors; None: it was trained before there were any.
    """

    campaign: str
    row: ModelRow
    training: JsonDict
    judged: Judged | None
    gates: Gates
    neutral: NeutralCopy | None = None

    @property
    def name(self) -> str:
        """Of the model."""
        return self.row.name

    @property
    def strategy(self) -> str:
        """How it was fine-tuned; empty where that was not kept."""
        return describe_strategy(self.training)

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
        return f"{self._stem}.model"

    @property
    def neutral_name(self) -> str:
        """The same of its neutral weights."""
        return f"{self._stem}{SUFFIX}"

    @property
    def _stem(self) -> str:
        return UNSAFE.sub("_", f"{self.campaign}-{self.name}")


@dataclass(frozen=True, slots=True)
class Parent:
    """A model that another was trained from; without a name it is no campaign's."""

    sha: str
    campaign: str = ""
    name: str = ""


def read_models(store: Store, campaign: str, names: Sequence[str]) -> list[ModelFacts]:
    """Return models of one campaign, oldest first."""
    rows = [row for row in store.models.list(campaign) if row.name in set(names)]
    judged = store.evaluations.list(JUDGEMENT, campaign)
    checked = {row.subject for row in store.evaluations.list(GATE_RECORD, campaign)}
    copies = {
        (row.subject, row.value.model): row.value
        for row in store.evaluations.list(NEUTRAL_COPY, campaign)
    }
    state, problem = _open(store, store.campaigns.get(campaign))
    return [
        ModelFacts(
            campaign=campaign,
            row=row,
            training=_read_training(row.config_json),
            judged=find_judged(judged, row.name),
            gates=Gates(problem=problem)
            if state is None
            else read_gates(state, row.name, is_known=row.name in checked),
            neutral=copies.get((row.name, row.blob_sha)),
        )
        for row in rows
    ]


def read_model(store: Store, campaign: str, name: str) -> ModelFacts | None:
    """Return one model; None where there is none of that name."""
    found = read_models(store, campaign, [name])
    return found[0] if found else None


def find_judged(judgements: Sequence[Evaluated[Judgement]], name: str) -> Judged | None:
    """Return a model's latest measurement on an independent trajectory.

    They are kept by kind and round: that of `fire-2` under `fire` and round 2.
    """
    mine = [row for row in judgements if name == model_name(row.subject, row.round)]
    if not mine:
        return None
    last = max(mine, key=lambda row: row.round)
    foundation = [
        row.value
        for row in judgements
        if (row.subject, row.round) == (ZERO_SHOT, last.round)
    ]
    return Judged(last.round, last.value, foundation[0] if foundation else None)


def read_gates(campaign: CampaignState, name: str, *, is_known: bool) -> Gates:
    """Return how a model stands before its campaign's gates.

    Parameters
    ----------
    campaign, name
        Which model.
    is_known
        Whether results are on record; they may hold no longer.
    """
    required = campaign.config.evaluate.gates.required
    theory = ""
    try:
        theory = campaign.theory()
        results = known_gates(campaign, name) if is_known else []
    except StoreUnavailableError:
        raise
    except StoreError as error:
        return Gates(required, theory=theory, problem=str(error))
    return Gates(required, results, theory)


def _open(store: Store, row: CampaignRow | None) -> tuple[CampaignState | None, str]:
    """Return a campaign of its models, or why nobody can say what it asks of them."""
    if row is None or row.name.startswith(STUDY_PREFIX):
        return None, "a study's models are compared, not promoted"
    try:
        campaign = CampaignState.within(store, row)
        campaign.theory()
    except StoreUnavailableError:
        raise
    except StoreError:
        return None, OLDER
    except PackageNotFoundError as error:
        return None, f"the theory level's program is not installed here: {error}"
    except FireError as error:  # such as a package that cannot be loaded
        return None, str(error)
    return campaign, ""


def _read_training(config_json: str) -> JsonDict:
    found = json.loads(config_json or "{}")
    return found if isinstance(found, dict) else {}


def read_parents(store: Store, row: ModelRow) -> list[Parent]:
    """Return the models that a model comes from, the nearest first."""
    chain: list[Parent] = []
    seen = {row.blob_sha}
    sha = row.parent_sha
    while sha is not None and sha not in seen and len(chain) < LONGEST_CHAIN:
        seen.add(sha)
        known = store.models.find(sha)
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


def describe_strategy(training: JsonDict) -> str:
    """Return a training's strategy, and which elements' weights if not all changed."""
    strategy = str(training.get("settings", {}).get("strategy", ""))
    adapted = training.get("adapted")
    return f"{strategy}, weights of {' '.join(adapted)}" if adapted else strategy
