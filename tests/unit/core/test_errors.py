"""The table of contract §2, as it stands there."""

import json
from typing import get_args

import pytest

from internal.core import errors
from internal.core.envelope import OK, Envelope, Page, error_body
from internal.core.errors import ServiceError, StartError, error_for_status
from internal.core.language import Language

CODES = {
    # code: (HTTP status, what it means)
    40000: (400, "BadRequest"),
    40001: (401, "Unauthenticated"),
    40002: (401, "InvalidSignature"),
    40003: (403, "Forbidden"),
    40004: (404, "NotFound"),
    40005: (413, "PayloadTooLarge"),
    40006: (422, "ValidationFailed"),
    40008: (405, "MethodNotAllowed"),
    40009: (409, "Conflict"),
    40015: (415, "UnsupportedMediaType"),
    40029: (429, "TooManyRequests"),
    40800: (408, "SlowClient"),
    50000: (500, "InternalError"),
    50003: (503, "DependencyUnavailable"),
    50004: (504, "TimedOut"),
    # Beyond the contract's table: RFC 6585's status for headers over our bound.
    40031: (431, "HeadersTooLarge"),
}

FAMILY = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ServiceError) and kind is not ServiceError
]


def test_codes_and_statuses_are_the_contracts() -> None:
    assert OK == 20000
    assert {kind.code: (kind.status, kind.__name__) for kind in FAMILY} == CODES
    assert len(FAMILY) == len(CODES)


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_has_a_message_in_both_languages(kind: type[ServiceError]) -> None:
    assert kind.message._fields == get_args(Language.__value__)
    assert kind.message.en.isascii()
    assert kind.message.en == kind.message.en.strip() != ""
    assert any("\u4e00" <= char <= "\u9fff" for char in kind.message.zh)
    assert str(kind()) == kind.message.en


@pytest.mark.parametrize("kind", FAMILY)
def test_a_status_stands_for_its_error(kind: type[ServiceError]) -> None:
    expected = errors.Unauthenticated if kind is errors.InvalidSignature else kind
    assert error_for_status(kind.status) is expected


@pytest.mark.parametrize(
    ("status", "code"), [(402, 40000), (418, 40000), (451, 40000), (501, 50000), (599, 50000)]
)
def test_a_status_without_a_code_becomes_its_class_s_general_one(status: int, code: int) -> None:
    assert error_for_status(status).code == code


def test_an_error_keeps_its_data_and_headers() -> None:
    error = errors.TooManyRequests({"limit": 5}, {"Retry-After": "7"})
    assert (error.data, error.headers) == ({"limit": 5}, {"Retry-After": "7"})
    assert (errors.Conflict().data, errors.Conflict().headers) == (None, {})


@pytest.mark.parametrize(("language", "message"), [("en", "conflict"), ("zh", "与现有数据冲突")])
def test_an_errors_body_is_the_envelope(language: Language, message: str) -> None:
    body = error_body(errors.Conflict({"名": "é"}), language, "f" * 32)
    assert json.loads(body) == {
        "code": 40009,
        "message": message,
        "data": {"名": "é"},
        "trace_id": "f" * 32,
    }
    assert list(json.loads(body)) == ["code", "message", "data", "trace_id"]
    assert message in body.decode()  # not escaped: half the size for a Chinese reader


def test_a_text_that_no_encoding_carries_does_not_break_a_reply() -> None:
    assert json.loads(error_body(errors.Conflict("\ud800"), "en", ""))["data"] == "?"


def test_a_success_is_the_same_envelope() -> None:
    assert Envelope(data=[1]).model_dump() == {
        "code": 20000,
        "message": "ok",
        "data": [1],
        "trace_id": "",
    }


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 101}, {"page": 0}, {"total": -1}])
def test_a_page_has_one_to_a_hundred_items(wrong: dict[str, int]) -> None:
    fine = {"items": [1], "page": 1, "limit": 100, "total": 1}
    assert Page[int].model_validate(fine).model_dump() == fine
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Page[int].model_validate({**fine, **wrong})


def test_a_failed_start_is_no_reply() -> None:
    assert not issubclass(StartError, ServiceError)
