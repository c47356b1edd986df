import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from internal.config.secrets import Keyring

app = typer.Typer(help="Read, check and encrypt the configuration.", no_args_is_help=True)


@app.command()
def check() -> None:
    """Load everything; print each key, its source and its value, secrets masked."""
    from pydantic import SecretStr

    from internal.cli.loading import load_or_exit

    configuration = load_or_exit()
    for name, value in configuration.settings:
        key = name.upper()
        source = configuration.sources.get(key, "default")
        is_secret = isinstance(value, SecretStr) or key in configuration.encrypted
        shown = "********" if is_secret else _shown(value)
        print(f"{key}={shown}  # {source}")


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


@app.command("generate-secrets")
def generate_secrets() -> None:
    """Print a fresh, valid `.secrets`."""
    from internal.cli.loading import exit_with
    from internal.config.secrets import generate_jwt_secret, generate_key
    from internal.config.settings import AppEnv

    app_env = os.environ.get("APP_ENV") or "local"
    if app_env not in list(AppEnv):
        exit_with([f"APP_ENV: {app_env!r} is unknown; use one of: {' '.join(AppEnv)}"])
    print(f"APP_ENV={app_env}\nAES_SECRET={generate_key()}\nJWT_SECRET={generate_jwt_secret()}")


@app.command()
def encrypt(
    key: Annotated[str, typer.Argument(help="The setting that the value is for.")],
) -> None:
    """Read a value from the terminal or stdin; print its ENC form for KEY."""
    from internal.cli.loading import exit_with
    from internal.config.load_config import NEVER_ENCRYPTED
    from internal.config.secrets import SecretError
    from internal.config.settings import KEYS

    if key not in KEYS:
        exit_with([f"{key}: no such setting; `groundwork config check` lists them"])
    if key in NEVER_ENCRYPTED:
        exit_with([f"{key}: may not be encrypted; write it as it is"])
    try:
        value = _read_value(key)
    except UnicodeDecodeError:
        exit_with([f"{key}: the value read is not UTF-8; save it as UTF-8"])
    if not value:
        exit_with([f"{key}: the value read is empty; an empty value counts as not given"])
    try:
        print(_keyring().encrypt(value, key))
    except SecretError as error:
        exit_with([f"AES_SECRET: {error}; make one with `groundwork config generate-secrets`"])


def _read_value(key: str) -> str:
    """A line of the terminal, unseen, or all of stdin but its last line end."""
    import getpass

    if sys.stdin.isatty():
        return getpass.getpass(f"{key}: ")
    return sys.stdin.buffer.read().decode().rstrip("\r\n")


@app.command()
def rotate(
    file: Annotated[
        Path, typer.Argument(help="A .env or .secrets file.", exists=True, dir_okay=False)
    ],
) -> None:
    """Re-encrypt every ENC value of FILE under the newest AES_SECRET, in place."""
    from internal.cli.loading import exit_with
    from internal.config.rotation import RotationError, rotate_file

    try:
        count = rotate_file(file, _keyring())
    except RotationError as error:
        exit_with(error.problems)
    except OSError as error:
        problem = f"{file}: cannot be rewritten: {error.strerror}; check the file and its folder"
        exit_with([problem])
    print(f"re-encrypted: {count}")


def _keyring() -> "Keyring":
    """The keys alone: the rest of the configuration may still be in the making."""
    from internal.cli.loading import exit_with
    from internal.config.load_config import ConfigError, keyring, read_layers
    from internal.config.secrets import SecretError

    try:
        return keyring(read_layers(os.environ))
    except ConfigError as error:
        exit_with(error.problems)
    except SecretError as error:
        exit_with([f"AES_SECRET or AES_SECRET_PREVIOUS: {error}; make both urlsafe base64"])
