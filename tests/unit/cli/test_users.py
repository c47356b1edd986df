"""`groundwork users create-admin|list|disable|reset-password`."""

import getpass
import sqlite3
from functools import partial
from typing import Any

import bcrypt
import pytest

from internal.core.password import bcrypt_input
from internal.services import assembly
from internal.services.passwords import PasswordHasher
from tests.unit.cli.conftest import Groundwork, Stdin
from tests.unit.cli.refusals import refusal
from tests.unit.config.folder import Folder

PASSWORD = "correct horse battery staple"
OTHER = "another horse another staple"


@pytest.fixture(autouse=True)
def migrated(groundwork: Groundwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database, and passwords that are hashed at bcrypt's least cost."""
    monkeypatch.setattr(assembly, "PasswordHasher", partial(PasswordHasher, cost=4))
    assert groundwork("migrate").code == 0


def rows(folder: Folder, table: str) -> list[dict[str, Any]]:
    database = sqlite3.connect(folder.path / "var" / "groundwork.sqlite3")
    database.row_factory = sqlite3.Row
    found = [dict(row) for row in database.execute(f"SELECT * FROM {table} ORDER BY id")]
    database.close()
    return found


def has_password(user: dict[str, Any], password: str) -> bool:
    return bcrypt.checkpw(bcrypt_input(password), user["password_hash"].encode())


def create(groundwork: Groundwork, username: str = "ada", password: str = PASSWORD) -> None:
    done = groundwork("users", "create-admin", username, stdin=password.encode())
    assert done == (0, f"created: {username}\n", "")


def test_create_admin_makes_an_admin_with_the_password_from_stdin(
    groundwork: Groundwork, embedded: Folder
) -> None:
    done = groundwork("users", "create-admin", "Ada@Example.com", stdin=PASSWORD.encode() + b"\n")
    assert done == (0, "created: ada@example.com\n", "")
    (user,) = rows(embedded, "users")
    assert (user["username"], user["role"], user["disabled_at"]) == (
        "ada@example.com",
        "admin",
        None,
    )
    assert has_password(user, PASSWORD)


def test_a_command_is_in_the_audit_log_as_an_operators(
    groundwork: Groundwork, embedded: Folder
) -> None:
    create(groundwork)
    groundwork("users", "disable", "ada")
    groundwork("users", "reset-password", "ada", stdin=OTHER.encode())
    events = rows(embedded, "audit_events")
    assert [event["action"] for event in events] == [
        "user.create",
        "user.update",
        "user.reset_password",
    ]
    assert {(event["actor_kind"], event["actor_id"]) for event in events} == {("operator", None)}
    assert PASSWORD not in str(events)


def test_only_one_line_end_is_cut_from_a_password(groundwork: Groundwork, embedded: Folder) -> None:
    create(groundwork, "ada", f" {PASSWORD} \n")
    (user,) = rows(embedded, "users")
    assert has_password(user, f" {PASSWORD} ")


@pytest.mark.parametrize(
    ("username", "password", "problem"),
    [
        ("ada", b"", "password: a password has 12 to 1024 characters"),
        ("ada", b"shorter\n", "password: a password has 12 to 1024 characters"),
        ("ada", b"x" * 1025, "password: a password has 12 to 1024 characters"),
        ("ada", b"\xff" * 20, "the password is not valid UTF-8"),
        ("a", PASSWORD.encode(), "username: "),
        ("a b c", PASSWORD.encode(), "username: "),
        ("ada\nCRITICAL: forged", PASSWORD.encode(), "username: "),
    ],
)
def test_what_cannot_be_an_account_is_one_line_and_makes_none(
    groundwork: Groundwork, embedded: Folder, username: str, password: bytes, problem: str
) -> None:
    line = refusal(groundwork("users", "create-admin", username, stdin=password))
    assert line.startswith(problem)
    assert not password or password.decode("latin-1").strip() not in line
    assert rows(embedded, "users") == []


def test_a_name_that_is_taken_is_one_line(groundwork: Groundwork, embedded: Folder) -> None:
    create(groundwork)
    done = groundwork("users", "create-admin", "ADA", stdin=OTHER.encode())
    assert refusal(done) == "this username is taken"
    (user,) = rows(embedded, "users")
    assert has_password(user, PASSWORD)


def test_list_prints_a_line_an_account_and_how_many_there_are(
    groundwork: Groundwork, embedded: Folder
) -> None:
    assert groundwork("users", "list") == (0, "", "0 in all\n")
    create(groundwork, "ada")
    create(groundwork, "grace")
    groundwork("users", "disable", "ada")
    ada, grace = (str(user["id"]) for user in rows(embedded, "users"))
    done = groundwork("users", "list")
    assert (done.code, done.err) == (0, "2 in all\n")
    assert done.out.splitlines() == [
        f"{ada}\tadmin\tdisabled\tada",
        f"{grace}\tadmin\tactive\tgrace",
    ]
    assert groundwork("users", "list", "--page", "2") == (0, "", "2 in all\n")
    assert groundwork("users", "list", "--page", "0").code == 2


def test_disable_ends_every_session(groundwork: Groundwork, embedded: Folder) -> None:
    create(groundwork)
    (before,) = rows(embedded, "users")
    assert groundwork("users", "disable", "ADA") == (0, "disabled: ada\n", "")
    (user,) = rows(embedded, "users")
    assert user["disabled_at"] is not None
    assert user["token_version"] > before["token_version"]


def test_reset_password_sets_it_and_ends_every_session(
    groundwork: Groundwork, embedded: Folder
) -> None:
    create(groundwork)
    (before,) = rows(embedded, "users")
    done = groundwork("users", "reset-password", "ADA", stdin=OTHER.encode() + b"\n")
    assert done == (0, "password reset: ada\n", "")
    (user,) = rows(embedded, "users")
    assert has_password(user, OTHER)
    assert user["token_version"] > before["token_version"]


@pytest.mark.parametrize("password", [b"", b"shorter", b"\xff" * 20])
def test_reset_password_refuses_what_is_no_password(
    groundwork: Groundwork, embedded: Folder, password: bytes
) -> None:
    create(groundwork)
    done = groundwork("users", "reset-password", "ada", stdin=password)
    assert "password" in refusal(done)
    (user,) = rows(embedded, "users")
    assert has_password(user, PASSWORD)


@pytest.mark.parametrize("verb", ["disable", "reset-password"])
def test_an_unknown_account_is_one_line(groundwork: Groundwork, verb: str) -> None:
    for name, line in (
        ("nobody", "not found"),
        ("' OR '1'='1", "not found"),
        ("\udcff", "an argument is not valid UTF-8"),
    ):
        assert refusal(groundwork("users", verb, name, stdin=PASSWORD.encode())) == line


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What somebody types at the prompts, in this order."""
    typed: list[str] = []
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: typed.pop(0))
    monkeypatch.setattr(Stdin, "is_terminal", True)
    return typed


def test_at_a_terminal_the_password_is_asked_for_twice(
    groundwork: Groundwork, embedded: Folder, terminal: list[str]
) -> None:
    terminal += [PASSWORD, PASSWORD]
    assert groundwork("users", "create-admin", "ada").code == 0
    (user,) = rows(embedded, "users")
    assert has_password(user, PASSWORD)


def test_two_passwords_that_differ_are_one_line(
    groundwork: Groundwork, embedded: Folder, terminal: list[str]
) -> None:
    terminal += [PASSWORD, OTHER]
    assert refusal(groundwork("users", "create-admin", "ada")) == "the two passwords differ"
    assert rows(embedded, "users") == []


@pytest.mark.parametrize(
    "command", [("create-admin", "ada"), ("list",), ("disable", "ada"), ("reset-password", "ada")]
)
def test_an_unmigrated_database_is_one_line_that_names_the_mend(
    groundwork: Groundwork, embedded: Folder, command: tuple[str, ...]
) -> None:
    embedded.environ["DB_DATABASE"] = "unmigrated"
    line = refusal(groundwork("users", *command, stdin=PASSWORD.encode()))
    assert line.startswith("database: ")
    assert line.endswith("run `groundwork migrate`")


def test_a_database_that_is_away_is_one_line(groundwork: Groundwork, embedded: Folder) -> None:
    embedded.write(".env.test", "DB_TYPE=mysql\nREDIS_MODE=embedded\n")
    embedded.environ |= {
        "DB_HOST": "127.0.0.1",
        "DB_PORT": "1",  # where nobody listens
        "DB_USERNAME": "groundwork",
        "DB_PASSWORD": "quail-7-battery",
        "DB_DATABASE": "groundwork",
    }
    line = refusal(groundwork("users", "list"))
    assert line.startswith("database: mysql at 127.0.0.1:1: ")
    assert "quail-7-battery" not in line


def test_a_wrong_configuration_is_its_own_exit_code(
    groundwork: Groundwork, embedded: Folder
) -> None:
    embedded.environ["AES_SECRET"] = "short"
    done = groundwork("users", "list")
    assert done.code == 78
    assert done.err.startswith("CRITICAL: Config load failed: AES_SECRET: ")


def test_redis_is_not_needed(groundwork: Groundwork, embedded: Folder) -> None:
    embedded.write(".env.test", "DB_TYPE=sqlite\nREDIS_MODE=server\n")
    embedded.environ |= {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}
    create(groundwork)
