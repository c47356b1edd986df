from typing import Annotated

import typer


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (PORT).")] = None,
    workers: Annotated[int | None, typer.Option(help="Server processes (WORKERS).")] = None,
) -> None:
    """Serve the API until SIGTERM or SIGINT. With APP_ENV=local, migrate first."""
    from internal.infra.quick_start import begin_start
    from internal.infra.stop_signals import exit_cleanly_on_signals

    exit_cleanly_on_signals()  # until the server takes them over
    begin_start()
    from internal.cli.loading import settings_with_logging
    from internal.config.settings import AppEnv

    options = {"HOST": host, "PORT": port, "WORKERS": workers}
    settings = settings_with_logging(
        {key: str(value) for key, value in options.items() if value is not None}
    )
    if settings.app_env is AppEnv.LOCAL:
        from internal.migrations.runner import migrate

        migrate(settings)

    from internal import server

    server.serve(settings)
