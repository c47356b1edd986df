"""The OpenAPI document: what a generator of clients, and a reader, find in it."""

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import pytest

from internal.app import create_app
from internal.config.secrets import generate_jwt_secret, generate_key
from internal.config.settings import Settings
from internal.core.errors import ServiceError
from internal.schemas.jobs import JobEventView
from tests.conftest import MakeSettings

type Json = dict[str, Any]

PAGE = Path(__file__).parents[3] / "docs" / "openapi.json"
# What may come of any request at all.
ANYWHERE = {"400", "408", "413", "431", "500", "503", "504"}


class Operation(NamedTuple):
    method: str
    path: str
    described: Json

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[Json]:
        parameters: list[Json] = self.described.get("parameters", [])
        return parameters


def build() -> Json:
    values = {
        "APP_ENV": "test",
        "DB_TYPE": "sqlite",
        "REDIS_MODE": "embedded",
        "JOBS_BACKEND": "embedded",
        "AES_SECRET": generate_key(),
        "JWT_SECRET": generate_jwt_secret(),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return create_app(Settings.model_validate(values)).openapi()


DOCUMENT = build()
OPERATIONS = [
    Operation(method.upper(), path, described)
    for path, methods in DOCUMENT["paths"].items()
    for method, described in methods.items()
]
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)


def resolved(node: Json) -> Json:
    """What a `$ref` within the document stands for."""
    while "$ref" in node:
        found: Any = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node


def replies(operation: Operation) -> Iterator[tuple[str, Json]]:
    for status, reply in operation.described["responses"].items():
        yield status, resolved(reply)


def schema_in_document(schema: Json) -> Json:
    return {**schema, "components": DOCUMENT["components"]}


def examples_of(media: Json) -> list[object]:
    if "example" in media:
        return [media["example"]]
    return [example["value"] for example in media["examples"].values()]


def test_the_committed_document_is_not_stale() -> None:
    """Mend with: `groundwork openapi > docs/openapi.json`."""
    assert json.loads(PAGE.read_text()) == DOCUMENT


def test_the_document_is_the_same_for_every_app(make_settings: MakeSettings) -> None:
    for settings in (make_settings(), make_settings(DEBUG=True, RATE_LIMIT_DEFAULT="1/day")):
        assert create_app(settings).openapi() == DOCUMENT


def test_operation_ids_are_unique_and_names_in_every_language() -> None:
    ids = Counter(operation.described["operationId"] for operation in OPERATIONS)
    assert set(ids.values()) == {1}
    assert all(re.fullmatch(r"[a-z][A-Za-z]+", name) for name in ids)
    assert {"livez", "readyz", "healthz", "version", "login", "createUser"} <= set(ids)


def test_schemas_have_names_that_do_not_tell_where_our_code_lies() -> None:
    for kind in ("schemas", "responses"):
        for name in DOCUMENT["components"][kind]:
            assert re.fullmatch(r"[A-Z][A-Za-z]*(_[A-Za-z_]+)?", name), name


@each_operation
def test_an_operation_has_a_summary_a_description_and_a_described_tag(
    operation: Operation,
) -> None:
    assert operation.described["summary"]
    assert operation.described["description"].strip()
    (tag,) = operation.described["tags"]
    assert tag in {described["name"] for described in DOCUMENT["tags"] if described["description"]}


STREAMS = [one for one in OPERATIONS if "text/event-stream" in str(one.described["responses"])]
FILES = [one for one in OPERATIONS if "text/csv" in str(one.described["responses"])]
TEXTS = [one for one in OPERATIONS if "openmetrics" in str(one.described["responses"])]
each_of_one_reply = pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if one not in (*STREAMS, *FILES, *TEXTS)],
    ids=lambda one: one.name,
)


@each_of_one_reply
def test_an_operation_has_one_success_in_the_envelope_with_every_field_in_it(
    operation: Operation,
) -> None:
    (success,) = (reply for status, reply in replies(operation) if status < "300")
    schema = resolved(success["content"]["application/json"]["schema"])
    fields = ["code", "message", "data", "trace_id"]
    assert list(schema["properties"]) == schema["required"] == fields


def test_a_file_is_told_by_its_type() -> None:
    (operation,) = FILES
    assert operation.path == "/v1/jobs/{job_id}/export"
    (success,) = (reply for status, reply in replies(operation) if status < "300")
    assert list(success["content"]) == ["text/csv"]


def test_metrics_are_told_by_their_types() -> None:
    (operation,) = TEXTS
    assert operation.path == "/metrics"
    (success,) = (reply for status, reply in replies(operation) if status < "300")
    assert set(success["content"]) == {"text/plain", "application/openmetrics-text"}


def test_a_stream_tells_the_shape_of_its_events_and_what_comes_when_there_will_be_none() -> None:
    (operation,) = STREAMS
    assert operation.path == "/v1/jobs/{job_id}/events"
    successes = {status: reply for status, reply in replies(operation) if status < "300"}
    assert list(successes) == ["200", "204"]
    (media,) = successes["200"]["content"].items()
    assert media[0] == "text/event-stream"
    assert media[1].keys() == {"schema", "example"}
    assert media[1]["schema"]["properties"].keys() == {"data", "event", "id", "retry"}
    fields = media[1]["example"]
    view = JobEventView.model_validate_json(fields["data"])
    assert (fields["event"], fields["id"]) == (view.status, str(view.sequence))
    assert "content" not in successes["204"]


@each_operation
def test_an_error_reply_is_an_envelope_with_an_example_of_its_code(operation: Operation) -> None:
    errors = [(status, reply) for status, reply in replies(operation) if status >= "300"]
    assert {status for status, _ in errors} >= ANYWHERE
    known = {(str(kind.status), kind.code) for kind in every_error()}
    for status, reply in errors:
        (media,) = reply["content"].values()
        for example in examples_of(media):
            assert isinstance(example, dict)
            assert (status, example["code"]) in known
            assert example["message"]


def every_error(kind: type[ServiceError] = ServiceError) -> Iterator[type[ServiceError]]:
    for below in kind.__subclasses__():
        yield below
        yield from every_error(below)


@each_operation
def test_examples_are_valid_by_their_own_schemas(operation: Operation) -> None:
    bodies = [operation.described.get("requestBody", {})]
    bodies += [reply for _, reply in replies(operation)]
    for body in bodies:
        for media in body.get("content", {}).values():
            validator = jsonschema_rs.Draft202012Validator(schema_in_document(media["schema"]))
            for example in examples_of(media):
                validator.validate(example)


def test_every_schema_that_gives_an_example_obeys_it() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        properties = schema.get("properties", {}).items()
        for field, described in [(name, schema), *properties]:
            validator = jsonschema_rs.Draft202012Validator(schema_in_document(described))
            for example in described.get("examples", ()):
                assert validator.is_valid(example), (name, field, example)


@each_operation
def test_a_parameter_is_never_null_and_an_id_is_a_string(operation: Operation) -> None:
    for parameter in operation.parameters:
        schema = resolved(parameter["schema"])
        assert "anyOf" not in schema, parameter
        assert schema["type"] in {"string", "integer"}
        if parameter["name"] == "id" or parameter["name"].endswith("_id"):
            assert schema["type"] == "string"
        if parameter["in"] == "path":
            assert parameter["required"]
            assert schema["examples"]


def test_ids_are_strings_wherever_they_are_shown() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            if field == "id" or field.endswith("_id"):
                kinds = [resolved(kind) for kind in described.get("anyOf", [described])]
                assert kinds[0]["type"] == "string", (name, field)


def test_a_change_has_no_defaults_that_a_client_could_fill_in() -> None:
    for operation in OPERATIONS:
        if operation.method == "PATCH":
            media = operation.described["requestBody"]["content"]["application/json"]
            schema = resolved(media["schema"])
            assert "required" not in schema
            assert not any("default" in field for field in schema["properties"].values())


def test_what_clients_send_admits_no_field_that_is_not_described() -> None:
    for operation in OPERATIONS:
        for media in operation.described.get("requestBody", {}).get("content", {}).values():
            assert resolved(media["schema"])["additionalProperties"] is False


@each_operation
def test_an_operation_tells_how_to_pass_its_door(operation: Operation) -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    (requirement,) = operation.described["security"] or [{}]
    assert requirement.keys() <= schemes.keys()
    statuses = dict(replies(operation)).keys()
    is_internal = operation.path.startswith("/v1/internal/")
    assert (requirement.keys() == schemes.keys() - {"bearer"}) == is_internal
    assert bool(requirement) <= ({"401", "429"} <= statuses)


def test_the_schemes_are_a_token_and_the_four_headers_of_a_signature() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert schemes.pop("bearer") == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    assert {scheme["name"] for scheme in schemes.values()} == {
        "X-Client-Id",
        "X-Timestamp",
        "X-Nonce",
        "X-Signature",
    }


def test_a_body_brings_the_errors_of_bodies_and_a_parameter_those_of_parameters() -> None:
    for operation in OPERATIONS:
        statuses = dict(replies(operation)).keys()
        has_body = "requestBody" in operation.described
        assert ("415" in statuses) == has_body, operation.name
        assert ("422" in statuses) == (has_body or bool(operation.parameters)), operation.name


def test_a_probe_tells_the_parts_that_are_not_ready() -> None:
    for path in ("/readyz", "/healthz"):
        reply = DOCUMENT["paths"][path]["get"]["responses"]["503"]
        example = reply["content"]["application/json"]["example"]
        assert example["code"] == 50003
        assert example["data"]["parts"]


def test_every_reply_names_its_headers() -> None:
    for operation in OPERATIONS:
        for status, reply in replies(operation):
            assert "X-Trace-ID" in reply["headers"], operation.name
            assert ("Retry-After" in reply["headers"]) == (status == "429")
            assert all(resolved(header)["schema"] for header in reply["headers"].values())
