"""The first catalogue"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

import archive.models

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", archive.models.UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("object", sa.String(length=128), nullable=False),
        sa.Column("outcome", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_audit_events_at"), "audit_events", ["at"], unique=False)
    op.create_table(
        "bases",
        sa.Column("code", sa.String(length=12), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("case_target", sa.Integer(), nullable=False),
        sa.Column("session_target", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "failed_logins",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("at", archive.models.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_failed_logins_username"), "failed_logins", ["username"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("base_code", sa.String(length=12), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("ref", sa.String(length=128), nullable=False),
        sa.Column("delta", sa.Integer(), nullable=False),
        sa.Column("at", archive.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["base_code"],
            ["bases.code"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "ref"),
    )
    op.create_index("ix_ledger_base_kind", "ledger", ["base_code", "kind"], unique=False)
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "technician",
                "reviewer",
                "expert",
                "trainee",
                "manager",
                name="role",
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("base_code", sa.String(length=12), nullable=False),
        sa.Column("password_hash", sa.String(length=512), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", archive.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["base_code"],
            ["bases.code"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("username"),
    )
    op.create_table(
        "consultations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("base_code", sa.String(length=12), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("consultation", "demonstration", "discussion", name="kind", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("title", sa.String(length=512), nullable=False),
        sa.Column("expert_id", sa.String(length=16), nullable=False),
        sa.Column("patient_pseudonym", sa.String(length=32), nullable=False),
        sa.Column("scheduled_at", archive.models.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=16), nullable=False),
        sa.Column("deputy_ids", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["base_code"],
            ["bases.code"],
        ),
        sa.ForeignKeyConstraint(
            ["created_by"],
            ["users.id"],
        ),
        sa.ForeignKeyConstraint(
            ["expert_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "face_templates",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("expert_id", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=512), nullable=False),
        sa.Column("consent_sha256", sa.String(length=64), nullable=False),
        sa.Column("enrolled_by", sa.String(length=16), nullable=False),
        sa.Column("enrolled_at", archive.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["enrolled_by"],
            ["users.id"],
        ),
        sa.ForeignKeyConstraint(
            ["expert_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_face_templates_expert_id"), "face_templates", ["expert_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=16), nullable=False),
        sa.Column("expires_at", archive.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("token_sha256"),
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("base_code", sa.String(length=12), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "scheduled",
                "consented",
                "recording",
                "uploaded",
                "processing",
                "in_review",
                "expert_review",
                "published",
                "rejected",
                "withdrawn",
                "failed",
                name="state",
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("edit", sa.Integer(), nullable=False),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("takeovers", sa.Integer(), nullable=False),
        sa.Column("edits", sa.JSON(), nullable=False),
        sa.Column("reason", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("package_prefix", sa.String(length=512), nullable=True),
        sa.Column("package_seal", sa.String(length=128), nullable=True),
        sa.Column("created_at", archive.models.UtcDateTime(), nullable=False),
        sa.Column("updated_at", archive.models.UtcDateTime(), nullable=False),
        sa.Column("published_at", archive.models.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["base_code"],
            ["bases.code"],
        ),
        sa.ForeignKeyConstraint(
            ["id"],
            ["consultations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_cases_base_code"), "cases", ["base_code"], unique=False)
    op.create_index(op.f("ix_cases_state"), "cases", ["state"], unique=False)
    op.create_table(
        "consents",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("consultation_id", sa.String(length=32), nullable=False),
        sa.Column("purposes", sa.JSON(), nullable=False),
        sa.Column("text", sa.String(length=20000), nullable=False),
        sa.Column("text_sha256", sa.String(length=64), nullable=False),
        sa.Column("signer_pseudonym", sa.String(length=32), nullable=False),
        sa.Column("witness_id", sa.String(length=16), nullable=False),
        sa.Column("signed_at", archive.models.UtcDateTime(), nullable=False),
        sa.Column("kept_at", archive.models.UtcDateTime(), nullable=False),
        sa.Column("expires_at", archive.models.UtcDateTime(), nullable=False),
        sa.Column("signature_key", sa.String(length=512), nullable=False),
        sa.Column("signature_sha256", sa.String(length=64), nullable=False),
        sa.Column("withdrawn_at", archive.models.UtcDateTime(), nullable=True),
        sa.Column("withdrawn_by", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(
            ["consultation_id"],
            ["consultations.id"],
        ),
        sa.ForeignKeyConstraint(
            ["withdrawn_by"],
            ["users.id"],
        ),
        sa.ForeignKeyConstraint(
            ["witness_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_consents_consultation_id"), "consents", ["consultation_id"], unique=False)
    op.create_table(
        "recordings",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("consultation_id", sa.String(length=32), nullable=False),
        sa.Column("idempotency_key", sa.String(length=64), nullable=True),
        sa.Column("rig", sa.JSON(), nullable=False),
        sa.Column("light", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("tracks", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=True),
        sa.Column("recorded_by", sa.String(length=16), nullable=False),
        sa.Column("started_at", archive.models.UtcDateTime(), nullable=False),
        sa.Column("completed_at", archive.models.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["consultation_id"],
            ["consultations.id"],
        ),
        sa.ForeignKeyConstraint(
            ["recorded_by"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("idempotency_key"),
    )
    op.create_index(op.f("ix_recordings_consultation_id"), "recordings", ["consultation_id"], unique=False)
    op.create_table(
        "grants",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(length=32), nullable=False),
        sa.Column("base_code", sa.String(length=12), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("granted_by", sa.String(length=64), nullable=False),
        sa.Column("at", archive.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["base_code"],
            ["bases.code"],
        ),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("case_id", "base_code", "purpose"),
    )
    op.create_index(op.f("ix_grants_case_id"), "grants", ["case_id"], unique=False)
    op.create_table(
        "resolutions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(length=32), nullable=False),
        sa.Column("edit", sa.Integer(), nullable=False),
        sa.Column("moment", sa.String(length=48), nullable=False),
        sa.Column("user_id", sa.String(length=16), nullable=False),
        sa.Column(
            "finding",
            sa.Enum("no-face", "expert", name="finding", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("at", archive.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("case_id", "edit", "moment"),
    )
    op.create_index(op.f("ix_resolutions_case_id"), "resolutions", ["case_id"], unique=False)
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(length=32), nullable=False),
        sa.Column("edit", sa.Integer(), nullable=False),
        sa.Column(
            "level", sa.Enum("company", "expert", name="level", native_enum=False, length=16), nullable=False
        ),
        sa.Column("user_id", sa.String(length=16), nullable=False),
        sa.Column(
            "decision",
            sa.Enum("approve", "reject", name="decision", native_enum=False, length=16),
            nullable=False,
        ),
        sa.Column("note", sa.String(length=4000), nullable=False),
        sa.Column("edits", sa.JSON(), nullable=False),
        sa.Column("package_seal", sa.String(length=128), nullable=False),
        sa.Column("at", archive.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("case_id", "edit", "level"),
    )
    op.create_index(op.f("ix_reviews_case_id"), "reviews", ["case_id"], unique=False)
    op.create_table(
        "segments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("recording_id", sa.String(length=16), nullable=False),
        sa.Column("track", sa.String(length=32), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("start_s", sa.Double(), nullable=False),
        sa.Column("duration_s", sa.Double(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=512), nullable=False),
        sa.ForeignKeyConstraint(
            ["recording_id"],
            ["recordings.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("recording_id", "track", "index"),
    )
    op.create_table(
        "step_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.String(length=32), nullable=False),
        sa.Column("step", sa.String(length=32), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column("started_at", archive.models.UtcDateTime(), nullable=False),
        sa.Column("ended_at", archive.models.UtcDateTime(), nullable=True),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_step_runs_case_id"), "step_runs", ["case_id"], unique=False)
    op.create_table(
        "transitions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.String(length=32), nullable=False),
        sa.Column(
            "old",
            sa.Enum(
                "scheduled",
                "consented",
                "recording",
                "uploaded",
                "processing",
                "in_review",
                "expert_review",
                "published",
                "rejected",
                "withdrawn",
                "failed",
                name="state",
                native_enum=False,
                length=16,
            ),
            nullable=True,
        ),
        sa.Column(
            "new",
            sa.Enum(
                "scheduled",
                "consented",
                "recording",
                "uploaded",
                "processing",
                "in_review",
                "expert_review",
                "published",
                "rejected",
                "withdrawn",
                "failed",
                name="state",
                native_enum=False,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("note", sa.String(length=4000), nullable=False),
        sa.Column("at", archive.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_transitions_case_id"), "transitions", ["case_id"], unique=False)
    op.create_table(
        "watches",
        sa.Column("user_id", sa.String(length=16), nullable=False),
        sa.Column("case_id", sa.String(length=32), nullable=False),
        sa.Column("spans", sa.JSON(), nullable=False),
        sa.Column("watched_s", sa.Double(), nullable=False),
        sa.Column("started_at", archive.models.UtcDateTime(), nullable=False),
        sa.Column("reported_at", archive.models.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["case_id"],
            ["cases.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("user_id", "case_id"),
    )
    _make_append_only("audit_events")
    _make_append_only("ledger")
    _make_append_only("resolutions")
    _make_append_only("transitions")


def _make_append_only(table: str) -> None:
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
