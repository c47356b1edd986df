def scheduler() -> None:
    """Run the periodic jobs until SIGTERM or SIGINT, when no other process does."""
    import asyncio

    from internal.infra.quick_start import leave_metrics_sdk
    from internal.infra.stop_signals import STOP_SIGNALS, exit_cleanly_on_signals

    exit_cleanly_on_signals()  # until the loop takes them over

    leave_metrics_sdk()
    from internal.cli.loading import settings_with_logging
    from internal.infra.metrics_sharing import Sharing, open_sharing
    from internal.lifespan import open_scheduler

    settings = settings_with_logging()

    async def run(sharing: Sharing) -> None:
        stop = asyncio.Event()
        for number in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with open_scheduler(settings, sharing):
            await stop.wait()

    with open_sharing(settings, has_children=False) as sharing:
        asyncio.run(run(sharing))
