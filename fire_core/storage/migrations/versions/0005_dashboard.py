"""Actions of people, and the indexes that the dashboard's pages read by.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_structure_created_at", "structure", ["created_at", "key"]),
    ("ix_structure_elements", "structure", ["elements"]),
    ("ix_label_theory_finished", "label", ["theory", "finished_at"]),
    ("ix_md_frame_structure", "md_frame", ["structure"]),
    ("ix_dataset_member_structure", "dataset_member", ["structure"]),
    ("ix_selection_member_structure", "selection_member", ["structure"]),
)


def upgrade() -> None:
    op.create_table(
        "action",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_action_at", "action", ["at"])
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns)


def downgrade() -> None:
    for name, table, _ in reversed(INDEXES):
        op.drop_index(name, table_name=table)
    op.drop_index("ix_action_at", table_name="action")
    op.drop_table("action")
