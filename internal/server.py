"""uvicorn, with the drain that balancers need."""

import asyncio
import functools
import signal
import socket
import sys
import time
from typing import cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import multiprocess

from internal.app import Service, create_app
from internal.config.settings import Settings
from internal.controllers.dependencies import resources_of
from internal.core.errors import StartError
from internal.infra.http_protocol import BoundedHttpProtocol
from internal.infra.listener import bind
from internal.infra.metrics_sharing import Sharing, open_sharing
from internal.infra.quick_start import end_start
from internal.infra.stop_signals import exit_cleanly_on_signals
from internal.middlewares import security_headers


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, then drains and returns or exits 0.

    Raises:
        StartError: the address is taken or not ours.
        SystemExit: not 0 when the application could not start; it has said why.
    """
    sockets = [bind(settings.host, settings.port, "HOST and PORT")]
    with open_sharing(settings, has_children=settings.workers > 1) as sharing:
        _serve(_config(settings, sharing), sockets)


def _config(settings: Settings, sharing: Sharing) -> uvicorn.Config:
    return uvicorn.Config(
        functools.partial(create_app, settings, sharing=sharing),
        factory=True,
        workers=settings.workers,
        loop="uvloop",
        http=cast(
            "type[asyncio.Protocol]",
            functools.partial(
                BoundedHttpProtocol,
                settings.request_timeout_seconds,
                security_headers.HEADERS,
                _count_refused,
            ),
        ),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # middlewares/client_address.py decides whom to believe
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
    )


def _count_refused(app: Service, status: int, trace_id: str) -> None:
    """As a request without a known method or route, which took no time."""
    resources_of(app).metrics.observe_request("", None, status, 0, trace_id)


def _serve(config: uvicorn.Config, sockets: list[socket.socket]) -> None:
    if config.workers == 1:
        exit_cleanly_on_signals()
        DrainingServer(config).run(sockets)
    else:
        # uvicorn has no other way to give its workers a server class.
        multiprocess.Process = Worker  # type: ignore[misc]
        supervisor = Supervisor(config, sockets)
        end_start()
        supervisor.run()
        # One that was still starting has not learnt yet to end well on the supervisor's SIGTERM.
        clean = (0, -signal.SIGTERM)
        if any(worker.exitcode not in clean for worker in supervisor.processes):
            sys.exit(1)


class DrainingServer(uvicorn.Server):
    """Turns unready first, and closes its listeners only after the drain delay."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        end_start()
        if self.started:
            resources = resources_of(cast("Service", self.config.loaded_app))
            connections = self.server_state.connections
            resources.metrics.watch("http_connections_open", lambda: len(connections))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        resources = resources_of(cast("Service", self.config.loaded_app))
        resources.health.draining = True
        drained_at = time.monotonic() + resources.settings.drain_delay_seconds
        while time.monotonic() < drained_at and not self.force_exit:
            await self.on_tick(0)  # keeps the Date header right
            await asyncio.sleep(0.1)
        # One grace for all: what requests take of it, tasks do not have.
        resources.tasks.drain_by(time.monotonic() + resources.settings.shutdown_grace_seconds)
        # Now and not before: balancers send the streams' clients to another replica.
        resources.job_watch.close()
        await super().shutdown(sockets)


class Supervisor(multiprocess.Multiprocess):
    """Lets go of the listeners with its workers.

    While it held them, connections would be taken in by the system and answered by nobody.
    """

    def terminate_all(self) -> None:
        super().terminate_all()
        for listener in self.sockets:
            listener.close()


class Worker(multiprocess.Process):
    """A worker process whose server drains, and which may take its time to start.

    uvicorn kills a worker that does not answer within seconds, also one that is still starting:
    where many share few cores, it would never get any further. Nor does it hear a stop meanwhile.
    """

    _is_starting = True

    def start(self) -> None:
        super().start()
        self.parent_conn.send(b"ping")

    def is_alive(self, timeout: float = 5) -> bool:
        if self._is_starting and self.parent_conn.poll():
            self._is_starting = not self.parent_conn.recv()  # the answer: whether it serves
            if self._is_starting:
                self.parent_conn.send(b"ping")
        return self.process.is_alive() if self._is_starting else super().is_alive(timeout)

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = DrainingServer(self.config)
        return self._server

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        exit_cleanly_on_signals()
        try:
            super().target(sockets)
        except StartError as error:
            # The parent has no use for another such worker: this status says so to it.
            sys.stderr.write(f"CRITICAL: {error}\n")
            sys.exit(STARTUP_FAILURE)
