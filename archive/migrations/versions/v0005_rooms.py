"""Attachments of a consultation, consulting rooms and their plans"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _attachments()
    _rooms()
    _plans()


def _attachments() -> None:
    op.create_table(
        "attachments",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("consultation_id", sa.String(32), sa.ForeignKey("consultations.id"), nullable=False),
        sa.Column("topic", sa.String(16), nullable=False),
        sa.Column("form", sa.String(8), nullable=False),
        sa.Column("taken_at", sa.DateTime(), nullable=False),
        sa.Column("note", sa.String(1000), nullable=False),
        sa.Column("concerns", sa.JSON(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("key", sa.String(512), nullable=False),
        sa.Column("added_by", sa.String(16), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("added_at", sa.DateTime(), nullable=False),
        sa.Column("released_at", sa.DateTime(), nullable=True),
        sa.Column("released_by", sa.String(16), sa.ForeignKey("users.id"), nullable=True),
        sa.Column("deleted_at", sa.DateTime(), nullable=True),
        sa.Column("deleted_by", sa.String(16), sa.ForeignKey("users.id"), nullable=True),
    )
    op.create_index("ix_attachments_consultation_id", "attachments", ["consultation_id"])


def _rooms() -> None:
    op.create_table(
        "rooms",
        sa.Column("base_code", sa.String(12), sa.ForeignKey("bases.code"), primary_key=True),
        sa.Column("code", sa.String(32), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("heard_at", sa.DateTime(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("retired_at", sa.DateTime(), nullable=True),
    )
    op.create_table(
        "room_changes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("base_code", sa.String(12), sa.ForeignKey("bases.code"), nullable=False),
        sa.Column("room", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("problems", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_room_changes_room", "room_changes", ["base_code", "room"])


def _plans() -> None:
    op.create_table(
        "room_plans",
        sa.Column("consultation_id", sa.String(32), sa.ForeignKey("consultations.id"), primary_key=True),
        sa.Column("base_code", sa.String(12), sa.ForeignKey("bases.code"), nullable=False),
        sa.Column("room", sa.String(32), nullable=False),
        sa.Column("starts_at", sa.DateTime(), nullable=False),
        sa.Column("length_s", sa.Double(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.Column("planned_by", sa.String(16), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("planned_at", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_room_plans_room", "room_plans", ["base_code", "room", "starts_at"])
