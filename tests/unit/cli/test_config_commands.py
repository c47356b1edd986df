"""`groundwork config check|encrypt|rotate|generate-secrets`."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from internal.config.secrets import Keyring, generate_key, parse_key
from internal.config.settings import KEYS, SECRET_FIELDS, Settings
from tests.unit.cli.conftest import Run
from tests.unit.config.folder import AES_SECRET, PROD, Folder

RING = Keyring.parse(AES_SECRET)
EX_CONFIG = 78


def test_check_prints_every_key_with_its_value_and_its_source(run: Run, folder: Folder) -> None:
    env = folder.write(
        ".env.prod", "PORT=9000\nTRUSTED_PROXIES=10.0.0.0/8,::1\nSCHEDULER_ENABLED=no\n"
    )
    result = run("config", "check")
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert [line.partition("=")[0] for line in lines] == list(KEYS)
    for line in (
        "APP_ENV=prod  # the environment",
        "DB_HOST=db.internal  # the environment",
        f"PORT=9000  # {env}",
        f"TRUSTED_PROXIES=10.0.0.0/8,::1/128  # {env}",
        f"SCHEDULER_ENABLED=false  # {env}",
        "DEBUG=false  # default",
        "LOG_DIR=  # default",
        "REDIS_PASSWORD=  # default",
        "DB_PASSWORD=********  # the environment",
        "AES_SECRET=********  # the environment",
    ):
        assert line in lines


def test_check_masks_every_secret_and_every_value_that_was_encrypted(
    run: Run, folder: Folder
) -> None:
    canary = "canary-do-not-sing-0123456789abcdef"
    folder.environ |= {
        "REDIS_PASSWORD": canary,
        "CELERY_BROKER_URL": f"redis://:{canary}@h",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://user:{canary}@h",
        "JWT_SECRET_PREVIOUS": canary,
        "AES_SECRET_PREVIOUS": generate_key(),
        "DB_USERNAME": RING.encrypt(canary, "DB_USERNAME"),
    }
    result = run("config", "check")
    assert result.exit_code == 0
    masked = {line.partition("=")[0] for line in result.stdout.splitlines() if "=********" in line}
    assert masked == {name.upper() for name in SECRET_FIELDS} | {"DB_USERNAME"}
    for secret in (canary, AES_SECRET, PROD["JWT_SECRET"], PROD["DB_PASSWORD"]):
        assert secret[:8] not in result.output


def test_check_says_all_problems_one_line_each_and_exits_78(run: Run, folder: Folder) -> None:
    folder.environ |= {"PORT": "eighty", "DEBUG": "true"}
    del folder.environ["DB_HOST"]
    result = run("config", "check")
    assert result.exit_code == EX_CONFIG
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("CRITICAL: Config load failed: ") for line in lines)


def test_what_encrypt_prints_opens_again(run: Run, folder: Folder) -> None:
    for written, meant in (
        ("hunter2", "hunter2"),
        ("hunter2\n", "hunter2"),
        ("two words # and more\r\n", "two words # and more"),
        ("中文", "中文"),
        ("a\rb\nc\n", "a\rb\nc"),
    ):
        result = run("config", "encrypt", "DB_PASSWORD", stdin=written.encode())
        assert result.exit_code == 0
        assert result.stderr == ""
        assert RING.decrypt(result.stdout.removesuffix("\n"), "DB_PASSWORD") == meant
        folder.environ["REDIS_PASSWORD"] = run(
            "config", "encrypt", "REDIS_PASSWORD", stdin=written.encode()
        ).stdout.strip()
        password = folder.load().settings.redis_password
        assert password is not None
        assert password.get_secret_value() == meant


def test_encrypt_needs_no_more_of_a_configuration_than_its_key(run: Run, folder: Folder) -> None:
    for key in ("DB_HOST", "DB_PASSWORD", "JWT_SECRET"):
        del folder.environ[key]
    result = run("config", "encrypt", "DB_PASSWORD", stdin="hunter2")
    assert result.exit_code == 0
    assert RING.decrypt(result.stdout.strip(), "DB_PASSWORD") == "hunter2"


@pytest.mark.parametrize(
    ("key", "stdin", "complaint"),
    [
        ("DB_PASWORD", b"x", "DB_PASWORD: no such setting"),
        ("APP_ENV", b"prod", "APP_ENV: may not be encrypted; write it as it is"),
        ("AES_SECRET", b"x", "AES_SECRET: may not be encrypted"),
        ("AES_SECRET_PREVIOUS", b"x", "AES_SECRET_PREVIOUS: may not be encrypted"),
        ("DB_PASSWORD", b"\xff\xfe", "DB_PASSWORD: the value read is not UTF-8"),
        ("DB_PASSWORD", b"", "DB_PASSWORD: the value read is empty"),
        ("DB_PASSWORD", b"\n", "DB_PASSWORD: the value read is empty"),
    ],
)
def test_encrypt_refuses_what_could_not_be_used(
    run: Run, key: str, stdin: bytes, complaint: str
) -> None:
    result = run("config", "encrypt", key, stdin=stdin)
    assert result.exit_code == EX_CONFIG
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"CRITICAL: Config load failed: {complaint}")


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({"AES_SECRET": ""}, "AES_SECRET: AES_SECRET is not set; make one with"),
        ({"AES_SECRET": "AAAA"}, "AES_SECRET or AES_SECRET_PREVIOUS: 3 bytes where 32"),
        ({"AES_SECRET_PREVIOUS": "!"}, "AES_SECRET or AES_SECRET_PREVIOUS: not urlsafe base64"),
        ({"APP_ENV": "staging"}, "APP_ENV: 'staging' (from the environment) is unknown"),
    ],
)
@pytest.mark.parametrize("command", ["encrypt", "rotate"])
def test_without_a_usable_key_the_commands_say_so(
    run: Run, folder: Folder, environ: dict[str, str], complaint: str, command: str
) -> None:
    folder.environ |= environ
    folder.write(".env.prod", f"REDIS_PASSWORD={RING.encrypt('x', 'REDIS_PASSWORD')}\n")
    argument = "DB_PASSWORD" if command == "encrypt" else str(folder.path / ".env.prod")
    result = run("config", command, argument, stdin="x")
    assert result.exit_code == EX_CONFIG
    (line,) = result.stderr.splitlines()
    if command == "rotate" and environ == {"AES_SECRET": ""}:
        complaint = f"REDIS_PASSWORD: encrypted under key {RING.kid}, but the keys at hand are"
    assert line.startswith(f"CRITICAL: Config load failed: {complaint}")


def test_encrypt_asks_at_a_terminal_and_shows_nothing_of_the_answer(folder: Folder) -> None:
    controller, terminal = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "internal", "config", "encrypt", "DB_PASSWORD"],
        env={**os.environ, **folder.environ},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        shown = b""
        while b"DB_PASSWORD: " not in shown:
            shown += os.read(controller, 1000)
        os.write(controller, b"hunter2 \n")
        assert process.stdout is not None
        printed = process.stdout.read().decode()
    assert process.returncode == 0
    assert RING.decrypt(printed.strip(), "DB_PASSWORD") == "hunter2 "
    with contextlib.suppress(OSError):  # Linux's word for: the other end is closed
        shown += os.read(controller, 1000)
    os.close(controller)
    assert b"hunter2" not in shown


def test_rotate_renews_a_file_that_loads_under_the_new_key_alone(run: Run, folder: Folder) -> None:
    sealed = {key: RING.encrypt(PROD[key], key) for key in ("DB_PASSWORD", "JWT_SECRET")}
    lines = "".join(f"{key}={value}\r\n" for key, value in sealed.items())
    file = folder.write(".env.prod", f"# kept\r\n{lines}")
    for key in sealed:
        del folder.environ[key]
    folder.environ |= {"AES_SECRET": generate_key(), "AES_SECRET_PREVIOUS": AES_SECRET}
    before = folder.load().settings
    result = run("config", "rotate", str(file))
    assert (result.exit_code, result.stdout, result.stderr) == (0, "re-encrypted: 2\n", "")
    assert file.read_bytes().startswith(b"# kept\r\nDB_PASSWORD=ENC(v1.")
    del folder.environ["AES_SECRET_PREVIOUS"]
    after = folder.load().settings
    assert (after.db_password, after.jwt_secret) == (before.db_password, before.jwt_secret)


def test_rotate_says_every_value_that_does_not_open_and_changes_nothing(
    run: Run, folder: Folder
) -> None:
    stranger = Keyring.parse(generate_key())
    text = (
        f"DB_PASSWORD={stranger.encrypt('x', 'DB_PASSWORD')}\n"
        f"REDIS_PASSWORD={RING.encrypt('x', 'DB_PASSWORD')}\n"
    )
    file = folder.write(".env.prod", text)
    result = run("config", "rotate", str(file))
    assert result.exit_code == EX_CONFIG
    assert [line.split(": ")[2] for line in result.stderr.splitlines()] == [
        *("DB_PASSWORD", "REDIS_PASSWORD")
    ]
    assert file.read_text() == text


@pytest.mark.parametrize("name", ["none", "."])
def test_rotate_of_what_is_no_file_is_a_usage_error(run: Run, folder: Folder, name: str) -> None:
    result = run("config", "rotate", str(folder.path / name))
    assert result.exit_code == 2
    assert "Invalid value" in result.stderr


def test_rotate_of_a_file_that_cannot_be_rewritten_is_one_line(
    run: Run, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    file = folder.path / ".env.prod"
    result = run("config", "rotate", str(file))
    assert result.exit_code == EX_CONFIG
    assert result.stderr == (
        f"CRITICAL: Config load failed: {file}: cannot be rewritten: No space left on device; "
        "check the file and its folder\n"
    )


@pytest.mark.parametrize("app_env", ["", "dev", "test", "prod"])
def test_generated_secrets_are_fresh_and_valid_and_load_as_they_are(
    run: Run, folder: Folder, app_env: str
) -> None:
    folder.environ["APP_ENV"] = app_env
    first, second = run("config", "generate-secrets"), run("config", "generate-secrets")
    assert first.exit_code == 0
    assert first.stdout != second.stdout
    for key in ("APP_ENV", "AES_SECRET", "JWT_SECRET"):
        del folder.environ[key]
    named = app_env or "local"
    folder.write(".secrets", first.stdout)
    folder.write(f".env.{named}", f"DATA_DIR={folder.path}/var\nJWT_ALGORITHM=HS512\n")
    settings: Settings = folder.load().settings
    assert settings.app_env == named
    assert parse_key(settings.aes_secret.get_secret_value())
    assert not Path(folder.path, "var").exists()


def test_generate_secrets_for_an_unknown_environment_is_refused(run: Run, folder: Folder) -> None:
    folder.environ["APP_ENV"] = "staging"
    result = run("config", "generate-secrets")
    assert result.exit_code == EX_CONFIG
    assert result.stdout == ""
    assert "APP_ENV: 'staging' is unknown" in result.stderr
