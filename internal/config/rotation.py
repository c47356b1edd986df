"""Re-encrypting the ENC values of a file, everything else left as it stands."""

import os
import re
from pathlib import Path

from internal.config.secrets import Keyring, SecretError

_LINE = re.compile(
    r"""^(\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=\s*["']?)(ENC\([^)\r\n]*\)?)""", re.MULTILINE
)


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
    """
    problems: list[str] = []
    count = 0

    def renew(match: re.Match[str]) -> str:
        nonlocal count
        prefix, key, value = match.groups()
        try:
            renewed = keys.encrypt(keys.decrypt(value, key), key)
        except SecretError as error:
            problems.append(f"{key}: {error} (from {path})")
            return match[0]
        count += 1
        return f"{prefix}{renewed}"

    text = _LINE.sub(renew, path.read_text(encoding="utf-8"))
    if problems:
        raise RotationError(problems)
    _replace(path, text)
    return count


def _replace(path: Path, text: str) -> None:
    status = path.stat()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chown(temporary, status.st_uid, status.st_gid)
        temporary.chmod(status.st_mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
