"""Two replicas at the same moment: one of them wins, and nothing is left half done."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import bcrypt
import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from internal.core.caller import OPERATOR, Role
from internal.core.clock import utc_now
from internal.schemas.users import UserChange
from tests.security.accounts import PASSWORD, Person, Replica, person
from tests.security.replicas.conftest import Pair

pytestmark = pytest.mark.anyio

ROUNDS = 100
NEW_PASSWORD = "another horse, another staple"
WRONG = "wrong horse battery staple"


async def sessions_of(service: Replica, username: str) -> list[dict[str, Any]]:
    (user_id,) = [row["id"] for row in await service.rows("users") if row["username"] == username]
    return [row for row in await service.rows("login_sessions") if row["user_id"] == user_id]


async def is_dead(service: Replica, someone: Person) -> bool:
    service.services.sessions.forget_all()
    access = await service.me(someone.access_token)
    refresh = (await service.try_refresh(someone.refresh_token)).status_code
    return (access, refresh) == (401, 401)


async def test_of_two_refreshes_at_once_one_wins_a_hundred_times_and_the_family_lives(
    pair: Pair, username: str
) -> None:
    here, there = pair
    someone = await here.login(username)
    for _ in range(ROUNDS):
        replies = await asyncio.gather(
            here.try_refresh(someone.refresh_token), there.try_refresh(someone.refresh_token)
        )
        assert sorted(reply.status_code for reply in replies) == [200, 409]
        someone = person(min(replies, key=lambda reply: reply.status_code))
    for service in pair:
        assert await service.me(someone.access_token) == 200
    (session,) = await sessions_of(here, username)
    assert session["ended_at"] is None
    tokens = [
        row for row in await here.rows("refresh_tokens") if row["session_id"] == session["id"]
    ]
    assert len(tokens) == ROUNDS + 1
    assert [row["spent_at"] for row in tokens].count(None) == 1


async def test_a_thief_and_the_owner_at_once_leave_no_living_session(
    pair: Pair, username: str
) -> None:
    here, there = pair
    for _ in range(10):
        old = await here.login(username)
        newest = person(await here.try_refresh(old.refresh_token))
        await here.set_all(
            "refresh_tokens",
            where=lambda table: table.c.spent_at.is_not(None),
            spent_at=utc_now() - timedelta(seconds=11),
        )
        thief, owner = await asyncio.gather(
            here.try_refresh(old.refresh_token), there.try_refresh(newest.refresh_token)
        )
        assert thief.status_code == 401
        assert owner.status_code in (200, 401)
        assert await is_dead(there, person(owner) if owner.status_code == 200 else newest)
    assert all(row["ended_at"] for row in await sessions_of(here, username))


async def test_a_session_that_is_read_while_it_ends_by_reuse_is_dead_once_it_has_ended(
    pair: Pair, username: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _there = pair
    old = await here.login(username)
    newest = person(await here.try_refresh(old.refresh_token))
    await here.set_all(
        "refresh_tokens",
        where=lambda table: table.c.spent_at.is_not(None),
        spent_at=utc_now() - timedelta(seconds=11),
    )
    sessions, before_the_commit = here.services.sessions, []
    judge = sessions._judge_reuse

    async def judge_and_be_read(*arguments: Any) -> Any:
        verdict = await judge(*arguments)
        before_the_commit.append(await here.me(newest.access_token))
        return verdict

    monkeypatch.setattr(sessions, "_judge_reuse", judge_and_be_read)
    assert (await here.try_refresh(old.refresh_token)).status_code == 401
    assert before_the_commit == [200]
    assert await here.me(newest.access_token) == 401


async def test_a_login_and_a_new_password_at_once_leave_no_session_of_the_old_one(
    pair: Pair, username: str
) -> None:
    here, there = pair
    outcomes: Counter[int] = Counter()
    for _ in range(15):
        await here.services.users.reset_password(OPERATOR, username, PASSWORD)
        await here.resources.redis.flushdb()  # the failures of earlier rounds
        login, _user = await asyncio.gather(
            here.try_login(username),
            there.services.users.reset_password(OPERATOR, username, NEW_PASSWORD),
        )
        outcomes[login.status_code] += 1
        assert all(row["ended_at"] for row in await sessions_of(here, username))
        if login.status_code == 200:
            assert await is_dead(there, person(login))
    assert set(outcomes) <= {200, 401}


class Pause:
    """Stops one transaction at a point, until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.may_go_on.wait()


async def overtaken(
    request: Awaitable[httpx.Response], pause: Pause, by: Awaitable[object]
) -> httpx.Response:
    """The reply to a request during which something else was done from its start to its end."""
    task = asyncio.ensure_future(request)
    with anyio.fail_after(60):
        await pause.reached.wait()
        await by
        pause.may_go_on.set()
        return await task


@pytest.mark.parametrize("change", ["disable", "reset", "logout"])
async def test_a_refresh_that_a_revocation_overtakes_gives_tokens_that_are_dead(
    pair: Pair,
    username: str,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    here, there = pair
    someone = await there.login(username)
    (session,) = await sessions_of(there, username)
    users = there.services.users
    changes: dict[str, Callable[[], Awaitable[object]]] = {
        "disable": lambda: users.update(OPERATOR, session["user_id"], UserChange(disabled=True)),
        "reset": lambda: users.reset_password(OPERATOR, username, NEW_PASSWORD),
        "logout": lambda: there.http.post("/v1/auth/logout", headers=someone.headers),
    }
    pause, sessions = Pause(), here.services.sessions
    issue = sessions._issue

    async def issue_later(*arguments: Any) -> Any:
        await pause()
        return await issue(*arguments)

    monkeypatch.setattr(sessions, "_issue", issue_later)
    reply = await overtaken(here.try_refresh(someone.refresh_token), pause, changes[change]())
    assert reply.status_code in (200, 401)
    for service in pair:
        assert await is_dead(service, person(reply) if reply.status_code == 200 else someone)
    (session,) = await sessions_of(here, username)
    assert session["ended_at"] is not None


async def test_a_new_password_waits_for_a_login_that_has_begun_and_ends_its_session(
    pair: Pair, username: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = pair
    pause, sessions = Pause(), here.services.sessions
    start = sessions.start

    async def start_later(session: AsyncSession, user: Any) -> Any:
        await pause()
        return await start(session, user)

    monkeypatch.setattr(sessions, "start", start_later)
    login = asyncio.ensure_future(here.try_login(username))
    with anyio.fail_after(60):
        await pause.reached.wait()
        reset = asyncio.ensure_future(
            there.services.users.reset_password(OPERATOR, username, NEW_PASSWORD)
        )
        done, _ = await asyncio.wait([reset], timeout=0.5)
        assert not done  # the login holds the user's row
        pause.may_go_on.set()
        reply = await login
        await reset
    assert await is_dead(there, person(reply))
    assert all(row["ended_at"] for row in await sessions_of(here, username))


async def test_of_two_admins_who_demote_each_other_at_once_one_stays(pair: Pair) -> None:
    names = ("admin-here", "admin-there")
    for service, name in zip(pair, names, strict=True):
        await service.register(name)
    here, there = pair
    ids = {row["username"]: row["id"] for row in await here.rows("users")}
    ours = [ids[name] for name in names]
    for _ in range(10):
        for each in ours:
            await here.services.users.update(OPERATOR, each, UserChange(role=Role.ADMIN))
        there.services.sessions.forget_all()
        people = [await s.login(name) for s, name in zip(pair, names, strict=True)]
        replies = await asyncio.gather(
            *(
                service.http.patch(f"/v1/users/{other}", json={"role": "user"}, headers=one.headers)
                for service, one, other in zip(pair, people, reversed(ours), strict=True)
            )
        )
        assert min(reply.status_code for reply in replies) == 200
        assert max(reply.status_code for reply in replies) in (401, 403)
        roles = [row["role"] for row in await here.rows("users") if row["id"] in ours]
        assert sorted(roles) == ["admin", "user"]


async def test_of_two_registrations_of_one_name_at_once_one_wins(pair: Pair) -> None:
    for number in range(20):
        body = {"username": f"twin-{number}", "password": PASSWORD}
        replies = await asyncio.gather(
            *(service.http.post("/v1/auth/register", json=body) for service in pair)
        )
        assert sorted(reply.status_code for reply in replies) == [201, 409]


async def test_of_many_attempts_at_once_on_two_replicas_five_get_a_verdict(
    pair: Pair, username: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = []
    checkpw = bcrypt.checkpw

    def counting(password: bytes, hashed: bytes) -> bool:
        verdicts.append(hashed)
        return checkpw(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    replies = await asyncio.gather(
        *(service.try_login(username, WRONG) for service in pair for _ in range(15))
    )
    assert Counter(reply.status_code for reply in replies) == {401: 5, 429: 25}
    assert len(verdicts) == 5
    for service in pair:
        assert (await service.try_login(username)).status_code == 429
