"""The client, and its twin inside the process."""

import asyncio
import sys
from pathlib import Path
from typing import cast

import pytest
from redis.asyncio import Redis, SSLConnection
from redis.exceptions import AuthenticationError, ResponseError

from internal.core.errors import StartError
from internal.infra import redis as redis_module
from internal.infra.metrics import Metrics
from internal.infra.redis import create_client, open_redis
from tests.conftest import MakeSettings
from tests.unit.infra.log import Log

pytestmark = pytest.mark.anyio

SERVER = {"REDIS_MODE": "server", "REDIS_HOST": "127.0.0.1", "REDIS_PORT": 1}
PASSWORD = "canary/7:Ylw@#%?& x"


async def test_the_twin_does_what_redis_does(make_settings: MakeSettings) -> None:
    async with open_redis(make_settings()) as client:
        assert await client.set("nonce", "中文", nx=True, ex=900)
        assert await client.set("nonce", "again", nx=True, ex=900) is None
        assert await client.get("nonce") == "中文"
        assert 0 < await client.ttl("nonce") <= 900
        assert await client.incr("count") == 1
        assert await client.delete("nonce", "count") == 2


async def test_the_twin_runs_lua_scripts(make_settings: MakeSettings) -> None:
    async with open_redis(make_settings()) as client:
        script = client.register_script(
            "local n = redis.call('INCR', KEYS[1])\n"
            "if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end\n"
            "return {n, redis.call('TTL', KEYS[1]), 'as text'}"
        )
        assert await script(keys=["count"], args=[60]) == [1, 60, "as text"]
        assert (await script(keys=["count"], args=[60]))[0] == 2
        with pytest.raises(ResponseError):
            await client.eval("return redis.call('NO SUCH COMMAND')", 0)


async def test_commands_are_counted_by_their_names_those_of_a_pipeline_too(
    make_settings: MakeSettings,
) -> None:
    metrics = Metrics()
    async with open_redis(make_settings(), metrics) as client:
        await client.set("key", "1")
        async with client.pipeline() as both:
            both.incr("key")
            both.expire("key", 60)
            assert await both.execute() == [2, True]
        assert await client.get("key") == "2"
    counted = metrics.snapshot().families["redis_commands_total"]
    names = ("PING", "SET", "INCRBY", "EXPIRE", "GET")  # INCR is INCRBY to the client
    assert {labels: series.figures for labels, series in counted.items()} == {
        (name,): [1] for name in names
    }


async def test_two_twins_in_a_process_share_nothing(make_settings: MakeSettings) -> None:
    async with open_redis(make_settings()) as one, open_redis(make_settings()) as other:
        await one.set("key", "value")
        assert await other.get("key") is None


async def test_the_twin_can_wait_like_redis(make_settings: MakeSettings) -> None:
    async with open_redis(make_settings()) as client:
        waiting = asyncio.ensure_future(client.blpop(["list"], timeout=30))
        await asyncio.sleep(0)
        await client.rpush("list", "x")
        assert list(await waiting or ()) == ["list", "x"]


async def test_a_build_without_the_extra_says_so(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fakeredis", None)
    with pytest.raises(StartError, match="REDIS_MODE=embedded: this build is without the extra"):
        create_client(make_settings(), connections=1, timeout=1)


async def test_a_server_that_is_away_is_one_line_with_the_place_and_the_mend(
    make_settings: MakeSettings,
) -> None:
    with pytest.raises(StartError) as caught:
        async with open_redis(make_settings(**SERVER, REDIS_PASSWORD=PASSWORD)):
            pass
    said = str(caught.value)
    assert said.startswith("redis: 127.0.0.1:1: ")
    assert said.endswith("check REDIS_HOST, REDIS_PORT, REDIS_PASSWORD and that the server runs")
    assert PASSWORD not in said
    assert "\n" not in said


def test_the_client_is_made_of_the_settings(make_settings: MakeSettings) -> None:
    settings = make_settings(**SERVER, REDIS_PASSWORD=PASSWORD, REDIS_USERNAME="us@er", REDIS_DB=7)
    pool = create_client(settings, connections=3, timeout=2, retries=0).connection_pool
    assert pool.max_connections == 3
    expected = {
        "host": "127.0.0.1",
        "port": 1,
        "db": 7,
        "username": "us@er",
        "password": PASSWORD,
        "socket_timeout": 2,
        "socket_connect_timeout": 2,
        "decode_responses": True,
    }
    assert expected.items() <= pool.connection_kwargs.items()
    assert not issubclass(pool.connection_class, SSLConnection)


def test_tls_verifies_the_servers_certificate_and_name(make_settings: MakeSettings) -> None:
    settings = make_settings(**SERVER, REDIS_TLS="on")
    pool = create_client(settings, connections=1, timeout=1).connection_pool
    assert pool.connection_class is SSLConnection
    connection = pool.make_connection()  # type: ignore[no-untyped-call] # redis-py's
    assert connection.ssl_context.cert_reqs.name == "CERT_REQUIRED"
    assert connection.ssl_context.check_hostname


def test_a_bad_ca_file_is_an_error_of_its_setting(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "none.pem"):
        settings = make_settings(**SERVER, REDIS_TLS="on", REDIS_TLS_CA=tmp_path / name)
        with pytest.raises(StartError, match=f"^REDIS_TLS_CA: {tmp_path / name} cannot be used"):
            create_client(settings, connections=1, timeout=1)


class Server:
    """Only what a start asks of a server: the real one is for the integration tests."""

    def __init__(self, policy: str, error: Exception | None = None) -> None:
        self.policy, self.error, self.closed = policy, error, False

    async def ping(self) -> None:
        if self.error:
            raise self.error

    async def info(self, _section: str) -> dict[str, str]:
        return {"maxmemory_policy": self.policy} if self.policy else {}

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("policy", "warned"),
    [("noeviction", False), ("", False), ("allkeys-lru", True), ("volatile-ttl", True)],
)
async def test_a_server_that_may_evict_keys_is_warned_about(
    make_settings: MakeSettings,
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
    policy: str,
    warned: bool,
) -> None:
    server = Server(policy)
    monkeypatch.setattr(redis_module, "create_client", lambda *_, **__: server)
    async with open_redis(make_settings(**SERVER)) as client:
        assert cast("object", client) is server
        assert not server.closed
    assert server.closed
    if warned:
        assert (log.event["level"], log.event["maxmemory_policy"]) == ("WARNING", policy)
        assert "maxmemory-policy to noeviction" in log.event["message"]
    else:
        assert log.events == []


async def test_a_server_that_refuses_the_password_stops_the_start_and_is_closed(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server("noeviction", AuthenticationError("invalid username-password pair"))
    monkeypatch.setattr(redis_module, "create_client", lambda *_, **__: server)
    with pytest.raises(StartError, match="invalid username-password pair; check REDIS_HOST"):
        async with open_redis(make_settings(**SERVER, REDIS_PASSWORD=PASSWORD)):
            pass
    assert server.closed


async def test_the_twin_is_asked_nothing_about_eviction(
    make_settings: MakeSettings, log: Log
) -> None:
    async with open_redis(make_settings()) as client:
        assert isinstance(client, Redis)
    assert log.events == []
