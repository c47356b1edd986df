from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest

from internal.config.load_config import load_config
from internal.migrations.runner import migrate
from tests import command
from tests.servers import DATABASES, DatabaseServer, Redis, Server, require

type Running = Callable[[type[Server]], Server]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    """Servers that tests may kill and freeze if they start and thaw them again; one of a kind.

    Databases are migrated.
    """
    servers: dict[type[Server], Server] = {}
    with ExitStack() as stack:

        def run(kind: type[Server]) -> Server:
            require(kind)
            if kind not in servers:
                server = servers[kind] = stack.enter_context(kind())
                if isinstance(server, DatabaseServer):
                    env = {**server.environment(), "REDIS_HOST": "unused"}
                    folder = tmp_path_factory.mktemp(f"migrate-{server.name}")
                    migrate(load_config(command.environment(folder, env)).settings)
            return servers[kind]

        yield run


@pytest.fixture(scope="session", params=DATABASES, ids=lambda server: server.name)
def database(request: pytest.FixtureRequest, running: Running) -> Server:
    """Each kind in its turn."""
    return running(request.param)


@pytest.fixture(scope="session")
def redis(running: Running) -> Server:
    return running(Redis)


@pytest.fixture(scope="session")
def servers(database: DatabaseServer, redis: Redis) -> dict[str, str]:
    """The settings of a service on both."""
    return {**database.environment(), **redis.environment()}


@pytest.fixture(scope="session")
def some_servers(running: Running, redis: Redis) -> dict[str, str]:
    """The same, for what does not depend on which database it is."""
    database = running(DATABASES[0])
    assert isinstance(database, DatabaseServer)
    return {**database.environment(), **redis.environment()}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that tests have measured and do not judge."""
    measured = [
        (report.nodeid.partition("::")[2], *figure)
        for report in terminalreporter.getreports("passed")
        for figure in report.user_properties
    ]
    if measured:
        terminalreporter.section("measured")
        for test, name, value in measured:
            terminalreporter.line(f"{value} {name} - {test}")
