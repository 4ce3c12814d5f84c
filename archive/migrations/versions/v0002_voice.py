"""A consent may require that the patient's voice is disguised"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("consents") as table:
        table.add_column(sa.Column("disguise_voice", sa.Boolean(), nullable=False, server_default=sa.false()))
