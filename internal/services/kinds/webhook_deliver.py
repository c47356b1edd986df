"""`webhook.deliver`: an event, POSTed to a webhook endpoint and signed with its secret."""

import json
import time
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from opentelemetry.trace import SpanKind
from pydantic import Field, StringConstraints

from internal.config.secrets import SecretError
from internal.core.backoff import RetryPolicy
from internal.core.clock import utc_now
from internal.core.context import current_trace_id
from internal.core.errors import NotFound
from internal.core.retry_after import parse_retry_after
from internal.infra import tracing
from internal.infra.outgoing_http import OutgoingError, Reply
from internal.schemas.fields import Id
from internal.schemas.shapes import Request
from internal.services.jobs.kind import Execution, JobFailed, Kind, Queue, TryAgain
from internal.services.webhook_endpoints import Target

# For everything, from the name's resolution to the reply's end.
TIMEOUT_SECONDS = 10.0
# A server may ask for longer rests than these; it does not get them.
LONGEST_REST = timedelta(hours=1)
PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class Payload(Request):
    endpoint_id: Id
    event: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z][a-z0-9_.-]*$", max_length=64),
        Field(description="what has happened", examples=["invoice.paid"]),
    ]
    data: dict[str, Any] = Field(default={}, description="what the receiver is told")


async def run(job: Execution[Payload]) -> dict[str, object]:
    """At least once: the receiver tells a repetition by its Idempotency-Key."""
    # It loads httpx, which no process needs that delivers nothing.
    from internal.infra.signing import SignedAuth  # noqa: PLC0415

    endpoint, secret = await _open_endpoint(job)
    started = time.perf_counter()
    try:
        with tracing.within("POST", SpanKind.CLIENT, {"http.request.method": "POST"}) as span:
            reply = await job.services.outgoing_http.post(
                endpoint.url,
                _body(job),
                _headers(job),
                total_timeout=TIMEOUT_SECONDS,
                auth=SignedAuth(endpoint.client_id, secret),
            )
            span.set_attribute("http.response.status_code", reply.status)
    except OutgoingError as error:
        if error.is_permanent:
            raise JobFailed(str(error)) from error
        raise TryAgain(str(error)) from error
    milliseconds = round((time.perf_counter() - started) * 1000)
    if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        raise _refusal(reply)
    return {"status": reply.status, "milliseconds": milliseconds}


async def _open_endpoint(job: Execution[Payload]) -> tuple[Target, str]:
    endpoints = job.services.webhook_endpoints
    try:
        endpoint = await endpoints.target(job.payload.endpoint_id)
    except NotFound:
        raise JobFailed("there is no such endpoint") from None
    if endpoint.disabled:
        raise JobFailed("the endpoint is disabled")
    try:
        return endpoint, endpoints.open(endpoint)
    except SecretError:
        # A process whose AES_SECRET is behind or ahead of the others'; that is mended.
        raise TryAgain("the endpoint's secret does not open with AES_SECRET") from None


def _body(job: Execution[Payload]) -> bytes:
    """The same bytes at every attempt."""
    event = {"id": job.idempotency_key, "event": job.payload.event, "data": job.payload.data}
    return json.dumps(event, separators=(",", ":")).encode()


def _headers(job: Execution[Payload]) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "Idempotency-Key": job.idempotency_key,
        "X-Trace-ID": current_trace_id(),
        "traceparent": tracing.traceparent(),
    }


def _refusal(reply: Reply) -> JobFailed | TryAgain:
    """Of a reply that is no success. What the server says stays out: it may be anything."""
    reason = f"the endpoint answered {reply.status}"
    if reply.status < HTTPStatus.INTERNAL_SERVER_ERROR and reply.status not in PASSING:
        return JobFailed(reason)
    asked = parse_retry_after(reply.headers.get("retry-after"), utc_now(), LONGEST_REST)
    return TryAgain(reason, asked)


KIND = Kind(
    "webhook.deliver",
    Payload,
    run,
    retry=RetryPolicy(max_attempts=8, first=timedelta(seconds=10), longest=LONGEST_REST),
    queue=Queue.WEBHOOKS,
    timeout=timedelta(seconds=30),
)
