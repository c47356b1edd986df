"""Where settings come from: OS environment > secrets > `.env.{APP_ENV}` > defaults.

Secrets, highest first: `KEY_FILE` in the environment, `$CREDENTIALS_DIRECTORY/KEY`, the file
`.secrets` in the configuration folder. In `local` alone, secrets that nobody set are made once and
kept in `DATA_DIR/secrets`.
"""

import contextlib
import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import parse_stream
from pydantic import ValidationError

from internal.config.secrets import (
    Keyring,
    SecretError,
    generate_jwt_secret,
    generate_key,
    is_encrypted,
)
from internal.config.settings import KEYS, AppEnv, Settings, SettingsError

ENVIRONMENT = "the environment"
_NEVER_ENCRYPTED = ("APP_ENV", "AES_SECRET", "AES_SECRET_PREVIOUS")


class ConfigError(Exception):
    """The configuration cannot be used. One line a problem; none holds a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Value(NamedTuple):
    """A raw value and the source it came from, as people name it."""

    text: str
    source: str


@dataclass
class Layers:
    """The raw values of every key, the winning layer's, before decryption and validation."""

    values: dict[str, Value] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, values: Mapping[str, Value]) -> None:
        """Adds a layer below the ones that are there. An empty value counts as not given."""
        for key, value in values.items():
            if value.text:
                self.values.setdefault(key, value)

    def check(self) -> None:
        if self.problems:
            raise ConfigError(self.problems)


@dataclass(frozen=True)
class Configuration:
    """Valid settings, and for each key that was set the source that set it."""

    settings: Settings
    sources: dict[str, str]


def load_config(environ: Mapping[str, str] = os.environ) -> Configuration:
    """Reads, decrypts and validates the whole configuration.

    Raises:
        ConfigError: with every problem found, not only the first.
    """
    layers = read_layers(environ)
    _decrypt(layers)
    settings = _validate(layers)
    layers.check()
    assert settings is not None  # noqa: S101 - no problem was found: tells the type checker
    return Configuration(settings, {key: value.source for key, value in layers.values.items()})


def read_layers(environ: Mapping[str, str]) -> Layers:
    """The raw values of all layers, highest first.

    Raises:
        ConfigError: no environment can be told, or its file is not there: nothing more to check.
    """
    folder = Path(environ.get("CONFIG_DIR") or "configs")
    layers = Layers()
    layers.add({key: Value(environ[key], ENVIRONMENT) for key in KEYS if key in environ})
    layers.add(_secret_files(environ, layers.problems))
    layers.add(_credentials(environ, layers.problems))
    secrets_file = folder / ".secrets"
    if secrets_file.exists():
        in_file = _read_env_file(secrets_file, layers.problems)
        _refuse_disagreement(layers, in_file)
        layers.add(in_file)
    app_env = _app_env(layers, secrets_file)
    env_file = folder / f".env.{app_env}"
    if not env_file.exists():
        layers.problems.append(
            f"APP_ENV: the configuration of {app_env!s} is missing: {env_file} does not exist; "
            "create it or point CONFIG_DIR at the folder that holds it"
        )
        layers.check()
    in_file = _read_env_file(env_file, layers.problems)
    _refuse_disagreement(layers, in_file)
    layers.add(in_file)
    if app_env is AppEnv.LOCAL:
        layers.add(_local_secrets(layers))
    return layers


def keyring(layers: Layers) -> Keyring:
    """The AES keys of the configuration, newest first.

    Raises:
        SecretError: AES_SECRET is missing or one of the keys is no key.
    """
    newest = layers.values.get("AES_SECRET")
    if newest is None:
        return Keyring([])
    previous = layers.values.get("AES_SECRET_PREVIOUS", Value("", "")).text
    return Keyring.parse(newest.text, [key.strip() for key in previous.split(",") if key.strip()])


def _app_env(layers: Layers, secrets_file: Path) -> AppEnv:
    names = " ".join(AppEnv)
    value = layers.values.get("APP_ENV")
    if value is None:
        layers.problems.append(
            f"APP_ENV: not set, in the environment or in {secrets_file}; set it to one of: {names}"
        )
    elif value.text not in list(AppEnv):
        layers.problems.append(
            f"APP_ENV: {value.text!r} (from {value.source}) is unknown; use one of: {names}"
        )
    else:
        return AppEnv(value.text)
    raise ConfigError(layers.problems)


def _refuse_disagreement(layers: Layers, in_file: Mapping[str, Value]) -> None:
    """Two places that name different environments are a mistake about to happen."""
    above, below = layers.values.get("APP_ENV"), in_file.get("APP_ENV")
    if above and below and below.text and above.text != below.text:
        layers.problems.append(
            f"APP_ENV: {above.source} says {above.text!r}, {below.source} says {below.text!r}; "
            "make them agree"
        )
        layers.check()


def _secret_files(environ: Mapping[str, str], problems: list[str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key in KEYS:
        name = f"{key}_FILE"
        path = environ.get(name)
        if not path:
            continue
        if environ.get(key):
            problems.append(f"{key}: both {key} and {name} are set in the environment; unset one")
        text = _read(Path(path), f"{key}: {name} names", problems)
        if text is not None:
            found[key] = Value(text.rstrip("\r\n"), f"{name}={path}")
    return found


def _credentials(environ: Mapping[str, str], problems: list[str]) -> dict[str, Value]:
    """The files of LoadCredential (systemd.exec(5)), one a key."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    found: dict[str, Value] = {}
    for key in KEYS if folder else ():
        path = Path(folder or "", key)
        if path.exists():
            text = _read(path, f"{key}: the credential", problems)
            if text is not None:
                found[key] = Value(text.rstrip("\r\n"), str(path))
    return found


def _read(path: Path, what: str, problems: list[str]) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        problems.append(f"{what} {path}, which cannot be read: {error.strerror}; check it")
    except UnicodeDecodeError:
        problems.append(f"{what} {path}, which is not UTF-8; save it as UTF-8")
    return None


def _read_env_file(path: Path, problems: list[str]) -> dict[str, Value]:
    """KEY=value lines, without interpolation: a `$` in a password is a `$`."""
    text = _read(path, f"{path.name}: the file", problems)
    found: dict[str, Value] = {}
    for binding in parse_stream(StringIO(text or "")):
        line = f"{path} line {binding.original.line}"
        if binding.error or (binding.key and binding.value is None):
            problems.append(f"{line}: not a KEY=value line; correct it")
        elif binding.key is None:
            continue
        elif binding.key not in KEYS:
            close = difflib.get_close_matches(binding.key, KEYS, n=1)
            hint = f"did you mean {close[0]}?" if close else "remove it"
            problems.append(f"{line}: {binding.key} is no setting; {hint}")
        elif binding.key in found:
            problems.append(f"{line}: {binding.key} stands there twice; remove one")
        else:
            found[binding.key] = Value(binding.value or "", str(path))
    return found


def _local_secrets(layers: Layers) -> dict[str, Value]:
    """Makes and keeps what `local` needs, so that a first start needs no filling in."""
    path = Path(layers.values.get("DATA_DIR", Value("var", "")).text, "secrets")
    if not path.exists():
        lines = f"AES_SECRET={generate_key()}\nJWT_SECRET={generate_jwt_secret()}\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _create_once(path, lines)
        except OSError as error:
            layers.problems.append(
                f"DATA_DIR: secrets cannot be kept in {path}: {error.strerror}; "
                "make the folder writable or set AES_SECRET and JWT_SECRET"
            )
            return {}
    return _read_env_file(path, layers.problems)


def _create_once(path: Path, text: str) -> None:
    """Creates a file whole, 0600; of several processes at once, the first one's stays."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()


def _decrypt(layers: Layers) -> None:
    try:
        keys = keyring(layers)
    except SecretError:
        # The validation of AES_SECRET says what is wrong with it: without it, nothing opens.
        keys = Keyring([])
    for key, value in list(layers.values.items()):
        if not is_encrypted(value.text):
            continue
        if key in _NEVER_ENCRYPTED:
            layers.problems.append(f"{key}: may not be encrypted (from {value.source})")
            del layers.values[key]
            continue
        try:
            layers.values[key] = Value(keys.decrypt(value.text, key), value.source)
        except SecretError as error:
            layers.problems.append(
                f"{key}: {error} (from {value.source}); encrypt it anew with "
                f"`groundwork config encrypt {key}`, or restore the key it was encrypted under"
            )
            del layers.values[key]


def _validate(layers: Layers) -> Settings | None:
    try:
        return Settings.model_validate({key: value.text for key, value in layers.values.items()})
    except ValidationError as errors:
        already = {problem.partition(":")[0] for problem in layers.problems}
        layers.problems += [
            problem
            for problem in _explain(errors, layers.values)
            if problem.partition(":")[0] not in already
        ]
        return None


def _explain(errors: ValidationError, values: Mapping[str, Value]) -> list[str]:
    problems: list[str] = []
    for error in errors.errors(include_url=False, include_input=False):
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, SettingsError):
            problems += [_line(key, text, values) for key, text in cause.problems]
        elif error["type"] == "missing":
            problems.append(_line(str(error["loc"][0]), _MISSING, values))
        else:
            text = error["msg"].removeprefix("Value error, ")
            problems.append(_line(str(error["loc"][0]), f"{text}; correct it there", values))
    return problems


_MISSING = "missing; set it, or make one with `groundwork config generate-secrets`"


def _line(key: str, text: str, values: Mapping[str, Value]) -> str:
    what, separator, mend = text.partition("; ")
    source = f" (from {values[key].source})" if key in values else ""
    return f"{key}: {what}{source}{separator}{mend}"
