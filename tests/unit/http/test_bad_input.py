"""What a client can get wrong, each with its clear error."""

import pytest

from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import Exchange, Lines, serving

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
CANARY = "hunter2-canary"


async def test_a_body_that_is_not_json_is_400(make_settings: MakeSettings) -> None:
    async with serving(make_settings(), every_way()) as served:
        for body in (
            b"{",
            b'{"name": }',
            b"name=Ada",
            b"\x00",
            b"{'name': 'Ada'}",
            b'{"name": "\n"}',
        ):
            reply = await served.http.post("/accounts", content=body, headers=JSON)
            assert reply.status_code == 400, body
            assert reply.json()["code"] == 40000
            assert reply.json()["message"] == "the body is not valid JSON"
            assert reply.json()["data"] is None


@pytest.mark.parametrize("body", [b'{"name": "\xff\xfe\xfa"}', b"\xc3\x28"])
async def test_a_body_that_is_not_utf8_is_400(make_settings: MakeSettings, body: bytes) -> None:
    async with serving(make_settings(), every_way()) as served:
        for path in ("/accounts", "/anything"):
            reply = await served.http.post(path, content=body, headers=JSON)
            assert reply.status_code == 400
            assert reply.json()["code"] == 40000


@pytest.mark.parametrize("levels", [500, 2_000, 5_000, 10_000, 100_000, 400_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
async def test_json_of_any_depth_never_is_the_services_fault(
    make_settings: MakeSettings, lines: Lines, levels: int, opening: str, closing: str
) -> None:
    body = opening * levels + "1" + closing * levels
    settings = make_settings(MAX_BODY_BYTES=4 * 1024 * 1024)
    async with serving(settings, every_way()) as served:
        account = await served.http.post("/accounts", content=body, headers=JSON)
        anything = await served.http.post("/anything", content=body, headers=JSON)
        assert account.status_code in (400, 422)
        assert anything.status_code in (200, 400)
        if levels >= 10_000:
            assert account.status_code == anything.status_code == 400
        assert account.json()["trace_id"] == account.headers["x-trace-id"]
        assert lines.at("ERROR") == []


@pytest.mark.parametrize("half", [b"\\ud800", b"\\udfff", b"\xed\xa0\x80"])
async def test_half_a_character_is_refused_and_breaks_no_reply(
    make_settings: MakeSettings, lines: Lines, half: bytes
) -> None:
    async with serving(make_settings(), every_way()) as served:
        for body in (
            b'{"name": "Ada%b"}',
            b'{"pet": {"kind": "%b"}}',
            b'{"name": {"%b": 1}}',
            b'"%b"',
        ):
            reply = await served.http.post("/accounts", content=body % half, headers=JSON)
            assert reply.status_code == 422
            assert reply.json()["code"] == 40006
        assert lines.at("ERROR") == []


async def test_numbers_that_no_machine_holds_are_refused(make_settings: MakeSettings) -> None:
    async with serving(make_settings(), every_way()) as served:
        for number in ("9" * 5000, "1e999", "NaN", "-Infinity"):
            body = f'{{"name": "Ada", "age": {number}}}'
            reply = await served.http.post("/accounts", content=body, headers=JSON)
            assert reply.status_code in (400, 422), number
            assert reply.json()["code"] in (40000, 40006)


async def test_validation_names_the_field_and_the_rule_and_not_the_value(
    make_settings: MakeSettings,
) -> None:
    async with serving(make_settings(), every_way()) as served:
        reply = await served.http.post(
            "/accounts",
            json={"name": "A", "age": 3, "password": CANARY * 3, "nickname": "admin"},
        )
    assert reply.status_code == 422
    assert reply.json()["code"] == 40006
    assert reply.json()["message"] == "validation failed"
    assert reply.json()["data"] == [
        {
            "field": "body.name",
            "type": "string_too_short",
            "message": "String should have at least 3 characters",
        },
        {
            "field": "body.age",
            "type": "greater_than_equal",
            "message": "Input should be greater than or equal to 18",
        },
        {
            "field": "body.password",
            "type": "string_too_long",
            "message": "String should have at most 20 characters",
        },
        {"field": "body.nickname", "type": "value_error", "message": "is taken"},
    ]
    assert CANARY not in reply.text


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_no_rule_repeats_the_rejected_value(
    make_settings: MakeSettings, language: str
) -> None:
    bodies: list[object] = [
        CANARY,
        [CANARY],
        {"name": {"x": CANARY}},
        {"name": "Ada", "age": CANARY},
        {"name": "Ada", "pet": {"kind": CANARY}},
        {"name": "Ada", "pet": CANARY},
        {"name": "Ada", "pet": {"kind": {"deep": CANARY}}},
    ]
    async with serving(make_settings(), every_way()) as served:
        headers = {"Accept-Language": language}
        for body in bodies:
            reply = await served.http.post("/accounts", json=body, headers=headers)
            assert reply.status_code == 422
            assert reply.json()["code"] == 40006
            assert CANARY not in reply.text
        for path in (f"/accounts?limit={CANARY}", f"/accounts/{CANARY}"):
            reply = await served.http.get(path, headers=headers)
            assert reply.status_code == 422
            assert CANARY not in reply.text


async def test_a_missing_body_is_a_missing_field(make_settings: MakeSettings) -> None:
    async with serving(make_settings(), every_way()) as served:
        reply = await served.http.post("/accounts")
        assert reply.status_code == 422
        assert reply.json()["data"] == [
            {"field": "body", "type": "missing", "message": "Field required"}
        ]


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json", "", "\xff"],
)
async def test_a_body_of_another_type_is_415(
    make_settings: MakeSettings, content_type: str
) -> None:
    async with serving(make_settings(), every_way()) as served:
        headers = {b"Content-Type": content_type.encode("latin-1")}
        reply = await served.http.post("/accounts", content=b'{"name": "Ada"}', headers=headers)
        assert reply.status_code == 415
        assert reply.json()["code"] == 40015


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/hal+json",
    ],
)
async def test_json_may_be_called_by_any_of_its_names(
    make_settings: MakeSettings, content_type: str
) -> None:
    async with serving(make_settings(), every_way()) as served:
        headers = {"Content-Type": content_type}
        reply = await served.http.post("/accounts", content=b'{"name": "Ada"}', headers=headers)
        assert reply.status_code == 201


@pytest.mark.parametrize("path", ["/nope", "/ops/nope"])
async def test_an_error_needs_no_query_that_is_text(make_settings: MakeSettings, path: str) -> None:
    async with serving(make_settings(), every_way()) as served:
        exchange = await Exchange("GET", path, query=b"\x80=1").run(served.app)
    assert exchange.status == 404


@pytest.mark.parametrize("declared", [b"101", b"9" * 19, b"9" * 5000])
@pytest.mark.parametrize("path", ["/raw", "/accounts", "/nope", "/ok"])
async def test_a_declared_length_over_the_limit_is_413_before_a_byte_is_read(
    make_settings: MakeSettings, path: str, declared: bytes
) -> None:
    async with serving(make_settings(MAX_BODY_BYTES=100), every_way()) as served:
        headers = ((b"content-length", declared), (b"content-type", b"application/json"))
        exchange = await Exchange("POST", path, headers).run(served.app)
        assert exchange.status == 413
        assert exchange.envelope["code"] == 40005
        assert exchange.reply_headers["connection"] == "close"


async def test_a_body_of_exactly_the_limit_is_taken(make_settings: MakeSettings) -> None:
    async with serving(make_settings(MAX_BODY_BYTES=100), every_way()) as served:
        reply = await served.http.post("/raw", content=b"x" * 100)
        assert reply.json()["data"] == 100
        reply = await served.http.post("/raw", content=b"x" * 101)
        assert reply.status_code == 413


@pytest.mark.parametrize("path", ["/raw", "/accounts"])
async def test_a_body_that_grows_over_the_limit_is_413(
    make_settings: MakeSettings, path: str
) -> None:
    headers = (
        (b"transfer-encoding", b"chunked"),
        (b"content-type", b"application/json"),
        (b"accept-language", b"zh"),
    )
    async with serving(make_settings(MAX_BODY_BYTES=100), every_way()) as served:
        exchange = await Exchange("POST", path, headers, [b"x" * 60] * 2).run(served.app)
        assert exchange.status == 413
        assert exchange.envelope["code"] == 40005
        assert exchange.envelope["message"] == "请求体过大"
        assert exchange.reply_headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/raw", "/accounts"])
async def test_a_client_that_leaves_in_its_body_is_one_access_line_and_no_error(
    make_settings: MakeSettings, lines: Lines, path: str
) -> None:
    headers = ((b"content-length", b"100"), (b"content-type", b"application/json"))
    async with serving(make_settings(), every_way()) as served:
        await Exchange("POST", path, headers, [b"{"], leaves=True).run(served.app)
        (line,) = lines.access
        assert line["route"] == path
        assert 400 <= line["status"] < 500
        assert lines.at("ERROR") == []
