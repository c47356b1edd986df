from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_index("ix_jobs_owner_id_id", "jobs", ["owner_id", "id"])


def downgrade() -> None:
    op.drop_index("ix_jobs_owner_id_id", "jobs")
