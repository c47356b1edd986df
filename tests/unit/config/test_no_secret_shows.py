"""Canaries stand in for secrets, in every place that one can stand; nothing said has one."""

import copy
import pickle
import traceback
from collections.abc import Iterator
from io import BytesIO

import pytest
from loguru import logger
from pydantic import ValidationError

from internal.config.env_file import Value
from internal.config.load_config import ConfigError, Layers, load_config, read_layers
from internal.config.secrets import Keyring, SecretError, generate_key
from internal.config.settings import KEYS, SECRET_FIELDS, Settings
from internal.infra.database import create_engine, database_url
from internal.infra.logging import create_line_log, install_logging
from internal.infra.redis import create_client
from tests.unit.config.folder import AES_SECRET, JWT_SECRET, PROD, Folder
from tests.unit.http.serving import forget_logging

CANARY = "canary7Ylw-do_not-sing"
CANARIES = {
    "DB_PASSWORD": f"{CANARY}-db",
    "REDIS_PASSWORD": f"{CANARY}-redis",
    "CELERY_BROKER_URL": f"amqp://user:{CANARY}-broker@host",
    "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://user:{CANARY}-collector@host",
    "JWT_SECRET": f"{CANARY}-jwt" * 3,
    "JWT_SECRET_PREVIOUS": f"{CANARY}-jwt-previous" * 3,
}
# Of the values that are secrets though no canary: an AES key is what it is.
ALL_SECRETS = [CANARY, AES_SECRET, JWT_SECRET, PROD["DB_PASSWORD"]]


def assert_silent(text: str) -> None:
    """No secret is in the text, and no piece of one that is long enough to help."""
    for secret in ALL_SECRETS:
        pieces = {secret[start : start + 8] for start in range(len(secret) - 7)}
        assert not {piece for piece in pieces if piece in text}


def everything_said(error: BaseException) -> Iterator[str]:
    """All that a log, a terminal or a debugger's page would show of an error."""
    yield str(error)
    yield repr(error)
    yield "".join(traceback.format_exception(error))
    while error is not None:
        yield "".join(traceback.TracebackException.from_exception(error).format())
        yield repr(error.args)
        if isinstance(error, ValidationError):
            yield repr(error)
            yield str(error)
        following = error.__cause__ or error.__context__
        if following is None:
            return
        error = following


def settings() -> Settings:
    return Settings.model_validate({**PROD, **CANARIES})


def test_the_canaries_are_in_every_secret() -> None:
    others = {"AES_SECRET", "AES_SECRET_PREVIOUS"}
    assert {name.upper() for name in SECRET_FIELDS} == CANARIES.keys() | others


def test_settings_show_none_in_any_form() -> None:
    whole = settings()
    for said in (
        repr(whole),
        str(whole),
        f"{whole:}",
        whole.model_dump_json(),
        repr(whole.model_dump()),
        str(dict(whole)),
        repr(list(whole)),
        repr(copy.deepcopy(whole)),
        repr(whole.model_copy(update={"PORT": 1})),
        repr(pickle.loads(pickle.dumps(whole))),
        repr(whole.db_password),
        str(whole.aes_secret),
    ):
        assert_silent(said)


def test_layers_and_configurations_show_none(folder: Folder) -> None:
    folder.environ |= CANARIES
    assert_silent(repr(read_layers(folder.environ)))
    assert_silent(repr(folder.load()))
    assert_silent(repr(Value(CANARY, "here")))
    assert_silent(repr(Layers({"DB_PASSWORD": Value(CANARY, "here")})))
    assert_silent(repr(Keyring.parse(AES_SECRET)))


def test_what_is_made_of_settings_shows_none() -> None:
    whole = settings()
    assert_silent(repr(database_url(whole, driver="pymysql")))
    assert_silent(str(database_url(whole, driver="pymysql")))
    assert_silent(repr(create_engine(whole)))
    client = create_client(whole, connections=1, timeout=1)
    assert_silent(repr(client))
    assert_silent(repr(client.connection_pool))


def wrong_values() -> Iterator[dict[str, str]]:
    """Ways to get each secret wrong, and to put it where it does not belong."""
    ring = Keyring.parse(AES_SECRET)
    foreign = Keyring.parse(generate_key())
    for key in KEYS:
        if key == "APP_ENV":
            continue
        yield {key: CANARY}
        yield {key: ring.encrypt(CANARY, key)}
        yield {key: ring.encrypt(CANARY, "another")}
        yield {key: foreign.encrypt(CANARY, key)}
        yield {key: f"ENC(v1.{CANARY})"}
        yield {key: f"{CANARY}," * 3}
    yield {"AES_SECRET": AES_SECRET[:-8]}
    yield {"AES_SECRET": AES_SECRET + "AAAA"}
    yield {"AES_SECRET_PREVIOUS": f"{AES_SECRET[1:]},{AES_SECRET}"}
    yield {"JWT_SECRET": JWT_SECRET[:31]}
    yield {"DB_PASSWORD": f"<{CANARY}>"}


@pytest.mark.parametrize("app_env", ["prod", "test"])
def test_no_error_of_a_wrong_value_shows_one(folder: Folder, app_env: str) -> None:
    folder.write(f".env.{app_env}", "")
    failed = 0
    for wrong in wrong_values():
        try:
            said = repr(load_config({**folder.environ, **wrong, "APP_ENV": app_env}))
            if wrong.keys() & CANARIES.keys():
                assert_silent(said)
        except ConfigError as error:
            failed += 1
            for said in everything_said(error):
                assert_silent(said)
    assert failed > 100


@pytest.mark.parametrize("place", [".secrets", ".env.prod"])
@pytest.mark.parametrize(
    "text",
    [
        f"{CANARY}\n",
        f"{CANARY}=\n",
        f"{AES_SECRET}\n",
        f"export {AES_SECRET}",
        f"DB_PASSWORD='{CANARY}\n",
        f"DB_PASSWORD: {CANARY}\n",
        f"DB_PASWORD={CANARY}\n",
        f"UNKNOWN_KEY={CANARY}\n",
        f"REDIS_PASSWORD=a\nREDIS_PASSWORD={CANARY}\n",
        f"PORT={CANARY}\n",
        f"-----BEGIN {CANARY}-----\n{JWT_SECRET}\n{CANARY}==\n-----END-----\n",
    ],
    ids=range(11),
)
def test_no_error_of_a_broken_file_shows_one(folder: Folder, place: str, text: str) -> None:
    folder.write(place, text)
    with pytest.raises(ConfigError) as caught:
        folder.load()
    for said in everything_said(caught.value):
        assert_silent(said)


def test_no_error_of_a_secret_file_shows_one(folder: Folder) -> None:
    file = folder.secret_file("REDIS_PASSWORD", "")
    file.write_bytes(CANARY.encode() + b"\xff")
    with pytest.raises(ConfigError) as caught:
        folder.load()
    for said in everything_said(caught.value):
        assert_silent(said)


def test_pydantics_own_error_shows_none() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(
            {**PROD, **CANARIES, "AES_SECRET": AES_SECRET + "A", "PORT": CANARY}
        )
    for said in everything_said(caught.value):
        assert_silent(said)


def test_errors_of_keys_and_values_show_none() -> None:
    sealed = Keyring.parse(AES_SECRET).encrypt(CANARY, "DB_PASSWORD")
    with pytest.raises(SecretError) as parsing:
        Keyring.parse(AES_SECRET[:-3])
    with pytest.raises(SecretError) as opening:
        Keyring.parse(AES_SECRET).decrypt(sealed, "REDIS_PASSWORD")
    with pytest.raises(SecretError) as foreign:
        Keyring.parse(generate_key()).decrypt(sealed, "DB_PASSWORD")
    for caught in (parsing, opening, foreign):
        for said in everything_said(caught.value):
            assert_silent(said)


def connect(password: str) -> None:
    raise RuntimeError(f"went wrong with {len(password)} characters")


def test_a_logged_traceback_shows_no_value_of_a_variable(folder: Folder) -> None:
    """Loguru's `diagnose` would: it must stay off."""
    stream = BytesIO()
    whole = settings()
    install_logging(create_line_log(whole, stream), whole)
    try:
        try:
            connect(CANARIES["DB_PASSWORD"])
        except RuntimeError:
            logger.exception("refused")
    finally:
        forget_logging()
    said = stream.getvalue().decode()
    assert "RuntimeError: went wrong" in said
    assert_silent(said)
