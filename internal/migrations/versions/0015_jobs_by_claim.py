from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_index("ix_jobs_status_claim_expires_at", "jobs", ["status", "claim_expires_at"])


def downgrade() -> None:
    op.drop_index("ix_jobs_status_claim_expires_at", "jobs")
