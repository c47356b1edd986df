"""deploy/haproxy.cfg, before replicas on this machine."""

import os
import re
import shutil
from pathlib import Path

CONFIGURATION = Path(__file__).parents[3] / "deploy" / "haproxy.cfg"


def haproxy() -> str | None:
    """On PATH, or where Debian keeps it out of a user's PATH."""
    return shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def configuration(port: int, replicas: list[int]) -> str:
    """As it is deployed, but for the addresses."""
    text = CONFIGURATION.read_text()
    text, binds = re.subn(
        r"^    bind :8080$", f"    bind 127.0.0.1:{port}", text, flags=re.MULTILINE
    )
    servers = [
        f"    server api-{number} 127.0.0.1:{replica}"
        for number, replica in enumerate(replicas, start=1)
    ]
    found = re.findall(r"^    server api-\d+ api-\d+:8000$", text, re.MULTILINE)
    if (binds, len(found)) != (1, len(replicas)):
        raise ValueError(f"deploy/haproxy.cfg has {binds} addresses and {len(found)} replicas")
    for old, new in zip(found, servers, strict=True):
        text = text.replace(old, new)
    return text
