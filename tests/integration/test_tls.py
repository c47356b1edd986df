"""With TLS on, no byte of ours goes to a server that cannot prove its name."""

import asyncio
import gc
import os
import socket
from collections.abc import Generator
from pathlib import Path

import pytest
import uvloop
from sqlalchemy import text

from internal.config.settings import Settings
from internal.core.errors import StartError
from internal.infra.aiomysql_connection import Connection
from internal.infra.database import create_engine, open_database
from internal.infra.redis import REDIS_AWAY, create_client, open_redis
from internal.migrations import known_revisions
from internal.migrations.runner import migrate
from tests.conftest import MakeSettings
from tests.integration.certificates import Authority
from tests.servers import HOST, DatabaseServer, Redis, free_port, require

pytestmark = pytest.mark.anyio

NAME = "localhost"  # what the certificates are for; HOST is the same machine under another name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority.create(folder, "authority")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    return Authority.create(folder, "stranger")


@pytest.fixture(scope="module")
def tls_database(
    kind: type[DatabaseServer], authority: Authority, folder: Path
) -> Generator[DatabaseServer]:
    certificate, key = authority.issue(folder, NAME)
    with kind(
        f"--ssl-ca={authority.file}",
        f"--ssl-cert={certificate}",
        f"--ssl-key={key}",
        "--require-secure-transport=ON",
    ) as server:
        yield server


@pytest.fixture
def database_settings(
    make_settings: MakeSettings, tls_database: DatabaseServer, authority: Authority
) -> dict[str, object]:
    return {
        **tls_database.environment(),
        "DB_HOST": NAME,
        "DB_TLS": "on",
        "DB_TLS_CA": authority.file,
    }


async def test_the_database_is_reached_over_tls(
    make_settings: MakeSettings, database_settings: dict[str, object]
) -> None:
    settings = make_settings(**database_settings)
    async with open_database(settings) as engine, engine.connect() as connection:
        row = (await connection.execute(text("SHOW SESSION STATUS LIKE 'Ssl_version'"))).one()
        assert row[1].startswith("TLSv1.")
    assert migrate(settings) in (known_revisions(), [])


async def aborted_clients(settings: Settings) -> int:
    """How many left the server without a word, as it counted."""
    async with open_database(settings) as engine, engine.connect() as connection:
        row = await connection.execute(text("SHOW GLOBAL STATUS LIKE 'Aborted_clients'"))
        return int(row.one()[1])


def test_a_loop_ends_right_after_its_last_connection(
    make_settings: MakeSettings, database_settings: dict[str, object]
) -> None:
    """One that waits for TLS's farewell cannot be closed: a clean stop would end in a traceback."""
    settings = make_settings(**database_settings)
    stranger = make_settings(**{**database_settings, "DB_PASSWORD": "wrong"})
    left = asyncio.run(aborted_clients(settings), loop_factory=uvloop.new_event_loop)
    for _ in range(10):
        assert left == asyncio.run(aborted_clients(settings), loop_factory=uvloop.new_event_loop)
        with pytest.raises(StartError, match=r"\(1045\)"):
            asyncio.run(aborted_clients(stranger), loop_factory=uvloop.new_event_loop)
    gc.collect()  # What was left open says so here and not in another test.


async def test_a_connection_that_is_given_up_when_tls_begins_closes_no_other(
    make_settings: MakeSettings,
    database_settings: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its descriptor would be closed twice: the second time it is whoever's has it by then."""
    engine = create_engine(make_settings(**database_settings))
    write_packet = Connection.write_packet

    def ask_for_tls_and_give_up(connection: Connection, packet: bytes) -> None:
        write_packet(connection, packet)
        asyncio.get_running_loop().call_soon(connecting.cancel)

    monkeypatch.setattr(Connection, "write_packet", ask_for_tls_and_give_up)
    connecting = asyncio.ensure_future(engine.connect().start())
    with pytest.raises(asyncio.CancelledError):
        await connecting
    await engine.dispose()
    others = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
    gc.collect()
    for other in others:
        os.close(other)


async def test_what_a_server_sends_before_tls_is_no_answer(
    make_settings: MakeSettings,
    database_settings: dict[str, object],
    tls_database: DatabaseServer,
) -> None:
    """An attacker in between could say that we are let in, and answer what we have not asked."""
    welcome = b"\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"
    with socket.create_connection((HOST, tls_database.port)) as greeted:
        greeting = greeted.recv(1024)

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting + welcome)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, HOST, 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(StartError, match="more than its greeting before TLS"):
            async with open_database(make_settings(**{**database_settings, "DB_PORT": port})):
                pass


async def refused(settings: Settings) -> list[str]:
    with pytest.raises(StartError) as of_service:
        async with open_database(settings):
            pass
    with pytest.raises(StartError) as of_migrate:
        migrate(settings)
    return [str(of_service.value), str(of_migrate.value)]


async def test_a_database_of_another_authority_is_refused(
    make_settings: MakeSettings, database_settings: dict[str, object], stranger: Authority
) -> None:
    settings = make_settings(**{**database_settings, "DB_TLS_CA": stranger.file})
    for line in await refused(settings):
        assert "certificate verify failed" in line
        assert line.endswith("; check DB_TLS and DB_TLS_CA")


async def test_a_database_that_the_systems_authorities_do_not_know_is_refused(
    make_settings: MakeSettings, database_settings: dict[str, object]
) -> None:
    settings = make_settings(**{**database_settings, "DB_TLS_CA": None})
    for line in await refused(settings):
        assert "certificate verify failed" in line


async def test_a_database_under_another_name_is_refused(
    make_settings: MakeSettings, database_settings: dict[str, object]
) -> None:
    for line in await refused(make_settings(**{**database_settings, "DB_HOST": HOST})):
        assert "certificate verify failed" in line
        assert HOST in line
        assert line.endswith("; check DB_TLS and DB_TLS_CA")


async def test_a_database_without_tls_is_refused(
    make_settings: MakeSettings, kind: type[DatabaseServer], authority: Authority
) -> None:
    """Also what an attacker in between makes of one with it."""
    off = {"mariadb": "--skip-ssl", "mysql": "--tls-version="}[kind.name]
    with kind(off) as server:
        settings = make_settings(**server.environment(), DB_TLS="on", DB_TLS_CA=authority.file)
        for line in await refused(settings):
            assert "(2026); check DB_TLS and DB_TLS_CA" in line


@pytest.fixture(scope="module")
def tls_redis(authority: Authority, folder: Path) -> Generator[tuple[Redis, int]]:
    require(Redis)
    certificate, key = authority.issue(folder, NAME)
    port = free_port()
    with Redis(
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(certificate), "--tls-key-file", str(key)),
        *("--tls-ca-cert-file", str(authority.file)),
    ) as server:
        yield server, port


@pytest.fixture
def redis_settings(tls_redis: tuple[Redis, int], authority: Authority) -> dict[str, object]:
    server, port = tls_redis
    return {
        **server.environment(),
        "REDIS_HOST": NAME,
        "REDIS_PORT": port,
        "REDIS_TLS": "on",
        "REDIS_TLS_CA": authority.file,
    }


async def test_redis_is_reached_over_tls(
    make_settings: MakeSettings, redis_settings: dict[str, object]
) -> None:
    async with open_redis(make_settings(**redis_settings)) as client:
        assert await client.set("key", "value")
        assert await client.get("key") == "value"


async def redis_refused(settings: Settings) -> str:
    with pytest.raises(StartError) as refused:
        async with open_redis(settings):
            pass
    return str(refused.value)


async def test_a_redis_of_another_authority_is_refused(
    make_settings: MakeSettings, redis_settings: dict[str, object], stranger: Authority
) -> None:
    line = await redis_refused(make_settings(**{**redis_settings, "REDIS_TLS_CA": stranger.file}))
    assert "certificate verify failed" in line


async def test_a_redis_under_another_name_is_refused(
    make_settings: MakeSettings, redis_settings: dict[str, object]
) -> None:
    line = await redis_refused(make_settings(**{**redis_settings, "REDIS_HOST": HOST}))
    assert "certificate verify failed" in line


async def test_a_redis_without_tls_is_refused(
    make_settings: MakeSettings, redis_settings: dict[str, object], tls_redis: tuple[Redis, int]
) -> None:
    settings = make_settings(**{**redis_settings, "REDIS_PORT": tls_redis[0].port})
    client = create_client(settings, connections=1, timeout=0.5, retries=0)
    with pytest.raises(REDIS_AWAY):
        await client.ping()
    await client.aclose()


@pytest.mark.parametrize("part", ["DB", "REDIS"])
async def test_a_ca_file_that_is_none_is_one_line_that_names_it(
    make_settings: MakeSettings, tmp_path: Path, part: str
) -> None:
    for file in (tmp_path / "no-such.pem", tmp_path / "empty.pem"):
        (tmp_path / "empty.pem").touch()
        settings = make_settings(
            **{
                "DB_TYPE": "mysql",
                "DB_HOST": HOST,
                "DB_USERNAME": "u",
                "DB_PASSWORD": "p",
                "DB_DATABASE": "d",
                "REDIS_MODE": "server",
                "REDIS_HOST": HOST,
                f"{part}_TLS": "on",
                f"{part}_TLS_CA": file,
            }
        )
        with pytest.raises(StartError) as refused:
            async with open_database(settings) if part == "DB" else open_redis(settings):
                pass
        assert str(refused.value).startswith(f"{part}_TLS_CA: {file} cannot be used as a CA file")
