"""Webhook endpoints over HTTP: what admins may make of them, and what of them is never shown."""

from typing import Any

import httpx
import pytest

from internal.config.secrets import SecretError, generate_key
from internal.core.caller import OPERATOR
from internal.services import webhook_endpoints
from tests.security.accounts import Populated, Replica
from tests.security.callers import Callers
from tests.security.conftest import Serve

pytestmark = pytest.mark.anyio

PATH = "/v1/webhook-endpoints"
URL = "https://hooks.example/a?b=c"


async def create(callers: Callers, url: str = URL, **more: Any) -> httpx.Response:
    return await callers.send("admin", "POST", PATH, json={"url": url, "owner": "billing"}, **more)


async def stored_secret(service: Replica, endpoint_id: str) -> str:
    endpoint = await service.services.webhook_endpoints.get(OPERATOR, int(endpoint_id))
    return service.services.webhook_endpoints.open(endpoint)


async def test_an_endpoint_is_made_and_its_secret_is_what_the_service_signs_with(
    callers: Callers,
) -> None:
    reply = await create(callers)
    data = reply.json()["data"]
    endpoint = data["endpoint"]
    assert (reply.status_code, endpoint["url"], endpoint["owner"]) == (201, URL, "billing")
    assert (endpoint["client_id"], endpoint["disabled"]) == (endpoint["id"], False)
    assert len(data["secret"]) == 43
    assert await stored_secret(callers.service, endpoint["id"]) == data["secret"]
    found = await callers.send("admin", "GET", f"{PATH}/{endpoint['id']}")
    assert found.json()["data"] == endpoint


async def test_a_secret_is_shown_when_it_is_made_and_never_again(callers: Callers) -> None:
    made = (await create(callers)).json()["data"]
    path = f"{PATH}/{made['endpoint']['id']}"
    rotated = (await callers.send("admin", "POST", f"{path}/rotate")).json()["data"]
    assert rotated["secret"] != made["secret"]
    assert await stored_secret(callers.service, made["endpoint"]["id"]) == rotated["secret"]
    for method, where, body in (
        ("GET", path, None),
        ("GET", PATH, None),
        ("PATCH", path, {"owner": "x"}),
        ("GET", "/v1/audit-events", None),
        ("DELETE", path, None),
    ):
        reply = await callers.send("admin", method, where, json=body)
        assert reply.status_code == 200
        assert "secret" not in str(reply.json()["data"]).replace("client_secret", "")
        assert made["secret"] not in reply.text
        assert rotated["secret"] not in reply.text


@pytest.mark.parametrize("again", ["create", "rotate"])
async def test_a_repeated_request_with_its_key_neither_acts_nor_shows_again(
    callers: Callers, again: str
) -> None:
    headers = {"Idempotency-Key": "a-key"}
    path = PATH
    body: dict[str, str] | None = {"url": URL, "owner": "billing"}
    if again == "rotate":
        path, body = f"{PATH}/{callers.service.populated.endpoint.client_id}/rotate", None
    first = await callers.send("admin", "POST", path, json=body, headers=headers)
    rows = await callers.service.rows("webhook_endpoints")
    second = await callers.send("admin", "POST", path, json=body, headers=headers)
    assert (first.status_code, second.status_code) == (201, 409)
    assert first.json()["data"]["secret"] not in second.text
    assert await callers.service.rows("webhook_endpoints") == rows


async def test_a_secret_lies_in_the_database_only_sealed_for_its_endpoint(
    callers: Callers, populated: Populated
) -> None:
    data = (await create(callers)).json()["data"]
    first, second = await callers.service.rows("webhook_endpoints")
    assert second["secret"].startswith("ENC(v1.")
    assert data["secret"] not in str(second)
    await callers.service.set_all("webhook_endpoints", secret=first["secret"])  # moved
    assert await stored_secret(callers.service, str(first["id"])) == populated.endpoint.secret
    with pytest.raises(SecretError):
        await stored_secret(callers.service, str(second["id"]))


async def test_what_is_left_out_stays_and_what_is_disabled_can_be_enabled(
    callers: Callers,
) -> None:
    path = f"{PATH}/{callers.service.populated.endpoint.client_id}"
    for change in (
        {"owner": "accounting"},
        {"url": "http://10.0.0.1:8080/hook"},
        {"disabled": True},
        {"disabled": True},
        {"disabled": False},
        {},
    ):
        before = (await callers.send("admin", "GET", path)).json()["data"]
        reply = await callers.send("admin", "PATCH", path, json=change)
        after = reply.json()["data"]
        assert reply.status_code == 200
        assert {**after, "updated_at": 0} == {**before, **change, "updated_at": 0}
    assert await stored_secret(callers.service, after["id"]) == (
        callers.service.populated.endpoint.secret
    )


async def test_a_deleted_endpoint_is_not_there_any_more(callers: Callers) -> None:
    path = f"{PATH}/{callers.service.populated.endpoint.client_id}"
    assert (await callers.send("admin", "DELETE", path)).status_code == 200
    for method, where in (("GET", ""), ("PATCH", ""), ("POST", "/rotate"), ("DELETE", "")):
        body: dict[str, str] | None = {} if method == "PATCH" else None
        reply = await callers.send("admin", method, path + where, json=body)
        assert reply.status_code == 404, method
    assert (await callers.send("admin", "GET", PATH)).json()["data"]["total"] == 0
    (row,) = await callers.service.rows("webhook_endpoints")
    assert row["deleted_at"] is not None


async def test_endpoints_are_listed_by_owner(callers: Callers) -> None:
    await create(callers)
    for owner, total in (("billing", 1), ("target", 1), ("Billing", 0), ("nobody", 0)):
        reply = await callers.send("admin", "GET", PATH, params={"owner": owner})
        data = reply.json()["data"]
        assert ([item["owner"] for item in data["items"]], data["total"]) == (
            [owner] * total,
            total,
        )


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks.example", "ftp://hooks.example/", "https:///x", "javascript:alert(1)"),
        *("https://user:password@hooks.example/", "https://user@hooks.example/"),
        *("https://hooks.example/#fragment", "https://hooks.example\\@evil.example/"),
        *(
            "https://hooks.example/\r\nX-Evil: 1",
            "https://hooks.example/ x",
            "https://hooks.example\n",
        ),
        "https://hooks.example/" + "x" * 2048,
    ],
)
async def test_a_url_that_could_not_be_sent_to_is_refused(callers: Callers, url: str) -> None:
    before = await callers.service.rows("webhook_endpoints")
    path = f"{PATH}/{callers.service.populated.endpoint.client_id}"
    for reply in (
        await create(callers, url),
        await callers.send("admin", "PATCH", path, json={"url": url}),
    ):
        assert (reply.status_code, reply.json()["code"]) == (422, 40006)
        assert [problem["field"] for problem in reply.json()["data"]] == ["body.url"]
        assert "password" not in reply.text
    assert await callers.service.rows("webhook_endpoints") == before


async def test_http_is_refused_where_https_is_required(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers.service.services.webhook_endpoints, "_require_https", True)
    for reply in (
        await create(callers, "http://hooks.example/"),
        await callers.send(
            "admin",
            "PATCH",
            f"{PATH}/{callers.service.populated.endpoint.client_id}",
            json={"url": "http://hooks.example/"},
        ),
    ):
        assert reply.status_code == 422
        assert reply.json()["data"][0]["message"] == "https is required"
    assert (await create(callers)).status_code == 201


@pytest.mark.parametrize("owner", ["", " ", "x" * 129, "two\nlines", "bell\a"])
async def test_an_owner_is_a_line_of_text(callers: Callers, owner: str) -> None:
    body = {"url": URL, "owner": owner}
    assert (await callers.send("admin", "POST", PATH, json=body)).status_code == 422


async def test_after_a_rekey_the_old_aes_key_can_be_dropped(
    serve: Serve, populated: Populated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_endpoints, "REKEY_BATCH", 1)
    old, new, endpoint = populated.values["AES_SECRET"], generate_key(), populated.endpoint
    async with serve(AES_SECRET=new) as service:
        with pytest.raises(SecretError):
            await service.services.webhook_endpoints.rekey(OPERATOR)
    async with serve(AES_SECRET=new, AES_SECRET_PREVIOUS=old) as service:
        assert await service.services.webhook_endpoints.rekey(OPERATOR) == 1
    async with serve(AES_SECRET=new) as service:
        assert await stored_secret(service, endpoint.client_id) == endpoint.secret
