"""The `groundwork` command as a process, with nothing but the settings it is given."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from internal.config.secrets import generate_jwt_secret, generate_key
from internal.config.settings import KEYS

GROUNDWORK = str(Path(sys.executable).with_name("groundwork"))
SECONDS = 300

_OURS = {"CONFIG_DIR", "CREDENTIALS_DIRECTORY", *KEYS, *(f"{key}_FILE" for key in KEYS)}


def environment(folder: Path, settings: Mapping[str, object]) -> dict[str, str]:
    """This process's environment, its settings replaced by these; files are in `folder`."""
    configs = folder / "configs"
    configs.mkdir(parents=True, exist_ok=True)
    given = {
        "APP_ENV": "test",
        "CONFIG_DIR": configs,
        "DATA_DIR": folder / "var",
        "AES_SECRET": generate_key(),
        "JWT_SECRET": generate_jwt_secret(),
        **settings,
    }
    (configs / f".env.{given['APP_ENV']}").touch()
    inherited = {key: value for key, value in os.environ.items() if key not in _OURS}
    return {**inherited, **{key: str(value) for key, value in given.items()}}


def start(env: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [GROUNDWORK, *arguments],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(env: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command from its start to its end, and what it said."""
    process = start(env, *arguments)
    out, err = process.communicate(timeout=SECONDS)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
