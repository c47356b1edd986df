"""`config rotate`: the ENC values of a file under the newest key, all else to the byte."""

import os
import stat
from pathlib import Path

import pytest
from dotenv import dotenv_values

from internal.config.rotation import RotationError, rotate_file
from internal.config.secrets import Keyring, generate_key

OLD, NEW = generate_key(), generate_key()
OLD_RING, NEW_RING = Keyring.parse(OLD), Keyring.parse(NEW)
BOTH = Keyring.parse(NEW, [OLD])

PLAIN = {
    "DB_PASSWORD": "p@ss # 'word'",
    "REDIS_PASSWORD": "中文",
    "CELERY_BROKER_URL": "amqp://u:p@h",
    "JWT_SECRET": "x" * 64,
}


def written(ring: Keyring) -> str:
    """A file with ENC values in every way to write one, and much that must stay."""
    sealed = {key: ring.encrypt(value, key) for key, value in PLAIN.items()}
    return (
        "# DB_PASSWORD=ENC(v1.00000000.commented) stays\n"
        "\n"
        "PORT=8000   # trailing  \n"
        f"DB_PASSWORD={sealed['DB_PASSWORD']}\n"
        f"  export REDIS_PASSWORD = '{sealed['REDIS_PASSWORD']}' # a comment\n"
        f'CELERY_BROKER_URL="{sealed["CELERY_BROKER_URL"]}"\t\n'
        "HOST=ENCORE\n"
        "this line is no setting\n"
        f"'JWT_SECRET'={sealed['JWT_SECRET']}"
    )


def masked(text: str, ring: Keyring) -> str:
    """The text with its values taken out, after a look at the key that they are under."""
    for key, value in dotenv_values_of(text).items():
        if value and value.startswith("ENC(") and key in PLAIN:
            assert value.split(".")[1] == ring.kid
            assert ring.decrypt(value, key) == PLAIN[key]
            text = text.replace(value, f"<{key}>")
    return text


def dotenv_values_of(text: str) -> dict[str, str | None]:
    from io import StringIO

    return dotenv_values(stream=StringIO(text), interpolate=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / ".env.prod"
    path.write_bytes(written(OLD_RING).encode())
    return path


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n  "])
def test_everything_but_the_values_stays_to_the_byte(
    file: Path, line_end: str, begin: str, end: str
) -> None:
    before = (begin + written(OLD_RING) + end).replace("\n", line_end)
    file.write_bytes(before.encode())
    assert rotate_file(file, BOTH) == len(PLAIN)
    after = file.read_bytes().decode()
    assert masked(after, NEW_RING) == masked(before, OLD_RING)
    assert after.count("<") == before.count("<")


def test_a_second_rotation_is_under_the_newest_key_too(file: Path) -> None:
    rotate_file(file, BOTH)
    first = file.read_bytes()
    assert rotate_file(file, NEW_RING) == len(PLAIN)
    assert file.read_bytes() != first
    assert masked(file.read_text(), NEW_RING) == masked(first.decode(), NEW_RING)


def test_a_file_without_values_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / ".secrets"
    path.write_bytes(b"PORT=1\r\n# ENC(\r\n")
    assert rotate_file(path, Keyring([])) == 0
    assert path.read_bytes() == b"PORT=1\r\n# ENC(\r\n"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o400])
def test_mode_and_owner_stay(file: Path, mode: int) -> None:
    file.chmod(mode)
    if os.geteuid() == 0:
        os.chown(file, 65532, 65533)
    before = file.stat()
    rotate_file(file, BOTH)
    after = file.stat()
    assert stat.S_IMODE(after.st_mode) == mode
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino  # replaced whole, not written over


def test_a_symbolic_link_stays_one(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    assert rotate_file(link, BOTH) == len(PLAIN)
    assert link.is_symlink()
    assert masked(file.read_text(), NEW_RING)


def test_one_value_that_does_not_open_leaves_the_file_as_it_was(file: Path) -> None:
    before = written(OLD_RING)
    stranger = Keyring.parse(generate_key()).encrypt("x", "DB_PASSWORD")
    moved = OLD_RING.encrypt("x", "another")
    before += f"\nAES=1\nREDIS_HOST={moved}\nDB_HOST={stranger}\nDB_USERNAME=ENC(v1.cut\n"
    file.write_bytes(before.encode())
    status = file.stat()
    with pytest.raises(RotationError) as caught:
        rotate_file(file, BOTH)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        *("REDIS_HOST", "DB_HOST", "DB_USERNAME")
    ]
    assert all(str(file) in problem for problem in caught.value.problems)
    assert file.read_bytes() == before.encode()
    assert file.stat().st_mtime_ns == status.st_mtime_ns


def test_without_a_key_nothing_is_changed(file: Path) -> None:
    with pytest.raises(RotationError, match="the keys at hand are: none"):
        rotate_file(file, Keyring([]))
    assert file.read_bytes() != b""


def test_a_file_that_is_not_utf_8_is_left_as_it_was(file: Path) -> None:
    file.write_bytes(b"JWT_ISSUER=caf\xe9\n")
    with pytest.raises(RotationError, match="not UTF-8; save it as UTF-8"):
        rotate_file(file, BOTH)
    assert file.read_bytes() == b"JWT_ISSUER=caf\xe9\n"


@pytest.mark.parametrize("step", ["fsync", "chown"])
def test_a_failure_half_way_leaves_the_file_and_nothing_beside_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = file.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        rotate_file(file, BOTH)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_new_file_is_never_readable_by_more_than_the_old_one(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    rotate_file(file, BOTH)
    assert seen == [0o600]
