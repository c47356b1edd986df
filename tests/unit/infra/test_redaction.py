"""Secrets and tokens are redacted by the key that they stand under, and by their shape."""

import pytest
from loguru import logger

from internal.config.secrets import Keyring, generate_key
from internal.infra.logging import REDACTED, redact
from tests.conftest import MakeSettings
from tests.unit.infra.log import Log, logging_of

CANARY = "canary7Ylw-do_not-sing"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJlLXdpdGgtZGlnaXRz"

KEYS = [
    *("password", "db_password", "newPassword", "passwd", "secret", "client_secret", "AES_SECRET"),
    *("token", "access_token", "refreshToken", "authorization", "Authorization", "cookie"),
    *("set-cookie", "api_key", "apikey", "x-signature", "credentials"),
]

SHAPES = [
    JWT,
    f"the token {JWT}, as it came",
    f"Bearer {CANARY}",
    f"Authorization: bearer {CANARY}",
    f"authorization: Basic {CANARY}",
    f"mysql+aiomysql://user:{CANARY}@db:3306/x",
    f"redis://:{CANARY}@cache/0",
    f"amqp://user:p@{CANARY}@host//",
    f"password={CANARY}",
    f"a=1&access_token={CANARY}&b=2",
    f"DB_PASSWORD={CANARY}",
    f"client_secret='{CANARY} and more'",
    f'{{"password": "{CANARY}", "name": "Ada"}}',
    f'{{"old_password":"a","new_password":"{CANARY} \\" {CANARY}"}}',
    f"{{'db_password': '{CANARY}'}}",
    f"api_key={CANARY}",
    f"X-Signature={CANARY}",
    f'password="{CANARY} that nobody closed',
]


def fail(text: str) -> None:
    raise RuntimeError(text)


def silent(text: str) -> bool:
    return CANARY not in text and JWT.partition(".")[2] not in text


@pytest.mark.parametrize("key", KEYS)
def test_a_value_under_a_secrets_key_is_redacted_whatever_it_is(log: Log, key: str) -> None:
    for value in (CANARY, {"a": CANARY}, [CANARY], 12345678, CANARY.encode()):
        logger.bind(**{key: value}).info("x")
        logger.bind(outer={"inner": [{key: value}]}).info("x")
    assert len(log.events) == 10
    assert all(event.get(key, REDACTED) == REDACTED for event in log.events)
    assert silent(log.raw.decode())
    assert b"12345678" not in log.raw


@pytest.mark.parametrize("text", SHAPES)
def test_what_looks_like_a_secret_is_redacted_wherever_it_stands(log: Log, text: str) -> None:
    logger.info("{}", text)
    logger.bind(note=text, items=[text], deep={"a": (text,), text: 1}).info("x")
    try:
        fail(text)
    except RuntimeError:
        logger.exception("failed: {}", text)
    assert len(log.events) == 3
    assert silent(log.raw.decode())
    assert REDACTED in log.events[0]["message"]
    assert REDACTED in log.events[2]["exception"]


def test_an_encrypted_value_is_redacted_even_when_it_is_cut_short(log: Log) -> None:
    sealed = Keyring.parse(generate_key()).encrypt("x", "DB_PASSWORD")
    logger.info("{} and {}", sealed, sealed[:-8])
    assert log.event["message"] == f"{REDACTED} and {REDACTED}"


def test_the_text_format_is_redacted_too(make_settings: MakeSettings) -> None:
    with logging_of(make_settings(LOG_FORMAT="text")) as log:
        logger.bind(password=CANARY, note=f"password={CANARY}").info("Bearer {}", CANARY)
    assert silent(log.raw.decode())


@pytest.mark.parametrize(
    "text",
    [
        "Access denied for user 'groundwork'@'localhost' (using password: YES)",
        "tokens are counted",
        "the secret of success: work",
        "https://example.com/a:b@c",
        "GET /docs from 10.0.0.1:5000",
        "check REDIS_HOST, REDIS_PORT, REDIS_PASSWORD and that the server runs",
        "eyJ is how they begin",
    ],
)
def test_what_only_speaks_of_secrets_stays(text: str) -> None:
    assert redact(text) == text


def test_a_part_of_a_line_that_is_no_secret_stays() -> None:
    assert redact(f"a=1&token={CANARY}&b=2") == f"a=1&token={REDACTED}&b=2"
    assert redact(f"mysql://u:{CANARY}@db/x") == f"mysql://{REDACTED}@db/x"
    assert redact(f'{{"password": "{CANARY}", "name": "Ada"}}') == (
        f'{{"password": {REDACTED}, "name": "Ada"}}'
    )


@pytest.mark.parametrize(
    "piece", ["eyJ", "ENC(", "password", "token=", "://a:", "password='", "bearer ", '"\\']
)
def test_a_long_hostile_text_is_looked_through_once(piece: str) -> None:
    """Backtracking over these would take hours: that this ends at all is the test."""
    redact(piece * (500_000 // len(piece)))
