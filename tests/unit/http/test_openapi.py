import warnings
from collections import Counter
from typing import Any

from internal.app import create_app
from tests.conftest import MakeSettings


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def test_operation_ids_are_unique_and_given_by_us(make_settings: MakeSettings) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        document = create_app(make_settings(DEBUG=True)).openapi()
    ids = Counter(operation["operationId"] for operation in operations(document))
    assert set(ids.values()) == {1}
    assert {"livez", "readyz", "healthz", "version"} <= set(ids)


def test_every_operation_has_a_summary_and_a_reply_in_the_envelope(
    make_settings: MakeSettings,
) -> None:
    document = create_app(make_settings()).openapi()
    schemas = document["components"]["schemas"]
    for operation in operations(document):
        assert operation["summary"]
        success = next(reply for status, reply in operation["responses"].items() if status < "300")
        reference = success["content"]["application/json"]["schema"]["$ref"]
        schema = schemas[reference.rpartition("/")[2]]
        assert list(schema["properties"]) == ["code", "message", "data", "trace_id"]


def test_a_probe_documents_its_error_reply(make_settings: MakeSettings) -> None:
    paths = create_app(make_settings()).openapi()["paths"]
    for path in ("/readyz", "/healthz"):
        assert "503" in paths[path]["get"]["responses"]


def test_the_document_is_the_same_for_every_app(make_settings: MakeSettings) -> None:
    assert create_app(make_settings()).openapi() == create_app(make_settings()).openapi()
