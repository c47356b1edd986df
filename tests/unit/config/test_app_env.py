"""The way in: which environment is this? Contract §1 and its flow chart."""

from pathlib import Path

import pytest

from internal.config.settings import AppEnv
from tests.unit.config.folder import Folder

NAMES = "local dev test prod"


@pytest.mark.parametrize("name", NAMES.split())
def test_the_environments_value_needs_no_secrets_file(folder: Folder, name: str) -> None:
    folder.write(f".env.{name}", f"DATA_DIR={folder.path}/var\n")
    assert folder.load({"APP_ENV": name}).settings.app_env is AppEnv(name)


def test_without_it_the_secrets_file_must_name_one(folder: Folder) -> None:
    del folder.environ["APP_ENV"]
    secrets = folder.write(".secrets", "APP_ENV=prod\n")
    configuration = folder.load()
    assert configuration.settings.app_env is AppEnv.PROD
    assert configuration.sources["APP_ENV"] == str(secrets)


@pytest.mark.parametrize("secrets", [None, "", "JWT_ISSUER=x\n", "APP_ENV=\n"])
def test_with_neither_it_is_an_error_that_names_both_places(
    folder: Folder, secrets: str | None
) -> None:
    del folder.environ["APP_ENV"]
    if secrets is not None:
        folder.write(".secrets", secrets)
    assert folder.problems() == [
        (
            f"APP_ENV: not set, in the environment or in {folder.path}/.secrets; "
            f"set it to one of: {NAMES}"
        )
    ]


@pytest.mark.parametrize("name", ["staging", "PROD", "prod ", "../prod", "prod\n"])
def test_an_unknown_environment_is_an_error_that_names_the_known_ones(
    folder: Folder, name: str
) -> None:
    assert folder.problems({"APP_ENV": name}) == [
        f"APP_ENV: {name!r} (from the environment) is unknown; use one of: {NAMES}"
    ]


def test_an_unknown_environment_of_the_secrets_file_names_that_file(folder: Folder) -> None:
    del folder.environ["APP_ENV"]
    secrets = folder.write(".secrets", "APP_ENV=staging\n")
    (problem,) = folder.problems()
    assert str(secrets) in problem


@pytest.mark.parametrize("place", [".secrets", ".env.prod", "credentials"])
def test_two_places_that_disagree_are_an_error_and_never_a_guess(
    folder: Folder, place: str
) -> None:
    if place == "credentials":
        file = folder.credential("APP_ENV", "dev\n")
    else:
        file = folder.write(place, "APP_ENV=dev\n")
    assert folder.problems() == [
        f"APP_ENV: the environment says 'prod', {file} says 'dev'; make them agree"
    ]


@pytest.mark.parametrize("place", [".secrets", ".env.prod"])
def test_two_places_that_agree_are_fine(folder: Folder, place: str) -> None:
    folder.write(place, "APP_ENV=prod\n")
    assert folder.load().settings.app_env is AppEnv.PROD


def test_the_file_of_the_environment_must_exist(folder: Folder) -> None:
    (folder.path / ".env.prod").unlink()
    assert folder.problems() == [
        (
            "APP_ENV: the configuration of prod is missing: "
            f"{folder.path}/.env.prod does not exist; create it or point CONFIG_DIR at the "
            "folder that holds it"
        )
    ]


@pytest.mark.parametrize("config_dir", ["nowhere", ".env.prod", ".env.prod/deeper"])
def test_a_configuration_folder_that_is_none_is_said_so(
    folder: Folder, tmp_path: Path, config_dir: str
) -> None:
    (problem,) = folder.problems({"CONFIG_DIR": str(tmp_path / config_dir)})
    assert problem.startswith("APP_ENV: the configuration of prod is missing: ")
    assert "CONFIG_DIR" in problem


def test_the_file_of_another_environment_is_not_read(folder: Folder) -> None:
    folder.write(".env.dev", "not even = a configuration\nPORT=1\n")
    assert folder.load().settings.port == 8000
