"""Evaluations by kind, round and subject; theory levels and foundation of campaigns.

Evaluations were kept under a model and a data set, and other things were kept in the
same two columns. Their JSON stays as it is, byte for byte. What fits no kind is kept as
`unknown`, its old columns as JSON in the subject.

The foundation model of a campaign is the parent of its first model. Its theory levels
stay open: structures are shared, so labels do not tell whose they are, and what a level
is made of only the configuration says. They are found when the campaign is next opened.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import json
import re

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STUDY = "study-"
UNKNOWN = "unknown"
IDENTITIES = ("theory", "atom_theory", "foundation_sha")

JUDGED = re.compile(r"test-(\d+)")
ROUND = re.compile(r"round-(\d+)")
UNCERTAINTY = {
    "uncertainty-of-candidates": "candidate_uncertainty",
    "uncertainty-of-new-labels": "label_uncertainty",
}
OLD_UNCERTAINTY = {kind: model for model, kind in UNCERTAINTY.items()}

FOUNDATION = """
SELECT parent_sha FROM model
WHERE campaign = :campaign
ORDER BY created_at, name
LIMIT 1
"""


def upgrade() -> None:
    connection = op.get_bind()
    columns = ("campaign", "model", "dataset", "result_json")
    old = sa.table("evaluation", *map(sa.column, columns))
    rows = connection.execute(sa.select(old)).all()
    op.drop_table("evaluation")
    new = op.create_table(
        "evaluation",
        sa.Column("campaign", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("body_json", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["campaign"], ["campaign.name"]),
        sa.PrimaryKeyConstraint("campaign", "kind", "round", "subject"),
    )
    for campaign, model, dataset, body in rows:
        kind, round_, subject = key_of(campaign, model, dataset)
        connection.execute(
            sa.insert(new).values(
                campaign=campaign,
                kind=kind,
                round=round_,
                subject=subject,
                version=1,
                body_json=body,
            )
        )
    for name in IDENTITIES:
        op.add_column("campaign", sa.Column(name, sa.String(length=64), nullable=True))
    _fill_foundations(connection)


def downgrade() -> None:
    connection = op.get_bind()
    columns = ("campaign", "kind", "round", "subject", "body_json")
    new = sa.table("evaluation", *map(sa.column, columns))
    rows = connection.execute(sa.select(new)).all()
    op.drop_table("evaluation")
    old = op.create_table(
        "evaluation",
        sa.Column("campaign", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("dataset", sa.String(length=64), nullable=False),
        sa.Column("result_json", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["campaign"], ["campaign.name"]),
        sa.PrimaryKeyConstraint("campaign", "model", "dataset"),
    )
    for campaign, kind, round_, subject, body in rows:
        model, dataset = old_key_of(kind, round_, subject)
        connection.execute(
            sa.insert(old).values(
                campaign=campaign, model=model, dataset=dataset, result_json=body
            )
        )
    for name in reversed(IDENTITIES):
        op.drop_column("campaign", name)


def key_of(campaign: str, model: str, dataset: str) -> tuple[str, int, str]:
    """Return (kind, round, subject) of what was kept under a model and a data set."""
    find = _study_key if campaign.startswith(STUDY) else _campaign_key
    return find(model, dataset) or (UNKNOWN, 0, json.dumps([model, dataset]))


def _study_key(model: str, dataset: str) -> tuple[str, int, str] | None:
    if (model, dataset) == ("plan", "plan"):
        return "study_plan", 0, ""
    if model == "pool" and dataset.startswith("space-"):
        return "study_space", 0, dataset.removeprefix("space-")
    if model == "foundation" and dataset.startswith("baseline-"):
        return "study_baseline", 0, dataset.removeprefix("baseline-")
    kinds = {"test": "study_cell", "failure": "study_failure"}
    return (kinds[dataset], 0, model) if dataset in kinds else None


def _campaign_key(model: str, dataset: str) -> tuple[str, int, str] | None:
    if (model, dataset) == ("campaign", "decision"):
        return "decision", 0, ""
    if dataset == "gates":
        return "gates", 0, model
    if dataset.startswith("regression-"):
        return "regression", 0, f"{model}/{dataset.removeprefix('regression-')}"
    if model in UNCERTAINTY and (found := ROUND.fullmatch(dataset)):
        return UNCERTAINTY[model], int(found[1]), ""
    if found := JUDGED.fullmatch(dataset):
        return "judgement", int(found[1]), model
    return None


def old_key_of(kind: str, round_: int, subject: str) -> tuple[str, str]:
    """Return the model and the data set under which an evaluation was kept."""
    if kind == UNKNOWN:
        model, dataset = json.loads(subject)
        return model, dataset
    if kind == "regression":
        model, _, day = subject.rpartition("/")
        return model, f"regression-{day}"
    if kind in OLD_UNCERTAINTY:
        return OLD_UNCERTAINTY[kind], f"round-{round_}"
    fixed = {
        "study_plan": ("plan", "plan"),
        "study_space": ("pool", f"space-{subject}"),
        "study_baseline": ("foundation", f"baseline-{subject}"),
        "study_cell": (subject, "test"),
        "study_failure": (subject, "failure"),
        "decision": ("campaign", "decision"),
        "gates": (subject, "gates"),
        "judgement": (subject, f"test-{round_}"),
    }
    return fixed.get(kind, (kind, f"{round_}-{subject}"[:64]))


def _fill_foundations(connection: sa.Connection) -> None:
    update = sa.text(
        "UPDATE campaign SET foundation_sha = :foundation_sha WHERE name = :campaign"
    )
    for name in connection.scalars(sa.text("SELECT name FROM campaign")).all():
        which = {"campaign": name}
        foundation = connection.scalar(sa.text(FOUNDATION), which)
        connection.execute(update, which | {"foundation_sha": foundation})
