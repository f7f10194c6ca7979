"""What the first page shows, read from the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fire_core.config.campaign import STUDY_PREFIX
from fire_core.records import LabelState
from fire_core.storage.approvals import ApprovalState

if TYPE_CHECKING:
    from fire_core.storage.approvals import ApprovalRow
    from fire_core.storage.store import Store

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class CampaignLine:
    """A campaign: its models, and core- and GPU-hours by step."""

    name: str
    models: list[str]
    core_hours: float
    gpu_hours: float
    last_step: str


@dataclass(frozen=True, slots=True)
class TheoryLine:
    """A theory level: its labels by state."""

    fingerprint: str
    code: str
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the page."""

    campaigns: list[CampaignLine]
    theories: list[TheoryLine]
    pending: list[ApprovalRow]
    structures: int
    states: list[str] = field(default_factory=lambda: [s.value for s in LabelState])


def read_overview(store: Store) -> Overview:
    """Return campaigns, labels by theory, and what waits for approval."""
    campaigns = []
    for row in store.list_campaigns():
        if row.name.startswith(STUDY_PREFIX):
            continue
        usage = store.get_usage(row.name)
        campaigns.append(
            CampaignLine(
                name=row.name,
                models=[f"{m.name} ({m.state})" for m in store.list_models(row.name)],
                core_hours=sum(u.core_s for u in usage) / HOUR,
                gpu_hours=sum(u.gpu_s for u in usage) / HOUR,
                last_step=f"{usage[-1].step}, round {usage[-1].round}" if usage else "",
            )
        )
    theories = [
        TheoryLine(
            fingerprint,
            f"{code} {version}",
            {s.value: n for s, n in store.label_counts(fingerprint).items()},
        )
        for fingerprint, code, version, _ in store.list_theories()
    ]
    waiting = [
        row for row in store.list_approvals() if row.state is ApprovalState.PENDING
    ]
    return Overview(campaigns, theories, waiting, store.count_structures())
