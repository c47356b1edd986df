"""`webhook.deliver`: an event reaches its endpoint, signed, at least once; what cannot, says so."""

import json
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from sqlalchemy import delete, update

from internal.core.caller import OPERATOR
from internal.core.clock import utc_now
from internal.core.signature import SignatureHeaders, canonical_request, is_signed_with
from internal.infra.redis import create_client
from internal.models.job import Job
from internal.models.webhook_endpoint import WebhookEndpoint
from internal.schemas.webhooks import NewWebhookEndpoint, WebhookEndpointChange
from internal.services.assembly import Services
from internal.services.kinds import webhook_deliver
from internal.services.webhook_endpoints import Target
from tests.integration.answering import Answer, Answering, answering, endless, plain, raw
from tests.integration.jobs.house import FAILED, QUEUED, SUCCEEDED, House
from tests.servers import free_port

pytestmark = pytest.mark.anyio

LOOPBACK = [ip_network("127.0.0.0/8")]
TRACE_ID = "ab" * 16  # of the house's jobs


@pytest.fixture
def services(house: House) -> Services:
    return house.services(webhook_allowed_networks=LOOPBACK)


async def endpoint_at(services: Services, port: int) -> tuple[WebhookEndpoint, str]:
    async with services.unit_of_work.begin() as session:
        new = NewWebhookEndpoint(url=f"http://127.0.0.1:{port}/hook?a=b%20c", owner="billing")
        return await services.webhook_endpoints.create(session, OPERATOR, new)


async def deliver(house: House, services: Services, endpoint_id: int) -> Job:
    payload = {"endpoint_id": str(endpoint_id), "event": "invoice.paid", "data": {"名": "口"}}
    return await house.execute("webhook.deliver", services, **payload)


async def deliver_to(house: House, services: Services, answer: Answer) -> tuple[Job, Answering]:
    async with answering(answer) as server:
        endpoint, _ = await endpoint_at(services, server.port)
        return await deliver(house, services, endpoint.id), server


async def test_the_event_arrives_signed_with_the_endpoints_secret(
    house: House, services: Services
) -> None:
    async with answering(plain("204 No Content", b"")) as server:
        endpoint, secret = await endpoint_at(services, server.port)
        job = await deliver(house, services, endpoint.id)
    assert (job.status, job.result["status"]) == (SUCCEEDED, 204)
    assert job.result["milliseconds"] >= 0
    (request,) = server.received
    assert request.line == "POST /hook?a=b%20c HTTP/1.1"
    assert json.loads(request.body) == {
        "id": f"job-{job.id}",
        "event": "invoice.paid",
        "data": {"名": "口"},
    }
    names = ("x-client-id", "x-timestamp", "x-nonce", "x-signature")
    headers = SignatureHeaders(*(request.headers[name].encode() for name in names))
    canonical = canonical_request(headers, b"POST", b"/hook", b"a=b%20c", request.body)
    assert headers.client_id == endpoint.client_id.encode()
    assert is_signed_with(secret.encode(), canonical, headers.signature)


async def test_the_request_says_what_it_is_and_whose_trace_it_belongs_to(
    house: House, services: Services
) -> None:
    job, server = await deliver_to(house, services, plain())
    (request,) = server.received
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == f"job-{job.id}"
    assert request.headers["x-trace-id"] == TRACE_ID
    version, trace_id, span_id, flags = request.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE_ID, "00")
    assert len(span_id) == 16
    assert int(span_id, 16)


async def test_another_attempt_sends_the_same_under_the_same_key_signed_anew(
    house: House, services: Services
) -> None:
    async with answering(plain("503 Service Unavailable")) as server:
        endpoint, _ = await endpoint_at(services, server.port)
        job = await deliver(house, services, endpoint.id)
        await house.make_due(job.id)
        await house.execute_again(job.id, services)
    first, second = server.received
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.headers["x-nonce"] != second.headers["x-nonce"]


@pytest.mark.parametrize(
    "status", ["500 Internal Server Error", "503 Busy", "599 Odd", "408 Slow", "429 Too Many"]
)
async def test_what_may_pass_is_tried_again(house: House, services: Services, status: str) -> None:
    job, _ = await deliver_to(house, services, plain(status, b"<script>"))
    assert (job.status, job.error) == (QUEUED, f"the endpoint answered {status[:3]}")


@pytest.mark.parametrize("status", ["400 Bad", "401 No", "404 None", "410 Gone", "302 Found"])
async def test_what_will_not_pass_has_failed(house: House, services: Services, status: str) -> None:
    answer = plain(status, b"", Location="http://127.0.0.1/elsewhere")
    job, server = await deliver_to(house, services, answer)
    assert (job.status, job.error) == (FAILED, f"the endpoint answered {status[:3]}")
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("asked", "least", "most"), [("600", 600, 660), ("999999", 3600, 3660), ("soon", 5, 60)]
)
async def test_the_rest_is_as_long_as_the_server_asks_for_up_to_an_hour(
    house: House, services: Services, asked: str, least: int, most: int
) -> None:
    before = utc_now()
    job, _ = await deliver_to(house, services, plain("429 Too Many", b"", Retry_After=asked))
    assert timedelta(seconds=least) <= job.next_run_at - before < timedelta(seconds=most)


async def test_no_connection_is_tried_again(house: House, services: Services) -> None:
    endpoint, _ = await endpoint_at(services, free_port())
    job = await deliver(house, services, endpoint.id)
    assert (job.status, job.error) == (QUEUED, "no connection")


async def test_a_connection_that_ends_too_early_is_tried_again(
    house: House, services: Services
) -> None:
    job, _ = await deliver_to(house, services, raw(b""))
    assert job.status == QUEUED


async def test_a_server_that_dawdles_is_tried_again(
    house: House, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_deliver, "TIMEOUT_SECONDS", 0.5)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
    job, _ = await deliver_to(house, services, endless(head, b"x", pause=0.1))
    assert (job.status, job.error) == (QUEUED, "no complete reply within 0.5 s")


async def test_an_address_that_is_not_allowed_gets_nothing(house: House) -> None:
    services = house.services()
    job, server = await deliver_to(house, services, plain())
    assert job.status == FAILED
    assert job.error == "the host has an address that is not to be connected to"
    assert server.received == []


async def test_a_url_that_became_invalid_has_failed(house: House, services: Services) -> None:
    endpoint, _ = await endpoint_at(services, free_port())
    async with house.unit_of_work.begin() as session:
        statement = update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint.id)
        await session.execute(statement.values(url="ftp://127.0.0.1/"))
    assert (await deliver(house, services, endpoint.id)).status == FAILED


async def test_an_endpoint_that_is_disabled_deleted_or_unknown_gets_nothing(
    house: House, services: Services
) -> None:
    async with answering(plain()) as server:
        endpoint, _ = await endpoint_at(services, server.port)
        change = WebhookEndpointChange(disabled=True)
        await services.webhook_endpoints.update(OPERATOR, endpoint.id, change)
        disabled = await deliver(house, services, endpoint.id)
        await services.webhook_endpoints.delete(OPERATOR, endpoint.id)
        deleted = await deliver(house, services, endpoint.id)
        unknown = await deliver(house, services, 42)
    assert (disabled.status, disabled.error) == (FAILED, "the endpoint is disabled")
    for job in (deleted, unknown):
        assert (job.status, job.error) == (FAILED, "there is no such endpoint")
    assert server.received == []


async def test_a_change_holds_from_the_next_delivery_on_in_every_process(house: House) -> None:
    redis = create_client(house.settings, connections=2, timeout=5)
    one, other = (house.services(redis, webhook_allowed_networks=LOOPBACK) for _ in range(2))
    async with redis, answering(plain()) as server:
        endpoint, _ = await endpoint_at(one, server.port)
        assert (await deliver(house, other, endpoint.id)).status == SUCCEEDED
        async with one.unit_of_work.begin() as session:
            _, secret = await one.webhook_endpoints.rotate(session, OPERATOR, endpoint.id)
        assert other.webhook_endpoints.open(await target(other, endpoint.id)) == secret
        change = WebhookEndpointChange(disabled=True)
        await one.webhook_endpoints.update(OPERATOR, endpoint.id, change)
        assert (await deliver(house, other, endpoint.id)).status == FAILED
        await one.webhook_endpoints.delete(OPERATOR, endpoint.id)
        assert (await deliver(house, other, endpoint.id)).error == "there is no such endpoint"
    assert len(server.received) == 1


async def test_a_change_that_is_rolled_back_is_none(house: House, services: Services) -> None:
    endpoint, secret = await endpoint_at(services, free_port())
    async with services.unit_of_work.begin() as session:
        await services.webhook_endpoints.rotate(session, OPERATOR, endpoint.id)
        await session.rollback()
    assert services.webhook_endpoints.open(await target(services, endpoint.id)) == secret


async def test_deliveries_read_the_endpoint_once_and_no_secret_is_in_redis(house: House) -> None:
    redis = create_client(house.settings, connections=2, timeout=5)
    services = house.services(redis, webhook_allowed_networks=LOOPBACK)
    async with redis, answering(plain()) as server:
        endpoint, secret = await endpoint_at(services, server.port)
        await deliver(house, services, endpoint.id)
        async with house.unit_of_work.begin() as session:  # behind the service's back
            await session.execute(delete(WebhookEndpoint).where(WebhookEndpoint.id == endpoint.id))
        assert (await deliver(house, services, endpoint.id)).status == SUCCEEDED
        stored = [str(await redis.get(key)) for key in await redis.keys("cache:*")]
    assert len(stored) == 1
    assert secret not in stored[0]
    assert "ENC(" in stored[0]


async def target(services: Services, endpoint_id: int) -> Target:
    return await services.webhook_endpoints.target(endpoint_id)


async def test_a_secret_that_this_process_cannot_open_is_left_for_another_attempt(
    house: House, services: Services
) -> None:
    endpoint, _ = await endpoint_at(services, free_port())
    async with house.unit_of_work.begin() as session:
        statement = update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint.id)
        await session.execute(statement.values(secret="ENC(v1.00000000.AAAA)"))
    job = await deliver(house, services, endpoint.id)
    assert (job.status, job.error) == (
        QUEUED,
        "the endpoint's secret does not open with AES_SECRET",
    )


def test_it_has_a_queue_and_a_patience_of_its_own() -> None:
    kind: Any = webhook_deliver.KIND
    assert kind.queue == "webhooks"
    assert kind.retry.max_attempts == 8
    assert kind.timeout > timedelta(seconds=webhook_deliver.TIMEOUT_SECONDS)
