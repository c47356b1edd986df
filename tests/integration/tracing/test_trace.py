"""One trace from a request to what comes of it, and nothing of its content in there."""

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from internal.controllers.dependencies import ResourcesDep
from internal.core.caller import OPERATOR
from internal.schemas.webhooks import NewWebhookEndpoint
from tests.collector import SECONDS, Collector, Sent
from tests.integration.answering import answering, plain
from tests.integration.tracing.conftest import Spans
from tests.security.accounts import Replica, bearer
from tests.security.conftest import Serve
from tests.unit.http.serving import public_router

pytestmark = pytest.mark.anyio

GIVEN = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
JOB = "job webhook.deliver"
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5


def one(spans: list[Sent], name: str) -> Sent:
    (found,) = [span for span in spans if span.name == name]
    return found


def job_is_done(collector: Collector) -> bool:
    """And its request, which may end later."""
    return {JOB, "POST /v1/jobs"} <= {*collector.names}


async def submit(service: Replica, port: int, trace_id: str = GIVEN, **headers: str) -> str:
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
    assert reply.headers["x-trace-id"] == trace_id
    return str(reply.json()["data"]["id"])


@pytest.mark.parametrize(
    "headers", [{"traceparent": f"00-{GIVEN}-{PARENT}-01"}, {"X-Trace-ID": GIVEN.upper()}]
)
async def test_a_request_its_statements_its_job_and_the_webhook_are_one_trace(
    traced: Replica, spans: Spans, headers: dict[str, str]
) -> None:
    async with answering(plain()) as receiver:
        job_id = await submit(traced, receiver.port, **headers)
        found = [span for span in await spans(job_is_done) if span.trace_id == GIVEN]
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
        found = await spans(job_is_done)
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


async def test_the_trace_id_of_a_request_wins_over_a_parent_of_another_trace(
    traced: Replica, spans: Spans
) -> None:
    other = f"00-{'ab' * 16}-{PARENT}-00"
    await traced.http.get("/v1/auth/me", headers={"X-Trace-ID": GIVEN, "traceparent": other})
    request = one(await spans(lambda collector: bool(collector.spans)), "GET /v1/auth/me")
    assert (request.trace_id, request.parent_id) == (GIVEN, "")


async def test_a_trace_without_any_header_is_that_of_the_reply(
    traced: Replica, spans: Spans
) -> None:
    reply = await traced.http.get("/v1/auth/me")
    request = one(await spans(lambda collector: bool(collector.spans)), "GET /v1/auth/me")
    assert request.trace_id == reply.headers["x-trace-id"]


async def test_what_the_caller_does_not_sample_is_not_sampled_here(
    traced: Replica, spans: Spans
) -> None:
    unsampled = f"00-{GIVEN}-{PARENT}-00"
    assert (await traced.http.get("/v1/auth/me", headers={"traceparent": unsampled})).status_code
    await traced.http.get("/version")
    found = await spans(lambda collector: bool(collector.named("GET /version")))
    assert GIVEN not in {span.trace_id for span in found}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_probes_and_scrapes_are_not_traced(
    traced: Replica, spans: Spans, method: str
) -> None:
    headers = {"traceparent": f"00-{GIVEN}-{PARENT}-01"}
    for path in ("/livez", "/readyz", "/healthz", "/metrics"):
        reply = await traced.http.request(method, path, headers=headers)
        assert (reply.status_code, reply.headers["x-trace-id"]) == (200, GIVEN)
    await traced.http.get("/version")
    found = await spans(lambda collector: bool(collector.named("GET /version")))
    assert GIVEN not in {span.trace_id for span in found}
    assert {span.name for span in found if span.kind == SERVER} == {"GET /version"}


async def test_a_sampler_of_the_environment_decides_for_the_job_as_for_its_request(
    serve: Serve, collector: Collector, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the trace id: half of all, and this one's lower half is below and the other's above."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    below, above = f"{'0' * 31}1", "f" * 32
    networks = {"WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    async with (
        answering(plain()) as receiver,
        serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint, **networks) as service,
    ):
        for trace_id in (above, below):
            await submit(service, receiver.port, trace_id, **{"X-Trace-ID": trace_id})
        found = await spans(job_is_done)
        async with asyncio.timeout(SECONDS):
            while len(receiver.received) < 2:
                await asyncio.sleep(0.01)
    assert {span.trace_id for span in found} >= {below}
    assert above not in {span.trace_id for span in found}
    sampled = {
        each.headers["x-trace-id"]: each.headers["traceparent"] for each in receiver.received
    }
    assert sampled[above].endswith("-00")
    assert sampled[below].endswith("-01")


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", f"00-{GIVEN}-{PARENT}-01"), ("tracestate", f"a={'b' * 20_000}")],
        [("traceparent", f"00-{GIVEN}-{PARENT}-01"), ("baggage", "canary=hostile")],
        [("X-Trace-ID", GIVEN), ("traceparent", "0" * 20_000)],
        [("X-Trace-ID", GIVEN), ("traceparent", f"00-{GIVEN}-{'0' * 16}-01")],
        [("X-Trace-ID", GIVEN), ("traceparent", "00-\xff-\xff-zz")],
        [("X-Trace-ID", GIVEN), ("traceparent", ""), ("tracestate", "=,=;\x7f")],
    ],
)
async def test_hostile_headers_change_nothing_and_go_nowhere(
    traced: Replica, collector: Collector, spans: Spans, headers: list[tuple[str, str]]
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    reply = await traced.http.get("/v1/auth/me", headers=raw)
    assert (reply.status_code, reply.headers["x-trace-id"]) == (401, GIVEN)
    request = one(await spans(lambda collector: bool(collector.spans)), "GET /v1/auth/me")
    assert request.trace_id == GIVEN
    assert max(map(len, collector.raw)) < 5_000
    assert b"hostile" not in b"".join(collector.raw)


async def test_an_error_is_told_by_its_type_alone(
    serve: Serve, collector: Collector, spans: Spans
) -> None:
    router = public_router()

    @router.get("/crash/{name}")
    async def crash(name: str, resources: ResourcesDep) -> None:
        with suppress(DBAPIError):
            async with resources.unit_of_work.begin() as session:
                await session.execute(text("SELECT canary FROM missing WHERE 1 = :one"), {"one": 1})
        raise LookupError(f"canary-text {name}")

    async with serve(router, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint) as service:
        assert (await service.http.get("/crash/canary-name?q=canary-query")).status_code == 500
        found = await spans(lambda collector: bool(collector.named("GET /crash/{name}")))
    request, statement = one(found, "GET /crash/{name}"), one(found, "SELECT")
    assert request.attributes["error.type"] == "LookupError"
    assert request.attributes["http.response.status_code"] == 500
    assert statement.attributes["error.type"] == "OperationalError"
    assert request.is_error
    assert statement.is_error
    assert {span.events for span in found} == {0}
    assert b"canary-" not in b"".join(collector.raw)


async def test_a_method_that_nobody_knows_is_no_name(
    traced: Replica, collector: Collector, spans: Spans
) -> None:
    await traced.http.request("BREW-CANARY", "/nowhere-canary")
    (request,) = await spans(lambda collector: bool(collector.spans))
    assert request.name == request.attributes["http.request.method"] == "_OTHER"
    assert b"canary" not in b"".join(collector.raw).lower()


async def test_a_webhook_that_fails_is_an_error_of_its_job(traced: Replica, spans: Spans) -> None:
    async with answering(plain("410 Gone", b"canary")) as receiver:
        await submit(traced, receiver.port, **{"X-Trace-ID": GIVEN})
        found = await spans(job_is_done)
    job = one(found, JOB)
    assert (job.attributes["job.status"], job.attributes["error.type"]) == ("failed", "JobFailed")
    assert job.is_error


async def test_a_tick_is_a_trace_of_its_own(
    serve: Serve, collector: Collector, spans: Spans
) -> None:
    settings = {"SCHEDULER_ENABLED": True, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
    async with serve(**settings):
        found = await spans(
            lambda collector: {"job maintenance.purge", "tick jobs.reap"} <= {*collector.names}
        )
    purge = one(found, "tick maintenance.purge")
    (job,) = {span.trace_id for span in found if span.name == "job maintenance.purge"}
    assert job == purge.trace_id
    assert {span.trace_id for span in found if span.parent_id == purge.span_id} == {job}
    reaps = {span.trace_id for span in found if span.name == "tick jobs.reap"}
    assert reaps
    assert purge.trace_id not in reaps
