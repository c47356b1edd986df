from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_index("ix_jobs_status_dispatched_at", "jobs", ["status", "dispatched_at"])


def downgrade() -> None:
    op.drop_index("ix_jobs_status_dispatched_at", "jobs")
