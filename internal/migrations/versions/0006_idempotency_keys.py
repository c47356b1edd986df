import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import MEDIUMTEXT

from internal.migrations.columns import binary_string, create_table, utc_datetime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    create_table(
        "idempotency_keys",
        sa.Column("request_hash", binary_string(64), nullable=False),
        sa.Column("body_hash", binary_string(64), nullable=False),
        sa.Column("reply", sa.Text().with_variant(MEDIUMTEXT(), "mysql")),
        sa.Column("expires_at", utc_datetime(), nullable=False),
        sa.UniqueConstraint("request_hash", name="uq_idempotency_keys_request_hash"),
    )


def downgrade() -> None:
    op.drop_table("idempotency_keys")
