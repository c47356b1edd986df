"""The schema's revisions: `versions/NNNN_name.py`, one DDL statement each.

Code of the release before keeps working after each of them.
"""

from enum import StrEnum
from pathlib import Path

VERSIONS = Path(__file__).parent / "versions"


class SchemaState(StrEnum):
    """How the database's schema stands to this code."""

    CURRENT = "current"
    BEHIND = "behind"
    AHEAD = "ahead"


def known_revisions() -> list[str]:
    """The revisions of this release, oldest first, from their file names.

    Read without Alembic, which the serving process never imports.
    """
    return sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*_*.py"))


def schema_state(database_revision: str | None) -> SchemaState:
    """Compares the revision that a database is at (None: never migrated) with this release's."""
    head = known_revisions()[-1]
    if database_revision == head:
        return SchemaState.CURRENT
    is_newer = database_revision is not None and database_revision > head
    return SchemaState.AHEAD if is_newer else SchemaState.BEHIND
