"""How often one may knock: each caller, each address, and each address that fails."""

import re
from typing import NamedTuple

import httpx
import pytest
from fakeredis import FakeServer
from fastapi import APIRouter

from internal.controllers.doors import LimitedPublicRoute
from internal.core.envelope import Envelope
from internal.core.tokens import AccessClaims, TokenSigner
from internal.infra import rate_limits
from internal.infra.rate_limits import FixedWindow
from internal.infra.signing import SignedAuth
from tests.security.accounts import PASSWORD, Replica, bearer
from tests.security.clock import Clock
from tests.security.conftest import Serve
from tests.unit.http.serving import Lines

pytestmark = pytest.mark.anyio

PROXY = {"TRUSTED_PROXIES": "203.0.113.0/24"}
MINUTE = 60


class Told(NamedTuple):
    """What the two headers of the draft say: quota, window; remaining, seconds to the reset."""

    policy: str
    quota: int
    window: int
    remaining: int
    reset: int


def told(reply: httpx.Response) -> Told:
    policy = re.fullmatch(r'"(\w+)";q=(\d+);w=(\d+)', reply.headers["ratelimit-policy"])
    limit = re.fullmatch(r'"(\w+)";r=(\d+);t=(\d+)', reply.headers["ratelimit"])
    assert policy
    assert limit
    assert policy[1] == limit[1]
    return Told(policy[1], int(policy[2]), int(policy[3]), int(limit[2]), int(limit[3]))


def assert_is_429(reply: httpx.Response) -> None:
    assert (reply.status_code, reply.json()["code"]) == (429, 40029)
    assert 1 <= int(reply.headers["retry-after"]) <= MINUTE


async def get(service: Replica, token: str, address: str | None = None) -> httpx.Response:
    forwarded = {"X-Forwarded-For": address} if address else {}
    return await service.http.get("/v1/auth/me", headers=bearer(token) | forwarded)


async def test_a_caller_is_told_how_many_requests_are_left_and_then_refused(serve: Serve) -> None:
    async with serve(RATE_LIMIT_DEFAULT="3/minute") as service:
        token = (await service.login()).access_token
        for remaining in (2, 1, 0):
            reply = await get(service, token)
            assert reply.status_code == 200
            assert told(reply)[:4] == ("default", 3, MINUTE, remaining)
            assert 0 < told(reply).reset <= MINUTE
        refused = await get(service, token)
        assert_is_429(refused)
        assert told(refused)[:4] == ("default", 3, MINUTE, 0)


async def test_a_user_is_one_caller_with_every_session_and_from_every_address(
    serve: Serve,
) -> None:
    async with serve(RATE_LIMIT_DEFAULT="2/minute", **PROXY) as service:
        one, two = await service.login(), await service.login()
        other = await service.login("other")
        assert (await get(service, one.access_token, "198.51.100.1")).status_code == 200
        assert (await get(service, two.access_token, "198.51.100.2")).status_code == 200
        assert_is_429(await get(service, one.access_token, "198.51.100.3"))
        assert (await get(service, other.access_token, "198.51.100.1")).status_code == 200


async def test_what_is_refused_for_other_reasons_counts_and_tells_too(serve: Serve) -> None:
    async with serve(RATE_LIMIT_DEFAULT="4/minute") as service:
        headers = (await service.login()).headers
        own = f"/v1/users/{service.populated.ids['user']}"
        for remaining, (method, path, json, status) in enumerate(
            [
                ("GET", "/v1/users", None, 403),
                ("GET", "/v1/users/1", None, 404),
                ("PATCH", own, {"id": 1}, 422),
                ("PATCH", own, {"role": "admin"}, 403),
            ]
        ):
            reply = await service.http.request(method, path, json=json, headers=headers)
            assert reply.status_code == status
            assert told(reply).remaining == 3 - remaining
        assert_is_429(await service.http.get(own, headers=headers))


async def test_an_api_client_is_a_caller_of_its_own(serve: Serve) -> None:
    async with serve(RATE_LIMIT_DEFAULT="2/minute") as service:
        keys = service.populated.keys
        for status in (200, 200, 429):
            reply = await service.http.get("/v1/internal/whoami", auth=keys["scoped"].auth)
            assert reply.status_code == status
        reply = await service.http.get("/v1/internal/whoami", auth=keys["scopeless"].auth)
        assert reply.status_code == 200


async def test_every_window_of_a_policy_is_told_and_holds(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(RATE_LIMIT_DEFAULT="2/second;3/minute") as service:
        token = (await service.login()).access_token
        clock = Clock(1000)
        monkeypatch.setattr(rate_limits, "time", clock)
        replies = [await get(service, token) for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        policy = replies[0].headers["ratelimit-policy"]
        assert policy == '"default-1s";q=2;w=1, "default-60s";q=3;w=60'
        limit = re.sub(r";t=\d+", "", replies[0].headers["ratelimit"])
        assert limit == '"default-1s";r=1, "default-60s";r=2'
        assert replies[2].headers["retry-after"] == "1"
        clock.seconds += MINUTE + 1
        assert (await get(service, token)).status_code == 200


ATTEMPTS = [
    ("/v1/auth/login", {"username": "user", "password": PASSWORD}, 200),
    ("/v1/auth/login", {"username": "user", "password": "wrong horse battery staple"}, 401),
    ("/v1/auth/register", {"username": "new", "password": PASSWORD}, 201),
    ("/v1/auth/refresh", {"refresh_token": "none"}, 401),
    ("/v1/auth/register", {"username": "!"}, 422),
]


async def attempt(service: Replica, address: str, index: int = 3) -> httpx.Response:
    path, body, _ = ATTEMPTS[index]
    return await service.http.post(path, json=body, headers={"X-Forwarded-For": address})


async def test_login_register_and_refresh_count_together_for_an_address(serve: Serve) -> None:
    async with serve(RATE_LIMIT_AUTH=f"{len(ATTEMPTS)}/minute", **PROXY) as service:
        for index, (path, _, status) in enumerate(ATTEMPTS):
            reply = await attempt(service, "198.51.100.1", index)
            assert reply.status_code == status, path
            remaining = len(ATTEMPTS) - index - 1
            assert told(reply)[:4] == ("auth", len(ATTEMPTS), MINUTE, remaining)
        for index in range(len(ATTEMPTS)):
            assert_is_429(await attempt(service, "198.51.100.1", index))
        assert (await attempt(service, "198.51.100.2", 0)).status_code == 200


async def test_a_change_of_password_counts_with_the_logins_of_its_address(serve: Serve) -> None:
    async with serve(RATE_LIMIT_AUTH="2/minute", RATE_LIMIT_DEFAULT="9/minute") as service:
        headers = (await service.login()).headers
        body = {"current_password": "wrong horse battery staple", "new_password": PASSWORD}
        reply = await service.http.post("/v1/auth/password", json=body, headers=headers)
        assert reply.status_code == 403
        policies = reply.headers.get_list("ratelimit-policy")
        assert sorted(policies) == ['"auth";q=2;w=60', '"default";q=9;w=60']
        assert_is_429(await service.http.post("/v1/auth/password", json=body, headers=headers))
        assert_is_429(await service.try_login())


async def test_the_limit_of_an_address_is_one_for_all_replicas(
    shared_redis: FakeServer, serve: Serve
) -> None:
    async with serve(RATE_LIMIT_AUTH="4/minute") as one, serve(RATE_LIMIT_AUTH="4/minute") as two:
        for service in (one, two, one, two):
            assert (await attempt(service, "")).status_code == 401
        for service in (one, two):
            assert_is_429(await attempt(service, ""))


@pytest.mark.parametrize(
    ("proxies", "forwarded", "last"),
    [
        ("", ["198.51.100.1", "198.51.100.2"], 429),
        ("192.0.2.0/24", ["198.51.100.1", "198.51.100.2"], 429),
        ("203.0.113.0/24", ["198.51.100.1", "198.51.100.2"], 401),
        ("203.0.113.0/24", ["1.1.1.1, 198.51.100.1", "2.2.2.2, 198.51.100.1"], 429),
        ("203.0.113.0/24", ["2001:db8:1:2::1", "2001:db8:1:2:ffff::2"], 429),
        ("203.0.113.0/24", ["2001:db8:1:2::1", "2001:db8:1:3::1"], 401),
        ("203.0.113.0/24", ["198.51.100.1", "::ffff:198.51.100.1"], 429),
    ],
    ids=["none", "not ours", "ours", "client's own word", "one /64", "two /64", "mapped"],
)
async def test_the_proxies_of_the_configuration_decide_whose_address_counts(
    serve: Serve, proxies: str, forwarded: list[str], last: int
) -> None:
    limits = {"RATE_LIMIT_AUTH": "1/minute", "RATE_LIMIT_DEFAULT": "1/minute"}
    async with serve(TRUSTED_PROXIES=proxies, **limits) as service:
        assert (await attempt(service, forwarded[0])).status_code == 401
        assert (await attempt(service, forwarded[1])).status_code == last
        assert (await get(service, "no token", forwarded[0])).status_code == 401
        assert (await get(service, "no token", forwarded[1])).status_code == last


async def test_an_address_that_fails_too_often_is_refused_before_any_work(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(RATE_LIMIT_DEFAULT="3/minute", **PROXY) as service:
        here, there = "198.51.100.1", "198.51.100.2"
        valid = (await service.login()).access_token
        for _ in range(3):
            assert (await get(service, "no token", here)).status_code == 401
        verified: list[str] = []
        verify = TokenSigner.verify

        def noting(signer: TokenSigner, token: str) -> AccessClaims:
            verified.append(token)
            return verify(signer, token)

        monkeypatch.setattr(TokenSigner, "verify", noting)
        for token in ("no token", valid):
            assert_is_429(await get(service, token, here))
        assert verified == []
        assert (await get(service, valid, there)).status_code == 200
        assert verified == [valid]


async def test_signatures_and_tokens_that_fail_count_together(serve: Serve) -> None:
    async with serve(RATE_LIMIT_DEFAULT="4/minute") as service:
        key = service.populated.keys["scoped"]
        wrong = SignedAuth(key.client_id, "wrong")
        for _ in range(2):
            reply = await service.http.get("/v1/internal/whoami", auth=wrong)
            assert reply.status_code == 401
            assert (await get(service, "no token")).status_code == 401
        assert_is_429(await service.http.get("/v1/internal/whoami", auth=wrong))
        assert_is_429(await service.http.get("/v1/internal/whoami", auth=key.auth))
        assert_is_429(await get(service, "no token"))


async def test_who_succeeds_uses_up_nothing_of_the_addresss_failures(serve: Serve) -> None:
    async with serve(RATE_LIMIT_DEFAULT="3/minute") as service:
        people = [await service.login(name) for name in ("user", "other", "admin")]
        for someone in people:
            assert await service.me(someone.access_token) == 200
        assert (await get(service, "no token")).status_code == 401
        assert await service.me(people[0].access_token) == 200


async def test_probes_are_not_limited(serve: Serve) -> None:
    async with serve(RATE_LIMIT_DEFAULT="1/minute", RATE_LIMIT_AUTH="1/minute") as service:
        for path in ("/livez", "/readyz", "/version"):
            for _ in range(5):
                reply = await service.http.get(path)
                assert reply.status_code == 200
                assert "ratelimit" not in reply.headers


async def test_where_redis_fails_refresh_and_register_pass_and_that_is_counted(
    shared_redis: FakeServer, serve: Serve, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    clock = Clock(1000)
    monkeypatch.setattr(rate_limits, "time", clock)

    def complaints() -> list[int]:
        return [line["failures"] for line in lines.all if line["logger"] == "rate_limits"]

    async with serve(RATE_LIMIT_AUTH="1/minute") as service:
        refresh_token = (await service.login()).refresh_token
        shared_redis.connected = False
        reply = await service.try_refresh(refresh_token)
        assert reply.status_code == 200
        assert "ratelimit" not in reply.headers
        assert (await attempt(service, "", 2)).status_code == 201
        assert (await attempt(service, "", 0)).status_code == 503
        assert service.resources.limits.auth.failures == 3
        assert complaints() == [1]
        clock.seconds += MINUTE - 1
        assert (await attempt(service, "")).status_code == 401
        assert complaints() == [1]
        clock.seconds += 1
        assert (await attempt(service, "")).status_code == 401
        assert complaints() == [1, 5]
        shared_redis.connected = True
        assert (await attempt(service, "")).status_code == 429


async def test_a_limited_public_route_counts_addresses(serve: Serve) -> None:
    router = APIRouter(route_class=LimitedPublicRoute)

    @router.get("/v1/public/words")
    async def words() -> Envelope[str]:
        return Envelope(data="hello")

    async with serve(router, RATE_LIMIT_DEFAULT="2/minute", **PROXY) as service:

        async def ask(address: str) -> httpx.Response:
            forwarded = {"X-Forwarded-For": address}
            return await service.http.get("/v1/public/words", headers=forwarded)

        replies = [await ask("198.51.100.7") for _ in range(3)]
        assert [reply.status_code for reply in replies] == [200, 200, 429]
        assert told(replies[0]) == ("default", 2, MINUTE, 1, MINUTE)
        assert_is_429(replies[2])
        assert (await ask("198.51.100.8")).status_code == 200
        assert (await ask("2001:db8::1")).status_code == 200
        assert (await ask("2001:db8::2")).status_code == 200
        assert (await ask("2001:db8::3")).status_code == 429  # one subscriber's
        assert (await service.http.get("/livez")).status_code == 200


def test_counters_of_many_callers_stay_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_WINDOWS", 100)
    limit = FixedWindow(1, MINUTE)
    for number in range(1000):
        limit.hit(f"failure:{number}")
    counted = [number for number in range(1000) if limit.seconds_until_room(f"failure:{number}")]
    assert counted == list(range(900, 1000))
