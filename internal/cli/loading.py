"""Loading the configuration for a command, or ending it with what is wrong."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from internal.config.load_config import ConfigError, load_config

if TYPE_CHECKING:
    from internal.config.load_config import Configuration
    from internal.config.settings import Settings

EX_CONFIG = 78  # sysexits.h


def load_or_exit(overrides: Mapping[str, str] | None = None) -> "Configuration":
    """The configuration, or one line a problem on stderr and exit code 78.

    Args:
        overrides: values of the command line; they win over the environment's.
    """
    try:
        return load_config({**os.environ, **(overrides or {})})
    except ConfigError as error:
        exit_with(error.problems)


def exit_with(problems: list[str]) -> NoReturn:
    for problem in problems:
        sys.stderr.write(f"CRITICAL: Config load failed: {problem}\n")
    sys.exit(EX_CONFIG)


def settings_with_logging(overrides: Mapping[str, str] | None = None) -> "Settings":
    """The settings, with this process's logging set up as they say."""
    from internal.infra.logging import create_line_log, install_logging

    settings = load_or_exit(overrides).settings
    install_logging(create_line_log(settings), settings)
    return settings
