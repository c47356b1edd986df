import os
from functools import cache
from importlib.metadata import version
from typing import NamedTuple


class BuildInfo(NamedTuple):
    """Which code this is. `revision` and `build` are "" where the build did not say."""

    version: str
    revision: str
    build: str


@cache
def build_info() -> BuildInfo:
    """Read from the distribution and from what the image's build put into its environment."""
    return BuildInfo(
        version("groundwork"),
        os.environ.get("GROUNDWORK_REVISION", ""),
        os.environ.get("GROUNDWORK_BUILD", ""),
    )
