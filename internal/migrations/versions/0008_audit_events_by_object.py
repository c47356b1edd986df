from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_index(
        "ix_audit_events_object_type_object_id", "audit_events", ["object_type", "object_id"]
    )


def downgrade() -> None:
    op.drop_index("ix_audit_events_object_type_object_id", "audit_events")
