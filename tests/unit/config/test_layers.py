"""Contract §1: environment > KEY_FILE > credentials > .secrets > .env.{APP_ENV} > defaults."""

from collections.abc import Callable

import pytest

from tests.unit.config.folder import JWT_SECRET, Folder

KEY = "JWT_ISSUER"
DEFAULT = "groundwork"

LAYERS: list[tuple[str, Callable[[Folder], object]]] = [
    ("environment", lambda folder: folder.environ.update({KEY: "environment"})),
    ("file", lambda folder: folder.secret_file(KEY, "file\n")),
    ("credential", lambda folder: folder.credential(KEY, "credential\n")),
    ("secrets", lambda folder: folder.write(".secrets", f"{KEY}=secrets\n")),
    ("env", lambda folder: folder.write(".env.prod", f"{KEY}=env\n")),
]


@pytest.mark.parametrize("highest", range(1, 5))
def test_a_layer_wins_over_all_below_it(folder: Folder, highest: int) -> None:
    for _, write in LAYERS[highest:]:
        write(folder)
    assert folder.load().settings.jwt_issuer == LAYERS[highest][0]


def test_the_environment_wins_over_every_file(folder: Folder) -> None:
    for name, write in LAYERS:
        if name != "file":  # both in the environment would be an error
            write(folder)
    assert folder.load().settings.jwt_issuer == "environment"


@pytest.mark.parametrize(("name", "write"), LAYERS, ids=[name for name, _ in LAYERS])
def test_each_layer_alone_wins_over_the_default(
    folder: Folder, name: str, write: Callable[[Folder], object]
) -> None:
    assert folder.load().settings.jwt_issuer == DEFAULT
    write(folder)
    assert folder.load().settings.jwt_issuer == name


def test_the_source_of_every_key_that_was_set_is_known(folder: Folder) -> None:
    file = folder.secret_file("REDIS_PASSWORD", "x")
    credential = folder.credential("JWT_SECRET_PREVIOUS", JWT_SECRET)
    secrets = folder.write(".secrets", "CELERY_BROKER_URL=redis://broker\n")
    env = folder.write(".env.prod", "PORT=9000\n")
    sources = folder.load().sources
    assert sources["DB_HOST"] == "the environment"
    assert sources["REDIS_PASSWORD"] == f"REDIS_PASSWORD_FILE={file}"
    assert sources["JWT_SECRET_PREVIOUS"] == str(credential)
    assert sources["CELERY_BROKER_URL"] == str(secrets)
    assert sources["PORT"] == str(env)
    assert "HOST" not in sources


@pytest.mark.parametrize("layer", range(5))
def test_an_empty_value_counts_as_not_given_in_every_layer(folder: Folder, layer: int) -> None:
    empty: list[Callable[[], object]] = [
        lambda: folder.environ.update({KEY: ""}),
        lambda: folder.secret_file(KEY, "\n"),
        lambda: folder.credential(KEY, ""),
        lambda: folder.write(".secrets", f"{KEY}=\n"),
        lambda: folder.write(".env.prod", f"{KEY}=''\n"),
    ]
    for _, write in LAYERS[layer + 1 :]:
        write(folder)
    empty[layer]()
    below = LAYERS[layer + 1][0] if layer < 4 else DEFAULT
    assert folder.load().settings.jwt_issuer == below


def test_an_empty_key_beside_its_file_is_no_conflict(folder: Folder) -> None:
    folder.secret_file("DB_PASSWORD", "from the file")
    folder.environ["DB_PASSWORD"] = ""
    password = folder.load().settings.db_password
    assert password is not None
    assert password.get_secret_value() == "from the file"


def test_both_a_key_and_its_file_is_an_error(folder: Folder) -> None:
    folder.secret_file("DB_PASSWORD", "another")
    assert folder.problems() == [
        "DB_PASSWORD: both DB_PASSWORD and DB_PASSWORD_FILE are set in the environment; unset one"
    ]


def test_an_empty_file_variable_counts_as_not_given(folder: Folder) -> None:
    folder.environ["DB_PASSWORD_FILE"] = ""
    assert folder.load().sources["DB_PASSWORD"] == "the environment"


def test_a_files_last_line_end_is_no_part_of_the_secret_and_all_else_is(folder: Folder) -> None:
    del folder.environ["DB_PASSWORD"]
    for written, read in (
        ("a b", "a b"),
        ("a b\n", "a b"),
        ("a b\r\n", "a b"),
        ("  a\tb ", "  a\tb "),
        ("a\r\nb\rc\nd\n", "a\r\nb\rc\nd"),
    ):
        folder.secret_file("DB_PASSWORD", written)
        password = folder.load().settings.db_password
        assert password is not None
        assert password.get_secret_value() == read


def test_other_variables_of_the_environment_are_no_business_of_ours(folder: Folder) -> None:
    folder.environ |= {"PATH": "/bin", "DB_PASWORD": "mistyped", "HOSTNAME": "pod-1"}
    assert folder.load().settings.db_host == "db.internal"


def test_the_configuration_folder_is_configs_if_nobody_names_another(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.path)
    folder.write("configs/.env.prod", "PORT=9001\n")
    for unset in ({}, {"CONFIG_DIR": ""}):
        del folder.environ["CONFIG_DIR"]
        folder.environ |= unset
        assert folder.load().settings.port == 9001
        folder.environ["CONFIG_DIR"] = "put back"
