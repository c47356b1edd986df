"""Re-encrypting the ENC values of a file, everything else left as it stands."""

import os
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from internal.config.secrets import Keyring, SecretError, is_encrypted


class RotationError(Exception):
    """Some values do not open: the file was left as it was. One line a problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def rotate_file(path: Path, keys: Keyring) -> int:
    """Re-encrypts a file's ENC values under the newest key; returns how many there were.

    The file is replaced whole, with its mode and owner, or not at all.

    Raises:
        RotationError: a value does not open, or there is no key.
        OSError: the file cannot be read or replaced.
    """
    path = path.resolve()  # behind a symbolic link, the file is replaced and not the link
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError:
        raise RotationError([f"{path}: not UTF-8; save it as UTF-8"]) from None
    parts = [text[: text.startswith("\ufeff")]]  # the parser drops a byte order mark
    problems: list[str] = []
    count = 0
    for binding in parse_stream(StringIO(text)):
        part, key, value = binding.original.string, binding.key, binding.value
        if key and value and is_encrypted(value):
            try:
                part = part.replace(value, keys.encrypt(keys.decrypt(value, key), key))
            except SecretError as error:
                problems.append(f"{key}: {error} (from {path}); no value was changed")
            count += 1
        parts.append(part)
    if problems:
        raise RotationError(problems)
    _replace(path, "".join(parts))
    return count


def _replace(path: Path, text: str) -> None:
    status = path.stat()
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.chown(temporary, status.st_uid, status.st_gid)
        temporary.chmod(status.st_mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
