from typing import Annotated

import typer


def migrate(
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is missing; exit 1 if anything is.")
    ] = False,
) -> None:
    """Bring the database to this release's schema. Safe to start many times at once."""
    from loguru import logger

    from internal.cli.loading import settings_with_logging
    from internal.migrations import runner

    settings = settings_with_logging()
    if check:
        missing = runner.missing_revisions(settings)
        logger.remove()  # what it has said comes before its outcome
        print(f"missing: {', '.join(missing)}" if missing else "nothing is missing")
        raise typer.Exit(1 if missing else 0)
    applied = runner.migrate(settings)
    logger.remove()
    print(f"applied: {', '.join(applied)}" if applied else "nothing to apply")
