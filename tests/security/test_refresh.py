"""A refresh token is spent once; who spends it again ends the session, or was only too late."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from internal.core.clock import utc_now
from internal.services import sessions
from tests.security.accounts import PASSWORD, Person, Replica, person
from tests.security.conftest import Serve

pytestmark = pytest.mark.anyio

ROUNDS = 100


async def refreshed(service: Replica, someone: Person) -> Person:
    return person(await service.try_refresh(someone.refresh_token))


async def spent_long_ago(service: Replica) -> None:
    """What was spent was spent eleven seconds ago."""
    tokens = await service.rows("refresh_tokens")
    newest = max(row["id"] for row in tokens)
    await service.set_all(
        "refresh_tokens",
        where=lambda table: table.c.id < newest,
        spent_at=utc_now() - timedelta(seconds=11),
    )


async def test_a_refresh_gives_new_tokens_of_the_same_session(service: Replica) -> None:
    someone = await service.login()
    newer = await refreshed(service, someone)
    assert newer.refresh_token != someone.refresh_token
    assert await service.me(newer.access_token) == 200
    assert await service.me(someone.access_token) == 200
    assert len(await service.rows("login_sessions")) == 1


async def test_the_same_token_within_ten_seconds_is_409_and_gives_nothing(
    service: Replica,
) -> None:
    someone = await service.login()
    newer = await refreshed(service, someone)
    for _ in range(3):
        reply = await service.try_refresh(someone.refresh_token)
        assert reply.status_code == 409
        assert reply.json()["data"] is None
    assert len(await service.rows("refresh_tokens")) == 2
    assert await service.me(newer.access_token) == 200
    assert await service.me((await refreshed(service, newer)).access_token) == 200


async def test_the_same_token_later_ends_the_session_and_that_is_committed_with_the_401(
    service: Replica,
) -> None:
    someone = await service.login()
    newer = await refreshed(service, someone)
    await spent_long_ago(service)
    reply = await service.try_refresh(someone.refresh_token)
    assert reply.status_code == 401
    assert reply.json()["data"] is None
    (session,) = await service.rows("login_sessions")
    assert session["ended_at"] is not None
    for tokens in (someone, newer):
        assert await service.me(tokens.access_token) == 401
        assert (await service.try_refresh(tokens.refresh_token)).status_code == 401
    assert [row["action"] for row in await service.events()].count("session.reuse") == 1


@pytest.mark.parametrize(("seconds", "status"), [(9.999, 409), (10, 401)])
async def test_ten_seconds_are_the_line_between_the_two(
    service: Replica, monkeypatch: pytest.MonkeyPatch, seconds: float, status: int
) -> None:
    someone = await service.login()
    await refreshed(service, someone)
    spent = next(row["spent_at"] for row in await service.rows("refresh_tokens"))
    assert isinstance(spent, datetime)
    monkeypatch.setattr(sessions, "utc_now", lambda: spent + timedelta(seconds=seconds))
    assert (await service.try_refresh(someone.refresh_token)).status_code == status


async def test_a_token_of_any_age_in_the_family_ends_it(service: Replica) -> None:
    first = await service.login()
    second = await refreshed(service, first)
    third = await refreshed(service, second)
    await spent_long_ago(service)
    assert (await service.try_refresh(first.refresh_token)).status_code == 401
    assert (await service.try_refresh(third.refresh_token)).status_code == 401
    assert await service.me(third.access_token) == 401


async def test_a_session_that_ends_so_takes_no_other_with_it(service: Replica) -> None:
    one = await service.login()
    await refreshed(service, one)
    await spent_long_ago(service)
    two = await service.login()
    assert (await service.try_refresh(one.refresh_token)).status_code == 401
    assert await service.me(two.access_token) == 200


async def test_of_two_refreshes_at_once_one_wins_a_hundred_times_and_the_family_lives(
    service: Replica,
) -> None:
    """On two replicas and real servers: replicas/test_races.py."""
    someone = await service.login()
    for _ in range(ROUNDS):
        token = someone.refresh_token
        replies = await asyncio.gather(service.try_refresh(token), service.try_refresh(token))
        assert sorted(reply.status_code for reply in replies) == [200, 409]
        someone = person(min(replies, key=lambda reply: reply.status_code))
    assert await service.me(someone.access_token) == 200
    (session,) = await service.rows("login_sessions")
    assert session["ended_at"] is None
    tokens = await service.rows("refresh_tokens")
    assert len(tokens) == ROUNDS + 1
    assert [row["spent_at"] for row in tokens].count(None) == 1


async def test_of_many_refreshes_at_once_one_wins(service: Replica) -> None:
    someone = await service.login()
    replies = await asyncio.gather(*(service.try_refresh(someone.refresh_token) for _ in range(20)))
    assert Counter(reply.status_code for reply in replies) == {200: 1, 409: 19}


async def test_a_thief_and_the_owner_at_once_leave_no_living_session(service: Replica) -> None:
    """Whoever comes first: the old token of one ends the session of both."""
    for _ in range(10):
        old = await service.login()
        newest = await refreshed(service, old)
        await spent_long_ago(service)
        thief, owner = await asyncio.gather(
            service.try_refresh(old.refresh_token), service.try_refresh(newest.refresh_token)
        )
        assert thief.status_code == 401
        assert owner.status_code in (200, 401)
        last = person(owner) if owner.status_code == 200 else newest
        assert (await service.try_refresh(last.refresh_token)).status_code == 401
        assert await service.me(last.access_token) == 401
    sessions = await service.rows("login_sessions")
    assert all(row["ended_at"] for row in sessions)


async def test_a_token_of_an_ended_session_is_401_however_lately_it_was_spent(
    service: Replica,
) -> None:
    someone = await service.login()
    newer = await refreshed(service, someone)
    await service.http.post("/v1/auth/logout", headers=newer.headers)
    for tokens in (someone, newer):
        assert (await service.try_refresh(tokens.refresh_token)).status_code == 401
    assert "session.reuse" not in [row["action"] for row in await service.events()]


async def test_refreshing_does_not_lengthen_the_session(service: Replica) -> None:
    someone = await service.login()
    end = utc_now() + timedelta(seconds=100)
    await service.set_all("login_sessions", expires_at=end)
    reply = await service.try_refresh(someone.refresh_token)
    assert reply.json()["data"]["refresh_expires_in"] <= 100
    newer = person(reply)
    (session,) = await service.rows("login_sessions")
    assert session["expires_at"] == end
    await service.set_all("login_sessions", expires_at=utc_now())
    service.services.sessions.forget_all()
    assert (await service.try_refresh(newer.refresh_token)).status_code == 401
    assert await service.me(newer.access_token) == 401


async def test_a_session_that_is_remembered_as_open_still_ends_in_time(
    service: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    someone = await service.login()
    (session,) = await service.rows("login_sessions")
    assert await service.me(someone.access_token) == 200
    monkeypatch.setattr(sessions, "utc_now", lambda: session["expires_at"])
    assert await service.me(someone.access_token) == 401


@pytest.mark.parametrize("days", [1, 30, 365], ids=lambda days: f"REFRESH_TOKEN_EXPIRE_DAYS={days}")
async def test_a_session_lives_as_long_as_the_setting_says(serve: Serve, days: int) -> None:
    async with serve(REFRESH_TOKEN_EXPIRE_DAYS=days) as service:
        data = (await service.try_login()).json()["data"]
        assert days * 86_400 - 60 < data["refresh_expires_in"] <= days * 86_400
        (session,) = await service.rows("login_sessions")
        assert session["expires_at"] - session["created_at"] <= timedelta(days=days, seconds=1)


async def test_what_is_no_refresh_token_is_refused(service: Replica) -> None:
    someone = await service.login()
    (row,) = await service.rows("refresh_tokens")
    token = someone.refresh_token
    for wrong in (
        *("x", "0", "null", "' OR 1=1 -- ", "\0", "口", "%", "_" * 43),
        *(token[:-1], token + "=", token + " ", " " + token, token + "\0", token.swapcase()),
        *(someone.access_token[:256], row["token_hash"], str(row["id"]), "a" * 256),
    ):
        assert (await service.try_refresh(wrong)).status_code == 401, wrong
    for malformed in ("", "a" * 257, None, 7, [token], {"$ne": ""}):
        reply = await service.http.post("/v1/auth/refresh", json={"refresh_token": malformed})
        assert reply.status_code == 422, malformed
    assert await service.me(token) == 401
    assert (await service.try_refresh(token)).status_code == 200


async def test_a_refresh_token_has_256_bits_and_the_database_holds_nothing_to_log_in_with(
    serve: Serve, tmp_path: Path
) -> None:
    async with serve() as service:
        someone = await service.login()
        newer = await refreshed(service, someone)
        await service.http.post("/v1/auth/register", json={"username": "new", "password": PASSWORD})
    stored = b"".join(path.read_bytes() for path in (tmp_path / "var").rglob("*.sqlite3*"))
    assert len(someone.refresh_token) == 43
    assert b"refresh_tokens" in stored
    secrets = (
        *(someone.refresh_token, newer.refresh_token, someone.access_token, PASSWORD),
        *(key.secret for key in service.populated.keys.values()),
    )
    assert [secret for secret in secrets if secret.encode() in stored] == []
