"""In `local`, and only there, missing secrets are made once and kept in DATA_DIR/secrets."""

import subprocess
import sys
from pathlib import Path

import pytest

from internal.config import local_secrets
from internal.config.secrets import Keyring, parse_key
from tests.unit.config.folder import AES_SECRET, JWT_SECRET, Folder


@pytest.fixture
def local(folder: Folder) -> Folder:
    """A laptop at its first start: nothing is filled in."""
    data_dir = folder.path / "var" / "deeper"
    folder.environ = {
        "APP_ENV": "local",
        "CONFIG_DIR": str(folder.path),
        "DATA_DIR": str(data_dir),
    }
    folder.write(".env.local", "DB_TYPE=sqlite\nREDIS_MODE=embedded\n")
    return folder


def secrets_of(folder: Folder) -> Path:
    return Path(folder.environ["DATA_DIR"], "secrets")


def test_the_first_start_makes_valid_ones_that_only_we_can_read(local: Folder) -> None:
    configuration = local.load()
    file = secrets_of(local)
    assert file.stat().st_mode & 0o7777 == 0o600
    assert parse_key(configuration.settings.aes_secret.get_secret_value())
    assert len(configuration.settings.jwt_secret.get_secret_value()) >= 64
    assert configuration.sources["AES_SECRET"] == str(file)
    assert [path.name for path in file.parent.iterdir()] == ["secrets"]


def test_the_next_start_finds_the_same_ones(local: Folder) -> None:
    first = local.load().settings
    second = local.load().settings
    assert first.aes_secret == second.aes_secret
    assert first.jwt_secret == second.jwt_secret


def test_they_are_below_every_other_layer(local: Folder) -> None:
    local.load()
    local.write(".env.local", f"DB_TYPE=sqlite\nREDIS_MODE=embedded\nAES_SECRET={AES_SECRET}\n")
    settings = local.load({"JWT_SECRET": JWT_SECRET}).settings
    assert settings.aes_secret.get_secret_value() == AES_SECRET
    assert settings.jwt_secret.get_secret_value() == JWT_SECRET


def test_nothing_is_made_where_both_are_set(local: Folder) -> None:
    local.environ |= {"AES_SECRET": AES_SECRET, "JWT_SECRET": JWT_SECRET}
    local.load()
    assert not secrets_of(local).parent.exists()


def test_a_folder_whose_name_is_encrypted_is_not_made_by_that_name(
    local: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = Keyring.parse(AES_SECRET).encrypt(local.environ["DATA_DIR"], "DATA_DIR")
    local.environ |= {"AES_SECRET": AES_SECRET, "DATA_DIR": named}
    assert [problem.partition(":")[0] for problem in local.problems()] == ["JWT_SECRET"]
    settings = local.load({"JWT_SECRET": JWT_SECRET}).settings
    assert settings.data_dir == local.path / "var" / "deeper"
    assert not list(tmp_path.glob("ENC*"))


@pytest.mark.parametrize("app_env", ["dev", "test", "prod"])
def test_nothing_is_made_elsewhere(local: Folder, app_env: str) -> None:
    local.write(f".env.{app_env}", "")
    keys = [problem.partition(":")[0] for problem in local.problems({"APP_ENV": app_env})]
    assert {"AES_SECRET", "JWT_SECRET"} <= set(keys)
    assert not secrets_of(local).parent.exists()


def test_what_is_there_is_never_replaced(local: Folder) -> None:
    file = secrets_of(local)
    file.parent.mkdir(parents=True)
    file.write_text(f"AES_SECRET={AES_SECRET}\n")
    assert [problem.partition(":")[0] for problem in local.problems()] == ["JWT_SECRET"]
    assert file.read_text() == f"AES_SECRET={AES_SECRET}\n"


def test_a_folder_that_cannot_be_written_is_said_with_two_ways_out(local: Folder) -> None:
    local.write("var", "a file in the way")
    (first, second, third) = local.problems()
    assert first == (
        f"DATA_DIR: secrets cannot be kept in {secrets_of(local)}: Not a directory; "
        "make the folder writable or set AES_SECRET and JWT_SECRET"
    )
    assert second.startswith("AES_SECRET: missing")
    assert third.startswith("JWT_SECRET: missing")
    assert local.load({"AES_SECRET": AES_SECRET, "JWT_SECRET": JWT_SECRET}).settings.aes_secret


def test_of_two_that_find_none_the_first_to_make_them_wins(
    local: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process is through while this one is still making its own."""
    first = f"AES_SECRET={AES_SECRET}\nJWT_SECRET={JWT_SECRET}\n"

    def overtaken() -> str:
        secrets_of(local).parent.mkdir(parents=True)
        secrets_of(local).write_text(first)
        return JWT_SECRET[::-1]

    monkeypatch.setattr(local_secrets, "generate_jwt_secret", overtaken)
    settings = local.load().settings
    assert settings.aes_secret.get_secret_value() == AES_SECRET
    assert settings.jwt_secret.get_secret_value() == JWT_SECRET
    assert secrets_of(local).read_text() == first
    assert [path.name for path in secrets_of(local).parent.iterdir()] == ["secrets"]


LOAD_AT_ONCE = """
import sys
from internal.config.load_config import load_config
print("ready", flush=True)
sys.stdin.read()
settings = load_config().settings
print(settings.aes_secret.get_secret_value(), settings.jwt_secret.get_secret_value())
"""


def test_many_processes_that_start_at_once_agree_on_one(local: Folder) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOAD_AT_ONCE],
            env=local.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:  # all wait for the end of their input: now
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    found = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 8
    assert len(found) == 1
    settings = local.load().settings
    both = settings.aes_secret.get_secret_value(), settings.jwt_secret.get_secret_value()
    assert found == {"{} {}\n".format(*both)}
    assert [path.name for path in secrets_of(local).parent.iterdir()] == ["secrets"]
