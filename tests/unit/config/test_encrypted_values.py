"""ENC values in the configuration: any key may be one but the two that open them."""

import pytest

from internal.config.secrets import Keyring, generate_key
from tests.unit.config.folder import AES_SECRET, PROD, Folder

RING = Keyring.parse(AES_SECRET)


def enc(value: str, key: str, ring: Keyring = RING) -> str:
    return ring.encrypt(value, key)


@pytest.mark.parametrize("place", ["environment", "file", "credential", "secrets", "env"])
def test_an_encrypted_value_opens_wherever_it_stands(folder: Folder, place: str) -> None:
    del folder.environ["DB_PASSWORD"]
    sealed = enc("p@ss # word", "DB_PASSWORD")
    if place == "environment":
        folder.environ["DB_PASSWORD"] = sealed
    elif place == "file":
        folder.secret_file("DB_PASSWORD", f"{sealed}\n")
    elif place == "credential":
        folder.credential("DB_PASSWORD", f"{sealed}\n")
    elif place == "secrets":
        folder.write(".secrets", f"DB_PASSWORD={sealed}\n")
    else:
        folder.write(".env.prod", f'DB_PASSWORD="{sealed}"\n')
    password = folder.load().settings.db_password
    assert password is not None
    assert password.get_secret_value() == "p@ss # word"


def test_any_other_kind_of_value_may_be_encrypted_too(folder: Folder) -> None:
    folder.environ |= {
        "PORT": enc("9000", "PORT"),
        "DEBUG": enc("false", "DEBUG"),
        "TRUSTED_PROXIES": enc("10.0.0.0/8,fd00::/8", "TRUSTED_PROXIES"),
        "JWT_SECRET": enc(PROD["JWT_SECRET"], "JWT_SECRET"),
    }
    configuration = folder.load()
    assert configuration.settings.port == 9000
    assert configuration.settings.debug is False
    assert list(map(str, configuration.settings.trusted_proxies)) == ["10.0.0.0/8", "fd00::/8"]
    assert configuration.settings.jwt_secret.get_secret_value() == PROD["JWT_SECRET"]
    assert configuration.encrypted == {"PORT", "DEBUG", "TRUSTED_PROXIES", "JWT_SECRET"}


@pytest.mark.parametrize("key", ["AES_SECRET", "AES_SECRET_PREVIOUS"])
def test_what_opens_the_others_is_never_encrypted_itself(folder: Folder, key: str) -> None:
    folder.environ[key] = enc(generate_key(), key)
    assert folder.problems() == [
        f"{key}: may not be encrypted (from the environment); write it as it is"
    ]


def test_the_name_of_the_environment_is_never_encrypted(folder: Folder) -> None:
    folder.environ["APP_ENV"] = enc("prod", "APP_ENV")
    (problem,) = folder.problems()
    assert problem.startswith("APP_ENV: ")


def test_a_wrong_key_is_an_error_with_key_source_kids_and_mend(folder: Folder) -> None:
    ring = Keyring.parse(generate_key())
    env = folder.write(".env.prod", f"REDIS_PASSWORD={enc('hunter2', 'REDIS_PASSWORD', ring)}\n")
    assert folder.problems() == [
        (
            f"REDIS_PASSWORD: encrypted under key {ring.kid}, but the keys at hand are: {RING.kid} "
            f"(from {env}); encrypt it anew with "
            "`groundwork config encrypt REDIS_PASSWORD`, "
            "or restore the key it was encrypted under"
        )
    ]


def test_a_value_moved_to_another_key_is_an_error(folder: Folder) -> None:
    folder.environ["DB_PASSWORD"] = enc("hunter2", "REDIS_PASSWORD")
    (problem,) = folder.problems()
    assert problem.startswith(
        f"DB_PASSWORD: cannot be decrypted with AES_SECRET (kid {RING.kid}): damaged, cut short, "
        "or encrypted for another key's name (from the environment); "
    )


def test_a_value_that_is_cut_short_is_an_error_at_every_length(folder: Folder) -> None:
    sealed = enc("hunter2", "DB_PASSWORD")
    for length in range(len("ENC("), len(sealed)):
        (problem,) = folder.problems({"DB_PASSWORD": sealed[:length]})
        assert problem.startswith("DB_PASSWORD: ")
        assert "cut short" in problem
        assert sealed[20:] not in problem


def test_previous_keys_still_open(folder: Folder) -> None:
    older, oldest = generate_key(), generate_key()
    folder.environ |= {
        "AES_SECRET_PREVIOUS": f" {older} , {oldest},",
        "DB_PASSWORD": enc("hunter2", "DB_PASSWORD", Keyring.parse(older)),
        "REDIS_PASSWORD": enc("hunter3", "REDIS_PASSWORD", Keyring.parse(oldest)),
    }
    settings = folder.load().settings
    assert settings.db_password is not None
    assert settings.redis_password is not None
    assert settings.db_password.get_secret_value() == "hunter2"
    assert settings.redis_password.get_secret_value() == "hunter3"


def test_without_a_key_the_missing_key_and_what_it_should_open_are_named(folder: Folder) -> None:
    del folder.environ["AES_SECRET"]
    folder.environ["DB_PASSWORD"] = enc("hunter2", "DB_PASSWORD")
    first, second = folder.problems()
    assert first.startswith(f"DB_PASSWORD: encrypted under key {RING.kid}, but the keys at hand")
    assert second.startswith("AES_SECRET: missing")


@pytest.mark.parametrize("key", ["AES_SECRET", "AES_SECRET_PREVIOUS"])
@pytest.mark.parametrize("value", ["tooshort", "not base64!", "A" * 44 + "="])
def test_a_key_that_is_none_is_an_error(folder: Folder, key: str, value: str) -> None:
    (problem,) = folder.problems({key: value})
    assert problem.startswith(f"{key}: ")
    assert "(from the environment)" in problem


@pytest.mark.parametrize("app_env", ["dev", "prod", "test"])
def test_an_encrypted_nothing_counts_as_not_given(folder: Folder, app_env: str) -> None:
    folder.write(f".env.{app_env}", "")
    folder.environ |= {"APP_ENV": app_env, "DB_PASSWORD": enc("", "DB_PASSWORD")}
    (problem,) = folder.problems()
    assert problem.startswith("DB_PASSWORD: missing; ")


@pytest.mark.parametrize("app_env", ["dev", "prod"])
def test_an_encrypted_placeholder_is_one_still(folder: Folder, app_env: str) -> None:
    folder.write(f".env.{app_env}", "")
    folder.environ |= {"APP_ENV": app_env, "DB_PASSWORD": enc("changeme", "DB_PASSWORD")}
    (problem,) = folder.problems()
    assert problem.startswith("DB_PASSWORD: still a placeholder ")
