"""What a station notes while it records: gaps, chapters, pauses, light and sound"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recording_notes",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("recording_id", sa.String(16), sa.ForeignKey("recordings.id"), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("at_s", sa.Float(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("kept_at", sa.DateTime(), nullable=False),
    )
    op.create_index("ix_recording_notes_recording_id", "recording_notes", ["recording_id"])
