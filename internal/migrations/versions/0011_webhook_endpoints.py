import sqlalchemy as sa
from alembic import op

from internal.migrations.columns import binary_string, create_table, utc_datetime

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    create_table(
        "webhook_endpoints",
        sa.Column("url", binary_string(2048), nullable=False),
        sa.Column("owner", binary_string(128), nullable=False),
        sa.Column("secret", binary_string(512), nullable=False),
        sa.Column("disabled_at", utc_datetime()),
    )


def downgrade() -> None:
    op.drop_table("webhook_endpoints")
