"""Full half-days, forms by version, permission taken back by purpose, and what becomes of withdrawn cases"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import archive.models

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("consultations") as table:
        table.add_column(sa.Column("override_reason", sa.String(length=1000), nullable=True))
        table.add_column(sa.Column("override_by", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("cancelled_at", archive.models.UtcDateTime(), nullable=True))
        table.add_column(sa.Column("cancelled_by", sa.String(length=64), nullable=True))
    op.create_index("ix_consultations_base_time", "consultations", ["base_code", "scheduled_at"])
    with op.batch_alter_table("consents") as table:
        table.add_column(sa.Column("signature_kind", sa.String(length=8), nullable=False, server_default=""))
        table.add_column(sa.Column("form_version", sa.String(length=32), nullable=False, server_default=""))
        table.add_column(sa.Column("language", sa.String(length=8), nullable=False, server_default=""))
        table.add_column(sa.Column("parts", sa.JSON(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("submission", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("withdrawn_purposes", sa.JSON(), nullable=False, server_default="[]"))
    op.create_index(op.f("ix_consents_submission"), "consents", ["submission"], unique=True)
    op.create_table(
        "withdrawals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("consultation_id", sa.String(length=32), nullable=False),
        sa.Column("purposes", sa.JSON(), nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", archive.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["consultation_id"], ["consultations.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_withdrawals_consultation_id"), "withdrawals", ["consultation_id"])
    op.create_table(
        "hold_decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(length=32), nullable=False),
        sa.Column(
            "verdict",
            sa.Enum("erase", "keep", name="holdverdict", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("decide_again_on", sa.Date(), nullable=True),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("at", archive.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_hold_decisions_case_id"), "hold_decisions", ["case_id"])
    make_append_only("withdrawals")
    make_append_only("hold_decisions")


def make_append_only(table: str) -> None:
    """The database itself refuses to change or delete a row, whoever asks."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            f"create function {table}_append_only() returns trigger language plpgsql as "
            f"$$ begin raise exception '{table} is append-only'; end $$"
        )
        op.execute(
            f"create trigger {table}_append_only before update or delete or truncate on {table} "
            f"for each statement execute function {table}_append_only()"
        )
        return
    for verb in ("update", "delete"):
        op.execute(
            f"create trigger {table}_no_{verb} before {verb} on {table} "
            f"begin select raise(abort, '{table} is append-only'); end"
        )
