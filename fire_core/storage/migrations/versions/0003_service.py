"""The service: leases of steps, approvals, and an index that claims walk along.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "step_lease",
        sa.Column("campaign", sa.String(length=64), nullable=False),
        sa.Column("step", sa.String(length=96), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["campaign"], ["campaign.name"]),
        sa.PrimaryKeyConstraint("campaign", "step"),
    )
    op.create_table(
        "approval",
        sa.Column("campaign", sa.String(length=64), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("n_asked", sa.Integer(), nullable=False),
        sa.Column("n_approved", sa.Integer(), nullable=True),
        sa.Column("price_json", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("asked_at", sa.Float(), nullable=False),
        sa.Column("decided_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["campaign"], ["campaign.name"]),
        sa.PrimaryKeyConstraint("campaign", "round", "purpose"),
    )
    op.create_index("ix_approval_state", "approval", ["state"])
    op.create_index(
        "ix_label_theory_state_id", "label", ["theory", "state", "id"], unique=False
    )
    op.drop_index("ix_label_theory_state", table_name="label")


def downgrade() -> None:
    op.create_index("ix_label_theory_state", "label", ["theory", "state"], unique=False)
    op.drop_index("ix_label_theory_state_id", table_name="label")
    op.drop_index("ix_approval_state", table_name="approval")
    op.drop_table("approval")
    op.drop_table("step_lease")
