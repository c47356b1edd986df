"""`make services`, `nix run .#services`: a database and a Redis to try things on, gone afterwards.

Prints the settings for them as shell exports, then waits to be interrupted. The database is the
MySQL that MYSQLD names, or else MariaDB.
"""

import shlex
import signal
import sys
from contextlib import ExitStack
from types import FrameType

from internal.config.secrets import generate_jwt_secret, generate_key
from tests.servers import DATABASES, Redis


def settings(database: dict[str, str], redis: dict[str, str]) -> dict[str, str]:
    """All that a service needs to run on them."""
    return {
        "APP_ENV": "dev",
        "AES_SECRET": generate_key(),
        "JWT_SECRET": generate_jwt_secret(),
        **database,
        **redis,
    }


def main() -> int:
    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    kind = DATABASES[-1]
    missing = [server.name for server in (kind, Redis) if server.binary() is None]
    if missing:
        sys.stderr.write(f"not installed: {', '.join(missing)}\n")
        return 1
    try:
        with ExitStack() as stack:
            database = stack.enter_context(kind("--max-connections=500"))
            redis = stack.enter_context(Redis("--maxmemory-policy", "noeviction"))
            for key, value in settings(database.environment(), redis.environment()).items():
                sys.stdout.write(f"export {key}={shlex.quote(value)}\n")
            sys.stdout.flush()
            sys.stderr.write(
                f"# {kind.name} and redis are up. In another shell: paste the lines above, then\n"
                "# `make migrate serve`. Ctrl+C here ends them and removes their data.\n"
            )
            signal.pause()
    except KeyboardInterrupt:
        sys.stderr.write("# ended\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
