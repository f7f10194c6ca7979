"""Properties of models: requests, results and their parts.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "property",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("work", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("subject_sha", sa.String(length=64), nullable=False),
        sa.Column("structure", sa.String(length=64), nullable=True),
        sa.Column("formula", sa.String(length=255), nullable=False),
        sa.Column("request_json", sa.Text(), nullable=False),
        sa.Column("result_json", sa.Text(), nullable=True),
        sa.Column("wall_s", sa.Float(), nullable=False),
        sa.Column("owner", sa.String(length=128), nullable=True),
        sa.Column("lease_until", sa.Float(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["structure"], ["structure.key"]),
        sa.PrimaryKeyConstraint("key"),
    )
    for column in ("name", "work", "kind", "subject_sha", "formula"):
        op.create_index(f"ix_property_{column}", "property", [column])
    op.create_table(
        "property_part",
        sa.Column("property", sa.String(length=64), nullable=False),
        sa.Column("part", sa.String(length=96), nullable=False),
        sa.Column("blob_sha", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["property"], ["property.key"]),
        sa.PrimaryKeyConstraint("property", "part"),
    )


def downgrade() -> None:
    op.drop_table("property_part")
    for column in ("formula", "subject_sha", "kind", "work", "name"):
        op.drop_index(f"ix_property_{column}", table_name="property")
    op.drop_table("property")
