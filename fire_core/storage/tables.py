"""The tables of the structure database, typed, for SQLite and PostgreSQL alike.

Times are seconds since 1970 (UTC); arrays are little-endian float64 or int64 bytes.
"""

from __future__ import annotations

from sqlalchemy import (
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

KEY = String(64)


class Base(DeclarativeBase):
    """Common base of every table."""


class StructureRow(Base):
    """A structure, once, under its content key."""

    __tablename__ = "structure"
    __table_args__ = (
        Index("ix_structure_created_at", "created_at", "key"),
        # Pages of a list are found in these alone: rows are long, and scattered.
        Index("ix_structure_formula", "formula", "created_at", "key"),
        Index("ix_structure_elements", "elements", "created_at", "key"),
        Index("ix_structure_n_atoms", "n_atoms", "created_at", "key"),
    )

    key: Mapped[str] = mapped_column(KEY, primary_key=True)
    formula: Mapped[str] = mapped_column(String(255))
    elements: Mapped[str] = mapped_column(String(255))
    n_atoms: Mapped[int] = mapped_column(Integer)
    numbers: Mapped[bytes] = mapped_column(LargeBinary)
    positions: Mapped[bytes] = mapped_column(LargeBinary)
    cell: Mapped[bytes] = mapped_column(LargeBinary)
    pbc: Mapped[bytes] = mapped_column(LargeBinary)
    source: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[float] = mapped_column(Float)


class TheoryRow(Base):
    """A theory level, under the fingerprint of all that changes a label."""

    __tablename__ = "theory"

    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    code: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    settings_json: Mapped[str] = mapped_column(Text)


class LabelTable(Base):
    """The label of one structure at one theory level, in one of its states."""

    __tablename__ = "label"
    __table_args__ = (
        UniqueConstraint("structure", "theory"),
        # Claims take the oldest of a state; counts by state read this index alone.
        Index("ix_label_theory_state_id", "theory", "state", "id"),
        Index("ix_label_theory_finished", "theory", "finished_at"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    structure: Mapped[str] = mapped_column(KEY, ForeignKey("structure.key"))
    theory: Mapped[str] = mapped_column(String(64), ForeignKey("theory.fingerprint"))
    state: Mapped[str] = mapped_column(String(16))
    owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[float | None] = mapped_column(Float)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    energy: Mapped[float | None] = mapped_column(Float(53))
    forces: Mapped[bytes | None] = mapped_column(LargeBinary)
    stress: Mapped[bytes | None] = mapped_column(LargeBinary)
    failure_kind: Mapped[str | None] = mapped_column(String(32))
    failure_reason: Mapped[str | None] = mapped_column(Text)
    log_tail: Mapped[str | None] = mapped_column(Text)
    failed_workdir: Mapped[str | None] = mapped_column(Text)
    core_seconds: Mapped[float] = mapped_column(Float, default=0.0)
    finished_at: Mapped[float | None] = mapped_column(Float)


class CampaignTable(Base):
    """A campaign, its resolved configuration, and what it was labelled and begun with.

    The theory levels and the foundation model are recorded when they are first met,
    and read from here whatever is installed later.
    """

    __tablename__ = "campaign"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    config_json: Mapped[str] = mapped_column(Text)
    created_at: Mapped[float] = mapped_column(Float)
    theory: Mapped[str | None] = mapped_column(String(64))
    atom_theory: Mapped[str | None] = mapped_column(String(64))
    foundation_sha: Mapped[str | None] = mapped_column(KEY)


class RunTable(Base):
    """A molecular-dynamics run of a campaign."""

    __tablename__ = "md_run"
    __table_args__ = (UniqueConstraint("campaign", "round", "purpose", "model"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    campaign: Mapped[str] = mapped_column(String(64), ForeignKey("campaign.name"))
    round: Mapped[int] = mapped_column(Integer)
    purpose: Mapped[str] = mapped_column(String(32))
    model: Mapped[str] = mapped_column(KEY)
    config_json: Mapped[str] = mapped_column(Text)


class SegmentTable(Base):
    """A finished segment of a run: the state to go on from."""

    __tablename__ = "md_segment"

    run: Mapped[int] = mapped_column(ForeignKey("md_run.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    state: Mapped[bytes] = mapped_column(LargeBinary)
    stopped_json: Mapped[str] = mapped_column(Text)


class FrameTable(Base):
    """A saved frame of a run."""

    __tablename__ = "md_frame"

    run: Mapped[int] = mapped_column(ForeignKey("md_run.id"), primary_key=True)
    replica: Mapped[int] = mapped_column(Integer, primary_key=True)
    step: Mapped[int] = mapped_column(Integer, primary_key=True)
    segment: Mapped[int] = mapped_column(Integer)
    structure: Mapped[str] = mapped_column(KEY, ForeignKey("structure.key"), index=True)
    temperature: Mapped[float] = mapped_column(Float)
    energy: Mapped[float] = mapped_column(Float(53))


class SelectionTable(Base):
    """A choice of structures, in order, with what is known about the choice."""

    __tablename__ = "selection"

    campaign: Mapped[str] = mapped_column(
        String(64), ForeignKey("campaign.name"), primary_key=True
    )
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(32), primary_key=True)
    method: Mapped[str] = mapped_column(String(32))
    meta_json: Mapped[str] = mapped_column(Text)


class SelectionMember(Base):
    """One chosen structure and why it was chosen."""

    __tablename__ = "selection_member"

    campaign: Mapped[str] = mapped_column(String(64), primary_key=True)
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(32), primary_key=True)
    rank: Mapped[int] = mapped_column(Integer, primary_key=True)
    structure: Mapped[str] = mapped_column(KEY, ForeignKey("structure.key"), index=True)
    pick_json: Mapped[str | None] = mapped_column(Text)


class DatasetMember(Base):
    """A structure's part (train, valid, test) in a named dataset."""

    __tablename__ = "dataset_member"

    campaign: Mapped[str] = mapped_column(
        String(64), ForeignKey("campaign.name"), primary_key=True
    )
    dataset: Mapped[str] = mapped_column(String(64), primary_key=True)
    structure: Mapped[str] = mapped_column(
        KEY, ForeignKey("structure.key"), primary_key=True, index=True
    )
    split: Mapped[str] = mapped_column(String(16))


class ModelTable(Base):
    """A trained model: its file, its parent and how it was made."""

    __tablename__ = "model"

    campaign: Mapped[str] = mapped_column(
        String(64), ForeignKey("campaign.name"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    blob_sha: Mapped[str] = mapped_column(KEY)
    parent_sha: Mapped[str | None] = mapped_column(KEY)
    config_json: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[float] = mapped_column(Float)


class PromotionTable(Base):
    """One change of a model's state, in order; never changed afterwards."""

    __tablename__ = "promotion"
    __table_args__ = (
        ForeignKeyConstraint(["campaign", "model"], ["model.campaign", "model.name"]),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    campaign: Mapped[str] = mapped_column(
        String(64), ForeignKey("campaign.name"), index=True
    )
    model: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(16))
    from_state: Mapped[str] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    gates_json: Mapped[str | None] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[float] = mapped_column(Float)


class EpochTable(Base):
    """A finished epoch of a training; its checkpoint may have been released."""

    __tablename__ = "epoch"

    campaign: Mapped[str] = mapped_column(
        String(64), ForeignKey("campaign.name"), primary_key=True
    )
    model: Mapped[str] = mapped_column(String(64), primary_key=True)
    epoch: Mapped[int] = mapped_column(Integer, primary_key=True)
    record_json: Mapped[str] = mapped_column(Text)
    checkpoint_sha: Mapped[str | None] = mapped_column(KEY)


class EvaluationTable(Base):
    """What was measured, one kind of record each; see `storage.evaluations`."""

    __tablename__ = "evaluation"

    campaign: Mapped[str] = mapped_column(
        String(64), ForeignKey("campaign.name"), primary_key=True
    )
    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    version: Mapped[int] = mapped_column(Integer)
    body_json: Mapped[str] = mapped_column(Text)


class StepTable(Base):
    """A running step of a campaign: who runs it, until when."""

    __tablename__ = "step_lease"

    campaign: Mapped[str] = mapped_column(
        String(64), ForeignKey("campaign.name"), primary_key=True
    )
    step: Mapped[str] = mapped_column(String(96), primary_key=True)
    owner: Mapped[str] = mapped_column(String(128))
    lease_until: Mapped[float] = mapped_column(Float)


class ApprovalTable(Base):
    """What a choice of structures would cost, and whether it may be labelled."""

    __tablename__ = "approval"

    campaign: Mapped[str] = mapped_column(
        String(64), ForeignKey("campaign.name"), primary_key=True
    )
    round: Mapped[int] = mapped_column(Integer, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(32), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    n_asked: Mapped[int] = mapped_column(Integer)
    n_approved: Mapped[int | None] = mapped_column(Integer)
    price_json: Mapped[str] = mapped_column(Text)
    actor: Mapped[str | None] = mapped_column(String(128))
    reason: Mapped[str | None] = mapped_column(Text)
    asked_at: Mapped[float] = mapped_column(Float)
    decided_at: Mapped[float | None] = mapped_column(Float)


class UsageTable(Base):
    """Time that a step of a campaign took."""

    __tablename__ = "usage"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    campaign: Mapped[str] = mapped_column(String(64), ForeignKey("campaign.name"))
    round: Mapped[int] = mapped_column(Integer)
    step: Mapped[str] = mapped_column(String(64))
    wall_s: Mapped[float] = mapped_column(Float)
    core_s: Mapped[float] = mapped_column(Float)
    gpu_s: Mapped[float] = mapped_column(Float)
    finished_at: Mapped[float] = mapped_column(Float)


class PropertyTable(Base):
    """One property of one model and structure: asked for, running or measured."""

    __tablename__ = "property"

    key: Mapped[str] = mapped_column(KEY, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), index=True)
    work: Mapped[str] = mapped_column(KEY, index=True)
    kind: Mapped[str] = mapped_column(String(32), index=True)
    subject: Mapped[str] = mapped_column(String(128))
    subject_sha: Mapped[str] = mapped_column(KEY, index=True)
    structure: Mapped[str | None] = mapped_column(KEY, ForeignKey("structure.key"))
    formula: Mapped[str] = mapped_column(String(255), index=True)
    request_json: Mapped[str] = mapped_column(Text)
    result_json: Mapped[str | None] = mapped_column(Text)
    wall_s: Mapped[float] = mapped_column(Float, default=0.0)
    owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[float | None] = mapped_column(Float)
    created_at: Mapped[float] = mapped_column(Float)
    finished_at: Mapped[float | None] = mapped_column(Float)


class PropertyPartTable(Base):
    """A finished part of a measurement or a figure of it: a blob under a name."""

    __tablename__ = "property_part"

    property: Mapped[str] = mapped_column(
        KEY, ForeignKey("property.key"), primary_key=True
    )
    part: Mapped[str] = mapped_column(String(96), primary_key=True)
    blob_sha: Mapped[str] = mapped_column(KEY)


class ActionTable(Base):
    """What somebody did on the dashboard, or tried to; the time is since 1970, s."""

    __tablename__ = "action"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[float] = mapped_column(Float, index=True)
    actor: Mapped[str] = mapped_column(String(128))
    role: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(255))
    outcome: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str] = mapped_column(Text)
