"""The kinds of jobs. One file is one kind; listed here, it is offered and executed."""

from collections.abc import Mapping
from typing import Any

from internal.services.jobs.kind import Kind
from internal.services.kinds import audit_export, maintenance_purge, webhook_deliver

KINDS: Mapping[str, Kind[Any]] = {
    kind.name: kind for kind in (audit_export.KIND, maintenance_purge.KIND, webhook_deliver.KIND)
}
