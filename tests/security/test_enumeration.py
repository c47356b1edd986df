"""Nobody learns from a login which accounts there are: not by its reply, and not by its work."""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager

import bcrypt
import httpx
import pytest
from sqlalchemy import event

from internal.core.clock import utc_now
from tests.security.accounts import PASSWORD, Replica
from tests.security.conftest import Serve

pytestmark = pytest.mark.anyio

TRACE_ID = "0123456789abcdef" * 2
WRONG = "wrong horse battery staple"

FAILURES = {
    "unknown": ("nobody", PASSWORD),
    "unknown, of the longest name": ("n" * 128, PASSWORD),
    "wrong password": ("user", WRONG),
    "wrong password of an admin": ("admin", WRONG),
    "an empty password": ("user", ""),
    "a password that nobody can have": ("user", "x" * 1024),
    "disabled": ("disabled", PASSWORD),
    "disabled, and a wrong password": ("disabled", WRONG),
    "deleted": ("other", PASSWORD),
    "in capitals": ("NOBODY", PASSWORD),
}


class Work:
    """What a request costs."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.costs: list[bytes] = []


@contextmanager
def work_of(service: Replica) -> Generator[Work]:
    work = Work()

    def count_statement(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        work.statements.append(statement)

    def counted(call: Callable[[bytes, bytes], object]) -> Callable[[bytes, bytes], object]:
        def counting(password: bytes, salt: bytes) -> object:
            work.costs.append(salt[:7])
            return call(password, salt)

        return counting

    engine = service.database.sync_engine
    event.listen(engine, "before_cursor_execute", count_statement)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bcrypt, "checkpw", counted(bcrypt.checkpw))
        patch.setattr(bcrypt, "hashpw", counted(bcrypt.hashpw))
        yield work
    event.remove(engine, "before_cursor_execute", count_statement)


async def attempt(service: Replica, username: str, password: str, address: str) -> httpx.Response:
    return await service.http.post(
        "/v1/auth/login",
        json={"username": username, "password": password},
        headers={"X-Trace-ID": TRACE_ID, "X-Forwarded-For": address},
    )


def told(reply: httpx.Response) -> tuple[object, ...]:
    """All of a reply that a stranger sees; of the seconds until a window's end no more than that
    they are there."""
    headers = [
        (name, re.sub(r";t=\d+", ";t", value)) for name, value in reply.headers.multi_items()
    ]
    return reply.status_code, headers, reply.content


async def delete(service: Replica, username: str) -> None:
    await service.set_all(
        "users", where=lambda table: table.c.username == username, deleted_at=utc_now()
    )


async def test_every_failed_login_is_the_same_reply_to_the_byte(serve: Serve) -> None:
    async with serve(TRUSTED_PROXIES="203.0.113.0/24") as service:
        await delete(service, "other")
        replies = {
            name: told(await attempt(service, *credentials, f"198.51.100.{index}"))
            for index, (name, credentials) in enumerate(FAILURES.items())
        }
        assert replies["unknown"][0] == 401
        assert b"wrong username or password" in replies["unknown"][2]  # type: ignore[operator]
        for name, reply in replies.items():
            assert reply == replies["unknown"], name


async def test_every_failed_login_is_the_same_work(service: Replica) -> None:
    await delete(service, "other")
    done: dict[str, Work] = {}
    for name, (username, password) in FAILURES.items():
        with work_of(service) as done[name]:
            assert (await service.try_login(username, password)).status_code == 401
    with work_of(service) as success:
        await service.login()
    assert len(done["unknown"].statements) > 0
    for name, work in done.items():
        assert work.costs == success.costs == [b"$2b$04$"], name
        assert work.statements == done["unknown"].statements, name


async def test_a_wrong_current_password_is_the_work_of_the_right_one(service: Replica) -> None:
    headers = (await service.login()).headers
    done: list[Work] = []
    for password, status in ((WRONG, 403), (PASSWORD, 200)):
        body = {"current_password": password, "new_password": "a new horse and its staple"}
        with work_of(service) as work:
            reply = await service.http.post("/v1/auth/password", json=body, headers=headers)
        assert reply.status_code == status
        done.append(work)
    wrong, right = done
    assert len(right.costs) == 2
    assert wrong.costs == right.costs


async def test_every_failed_login_leaves_the_same_kind_of_event(service: Replica) -> None:
    await delete(service, "other")
    before = len(await service.events())
    for username, password in FAILURES.values():
        await service.try_login(username, password)
    events = (await service.events())[before:]
    assert [row["action"] for row in events] == ["login.failure"] * len(FAILURES)
    assert {row["actor_kind"] for row in events} == {"anonymous"}
    assert {row["actor_id"] for row in events} == {None}
    assert {row["object_type"] for row in events} == {"username"}


@pytest.mark.parametrize("username", ["user", "disabled", "nobody"])
async def test_an_account_that_there_is_not_gets_locked_like_one_that_there_is(
    serve: Serve, username: str
) -> None:
    async with serve(TRUSTED_PROXIES="203.0.113.0/24") as service:
        replies = [await attempt(service, username, WRONG, "198.51.100.1") for _ in range(6)]
        assert [reply.status_code for reply in replies] == [401] * 5 + [429]
        with work_of(service) as work:
            reply = await attempt(service, username, PASSWORD, "198.51.100.1")
        assert reply.status_code == 429
        assert b"too many requests" in reply.content
        assert (work.statements, work.costs) == ([], [])


@pytest.mark.parametrize("username", ["user", "USER", "User", "disabled", "deleted"])
async def test_a_registration_of_a_taken_name_says_so_and_changes_nothing(
    service: Replica, username: str
) -> None:
    await service.set_all(
        "users",
        where=lambda table: table.c.username == "other",
        username="deleted",
        deleted_at=utc_now(),
    )
    users = await service.rows("users")
    with work_of(service) as work:
        body = {"username": username, "password": PASSWORD}
        reply = await service.http.post("/v1/auth/register", json=body)
    assert (reply.status_code, reply.json()["code"]) == (409, 40009)
    assert work.costs == [b"$2b$04$"]
    assert await service.rows("users") == users


async def test_where_registration_is_closed_it_tells_no_names_and_does_no_work(
    serve: Serve,
) -> None:
    async with serve(REGISTRATION_ENABLED=False) as service:
        replies = []
        with work_of(service) as work:
            for username in ("user", "nobody"):
                body = {"username": username, "password": PASSWORD}
                headers = {"X-Trace-ID": TRACE_ID}
                replies.append(
                    await service.http.post("/v1/auth/register", json=body, headers=headers)
                )
        assert {reply.status_code for reply in replies} == {403}
        assert len({reply.content for reply in replies}) == 1
        assert (work.statements, work.costs) == ([], [])
