import sqlalchemy as sa
from alembic import op

from internal.migrations.columns import binary_string, create_table, utc_datetime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    create_table(
        "api_clients",
        sa.Column("client_id", binary_string(40), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("secret_1", sa.Text),
        sa.Column("secret_2", sa.Text),
        sa.Column("newest_slot", sa.SmallInteger, nullable=False),
        sa.Column("revoked_at", utc_datetime()),
        sa.UniqueConstraint("client_id", name="uq_api_clients_client_id"),
    )


def downgrade() -> None:
    op.drop_table("api_clients")
