"""A password may hold any characters, wherever it stands and wherever it goes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from internal.config.secrets import Keyring
from internal.config.settings import Settings
from internal.infra.database import database_url
from tests.unit.config.folder import AES_SECRET, PROD, Folder, prod_folder

# Without what no text of an environment or of a file's line can hold, NUL and lone surrogates; what
# begins as an encrypted value does is one.
ANY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda password: not password.strip().startswith("ENC(")
)
HARD = ["p@ss/w:rd#%?& x", "' \" \\ ` $HOME ${X} %(y)s {z}", "a,b;c=d", "中文密码 ü", " lead", "\t"]


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all examples of a test: each writes its files anew."""
    return tmp_path_factory.mktemp("configs")


def password_of(folder: Folder) -> str:
    folder.environ["APP_ENV"] = "test"  # where a placeholder is as good as any
    folder.write(".env.test", "")
    password = folder.load().settings.db_password
    assert password is not None
    return password.get_secret_value()


@given(ANY)
def test_in_the_environment(module_folder: Path, password: str) -> None:
    folder = prod_folder(module_folder)
    if password.startswith("ENC("):
        return
    folder.environ["DB_PASSWORD"] = password
    assert password_of(folder) == password


@given(ANY)
def test_in_a_secret_file(module_folder: Path, password: str) -> None:
    folder = prod_folder(module_folder)
    del folder.environ["DB_PASSWORD"]
    folder.secret_file("DB_PASSWORD", f"{password}|\n")
    assert password_of(folder) == f"{password}|"


@given(ANY)
def test_quoted_in_a_file(module_folder: Path, password: str) -> None:
    folder = prod_folder(module_folder)
    del folder.environ["DB_PASSWORD"]
    quoted = password.replace("\\", "\\\\").replace("'", "\\'")
    folder.write(".secrets", f"DB_PASSWORD='{quoted}' # a comment\nPORT=1\n")
    assert password_of(folder) == password
    (folder.path / ".secrets").unlink()


@given(ANY)
def test_encrypted(module_folder: Path, password: str) -> None:
    folder = prod_folder(module_folder)
    ring = Keyring.parse(AES_SECRET)
    folder.environ["DB_PASSWORD"] = ring.encrypt(password, "DB_PASSWORD")
    assert password_of(folder) == password


@pytest.mark.parametrize("password", HARD)
def test_a_hard_one_is_fine_in_prod(folder: Folder, password: str) -> None:
    folder.environ["DB_PASSWORD"] = password
    assert folder.load().settings.db_password is not None


@given(ANY)
def test_the_databases_url_is_built_so_that_it_changes_nothing_of_it(password: str) -> None:
    settings = Settings.model_validate({**PROD, "APP_ENV": "test", "DB_PASSWORD": password})
    url = database_url(settings, driver="pymysql")
    assert (url.username, url.host, url.port) == ("groundwork", "db.internal", 3306)
    assert url.database == "groundwork"
    again = make_url(url.render_as_string(hide_password=False))
    assert again == url
    assert str(url) == "mysql+pymysql://groundwork:***@db.internal:3306/groundwork?charset=utf8mb4"
    assert url.password is not None
    assert url.password.encode("latin-1") == password.encode()
