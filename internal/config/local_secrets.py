"""The secrets of `APP_ENV=local`, made once and kept in `DATA_DIR/secrets`."""

import contextlib
import os
from pathlib import Path

from internal.config.env_file import Value, is_there, read_env_file
from internal.config.secrets import generate_jwt_secret, generate_key


def local_secrets(data_dir: Path, problems: list[str], *, is_needed: bool) -> dict[str, Value]:
    """What is kept there, so that a first start needs no filling in; made if it is needed."""
    path = data_dir / "secrets"
    if not is_there(path):
        if not is_needed:
            return {}
        lines = f"AES_SECRET={generate_key()}\nJWT_SECRET={generate_jwt_secret()}\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _create_once(path, lines)
        except OSError as error:
            problems.append(
                f"DATA_DIR: secrets cannot be kept in {path}: {error.strerror}; "
                "make the folder writable or set AES_SECRET and JWT_SECRET"
            )
            return {}
    return read_env_file(path, problems)


def _create_once(path: Path, text: str) -> None:
    """Creates a file whole, 0600; of several processes at once, the first one's stays."""
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
