"""`/ops`: who comes in, what another site can do, and what ends a session."""

import re
import time
from datetime import timedelta

import pytest
from httpx import Response
from sqlalchemy import Table

from internal.controllers.doors import OPERATOR_COOKIE
from internal.controllers.ops.assets import digest_of
from internal.core.caller import OPERATOR
from internal.core.clock import utc_now
from internal.dao.leases import LeaseDAO
from internal.infra.build import build_info
from internal.schemas.users import UserChange
from internal.services.scheduling import LEASE
from internal.services.sessions import OPERATOR_HOURS
from tests.security.accounts import PASSWORD, Replica, bearer, make_job
from tests.security.clock import Clock
from tests.security.conftest import Serve
from tests.unit.http.serving import public_router

pytestmark = pytest.mark.anyio

HOST = "ops.example"
OURS = {"Host": HOST, "Origin": f"https://{HOST}"}


async def try_login(
    service: Replica, username: str = "admin", password: str = PASSWORD, **headers: str
) -> Response:
    form = {"username": username, "password": password}
    return await service.http.post("/ops/login", data=form, headers=OURS | headers)


async def login(service: Replica) -> dict[str, str]:
    reply = await try_login(service)
    assert reply.status_code == 303, reply.text
    value = reply.headers["set-cookie"].partition(";")[0]
    service.http.cookies.clear()
    return OURS | {"Cookie": value}


async def see(service: Replica, headers: dict[str, str]) -> Response:
    return await service.http.get("/ops", headers=headers)


async def dead_job(service: Replica) -> int:
    job_id = await make_job(service.services, service.populated.ids["user"])

    def is_it(table: Table) -> object:
        return table.c.id == job_id

    await service.set_all("jobs", where=is_it, status="dead", error="boom")  # type: ignore[arg-type]
    return job_id


async def test_an_admin_comes_in_and_sees_a_page_that_nothing_else_may_frame_or_feed(
    service: Replica,
) -> None:
    page = await see(service, await login(service))
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-frame-options"] == "DENY"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


async def test_it_shows_the_pools_of_this_process(service: Replica) -> None:
    text = (await see(service, await login(service))).text
    settings = service.resources.settings
    for name, size in (
        ("database", settings.db_pool_size + settings.db_max_overflow),
        ("redis", settings.redis_pool_size),
    ):
        assert re.search(rf'<th scope="row">{name}</th><td>\d+</td><td>{size}</td>', text)


async def test_it_shows_health_version_queues_and_who_leads(service: Replica) -> None:
    headers = await login(service)
    await dead_job(service)
    async with service.services.unit_of_work.begin() as session:
        await LeaseDAO(session).insert(LEASE, "the-leader", timedelta(hours=1))
    text = " ".join(re.sub(r"<[^>]*>", " ", (await see(service, headers)).text).split())
    for shown in (
        f"Version {build_info().version}",
        *("database ok", "redis ok", "server ok"),
        "Outbox lag, seconds: ",
        "Scheduler&#39;s leader: the-leader",
        "default dead 1",
        "Dead jobs (1)",
    ):
        assert shown in text


async def test_it_plots_what_this_replica_has_served_and_says_that_it_is_this_one_alone(
    service: Replica,
) -> None:
    headers = await login(service)
    nothing = (await see(service, headers)).text
    assert "<polyline" not in nothing
    history = service.resources.history
    assert history is not None
    history.sample()
    for _ in range(2):
        await service.http.get("/livez")
        history.sample()
    text = (await see(service, headers)).text
    assert "Figures of this replica alone, all its processes: 1" in text
    assert text.count("<polyline") == 2
    assert re.search(r"Requests a second: newest [\d.]+, highest [\d.]+<", text)
    assert re.search(r"milliseconds at most: newest [\d.]+, highest [\d.]+<", text)
    assert "<bdi>GET /livez</bdi></td><td>2</td>" in text


async def test_where_nothing_is_counted_it_says_so(serve: Serve) -> None:
    async with serve(METRICS_ENABLED=False) as service:
        text = (await see(service, await login(service))).text
    assert "METRICS_ENABLED is off: nothing is counted." in text
    assert "Figures of one process of this replica alone" in text


async def test_the_cookie_is_sent_to_the_page_alone_and_no_script_reads_it(
    service: Replica,
) -> None:
    reply = await try_login(service)
    name_and_value, *attributes = reply.headers["set-cookie"].split("; ")
    assert name_and_value.startswith(f"{OPERATOR_COOKIE}=")
    assert {attribute.lower() for attribute in attributes} == {
        "httponly",
        "secure",
        "samesite=strict",
        "path=/ops",
        "max-age=28800",
    }
    assert reply.headers["location"] == "/ops"


async def test_a_user_who_is_no_admin_is_told_what_a_stranger_is(service: Replica) -> None:
    headers = {"X-Trace-ID": "ab" * 16}
    replies = [
        await try_login(service, name, password, **headers)
        for name, password in (("user", PASSWORD), ("admin", "x" * 12), ("nobody", "x" * 12))
    ]
    assert {reply.status_code for reply in replies} == {401}
    assert len({reply.content for reply in replies}) == 1
    assert all("set-cookie" not in reply.headers for reply in replies)
    actions = [event["action"] for event in await service.events()]
    assert actions[-3:] == ["login.failure"] * 3


async def test_failures_lock_the_api_and_the_page_alike(service: Replica) -> None:
    for _ in range(5):
        assert (await try_login(service, password="wrong wrong wrong")).status_code == 401
    assert (await try_login(service)).status_code == 429
    assert (await service.try_login("admin")).status_code == 429


async def test_attempts_are_limited_like_those_at_the_api(serve: Serve) -> None:
    async with serve(RATE_LIMIT_AUTH="2/minute") as service:
        found = [(await try_login(service)).status_code for _ in range(3)]
    assert found == [303, 303, 429]


FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": f"https://{HOST}.evil.example"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
)


@pytest.mark.parametrize("foreign", FOREIGN, ids=str)
async def test_another_site_changes_nothing(service: Replica, foreign: dict[str, str]) -> None:
    headers = await login(service)
    job_id = await dead_job(service)
    for path in (f"/ops/jobs/{job_id}/retry", "/ops/logout"):
        reply = await service.http.post(path, headers=headers | foreign)
        assert reply.status_code == 403
        assert reply.headers["content-type"].startswith("text/html")
    assert (await try_login(service, **foreign)).status_code == 403
    assert (await service.rows("jobs"))[-1]["status"] == "dead"
    assert (await see(service, headers)).status_code == 200


async def test_a_form_of_another_media_type_is_none(service: Replica) -> None:
    body = f"username=admin&password={PASSWORD}".replace(" ", "+")
    for media_type in ("text/plain", "multipart/form-data; boundary=x", "application/json"):
        headers = OURS | {"Content-Type": media_type}
        reply = await service.http.post("/ops/login", content=body, headers=headers)
        assert reply.status_code == 415


async def test_a_cookie_from_before_the_login_is_not_taken_over(service: Replica) -> None:
    planted = f"{OPERATOR_COOKIE}=planted"
    reply = await try_login(service, Cookie=planted)
    assert "planted" not in reply.headers["set-cookie"]
    assert (await see(service, OURS | {"Cookie": planted})).status_code == 303
    first, second = await login(service), await login(service)
    assert first["Cookie"] != second["Cookie"]


async def test_neither_credential_opens_the_others_door(service: Replica) -> None:
    cookie = (await login(service))["Cookie"].partition("=")[2]
    token = (await service.login("admin")).access_token
    assert await service.me(cookie) == 401
    assert (await see(service, OURS | bearer(token))).status_code == 303
    taken = OURS | {"Cookie": f"{OPERATOR_COOKIE}={token}"}
    assert (await see(service, taken)).status_code == 303
    reply = await service.http.get("/v1/auth/me", headers={"Cookie": f"{OPERATOR_COOKIE}={cookie}"})
    assert reply.status_code == 401


async def test_a_logout_ends_it_for_who_kept_the_cookie(service: Replica) -> None:
    headers = await login(service)
    reply = await service.http.post("/ops/logout", headers=headers)
    assert (reply.status_code, reply.headers["location"]) == (303, "/ops/login")
    assert "Max-Age=0" in reply.headers["set-cookie"]
    assert (await see(service, headers)).status_code == 303


async def test_a_logout_everywhere_ends_it(service: Replica) -> None:
    headers = await login(service)
    admin = await service.login("admin")
    await service.http.post("/v1/auth/logout-everywhere", headers=admin.headers)
    assert (await see(service, headers)).status_code == 303


async def test_a_new_password_ends_it(service: Replica) -> None:
    headers = await login(service)
    admin = await service.login("admin")
    body = {"current_password": PASSWORD, "new_password": "another horse, another staple"}
    reply = await service.http.post("/v1/auth/password", json=body, headers=admin.headers)
    assert reply.status_code == 200, reply.text
    assert (await see(service, headers)).status_code == 303


async def test_it_ends_after_eight_hours(service: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = await login(service)
    ends = time.time() + OPERATOR_HOURS * 3600
    monkeypatch.setattr(time, "time", lambda: ends - 60)
    assert (await see(service, headers)).status_code == 200
    monkeypatch.setattr(time, "time", lambda: ends + 6)
    assert (await see(service, headers)).status_code == 303


async def test_the_database_ends_it_too(clock: Clock, service: Replica) -> None:
    headers = await login(service)
    assert (await see(service, headers)).status_code == 200
    await service.set_all("login_sessions", expires_at=utc_now() - timedelta(seconds=1))
    clock.seconds += 2.01
    assert (await see(service, headers)).status_code == 303


async def test_the_audit_log_has_who_came_in_and_who_did_not(service: Replica) -> None:
    before = len(await service.events())
    await try_login(service, password="wrong wrong wrong")
    await try_login(service)
    failure, success = (await service.events())[before:]
    assert (failure["action"], success["action"]) == ("login.failure", "login.success")
    assert success["actor_id"] == service.populated.ids["admin"]
    assert PASSWORD not in str([failure, success])


@pytest.mark.parametrize("change", [{"role": "user"}, {"disabled": True}], ids=str)
async def test_who_is_no_admin_any_more_is_out(service: Replica, change: dict[str, object]) -> None:
    headers = await login(service)
    change_ = UserChange.model_validate(change)
    await service.services.users.update(OPERATOR, service.populated.ids["admin"], change_)
    assert (await see(service, headers)).status_code == 303


async def test_a_retry_puts_the_job_back_as_the_admin_who_asked(service: Replica) -> None:
    headers = await login(service)
    job_id = await dead_job(service)
    assert str(job_id) in (await see(service, headers)).text
    reply = await service.http.post(f"/ops/jobs/{job_id}/retry", headers=headers)
    assert (reply.status_code, reply.headers["location"]) == (303, "/ops")
    event = (await service.events())[-1]
    assert (event["action"], event["object_id"]) == ("job.retry", str(job_id))
    assert event["actor_id"] == service.populated.ids["admin"]
    again = await service.http.post("/ops/jobs/1/retry", headers=headers)
    assert again.status_code == 404
    assert again.headers["content-type"].startswith("text/html")


async def test_a_get_changes_nothing(service: Replica) -> None:
    headers = await login(service)
    job_id = await dead_job(service)
    for path in (f"/ops/jobs/{job_id}/retry", "/ops/logout"):
        assert (await service.http.get(path, headers=headers)).status_code == 405
    assert (await see(service, headers)).status_code == 200
    assert (await service.rows("jobs"))[-1]["status"] == "dead"


async def test_a_head_is_answered_as_a_get_would_be(service: Replica) -> None:
    """RFC 9110 §9.3.2. The server leaves out the body."""
    headers = await login(service)
    asset = f"/ops/assets/{digest_of('ops.css')}/ops.css"
    for path in ("/ops", "/ops/login", asset):
        get = await service.http.get(path, headers=headers)
        head = await service.http.head(path, headers=headers)
        assert (get.status_code, head.status_code) == (200, 200)
        for name in ("content-type", "cache-control", "vary"):
            assert head.headers.get(name) == get.headers.get(name)


async def test_a_login_sends_nobody_elsewhere(service: Replica) -> None:
    form = {"username": "admin", "password": PASSWORD}
    reply = await service.http.post("/ops/login?next=https://evil.example", data=form, headers=OURS)
    assert reply.headers["location"] == "/ops"


async def test_what_is_hostile_in_a_job_is_shown_as_text(service: Replica) -> None:
    headers = await login(service)
    await dead_job(service)
    hostile = "<script>alert(1)</script>\"'\n\u202e" + "x" * 10_000
    await service.set_all("jobs", error=hostile, kind="<img src=x>")
    text = (await see(service, headers)).text
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;" in text
    assert "x" * 1000 not in text


async def test_what_is_hostile_in_a_route_is_shown_as_text(serve: Serve) -> None:
    router = public_router()

    @router.get("/<img src=x>/broken")
    async def broken() -> None:
        raise ValueError

    async with serve(router) as service:
        headers = await login(service)
        history = service.resources.history
        assert history is not None
        history.sample()
        assert (await service.http.get("/<img src=x>/broken")).status_code == 500
        history.sample()
        text = (await see(service, headers)).text
    assert "<img" not in text
    assert text.count("GET /&lt;img src=x&gt;/broken") == 2  # the slowest routes, and the errors


async def test_it_speaks_chinese(service: Replica) -> None:
    headers = await login(service) | {"Accept-Language": "zh"}
    page = await see(service, headers)
    assert '<html lang="zh">' in page.text
    assert "死信任务" in page.text


async def test_it_can_be_switched_off(serve: Serve) -> None:
    async with serve(OPS_ENABLED=False) as service:
        for path in ("/ops", "/ops/login"):
            reply = await service.http.get(path)
            assert reply.status_code == 404
            assert reply.headers["content-type"] == "application/json"


async def test_an_error_is_remembered_by_its_type_and_never_by_what_was_sent(serve: Serve) -> None:
    router = public_router()

    @router.get("/broken/{what}")
    async def broken(what: str) -> None:
        raise ValueError(what)

    async with serve(router) as service:
        headers = await login(service)
        failed = await service.http.get("/broken/canary")
        text = (await see(service, headers)).text
    assert failed.status_code == 500
    assert failed.headers["x-trace-id"] in text
    assert "GET /broken/{what}" in text
    assert "ValueError" in text
    assert "canary" not in text
