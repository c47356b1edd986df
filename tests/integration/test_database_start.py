"""A database that cannot be used is one clear line, for the service and for `migrate` alike."""

import pytest
from sqlalchemy import text

from internal.config.settings import Settings
from internal.core.errors import StartError
from internal.infra.database import open_database
from internal.migrations import known_revisions
from internal.migrations.runner import migrate, missing_revisions
from tests.conftest import MakeSettings
from tests.servers import HOST, DatabaseServer, free_port

pytestmark = pytest.mark.anyio


async def failures(settings: Settings) -> list[str]:
    """What the start of the service, `migrate` and `migrate --check` say."""
    with pytest.raises(StartError) as of_service:
        async with open_database(settings):
            pass
    with pytest.raises(StartError) as of_migrate:
        migrate(settings)
    with pytest.raises(StartError) as of_check:
        missing_revisions(settings)
    return [str(failure.value) for failure in (of_service, of_migrate, of_check)]


async def test_a_database_that_does_not_exist(
    make_settings: MakeSettings, database_server: DatabaseServer
) -> None:
    name = f"{database_server.database}_missing"
    settings = make_settings(**{**database_server.environment(), "DB_DATABASE": name})
    for line in await failures(settings):
        assert line == (
            f"database: mysql at {HOST}:{database_server.port}: Unknown database '{name}' (1049); "
            "create the database or check DB_DATABASE"
        )


async def test_a_database_that_is_not_ours(
    make_settings: MakeSettings, database_server: DatabaseServer
) -> None:
    settings = make_settings(**{**database_server.environment(), "DB_DATABASE": "mysql"})
    for line in await failures(settings):
        assert "Access denied for user 'groundwork'@'%' to database 'mysql' (1044); " in line
        assert line.endswith("grant DB_USERNAME the rights on DB_DATABASE")


@pytest.mark.parametrize("wrong", ["not it", ""])
async def test_a_password_that_is_refused_is_said_without_being_said(
    make_settings: MakeSettings, database_server: DatabaseServer, wrong: str
) -> None:
    settings = make_settings(**{**database_server.environment(), "DB_PASSWORD": wrong})
    for line in await failures(settings):
        assert f"mysql at {HOST}:{database_server.port}: Access denied for user" in line
        assert line.endswith("(1045); check DB_USERNAME and DB_PASSWORD")
        assert "\n" not in line
        assert not wrong or wrong not in line


async def test_a_user_that_does_not_exist(
    make_settings: MakeSettings, database_server: DatabaseServer
) -> None:
    settings = make_settings(**{**database_server.environment(), "DB_USERNAME": "nobody"})
    for line in await failures(settings):
        assert "Access denied for user 'nobody'@" in line
        assert line.endswith("check DB_USERNAME and DB_PASSWORD")


async def test_a_server_that_is_down(
    make_settings: MakeSettings, database_server: DatabaseServer
) -> None:
    port = free_port()
    settings = make_settings(**{**database_server.environment(), "DB_PORT": port})
    for line in await failures(settings):
        assert line.startswith(f"database: mysql at {HOST}:{port}: Can't connect to MySQL server")
        assert line.endswith("(2003); check DB_HOST and DB_PORT and that the server runs")


async def test_a_server_that_is_frozen(
    make_settings: MakeSettings, mortal_database: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still takes connections, and then says nothing."""
    monkeypatch.setattr("internal.infra.database.CONNECT_TIMEOUT_SECONDS", 0.5)
    settings = make_settings(**mortal_database.environment())
    mortal_database.freeze()
    try:
        with pytest.raises(StartError) as failure:
            async with open_database(settings):
                pass
    finally:
        mortal_database.thaw()
    assert str(failure.value) == (
        f"database: mysql at {HOST}:{mortal_database.port}: no answer within 0.5 s; "
        "check DB_HOST and DB_PORT and that the server runs"
    )
    async with open_database(settings):
        pass


async def test_a_host_that_does_not_exist(
    make_settings: MakeSettings, database_server: DatabaseServer
) -> None:
    settings = make_settings(**{**database_server.environment(), "DB_HOST": "database.invalid"})
    for line in await failures(settings):
        assert line.startswith("database: mysql at database.invalid:")
        assert line.endswith("(2003); check DB_HOST and DB_PORT and that the server runs")


@pytest.mark.parametrize(
    "password",
    [
        *("p@ssword", "pass/word", "pass:word", "pass#word", "pass%word", "pass%40word", "pass?w"),
        *(
            " two  spaces ",
            "it's",
            'say "it"',
            "back\\slash",
            "$HOME ${HOME}",
            "&=+;,|<>(){}[]~^`!",
        ),
        *("naïve", "密码🗝️", "%", "@", "x" * 200),
    ],
)
async def test_any_password_is_taken_by_both_drivers(
    make_settings: MakeSettings, database_server: DatabaseServer, password: str, database: str
) -> None:
    username = f"user_{database}"
    database_server.create_user(username, password)
    database_server.execute(f"GRANT ALL ON `{database}`.* TO '{username}'@'%'")
    given = {"DB_USERNAME": username, "DB_PASSWORD": password, "DB_DATABASE": database}
    settings = make_settings(**{**database_server.environment(), **given})
    # The first of a user's connections is the one that MySQL wants the whole password for.
    async with open_database(settings) as engine, engine.connect() as connection:
        assert (await connection.scalar(text("SELECT CURRENT_USER()"))).startswith(username)
    assert migrate(settings) == known_revisions()
