"""Files that are missing, unreadable or malformed: each said with its name and line."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.config.folder import Folder


def test_a_secret_file_that_is_missing_is_named_with_its_key(folder: Folder) -> None:
    folder.environ["REDIS_PASSWORD_FILE"] = "/run/secrets/none"
    assert folder.problems() == [
        (
            "REDIS_PASSWORD: REDIS_PASSWORD_FILE names /run/secrets/none, which cannot be read: "
            "No such file or directory; check it"
        )
    ]


@pytest.mark.parametrize("place", [".secrets", ".env.prod"])
def test_a_folder_in_a_files_place_is_unreadable(folder: Folder, place: str) -> None:
    path = folder.path / place
    path.unlink(missing_ok=True)
    path.mkdir()
    assert folder.problems() == [
        f"{place}: the file {path}, which cannot be read: Is a directory; check it"
    ]


def test_a_credential_that_is_unreadable_is_named(folder: Folder) -> None:
    path = folder.credential("REDIS_PASSWORD", "")
    path.unlink()
    path.mkdir()
    (problem,) = folder.problems()
    assert problem.startswith(f"REDIS_PASSWORD: the credential {path}, which cannot be read: ")


LOAD_WITHOUT_RIGHTS = """
import os, sys
sys.path.insert(0, sys.argv[1])
from internal.config.load_config import ConfigError, load_config
if os.geteuid() == 0:
    os.setuid(65534)  # to root, nothing is closed
try: load_config()
except ConfigError as error: print(error)
"""


@pytest.mark.parametrize("closed", [".env.prod", ".secrets", "."])
def test_what_we_have_no_right_to_read_is_said_in_one_line_each(
    folder: Folder, closed: str
) -> None:
    folder.write(".secrets", "")
    folder.path.chmod(0o755)
    (folder.path / closed).chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_RIGHTS, str(Path.cwd())],
        cwd=folder.path,  # whose parents are the test runner's own
        env={**folder.environ, "CONFIG_DIR": "."},
        capture_output=True,
        text=True,
        check=True,
    )
    folder.path.chmod(0o755)
    lines = done.stdout.splitlines()
    assert len(lines) == (2 if closed == "." else 1)
    assert all(line.endswith("cannot be read: Permission denied; check it") for line in lines)


def test_a_path_that_no_system_would_open_is_said_in_one_line_each(folder: Folder) -> None:
    problems = folder.problems({"CONFIG_DIR": "x" * 300})
    assert [problem.partition(":")[0] for problem in problems] == [".secrets", ".env.prod"]
    assert all("cannot be read: File name too long" in problem for problem in problems)


@pytest.mark.parametrize("place", [".secrets", ".env.prod"])
def test_a_file_that_is_not_utf_8_is_said_so(folder: Folder, place: str) -> None:
    path = folder.path / place
    path.write_bytes(b"JWT_ISSUER=caf\xe9\n")
    assert folder.problems() == [f"{place}: the file {path}, which is not UTF-8; save it as UTF-8"]


@pytest.mark.parametrize(
    "line",
    [
        "no sign at all",
        "DB_PASSWORD",
        "DB_PASSWORD='not closed",
        "DB_PASSWORD='closed' and more",
        '"DB_PASSWORD"',
        "=value",
    ],
)
def test_a_line_that_is_no_key_and_value_is_named_by_its_number(folder: Folder, line: str) -> None:
    path = folder.write(".env.prod", f"PORT=8000\n\n# a comment\n\n  \n{line}\nHOST=::\n")
    assert folder.problems() == [f"{path} line 6: not a KEY=value line; correct it"]


def test_a_key_that_is_no_setting_is_an_error_with_the_likely_name(folder: Folder) -> None:
    path = folder.write(".env.prod", "\nDB_PASWORD=x\nport=1\n")
    assert folder.problems() == [
        f"{path} line 2: DB_PASWORD is no setting; did you mean DB_PASSWORD?",
        f"{path} line 3: this is no setting; remove it",
    ]


def test_a_key_that_resembles_none_is_to_be_removed(folder: Folder) -> None:
    path = folder.write(".secrets", "SENTRY_ZONE=x\n")
    assert folder.problems() == [f"{path} line 1: SENTRY_ZONE is no setting; remove it"]


def test_a_key_that_stands_twice_in_a_file_is_an_error(folder: Folder) -> None:
    path = folder.write(".env.prod", "PORT=1\nHOST=::\nPORT=2\n")
    assert folder.problems() == [f"{path} line 3: PORT stands there twice; remove one"]


def test_a_key_that_stands_in_two_files_is_none(folder: Folder) -> None:
    folder.write(".secrets", "PORT=1\n")
    folder.write(".env.prod", "PORT=2\n")
    assert folder.load().settings.port == 1


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("JWT_ISSUER=plain", "plain"),
        ("export JWT_ISSUER=plain", "plain"),
        ("  JWT_ISSUER = spaced  ", "spaced"),
        ("JWT_ISSUER=two words", "two words"),
        ("JWT_ISSUER=before # a comment", "before"),
        ("JWT_ISSUER=a#b", "a#b"),
        ("JWT_ISSUER='# $HOME ${HOME} \"'", '# $HOME ${HOME} "'),
        ('JWT_ISSUER="it\'s"', "it's"),
        ("JWT_ISSUER=$HOME", "$HOME"),
        ("JWT_ISSUER=a=b", "a=b"),
        ("JWT_ISSUER=中文", "中文"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", ""])
def test_how_a_value_is_written(folder: Folder, line: str, value: str, line_end: str) -> None:
    folder.write(".env.prod", f"{line}{line_end}")
    assert folder.load().settings.jwt_issuer == value


def test_a_byte_order_mark_is_no_part_of_the_first_key(folder: Folder) -> None:
    folder.write(".env.prod", "\ufeffJWT_ISSUER=windows\r\n")
    assert folder.load().settings.jwt_issuer == "windows"
