"""`groundwork`: one command a verb. Each imports what it needs when it runs."""

import sys

import typer

from internal.cli import clients, config, jobs, migrate, openapi, scheduler, serve, users, worker

EXIT_FAILED = 1

app = typer.Typer(
    name="groundwork",
    help="The Groundwork service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
app.command("scheduler")(scheduler.scheduler)
app.command("migrate")(migrate.migrate)
app.command("openapi")(openapi.openapi)
app.add_typer(config.app, name="config")
app.add_typer(users.app, name="users")
app.add_typer(clients.app, name="clients")
app.add_typer(jobs.app, name="jobs")


def main() -> None:
    """The entry point. An error that was foreseen is one line and an exit code, no traceback."""
    from internal.core.errors import StartError
    from internal.infra.standard_streams import open_standard_streams

    open_standard_streams()
    try:
        app()
    except StartError as error:
        sys.stderr.write(f"CRITICAL: {error}\n")
        sys.exit(EXIT_FAILED)
