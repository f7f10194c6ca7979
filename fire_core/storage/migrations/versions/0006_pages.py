"""Indexes that hold all that a page of structures is found by.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = ("formula", "elements", "n_atoms")


def upgrade() -> None:
    for column in COLUMNS:
        name = f"ix_structure_{column}"
        op.drop_index(name, table_name="structure")
        op.create_index(name, "structure", [column, "created_at", "key"])


def downgrade() -> None:
    for column in COLUMNS:
        name = f"ix_structure_{column}"
        op.drop_index(name, table_name="structure")
        op.create_index(name, "structure", [column])
