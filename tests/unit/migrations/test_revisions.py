"""The rules that every revision keeps, whoever writes it."""

import importlib
import pkgutil
import re
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command, op
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory

import internal.models
from internal.infra.database import database_url
from internal.migrations import VERSIONS, SchemaState, known_revisions, schema_state
from internal.migrations.runner import migrate
from internal.models.base import Base
from tests.conftest import MakeSettings


def config_of(folder: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder))
    return config


def scripts() -> list[Script]:
    """Oldest first."""
    return list(ScriptDirectory.from_config(config_of(VERSIONS.parent)).walk_revisions())[::-1]


def test_revisions_are_numbered_from_one_without_a_gap() -> None:
    assert known_revisions() == [f"{number:04}" for number in range(1, len(known_revisions()) + 1)]


def test_revisions_are_one_line_in_the_order_of_their_numbers() -> None:
    assert [script.revision for script in scripts()] == known_revisions()
    parents = [None, *known_revisions()[:-1]]
    assert [script.down_revision for script in scripts()] == parents
    assert all(script.branch_labels == set() for script in scripts())
    assert all(script.dependencies is None for script in scripts())


def test_every_file_in_the_folder_is_a_revision_named_by_its_number() -> None:
    files = sorted(path.name for path in VERSIONS.iterdir() if path.name != "__pycache__")
    assert all(re.fullmatch(r"\d{4}_[a-z0-9_]+\.py", name) for name in files)
    assert [name[:4] for name in files] == known_revisions()
    assert [Path(script.path).name for script in scripts()] == files


def import_all_models() -> None:
    for module in pkgutil.walk_packages(internal.models.__path__, "internal.models."):
        importlib.import_module(module.name)


def differences(connection: sa.Connection, metadata: sa.MetaData) -> list[object]:
    """What a revision would still have to do, as Alembic sees it."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


@pytest.fixture
def migrated(make_settings: MakeSettings) -> sa.Engine:
    settings = make_settings()
    migrate(settings)
    return sa.create_engine(database_url(settings, driver="pysqlite"), poolclass=sa.NullPool)


def test_the_migrated_schema_is_the_models(migrated: sa.Engine) -> None:
    import_all_models()
    with migrated.connect() as connection:
        assert differences(connection, Base.metadata) == []


def test_a_model_without_a_revision_would_be_found(migrated: sa.Engine) -> None:
    import_all_models()
    metadata = sa.MetaData()
    for table in Base.metadata.tables.values():
        table.to_metadata(metadata)
    sa.Table("forgotten", metadata, sa.Column("id", sa.BigInteger, primary_key=True))
    with migrated.connect() as connection:
        (difference,) = differences(connection, metadata)
    assert isinstance(difference, tuple)
    assert difference[0] == "add_table"


def ddl_statements(upgrade: Callable[[], None]) -> list[str]:
    """The DDL that a revision sends to MySQL, which commits each statement of it."""
    output = StringIO()
    context = MigrationContext.configure(
        dialect_name="mysql", opts={"as_sql": True, "output_buffer": output}
    )
    with Operations.context(context):
        upgrade()
    ddl = re.compile(r"\s*(CREATE|ALTER|DROP|RENAME|TRUNCATE)\b", re.IGNORECASE)
    return [statement for statement in output.getvalue().split(";") if ddl.match(statement)]


@pytest.mark.parametrize("script", scripts(), ids=lambda script: script.revision)
def test_a_revision_is_at_most_one_ddl_statement_each_way(script: Script) -> None:
    assert len(ddl_statements(script.module.upgrade)) <= 1
    assert len(ddl_statements(script.module.downgrade)) <= 1


def test_a_second_ddl_statement_would_be_found() -> None:
    def table_and_index() -> None:
        op.create_table("books", sa.Column("title", sa.String(100), index=True))

    def two_columns() -> None:
        op.add_column("books", sa.Column("pages", sa.Integer))
        op.execute("  alter table books add column author_id BIGINT")
        op.execute("UPDATE books SET pages = 0 WHERE pages IS NULL")

    def one_table() -> None:
        op.create_table("books", sa.Column("title", sa.String(100), unique=True))

    assert len(ddl_statements(table_and_index)) == 2
    assert len(ddl_statements(two_columns)) == 2
    assert len(ddl_statements(one_table)) == 1


def test_all_revisions_can_be_taken_back_and_applied_again(migrated: sa.Engine) -> None:
    config = config_of(VERSIONS.parent)
    with migrated.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        assert set(sa.inspect(connection).get_table_names()) == {"alembic_version"}
        command.upgrade(config, "head")
        assert differences(connection, Base.metadata) == []


def test_a_new_revision_starts_from_a_template_that_is_valid(tmp_path: Path) -> None:
    folder = tmp_path / "migrations"
    shutil.copytree(VERSIONS.parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    number = f"{len(known_revisions()) + 1:04}"
    script = command.revision(config_of(folder), "add books", rev_id=number)
    assert isinstance(script, Script)
    assert Path(script.path).name == f"{number}_add_books.py"
    assert script.down_revision == known_revisions()[-1]
    assert script.doc == "add books"
    assert callable(script.module.upgrade)
    assert callable(script.module.downgrade)


@pytest.mark.parametrize(
    ("revision", "state"),
    [
        (None, SchemaState.BEHIND),
        ("", SchemaState.BEHIND),
        ("0000", SchemaState.BEHIND),
        (known_revisions()[-1], SchemaState.CURRENT),
        (f"{len(known_revisions()) + 1:04}", SchemaState.AHEAD),
        ("9999", SchemaState.AHEAD),
    ],
)
def test_a_database_is_behind_current_or_ahead(revision: str | None, state: SchemaState) -> None:
    assert schema_state(revision) is state
