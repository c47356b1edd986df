"""The image's health probe: exit 0 when `/livez` answers 200, else 1 and one line.

Run as `python -I -m internal.healthcheck`. Standard library only: it starts every 30 seconds.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

TIMEOUT_SECONDS = 5
_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - looked up


def main() -> int:
    """Asks the address that HOST and PORT of the environment name, by default 127.0.0.1:8000."""
    host = os.environ.get("HOST", "")
    port = os.environ.get("PORT") or "8000"
    try:
        connection = HTTPConnection(_ANY_ADDRESS.get(host, host), int(port), TIMEOUT_SECONDS)
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except (OSError, ValueError, HTTPException) as error:
        print(f"unhealthy: {error}", file=sys.stderr)  # noqa: T201 - the probe's output
        return 1
    if status != 200:  # noqa: PLR2004 - HTTP's own number
        print(f"unhealthy: /livez answered {status}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
