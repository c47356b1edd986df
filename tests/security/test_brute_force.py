"""Guessing passwords: five failures lock an account for an address, a hundred for everybody."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import anyio
import bcrypt
import pytest
from fakeredis import FakeServer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout
from sqlalchemy.exc import OperationalError

from internal.services import accounts, login_lock, passwords
from internal.services.passwords import PasswordHasher
from tests.security.accounts import FAST, HASHER, PASSWORD, Replica
from tests.security.conftest import Serve

pytestmark = pytest.mark.anyio

WRONG = "wrong horse battery staple"
HERE, ELSEWHERE = "198.51.100.1", "198.51.100.2"
QUARTER = 15 * 60


@pytest.fixture
async def service(serve: Serve) -> AsyncGenerator[Replica]:
    """One whose clients say where they come from."""
    async with serve(TRUSTED_PROXIES="203.0.113.0/24") as one:
        yield one


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> "Later":
    return Later(monkeypatch)


class Later:
    """Moves Redis's clock, which is this process's where Redis is embedded."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._true = time.time

    def by(self, seconds: float) -> None:
        """So long after the real now."""
        self._patch.setattr(time, "time", lambda: self._true() + seconds)


async def fail(service: Replica, times: int, username: str = "user", address: str = HERE) -> None:
    for _ in range(times):
        assert (await service.try_login(username, WRONG, address)).status_code == 401


async def status(service: Replica, username: str = "user", address: str = HERE) -> int:
    """Of a login with the right password."""
    return (await service.try_login(username, PASSWORD, address)).status_code


async def test_after_five_failures_even_the_right_password_is_429_with_retry_after(
    service: Replica,
) -> None:
    await fail(service, 5)
    for password in (WRONG, PASSWORD):
        reply = await service.try_login("user", password, HERE)
        assert (reply.status_code, reply.json()["code"]) == (429, 40029)
        assert QUARTER - 60 < int(reply.headers["retry-after"]) <= QUARTER


async def test_four_failures_lock_nothing(service: Replica) -> None:
    await fail(service, 4)
    assert await status(service) == 200


async def test_the_lock_is_of_this_account_for_this_address(service: Replica) -> None:
    await fail(service, 5)
    assert await status(service, address=ELSEWHERE) == 200
    assert await status(service, username="other") == 200
    assert await status(service) == 429


async def test_capitals_are_no_other_account(service: Replica) -> None:
    for username in ("user", "USER", "User", "uSER", "useR"):
        await fail(service, 1, username)
    assert await status(service) == 429


async def test_of_many_attempts_at_once_five_get_a_verdict(
    service: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = []
    checkpw = bcrypt.checkpw

    def counting(password: bytes, hashed: bytes) -> bool:
        verdicts.append(hashed)
        return checkpw(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    replies = await asyncio.gather(*(service.try_login("user", WRONG, HERE) for _ in range(25)))
    assert Counter(reply.status_code for reply in replies) == {401: 5, 429: 20}
    assert len(verdicts) == 5


async def test_a_hundred_failures_lock_the_account_for_everybody(service: Replica) -> None:
    for host in range(10, 30):
        await fail(service, 5, address=f"198.51.100.{host}")
    reply = await service.try_login("user", PASSWORD, HERE)
    assert reply.status_code == 429
    assert QUARTER - 60 < int(reply.headers["retry-after"]) <= QUARTER
    assert await status(service, username="other") == 200


async def test_ninety_nine_failures_lock_it_for_nobody_new(service: Replica) -> None:
    for host in range(10, 29):
        await fail(service, 5, address=f"198.51.100.{host}")
    await fail(service, 4, address="198.51.100.29")
    assert await status(service) == 200
    await fail(service, 1, address="198.51.100.30")
    assert await status(service, address="198.51.100.31") == 429


async def test_addresses_of_one_ipv6_subscriber_are_one(service: Replica) -> None:
    for host in (":1", ":2", "ffff:ffff:ffff:ffff", "abcd::", "0:0:1:0"):
        await fail(service, 1, address=f"2001:db8:1:2:{host}")
    assert await status(service, address="2001:db8:1:2:3::4") == 429
    assert await status(service, address="2001:db8:1:3::1") == 200


async def test_an_ipv4_address_in_ipv6_clothes_is_itself(service: Replica) -> None:
    await fail(service, 5, address=f"::ffff:{HERE}")
    assert await status(service) == 429
    assert await status(service, address=f"::ffff:{ELSEWHERE}") == 200


async def test_the_lock_holds_on_every_replica(shared_redis: FakeServer, serve: Serve) -> None:
    proxies = {"TRUSTED_PROXIES": "203.0.113.0/24"}
    async with serve(**proxies) as one, serve(**proxies) as two:
        await fail(one, 3)
        await fail(two, 2)
        assert await status(one) == 429
        assert await status(two) == 429


async def test_the_lock_ends_after_fifteen_minutes(service: Replica, later: Later) -> None:
    await fail(service, 5)
    later.by(QUARTER - 30)
    assert await status(service) == 429
    later.by(QUARTER + 1)
    assert await status(service) == 200


async def test_attempts_at_a_locked_account_do_not_lengthen_its_lock(
    service: Replica, later: Later
) -> None:
    await fail(service, 5)
    later.by(QUARTER - 30)
    for _ in range(10):
        assert (await service.try_login("user", WRONG, HERE)).status_code == 429
    later.by(QUARTER + 1)
    assert await status(service) == 200


async def test_the_fifteen_minutes_begin_with_the_fifth_failure(
    service: Replica, later: Later
) -> None:
    await fail(service, 4)
    later.by(QUARTER - 60)
    await fail(service, 1)
    later.by(QUARTER + 600)
    assert await status(service) == 429
    later.by(2 * QUARTER)
    assert await status(service) == 200


async def test_failures_of_more_than_fifteen_minutes_ago_are_forgotten(
    service: Replica, later: Later
) -> None:
    await fail(service, 4)
    later.by(QUARTER + 1)
    await fail(service, 4)
    assert await status(service) == 200


async def test_a_success_forgives_the_failures_of_its_address(service: Replica) -> None:
    for _ in range(4):
        await fail(service, 4)
        assert await status(service) == 200


async def test_a_success_elsewhere_forgives_nothing_here(service: Replica) -> None:
    await fail(service, 4)
    assert await status(service, address=ELSEWHERE) == 200
    await fail(service, 1)
    assert await status(service) == 429


async def test_successes_do_not_wear_the_account_out(
    service: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_lock, "FAILURES_PER_ACCOUNT", 10)
    for _ in range(15):
        assert await status(service) == 200


async def test_guesses_at_the_current_password_count_too(service: Replica) -> None:
    headers = (await service.login()).headers | {"X-Forwarded-For": HERE}
    body = {"current_password": WRONG, "new_password": "a new horse and its staple"}
    statuses = [
        (await service.http.post("/v1/auth/password", json=body, headers=headers)).status_code
        for _ in range(6)
    ]
    assert statuses == [403] * 5 + [429]
    assert await status(service) == 429
    assert await status(service, address=ELSEWHERE) == 200


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("Connection refused"),
        RedisTimeout("no answer"),
        ReadOnlyError("You can't write against a read only replica."),
        OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        ResponseError("MISCONF Redis is configured to save RDB snapshots, but it cannot"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_without_redis_nobody_logs_in_and_nobody_is_told_a_wrong_401(
    service: Replica, monkeypatch: pytest.MonkeyPatch, error: RedisError
) -> None:
    someone = await service.login()

    async def fails(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr(service.services.accounts._lock, "_admit", fails)
    sessions = await service.rows("login_sessions")
    for username, password in (("user", PASSWORD), ("user", WRONG), ("nobody", PASSWORD)):
        reply = await service.try_login(username, password, HERE)
        assert (reply.status_code, reply.json()["code"]) == (503, 50003)
        assert reply.json()["data"] is None
    body = {"current_password": PASSWORD, "new_password": "a new horse and its staple"}
    reply = await service.http.post("/v1/auth/password", json=body, headers=someone.headers)
    assert reply.status_code == 503
    assert await service.rows("login_sessions") == sessions


async def test_who_is_logged_in_already_does_not_need_redis(
    shared_redis: FakeServer, service: Replica
) -> None:
    someone = await service.login()
    shared_redis.connected = False
    assert await status(service) == 503
    assert await service.me(someone.access_token) == 200
    assert (await service.try_refresh(someone.refresh_token)).status_code == 200


@pytest.mark.parametrize("password", [PASSWORD, WRONG])
async def test_an_attempt_that_the_database_leaves_without_a_verdict_is_no_failure(
    service: Replica, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    async def fails(*_: object) -> Any:
        raise OperationalError("SELECT 1", {}, ConnectionResetError())

    with monkeypatch.context() as patch:
        patch.setattr(accounts, "_unchanged", fails)
        for _ in range(8):
            assert (await service.try_login("user", password, HERE)).status_code == 503
    await fail(service, 4)
    assert await status(service) == 200


@pytest.fixture
def one_thread_and_one_waiting(monkeypatch: pytest.MonkeyPatch, fast_bcrypt: None) -> None:
    monkeypatch.setattr(passwords, "WAITING_PER_THREAD", 1)
    monkeypatch.setattr(HASHER, partial(PasswordHasher, cost=FAST, threads=1))


async def test_a_crowd_before_the_hasher_is_503_and_no_failure(
    one_thread_and_one_waiting: None, service: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    checkpw = bcrypt.checkpw

    def slow(password: bytes, hashed: bytes) -> bool:
        go_on.wait(60)
        return checkpw(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    limiter = service.services.accounts._hasher._limiter
    crowd = [asyncio.create_task(service.try_login("other", PASSWORD, HERE)) for _ in range(2)]
    with anyio.fail_after(30):
        while limiter.statistics().tasks_waiting < 1:
            await anyio.lowlevel.checkpoint()
    for _ in range(8):
        reply = await service.try_login("user", PASSWORD, HERE)
        assert (reply.status_code, reply.json()["code"]) == (503, 50003)
        assert int(reply.headers["retry-after"]) >= 1
    body = {"username": "new", "password": PASSWORD}
    assert (await service.http.post("/v1/auth/register", json=body)).status_code == 503
    go_on.set()
    assert [reply.status_code for reply in await asyncio.gather(*crowd)] == [200, 200]
    await fail(service, 4)
    assert await status(service) == 200
