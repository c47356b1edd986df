"""One trace from a request to what comes of it, and nothing of its content in there."""

import pytest

from internal.core.caller import OPERATOR
from internal.schemas.webhooks import NewWebhookEndpoint
from tests.collector import Collector, Sent
from tests.integration.answering import answering, plain
from tests.integration.tracing.conftest import Spans
from tests.security.accounts import Replica, bearer

pytestmark = pytest.mark.anyio

GIVEN = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
JOB = "job webhook.deliver"
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


def one(spans: list[Sent], name: str) -> Sent:
    (found,) = [span for span in spans if span.name == name]
    return found


async def submit(service: Replica, port: int, **headers: str) -> str:
    """An admin asks for a webhook to this port; the job's id."""
    async with service.services.unit_of_work.begin() as session:
        new = NewWebhookEndpoint(url=f"http://127.0.0.1:{port}/hook-canary", owner="billing")
        endpoint, _ = await service.services.webhook_endpoints.create(session, OPERATOR, new)
    admin = await service.login("admin")
    payload = {"endpoint_id": str(endpoint.id), "event": "invoice.paid", "data": {"a": "canary"}}
    reply = await service.http.post(
        "/v1/jobs?canary=1",
        json={"kind": "webhook.deliver", "payload": payload},
        headers={**bearer(admin.access_token), **headers},
    )
    assert reply.status_code == 202, reply.text
    assert reply.headers["x-trace-id"] == GIVEN
    return str(reply.json()["data"]["id"])


@pytest.mark.parametrize(
    "headers", [{"traceparent": f"00-{GIVEN}-{PARENT}-01"}, {"X-Trace-ID": GIVEN.upper()}]
)
async def test_a_request_its_statements_its_job_and_the_webhook_are_one_trace(
    traced: Replica, spans: Spans, headers: dict[str, str]
) -> None:
    async with answering(plain()) as receiver:
        job_id = await submit(traced, receiver.port, **headers)
        found = [
            span
            for span in await spans(lambda collector: bool(collector.named(JOB)))
            if span.trace_id == GIVEN
        ]
    request, submitted = one(found, "POST /v1/jobs"), one(found, "submit webhook.deliver")
    job, webhook = one(found, JOB), one(found, "POST")
    assert request.parent_id == (PARENT if "traceparent" in headers else "")
    assert submitted.parent_id == request.span_id
    assert submitted.span_id == job.parent_id == f"{int(job_id):016x}"
    assert webhook.parent_id == job.span_id
    kinds = (request.kind, submitted.kind, job.kind, webhook.kind)
    assert kinds == (SERVER, PRODUCER, CONSUMER, CLIENT)
    (received,) = receiver.received
    assert received.headers["traceparent"] == f"00-{GIVEN}-{webhook.span_id}-01"
    assert received.headers["x-trace-id"] == GIVEN
    within = {(span.attributes["db.system.name"], span.parent_id) for span in of_calls(found)}
    assert {("sqlite", request.span_id), ("sqlite", job.span_id), ("redis", job.span_id)} <= within


def of_calls(spans: list[Sent]) -> list[Sent]:
    return [span for span in spans if "db.system.name" in span.attributes]


async def test_spans_hold_templates_statuses_and_statements_without_values(
    traced: Replica, spans: Spans, collector: Collector
) -> None:
    async with answering(plain("204 No Content", b"")) as receiver:
        await submit(traced, receiver.port, **{"X-Trace-ID": GIVEN})
        found = await spans(lambda collector: bool(collector.named(JOB)))
    request, job = one(found, "POST /v1/jobs"), one(found, JOB)
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/jobs",
        "http.response.status_code": 202,
    }
    assert job.attributes == {
        "job.kind": "webhook.deliver",
        "job.attempt": 1,
        "job.status": "succeeded",
    }
    assert one(found, "POST").attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 204,
    }
    statements = [str(span.attributes.get("db.query.text", "")) for span in of_calls(found)]
    assert any(statement.startswith("INSERT INTO jobs (") for statement in statements)
    sent = b"".join(collector.raw)
    for canary in (b"canary", b"correct horse", b"Bearer", b"127.0.0.1", b"billing"):
        assert canary not in sent
    assert {span.events for span in found} == {0}


async def test_a_span_says_whose_it_is(traced: Replica, spans: Spans) -> None:
    await traced.http.get("/v1/auth/me")
    (span, *_) = await spans(lambda collector: bool(collector.spans))
    ours = {key: span.resource[key] for key in ("service.name", "groundwork.process")}
    assert ours == {"service.name": "groundwork", "groundwork.process": "api"}
    assert span.resource["service.version"]
