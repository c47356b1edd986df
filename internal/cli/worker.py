from typing import Annotated

import typer


def worker(
    queues: Annotated[
        str, typer.Option(help="Queues to take jobs from, comma-separated.")
    ] = "default,webhooks",
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="Child processes: jobs at once.")
    ] = 2,
) -> None:
    """Execute jobs until SIGTERM or SIGINT; then finish or give back the jobs at hand."""
    import asyncio
    import functools
    import sys

    from internal.cli.loading import settings_with_logging
    from internal.core.errors import StartError
    from internal.infra.quick_start import leave_metrics_sdk
    from internal.infra.stop_signals import exit_cleanly_on_signals

    exit_cleanly_on_signals()  # until the worker takes them over

    leave_metrics_sdk()
    from internal.infra.celery import QUEUES, create_celery

    names = [name.strip() for name in queues.split(",") if name.strip()]
    if not names or not set(names) <= set(QUEUES):
        raise typer.BadParameter(f"known are {', '.join(QUEUES)}", param_hint="--queues")
    settings = settings_with_logging()
    if settings.jobs_backend == "embedded":
        raise StartError("JOBS_BACKEND=embedded: the API process executes jobs, no worker does")

    from internal.infra.database import open_database
    from internal.infra.metrics_sharing import open_sharing
    from internal.lifespan import open_run
    from internal.services.kinds import KINDS
    from internal.tasks.worker import Worker

    async def check_database() -> None:
        async with open_database(settings):
            """A worker that cannot work says so, and does not start."""

    asyncio.run(check_database())
    longest = max(kind.timeout for kind in KINDS.values())
    child = settings.model_copy(update={"db_pool_size": 2, "redis_pool_size": 2})
    with open_sharing(settings, has_children=settings.metrics_port is not None) as sharing:
        worker = Worker(
            create_celery(settings),
            functools.partial(open_run, child, sharing),
            grace=settings.shutdown_grace_seconds,
            longest=longest.total_seconds(),
        )
        sys.exit(worker.run(names, concurrency))
