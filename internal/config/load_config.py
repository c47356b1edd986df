"""Where settings come from: OS environment > secrets > `.env.{APP_ENV}` > defaults.

Secrets, highest first: `KEY_FILE` in the environment, `$CREDENTIALS_DIRECTORY/KEY`, the file
`.secrets` in the configuration folder. In `local` alone, secrets that nobody set are made once and
kept in `DATA_DIR/secrets`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from internal.config.env_file import Value, is_there, read_env_file, read_text
from internal.config.local_secrets import local_secrets
from internal.config.secrets import (
    Keyring,
    SecretError,
    generate_jwt_secret,
    generate_key,
    is_encrypted,
)
from internal.config.settings import KEYS, AppEnv, Settings, SettingsError

ENVIRONMENT = "the environment"
NEVER_ENCRYPTED = ("APP_ENV", "AES_SECRET", "AES_SECRET_PREVIOUS")
_UNDECODED = re.compile("[\ud800-\udfff]")  # Python's stand-ins for bytes that are no text


class ConfigError(Exception):
    """The configuration cannot be used. One line a problem; none holds a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass
class Layers:
    """The raw values of every key, the winning layer's, before decryption and validation."""

    values: dict[str, Value] = field(default_factory=dict)
    encrypted: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def add(self, values: Mapping[str, Value]) -> None:
        """Adds a layer below the ones that are there. An empty value counts as not given."""
        for key, value in values.items():
            if value.text:
                self.values.setdefault(key, value)

    def add_agreeing(self, values: Mapping[str, Value]) -> None:
        """Adds a layer that must name no other environment: that is a mistake about to happen."""
        above, below = self.values.get("APP_ENV"), values.get("APP_ENV")
        if above and below and below.text and above.text != below.text:
            self.problems.append(
                f"APP_ENV: {above.source} says {above.text!r}, {below.source} says "
                f"{below.text!r}; make them agree"
            )
            self.check()
        self.add(values)

    def check(self) -> None:
        if self.problems:
            raise ConfigError(self.problems)


@dataclass(frozen=True)
class Configuration:
    """Valid settings; for each key that was set its source; and which of them were encrypted."""

    settings: Settings
    sources: dict[str, str]
    encrypted: frozenset[str]


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
    sources = {key: value.source for key, value in layers.values.items()}
    return Configuration(settings, sources, frozenset(layers.encrypted))


def read_layers(environ: Mapping[str, str]) -> Layers:
    """The raw values of all layers, highest first.

    Raises:
        ConfigError: no environment can be told, or its file is not there: nothing more to check.
    """
    folder = Path(environ.get("CONFIG_DIR") or "configs")
    layers = Layers()
    layers.add(_environment(environ, layers.problems))
    layers.add(_secret_files(environ, layers.problems))
    layers.add_agreeing(_credentials(environ, layers.problems))
    secrets_file = folder / ".secrets"
    if is_there(secrets_file):
        layers.add_agreeing(read_env_file(secrets_file, layers.problems))
    app_env = _app_env(layers, secrets_file)
    env_file = folder / f".env.{app_env}"
    if not is_there(env_file):
        layers.problems.append(
            f"APP_ENV: the configuration of {app_env!s} is missing: {env_file} does not exist; "
            "create it or point CONFIG_DIR at the folder that holds it"
        )
        layers.check()
    layers.add_agreeing(read_env_file(env_file, layers.problems))
    data_dir = layers.values.get("DATA_DIR", Value("var", "")).text
    if app_env is AppEnv.LOCAL and not is_encrypted(data_dir):
        is_needed = not {"AES_SECRET", "JWT_SECRET"} <= layers.values.keys()
        layers.add(local_secrets(Path(data_dir), layers.problems, is_needed=is_needed))
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


def _environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key in KEYS:
        text = environ.get(key, "")
        if _UNDECODED.search(text):
            problems.append(f"{key}: not UTF-8 (from {ENVIRONMENT}); correct it there")
        else:
            found[key] = Value(text, ENVIRONMENT)
    return found


def _secret_files(environ: Mapping[str, str], problems: list[str]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for key in KEYS:
        name = f"{key}_FILE"
        path = environ.get(name)
        if not path:
            continue
        if environ.get(key):
            problems.append(f"{key}: both {key} and {name} are set in the environment; unset one")
        text = read_text(Path(path), f"{key}: {name} names", problems)
        if text is not None:
            found[key] = Value(text.rstrip("\r\n"), f"{name}={path}")
    return found


def _credentials(environ: Mapping[str, str], problems: list[str]) -> dict[str, Value]:
    """The files of LoadCredential (systemd.exec(5)), one a key."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    found: dict[str, Value] = {}
    for key in KEYS if folder else ():
        path = Path(folder or "", key)
        if is_there(path):
            text = read_text(path, f"{key}: the credential", problems)
            if text is not None:
                found[key] = Value(text.rstrip("\r\n"), str(path))
    return found


def _decrypt(layers: Layers) -> None:
    try:
        keys = keyring(layers)
    except SecretError:
        # The validation of AES_SECRET says what is wrong with it: without it, nothing opens.
        keys = Keyring([])
    for key, value in list(layers.values.items()):
        if not is_encrypted(value.text):
            continue
        del layers.values[key]
        if key in NEVER_ENCRYPTED:
            layers.problems.append(
                f"{key}: may not be encrypted (from {value.source}); write it as it is"
            )
            continue
        try:
            text = keys.decrypt(value.text, key)
        except SecretError as error:
            layers.problems.append(
                f"{key}: {error} (from {value.source}); encrypt it anew with "
                f"`groundwork config encrypt {key}`, "
                "or restore the key it was encrypted under"
            )
        else:
            layers.add({key: Value(text, value.source)})
            layers.encrypted.add(key)


def _validate(layers: Layers) -> Settings | None:
    values = {key: value.text for key, value in layers.values.items()}
    try:
        return Settings.model_validate(values)
    except ValidationError as errors:
        layers.problems += _explain(errors, layers)
    # The rules between keys wait until each key is right: without the wrong ones, they speak too.
    wrong = _named(layers.problems)
    stand_ins = {
        "AES_SECRET": generate_key(),
        "JWT_SECRET": generate_jwt_secret(),
        "DB_TYPE": "sqlite",
        "REDIS_MODE": "embedded",
    }
    right = {key: text for key, text in values.items() if key not in wrong}
    try:
        Settings.model_validate(right | {key: stand_ins[key] for key in wrong & stand_ins.keys()})
    except ValidationError as errors:
        layers.problems += _explain(errors, layers)
    return None


def _named(problems: list[str]) -> set[str]:
    """The keys that problems begin with."""
    return {problem.partition(":")[0] for problem in problems}


def _explain(errors: ValidationError, layers: Layers) -> list[str]:
    """A line for each error of a key that nothing was said of before."""
    values = layers.values
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
    already = _named(layers.problems)
    return [problem for problem in problems if problem.partition(":")[0] not in already]


_MISSING = "missing; set it, or make one with `groundwork config generate-secrets`"


def _line(key: str, text: str, values: Mapping[str, Value]) -> str:
    what, separator, mend = text.partition("; ")
    source = f" (from {values[key].source})" if key in values else ""
    return f"{key}: {what}{source}{separator}{mend}"
