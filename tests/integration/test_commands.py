"""Commands on a real database: what an operator reads where something is missing."""

import os
import subprocess
import sys
from pathlib import Path

from internal.config.secrets import generate_jwt_secret, generate_key
from internal.config.settings import KEYS
from tests.servers import DatabaseServer


def test_an_unmigrated_database_is_one_line_that_names_the_mend(
    database_server: DatabaseServer, database: str, tmp_path: Path
) -> None:
    (tmp_path / ".env.test").write_text("REDIS_MODE=embedded\n")
    environment = {
        **{key: value for key, value in os.environ.items() if key not in KEYS},
        **database_server.environment(),
        "DB_DATABASE": database,
        "APP_ENV": "test",
        "CONFIG_DIR": str(tmp_path),
        "DATA_DIR": str(tmp_path / "var"),
        "AES_SECRET": generate_key(),
        "JWT_SECRET": generate_jwt_secret(),
    }
    command = [sys.executable, "-m", "internal", "users", "list"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("CRITICAL: database: mysql at 127.0.0.1:")
    assert line.endswith("(1146); run `groundwork migrate`")
