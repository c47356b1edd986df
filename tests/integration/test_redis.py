"""The real Redis: who may come in, what is warned about, what a failure says."""

import pytest
from redis.exceptions import NoPermissionError

from internal.config.settings import Settings
from internal.core.errors import StartError
from internal.infra.redis import open_redis
from tests.conftest import MakeSettings
from tests.servers import HOST, Redis, free_port
from tests.unit.http.serving import Lines, serving

pytestmark = pytest.mark.anyio

PASSWORDS = [
    *("p@ss/w:rd#%?&=+", "pass%40word", " two  spaces ", "it's", 'say "it"', "back\\slash"),
    *("$HOME ${HOME}", "密码🗝️", "x" * 200),
]


@pytest.fixture
def acl(redis_server: Redis) -> "Acl":
    return Acl(redis_server)


class Acl:
    """Users of the real server; names tell what they may."""

    def __init__(self, server: Redis) -> None:
        self._server = server

    def user(self, name: str, password: str, *rules: str) -> dict[str, str]:
        with self._server.client() as client:
            client.execute_command("ACL", "SETUSER", name, "reset", "on", f">{password}", *rules)
        given = {"REDIS_USERNAME": name, "REDIS_PASSWORD": password}
        return {**self._server.environment(), **given}


async def refused(settings: Settings) -> str:
    with pytest.raises(StartError) as refusal:
        async with open_redis(settings):
            pass
    line = str(refusal.value)
    assert "\n" not in line
    return line


@pytest.mark.usefixtures("redis_server")
@pytest.mark.parametrize("password", PASSWORDS)
async def test_any_password_opens_redis(make_settings: MakeSettings, password: str) -> None:
    with Redis(password=password) as server:
        async with open_redis(make_settings(**server.environment())) as client:
            assert await client.ping()


@pytest.mark.parametrize("password", PASSWORDS)
async def test_any_password_opens_redis_for_a_user_of_its_acl(
    make_settings: MakeSettings, acl: Acl, password: str
) -> None:
    settings = make_settings(**acl.user("groundwork", password, "~*", "+@all"))
    async with open_redis(settings) as client:
        assert await client.acl_whoami() == "groundwork"


async def test_a_user_of_the_acl_needs_no_dangerous_commands(
    make_settings: MakeSettings, acl: Acl, lines: Lines
) -> None:
    settings = make_settings(**acl.user("careful", "pw", "~*", "+@all", "-@dangerous"))
    async with serving(settings) as served:
        redis = served.app.state.resources.redis
        assert await redis.set("key", "value", ex=60)
        with pytest.raises(NoPermissionError):
            await redis.info("memory")
    (line,) = (line for line in lines.at("WARNING") if line["logger"] == "redis")
    assert line["message"].startswith("redis does not tell whether it may evict keys")


async def test_a_password_that_is_refused_is_said_without_being_said(
    make_settings: MakeSettings, redis_server: Redis
) -> None:
    wrong = "hunter2-canary"
    line = await refused(make_settings(**{**redis_server.environment(), "REDIS_PASSWORD": wrong}))
    assert line.startswith(f"redis: {HOST}:{redis_server.port}: ")
    assert "check REDIS_HOST, REDIS_PORT, REDIS_PASSWORD" in line
    assert wrong not in line


async def test_a_password_that_is_missing_is_one_line(
    make_settings: MakeSettings, redis_server: Redis
) -> None:
    line = await refused(make_settings(**{**redis_server.environment(), "REDIS_PASSWORD": None}))
    assert "authenticated" in line
    assert "check REDIS_HOST, REDIS_PORT, REDIS_PASSWORD" in line


async def test_a_server_that_is_down_is_one_line(
    make_settings: MakeSettings, redis_server: Redis
) -> None:
    port = free_port()
    line = await refused(make_settings(**{**redis_server.environment(), "REDIS_PORT": port}))
    assert line.startswith(f"redis: {HOST}:{port}: ")
    assert line.endswith("and that the server runs")


async def test_a_server_that_is_frozen_is_one_line(
    make_settings: MakeSettings, mortal_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still takes connections, and then says nothing."""
    monkeypatch.setattr("internal.infra.redis.TIMEOUT_SECONDS", 0.5)
    settings = make_settings(**mortal_redis.environment())
    mortal_redis.freeze()
    line = await refused(settings)
    mortal_redis.thaw()
    assert line.startswith(f"redis: {HOST}:{mortal_redis.port}: Timeout")
    async with open_redis(settings):
        pass


async def test_a_database_number_that_is_out_of_range_is_one_line(
    make_settings: MakeSettings, redis_server: Redis
) -> None:
    line = await refused(make_settings(**{**redis_server.environment(), "REDIS_DB": 99}))
    assert "DB index is out of range" in line


async def test_the_database_number_is_used(
    make_settings: MakeSettings, redis_server: Redis
) -> None:
    async with open_redis(make_settings(**redis_server.environment(), REDIS_DB=3)) as client:
        await client.set("only here", "3")
    async with open_redis(make_settings(**redis_server.environment(), REDIS_DB=4)) as client:
        assert await client.get("only here") is None


@pytest.mark.parametrize(
    ("policy", "warns"), [("noeviction", False), ("allkeys-lru", True), ("volatile-ttl", True)]
)
async def test_a_server_that_may_evict_keys_is_warned_about(
    make_settings: MakeSettings, redis_server: Redis, lines: Lines, policy: str, warns: bool
) -> None:
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", policy)
        async with serving(make_settings(**redis_server.environment())):
            pass
        client.config_set("maxmemory-policy", "noeviction")
    warnings = [line for line in lines.at("WARNING") if "evict" in line["message"]]
    assert [line["maxmemory_policy"] for line in warnings] == ([policy] if warns else [])
