"""`groundwork clients create|rotate|revoke|list|rekey`."""

import re
import sqlite3

import pytest

from internal.config.secrets import Keyring, SecretError, generate_key, key_id, parse_key
from tests.unit.cli.conftest import Done, Groundwork
from tests.unit.cli.refusals import refusal
from tests.unit.config.folder import AES_SECRET, Folder

KEYS = Keyring.parse(AES_SECRET)


@pytest.fixture(autouse=True)
def migrated(groundwork: Groundwork) -> None:
    assert groundwork("migrate").code == 0


def stored(folder: Folder, client_id: str, keys: Keyring = KEYS) -> list[str | None]:
    """The secrets of both slots, opened."""
    database = sqlite3.connect(folder.path / "var" / "groundwork.sqlite3")
    statement = "SELECT secret_1, secret_2 FROM api_clients WHERE client_id = ?"
    sealed: tuple[str | None, str | None] = database.execute(statement, [client_id]).fetchone()
    database.close()
    return [
        text and keys.decrypt(text, f"client:{client_id}:{slot}")
        for slot, text in enumerate(sealed, start=1)
    ]


def count(folder: Folder, table: str) -> int:
    database = sqlite3.connect(folder.path / "var" / "groundwork.sqlite3")
    (rows,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
    database.close()
    return int(rows)


def printed(done: Done) -> tuple[str, str]:
    """The id and the secret that a command has shown."""
    assert (done.code, done.err) == (0, "")
    match = re.fullmatch(r"client id: (gw_[\w-]{16})\nsecret:    ([\w-]{43})\n", done.out)
    assert match is not None, done.out
    return match[1], match[2]


def test_create_prints_the_id_and_the_secret_that_is_stored(
    groundwork: Groundwork, embedded: Folder
) -> None:
    done = groundwork("clients", "create", "billing", "--scope", "b:two", "--scope", "a:one")
    client_id, secret = printed(done)
    assert stored(embedded, client_id) == [secret, None]
    done = groundwork("clients", "list")
    assert done == (0, f"{client_id}\tactive\t1\ta:one,b:two\tbilling\n", "1 in all\n")
    assert count(embedded, "audit_events") == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("",), "name: "),
        (("x" * 129,), "name: "),
        (("bell\a",), "name: "),
        (("control\x9bsequence",), "name: "),
        (("two\nlines",), "name: "),
        (("billing", "--scope", "No Scope"), "scopes: "),
        (("billing", "--scope", ""), "scopes: "),
    ],
)
def test_what_cannot_be_a_client_is_one_line_and_makes_none(
    groundwork: Groundwork, embedded: Folder, arguments: tuple[str, ...], problem: str
) -> None:
    assert refusal(groundwork("clients", "create", *arguments)).startswith(problem)
    assert count(embedded, "api_clients") == 0


def test_rotate_keeps_the_newest_secret_and_drops_the_oldest(
    groundwork: Groundwork, embedded: Folder
) -> None:
    client_id, first = printed(groundwork("clients", "create", "billing"))
    same, second = printed(groundwork("clients", "rotate", client_id))
    assert same == client_id
    assert stored(embedded, client_id) == [first, second]
    _, third = printed(groundwork("clients", "rotate", client_id))
    assert stored(embedded, client_id) == [third, second]


def test_rotate_can_drop_every_other_secret(groundwork: Groundwork, embedded: Folder) -> None:
    client_id, _ = printed(groundwork("clients", "create", "billing"))
    groundwork("clients", "rotate", client_id)
    done = groundwork("clients", "rotate", client_id, "--no-keep-previous")
    _, newest = printed(done)
    assert stored(embedded, client_id) == [newest, None]


def test_a_revoked_client_is_listed_as_such_and_cannot_be_rotated(
    groundwork: Groundwork, embedded: Folder
) -> None:
    client_id, _ = printed(groundwork("clients", "create", "billing"))
    for _ in range(2):
        assert groundwork("clients", "revoke", client_id) == (0, f"revoked: {client_id}\n", "")
    assert groundwork("clients", "list").out == f"{client_id}\trevoked\t0\t-\tbilling\n"
    assert refusal(groundwork("clients", "rotate", client_id)) == "this client is revoked"
    assert count(embedded, "audit_events") == 2


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
def test_an_unknown_client_is_one_line(groundwork: Groundwork, verb: str) -> None:
    assert refusal(groundwork("clients", verb, "gw_nobody")) == "not found"
    assert refusal(groundwork("clients", verb, "\udcff")) == "an argument is not valid UTF-8"


def test_after_rekey_the_old_aes_key_can_be_dropped(
    groundwork: Groundwork, embedded: Folder
) -> None:
    client_id, secret = printed(groundwork("clients", "create", "billing"))
    _, second = printed(groundwork("clients", "rotate", client_id))
    newest = generate_key()
    embedded.environ |= {"AES_SECRET": newest, "AES_SECRET_PREVIOUS": AES_SECRET}
    assert groundwork("clients", "rekey") == (0, "re-encrypted: 2\n", "")
    assert stored(embedded, client_id, Keyring.parse(newest)) == [secret, second]
    with pytest.raises(SecretError):
        stored(embedded, client_id)
    del embedded.environ["AES_SECRET_PREVIOUS"]
    assert groundwork("clients", "rekey") == (0, "re-encrypted: 2\n", "")


def test_rekey_re_encrypts_the_secrets_of_webhook_endpoints_too(
    groundwork: Groundwork, embedded: Folder
) -> None:
    database = sqlite3.connect(embedded.path / "var" / "groundwork.sqlite3")
    sealed = KEYS.encrypt("a secret", "webhook:7")
    values = (7, "https://hooks.example/", "billing", sealed, "2026-01-01", "2026-01-01")
    columns = "id, url, owner, secret, created_at, updated_at"
    database.execute(f"INSERT INTO webhook_endpoints ({columns}) VALUES (?, ?, ?, ?, ?, ?)", values)
    database.commit()
    newest = generate_key()
    embedded.environ |= {"AES_SECRET": newest, "AES_SECRET_PREVIOUS": AES_SECRET}
    assert groundwork("clients", "rekey") == (0, "re-encrypted: 1\n", "")
    (stored_now,) = database.execute("SELECT secret FROM webhook_endpoints").fetchone()
    database.close()
    assert Keyring.parse(newest).decrypt(stored_now, "webhook:7") == "a secret"


def test_rekey_without_the_old_aes_key_is_one_line_that_names_it(
    groundwork: Groundwork, embedded: Folder
) -> None:
    client_id, secret = printed(groundwork("clients", "create", "billing"))
    embedded.environ["AES_SECRET"] = generate_key()
    line = refusal(groundwork("clients", "rekey"))
    assert key_id(parse_key(AES_SECRET)) in line
    assert line.endswith("is it in AES_SECRET_PREVIOUS?")
    assert stored(embedded, client_id) == [secret, None]


def test_rekey_of_no_client_is_none(groundwork: Groundwork) -> None:
    assert groundwork("clients", "rekey") == (0, "re-encrypted: 0\n", "")


COMMANDS = [("create", "billing"), ("rotate", "gw_x"), ("revoke", "gw_x"), ("list",), ("rekey",)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_an_unmigrated_database_is_one_line_that_names_the_mend(
    groundwork: Groundwork, embedded: Folder, command: tuple[str, ...]
) -> None:
    embedded.environ["DB_DATABASE"] = "unmigrated"
    line = refusal(groundwork("clients", *command))
    assert line.startswith("database: ")
    assert line.endswith("run `groundwork migrate`")


def test_without_a_node_of_its_own_a_command_leases_one(
    groundwork: Groundwork, embedded: Folder
) -> None:
    del embedded.environ["SNOWFLAKE_NODE_ID"]
    client_id, secret = printed(groundwork("clients", "create", "billing"))
    assert groundwork("clients", "revoke", client_id).code == 0
    assert stored(embedded, client_id) == [secret, None]
    assert count(embedded, "leases") > 0
