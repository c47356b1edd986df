"""All problems at once, one line each: the key, the source it came from and the mend."""

import pytest

from internal.config.secrets import Keyring, generate_key
from tests.unit.config.folder import Folder


def test_every_kind_of_problem_is_said_in_one_go(folder: Folder) -> None:
    env = folder.write(".env.prod", "PORT=eighty\nWORKERS=2\nnonsense\nSNOWFLAKE_NODE_ID=1\n")
    foreign = Keyring.parse(generate_key()).encrypt("x", "REDIS_PASSWORD")
    secrets = folder.write(".secrets", f"REDIS_PASSWORD={foreign}\n")
    folder.environ |= {
        "DEBUG": "true",
        "DB_PASSWORD": "<the database user's password>",
        "JWT_SECRET": "short",
        "REDIS_TLS_CA_FILE": "/none",
        "RATE_LIMIT_AUTH": "often",
    }
    del folder.environ["DB_HOST"], folder.environ["AES_SECRET"]
    begins = [
        ("REDIS_TLS_CA: ", "REDIS_TLS_CA_FILE names /none"),
        (f"{env} line 3: ", "not a KEY=value line"),
        ("REDIS_PASSWORD: ", f"(from {secrets})"),
        ("PORT: ", f"(from {env}); correct it there"),
        ("AES_SECRET: ", "missing; set it, or make one with"),
        ("RATE_LIMIT_AUTH: ", "not a rate: write it like"),
        ("DB_HOST: ", "missing; set it in the environment"),
        ("JWT_SECRET: ", "too short for HS256 (32 bytes) (from the environment); make one"),
        ("DB_PASSWORD: ", "still a placeholder (from the environment); put the real secret"),
        ("DEBUG: ", "refused in prod (from the environment); set it to false"),
        ("SNOWFLAKE_NODE_ID: ", f"would repeat ids (from {env}); unset it"),
    ]
    problems = folder.problems()
    assert len(problems) == len(begins)
    for problem, (begin, part) in zip(problems, begins, strict=True):
        assert problem.startswith(begin)
        assert part in problem


def test_a_key_that_is_wrong_is_not_also_called_missing(folder: Folder) -> None:
    folder.environ |= {"DB_PASSWORD": "ENC(v1.cut", "DB_TYPE": "sqlite3", "PORT": "0x50"}
    assert [problem.partition(":")[0] for problem in folder.problems()] == [
        "DB_PASSWORD",
        "PORT",
        "DB_TYPE",
    ]


def test_a_wrong_kind_of_part_does_not_ask_for_what_the_other_kind_needs(folder: Folder) -> None:
    for key in ("DB_HOST", "DB_USERNAME", "DB_PASSWORD", "DB_DATABASE", "REDIS_HOST"):
        del folder.environ[key]
    problems = folder.problems({"DB_TYPE": "postgres", "REDIS_MODE": "cluster"})
    assert [problem.partition(":")[0] for problem in problems] == ["DB_TYPE", "REDIS_MODE"]


def test_what_prod_needs_and_nobody_set_is_all_named(folder: Folder) -> None:
    folder.environ = {"APP_ENV": "prod", "CONFIG_DIR": str(folder.path)}
    assert [problem.partition(":")[0] for problem in folder.problems()] == [
        *("AES_SECRET", "JWT_SECRET"),
        *("DB_HOST", "DB_USERNAME", "DB_PASSWORD", "DB_DATABASE", "REDIS_HOST"),
    ]


@pytest.mark.parametrize("key", ["AES_SECRET", "JWT_SECRET"])
def test_a_missing_secret_names_the_command_that_makes_one(folder: Folder, key: str) -> None:
    del folder.environ[key]
    assert folder.problems() == [
        f"{key}: missing; set it, or make one with `groundwork config generate-secrets`"
    ]


def test_a_text_that_is_no_unicode_is_an_error_like_any_other(folder: Folder) -> None:
    undecodable = b"\xff".decode("utf-8", "surrogateescape") * 40
    keys = ["AES_SECRET", "DB_PASSWORD", "JWT_SECRET", "JWT_ISSUER"]
    problems = folder.problems(dict.fromkeys(keys, undecodable))
    assert sorted(problem.partition(":")[0] for problem in problems) == sorted(keys)
