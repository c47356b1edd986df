"""What ends a session holds at once on the replica that did it, and within two seconds on all."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from internal.core.caller import OPERATOR, Caller, CallerKind, Role
from internal.core.clock import utc_now
from internal.core.errors import Forbidden
from internal.schemas.users import UserChange
from tests.security.accounts import PASSWORD, Person, Replica, person
from tests.security.clock import Clock
from tests.security.conftest import Serve

pytestmark = pytest.mark.anyio

type Revoke = Callable[[Replica, Person], Awaitable[None]]

NEW_PASSWORD = "another horse, another staple"


async def log_out(service: Replica, someone: Person) -> None:
    reply = await service.http.post("/v1/auth/logout", headers=someone.headers)
    assert reply.status_code == 200


async def log_out_everywhere(service: Replica, someone: Person) -> None:
    reply = await service.http.post("/v1/auth/logout-everywhere", headers=someone.headers)
    assert reply.status_code == 200


async def change_password(service: Replica, someone: Person) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    reply = await service.http.post("/v1/auth/password", json=body, headers=someone.headers)
    assert reply.status_code == 200


async def disable(service: Replica, someone: Person) -> None:
    await change_user(service, {"disabled": True})


async def change_role(service: Replica, someone: Person) -> None:
    await change_user(service, {"role": "admin"})


async def change_user(service: Replica, change: dict[str, object]) -> None:
    admin = await service.login("admin")
    path = f"/v1/users/{service.populated.ids['user']}"
    reply = await service.http.patch(path, json=change, headers=admin.headers)
    assert reply.status_code == 200, reply.text


async def reset_password(service: Replica, someone: Person) -> None:
    await service.services.users.reset_password(OPERATOR, "user", NEW_PASSWORD)


async def use_a_refresh_token_twice(service: Replica, someone: Person) -> None:
    assert (await service.try_refresh(someone.refresh_token)).status_code == 200
    await service.set_all("refresh_tokens", spent_at=utc_now() - timedelta(seconds=11))
    assert (await service.try_refresh(someone.refresh_token)).status_code == 401


REVOCATIONS: list[Revoke] = [
    log_out,
    log_out_everywhere,
    change_password,
    disable,
    change_role,
    reset_password,
    use_a_refresh_token_twice,
]
every_revocation = pytest.mark.parametrize(
    "revoke", REVOCATIONS, ids=lambda revoke: revoke.__name__
)


@every_revocation
async def test_a_revocation_holds_at_once_on_the_replica_that_did_it(
    service: Replica, revoke: Revoke
) -> None:
    someone = await service.login()
    assert await service.me(someone.access_token) == 200
    await revoke(service, someone)
    assert await service.me(someone.access_token) == 401


@every_revocation
async def test_a_revocation_holds_on_another_replica_when_two_seconds_are_over(
    serve: Serve, clock: Clock, revoke: Revoke
) -> None:
    async with serve() as here, serve() as there:
        someone = await here.login()
        assert await there.me(someone.access_token) == 200
        await revoke(here, someone)
        clock.seconds = 1.99
        assert await there.me(someone.access_token) == 200
        clock.seconds = 2.01
        assert await there.me(someone.access_token) == 401


@every_revocation
async def test_a_revocation_holds_at_once_where_the_session_was_never_seen(
    serve: Serve, clock: Clock, revoke: Revoke
) -> None:
    async with serve() as here, serve() as there:
        someone = await here.login()
        await revoke(here, someone)
        assert await there.me(someone.access_token) == 401


async def test_a_busy_session_is_refused_on_another_replica_in_real_time_too(serve: Serve) -> None:
    async with serve() as here, serve() as there:
        someone = await here.login()
        assert await there.me(someone.access_token) == 200
        await log_out(here, someone)
        revoked = time.monotonic()
        while await there.me(someone.access_token) == 200:
            assert time.monotonic() - revoked < 10
            await asyncio.sleep(0.02)


AFTERWARDS: list[tuple[Revoke, int]] = [
    (log_out, 401),
    (log_out_everywhere, 401),
    (change_password, 401),
    (disable, 401),
    (reset_password, 401),
    (use_a_refresh_token_twice, 401),
    (change_role, 200),
]


@pytest.mark.parametrize(
    ("revoke", "status"), AFTERWARDS, ids=[revoke.__name__ for revoke, _ in AFTERWARDS]
)
async def test_a_refresh_after_it_is_refused_except_after_a_new_role(
    service: Replica, revoke: Revoke, status: int
) -> None:
    someone = await service.login()
    newest = person(await service.try_refresh(someone.refresh_token))
    await revoke(service, newest)
    before = len(await service.rows("refresh_tokens"))
    reply = await service.try_refresh(newest.refresh_token)
    assert reply.status_code == status
    issued = len(await service.rows("refresh_tokens")) - before
    assert issued == (1 if status == 200 else 0)


async def test_a_user_whose_row_is_deleted_is_nobody(service: Replica) -> None:
    someone = await service.login()
    await service.set_all("users", deleted_at=utc_now())
    service.services.sessions.forget_all()
    assert await service.me(someone.access_token) == 401
    assert (await service.try_refresh(someone.refresh_token)).status_code == 401
    assert (await service.try_login()).status_code == 401


async def test_a_new_role_holds_from_the_next_refresh_on(service: Replica) -> None:
    someone = await service.login()
    await change_role(service, someone)
    promoted = person(await service.try_refresh(someone.refresh_token))
    assert (await service.http.get("/v1/users", headers=promoted.headers)).status_code == 200
    await change_user(service, {"role": "user"})
    assert (await service.http.get("/v1/users", headers=promoted.headers)).status_code == 401
    demoted = person(await service.try_refresh(promoted.refresh_token))
    assert (await service.http.get("/v1/users", headers=demoted.headers)).status_code == 403


async def test_a_role_that_is_given_and_taken_again_does_not_bring_old_tokens_back(
    service: Replica,
) -> None:
    someone = await service.login()
    await change_user(service, {"role": "admin"})
    await change_user(service, {"role": "user"})
    assert await service.me(someone.access_token) == 401


async def test_a_logout_ends_one_session_and_no_other(service: Replica) -> None:
    one, two, other = [await service.login(name) for name in ("user", "user", "other")]
    await log_out(service, one)
    assert await service.me(two.access_token) == 200
    assert await service.me(other.access_token) == 200
    assert (await service.try_refresh(two.refresh_token)).status_code == 200


@pytest.mark.parametrize(
    "revoke",
    [log_out_everywhere, change_password, disable, reset_password],
    ids=lambda revoke: revoke.__name__,
)
async def test_every_session_of_the_user_ends_and_no_other_users(
    service: Replica, revoke: Revoke
) -> None:
    one, two, other = [await service.login(name) for name in ("user", "user", "other")]
    await revoke(service, one)
    for ended in (one, two):
        assert await service.me(ended.access_token) == 401
        assert (await service.try_refresh(ended.refresh_token)).status_code == 401
    assert await service.me(other.access_token) == 200
    assert (await service.try_refresh(other.refresh_token)).status_code == 200


async def test_an_account_that_is_enabled_again_has_none_of_its_old_sessions(
    service: Replica,
) -> None:
    someone = await service.login()
    await change_user(service, {"disabled": True})
    assert (await service.try_login()).status_code == 401
    await change_user(service, {"disabled": False})
    assert await service.me(someone.access_token) == 401
    assert (await service.try_refresh(someone.refresh_token)).status_code == 401
    assert await service.me((await service.login()).access_token) == 200


async def test_a_changed_password_gives_the_one_who_changed_it_a_session_of_its_own(
    service: Replica,
) -> None:
    someone = await service.login()
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    reply = await service.http.post("/v1/auth/password", json=body, headers=someone.headers)
    changed = person(reply)
    assert await service.me(changed.access_token) == 200
    assert (await service.try_refresh(changed.refresh_token)).status_code == 200
    assert (await service.try_login()).status_code == 401
    assert (await service.try_login(password=NEW_PASSWORD)).status_code == 200


async def test_a_change_that_touches_no_right_ends_nothing(service: Replica) -> None:
    someone = await service.login()
    await change_user(service, {"display_name": "Ada", "role": "user", "disabled": False})
    assert await service.me(someone.access_token) == 200


async def test_a_new_name_makes_nobody_be_looked_up_again(clock: Clock, service: Replica) -> None:
    """It is no revocation, and anybody may have one 600 times a minute."""
    someone, other = await service.login(), await service.login("other")
    assert await service.me(other.access_token) == 200
    path = f"/v1/users/{service.populated.ids['user']}"
    body = {"display_name": "Ada"}
    reply = await service.http.patch(path, json=body, headers=someone.headers)
    assert reply.status_code == 200
    await service.set_all("login_sessions", ended_at=utc_now())
    assert await service.me(other.access_token) == 200
    clock.seconds = 2.01
    assert await service.me(other.access_token) == 401


type Happening = Callable[[Replica], Awaitable[object]]


def right_after_the_password_was_verified(service: Replica, happening: Happening) -> None:
    """Lets something happen between the verdict on the next password and what is done with it."""
    hasher = service.services.accounts._hasher
    verify = hasher.verify

    async def verify_and_then(password: str, password_hash: str | None) -> bool:
        hasher.verify = verify  # type: ignore[method-assign]
        matches = await verify(password, password_hash)
        await happening(service)
        return matches

    hasher.verify = verify_and_then  # type: ignore[method-assign]


async def living_sessions(service: Replica) -> int:
    """Of the one called `user`."""
    theirs = service.populated.ids["user"]
    rows = await service.rows("login_sessions")
    return sum(row["ended_at"] is None and row["user_id"] == theirs for row in rows)


async def reset(service: Replica) -> None:
    await service.services.users.reset_password(OPERATOR, "user", NEW_PASSWORD)


@pytest.mark.parametrize(
    "happening",
    [reset, lambda service: change_user(service, {"disabled": True})],
    ids=["reset", "disable"],
)
async def test_a_login_that_a_change_overtakes_leaves_no_living_session(
    service: Replica, happening: Happening
) -> None:
    right_after_the_password_was_verified(service, happening)
    assert (await service.try_login()).status_code == 401
    assert await living_sessions(service) == 0


async def test_a_login_that_a_new_role_overtakes_has_the_new_role(service: Replica) -> None:
    right_after_the_password_was_verified(
        service, lambda service: change_user(service, {"role": "admin"})
    )
    someone = await service.login()
    assert (await service.http.get("/v1/users", headers=someone.headers)).status_code == 200


@pytest.mark.parametrize(
    ("happening", "password"),
    [
        (reset, NEW_PASSWORD),
        (lambda service: change_user(service, {"disabled": True}), PASSWORD),
    ],
    ids=["reset", "disable"],
)
async def test_a_new_password_that_another_change_overtakes_is_refused(
    service: Replica, happening: Happening, password: str
) -> None:
    someone = await service.login()
    right_after_the_password_was_verified(service, happening)
    body = {"current_password": PASSWORD, "new_password": "a third horse and its staple"}
    reply = await service.http.post("/v1/auth/password", json=body, headers=someone.headers)
    assert reply.status_code == 403
    assert await living_sessions(service) == 0
    await change_user(service, {"disabled": False})
    assert (await service.try_login(password=password)).status_code == 200


@pytest.mark.parametrize("change", [{"role": Role.USER}, {"disabled": True}])
async def test_of_two_admins_who_take_each_others_rights_at_once_one_stays(
    service: Replica, change: dict[str, object]
) -> None:
    """Both have passed the door before either is done."""
    await change_user(service, {"role": "admin"})
    ids, users = service.populated.ids, service.services.users
    one, two = (Caller(CallerKind.USER, ids[name], role=Role.ADMIN) for name in ("admin", "user"))
    await users.update(one, ids["user"], UserChange.model_validate(change))
    with pytest.raises(Forbidden):
        await users.update(two, ids["admin"], UserChange.model_validate(change))
    assert (await service.try_login("admin")).status_code == 200


async def test_who_loses_the_role_while_a_password_is_hashed_makes_no_new_admin(
    service: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = service.services.users._hasher
    hash_password = hasher.hash

    async def hash_and_demote(password: str) -> str:
        await service.set_all("users", role="user")
        return await hash_password(password)

    headers = (await service.login("admin")).headers
    monkeypatch.setattr(hasher, "hash", hash_and_demote)
    body = {"username": "heir", "password": NEW_PASSWORD, "role": "admin"}
    reply = await service.http.post(
        "/v1/users", json=body, headers=headers | {"Idempotency-Key": "k"}
    )
    assert reply.status_code == 403
    assert "heir" not in {row["username"] for row in await service.rows("users")}
    assert await service.rows("idempotency_keys") == []
