"""A configuration folder of a test's own, and the environment that a process would find there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from internal.config.load_config import ConfigError, Configuration, load_config
from internal.config.secrets import generate_jwt_secret, generate_key

AES_SECRET = generate_key()
JWT_SECRET = generate_jwt_secret()

# Everything that `prod` asks for.
PROD = {
    "APP_ENV": "prod",
    "AES_SECRET": AES_SECRET,
    "JWT_SECRET": JWT_SECRET,
    "DB_HOST": "db.internal",
    "DB_USERNAME": "groundwork",
    "DB_PASSWORD": "quail-7-battery",
    "DB_DATABASE": "groundwork",
    "REDIS_HOST": "redis.internal",
}


@dataclass
class Folder:
    """`environ` starts with what makes the empty files load; tests add, change and delete."""

    path: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
        return file

    def secret_file(self, key: str, text: str) -> Path:
        """A file of its own that `KEY_FILE` names."""
        file = self.write(f"run-secrets/{key.lower()}", text)
        self.environ[f"{key}_FILE"] = str(file)
        return file

    def credential(self, key: str, text: str) -> Path:
        """A file in the folder that systemd names."""
        file = self.write(f"credentials/{key}", text)
        self.environ["CREDENTIALS_DIRECTORY"] = str(file.parent)
        return file

    def load(self, overrides: Mapping[str, str] | None = None) -> Configuration:
        return load_config({**self.environ, **(overrides or {})})

    def problems(self, overrides: Mapping[str, str] | None = None) -> list[str]:
        """What is wrong, one line a problem; fails if nothing is."""
        with pytest.raises(ConfigError) as caught:
            self.load(overrides)
        assert str(caught.value).splitlines() == caught.value.problems
        return caught.value.problems


def prod_folder(path: Path) -> Folder:
    """A folder whose environment is complete for `prod`, with an empty `.env.prod`."""
    folder = Folder(path, {**PROD, "CONFIG_DIR": str(path)})
    folder.write(".env.prod", "")
    return folder
