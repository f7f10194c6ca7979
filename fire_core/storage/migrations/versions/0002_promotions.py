"""Promotions: the history of models' states.

A model that was put into production before there was a history is entered as if it
had been promoted now, so that a rollback finds it.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    promotion = op.create_table(
        "promotion",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("campaign", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("from_state", sa.String(length=16), nullable=False),
        sa.Column("to_state", sa.String(length=16), nullable=False),
        sa.Column("gates_json", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["campaign"], ["campaign.name"]),
        sa.ForeignKeyConstraint(
            ["campaign", "model"], ["model.campaign", "model.name"]
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_promotion_campaign", "promotion", ["campaign"])
    model = sa.table(
        "model",
        *(sa.column(name) for name in ("campaign", "name", "state", "created_at")),
    )
    connection = op.get_bind()
    present = connection.execute(
        sa.select(model.c.campaign, model.c.name)
        .where(model.c.state == "production")
        .order_by(model.c.created_at)
    ).all()
    for campaign, name in present:
        connection.execute(
            sa.insert(promotion).values(
                campaign=campaign,
                model=name,
                action="promote",
                from_state="production",
                to_state="production",
                gates_json=None,
                actor="migration 0002",
                reason="was in production before there was a history",
                at=time.time(),
            )
        )


def downgrade() -> None:
    op.drop_index("ix_promotion_campaign", table_name="promotion")
    op.drop_table("promotion")
