"""The service as it ships, but for the cost of bcrypt: a thousand logins are to take seconds."""

import functools

from internal import server
from internal.cli.loading import settings_with_logging
from internal.services import assembly
from internal.services.passwords import PasswordHasher

LEAST_COST = 4

if __name__ == "__main__":
    cheap = functools.partial(PasswordHasher, cost=LEAST_COST)
    assembly.PasswordHasher = cheap  # type: ignore[assignment,attr-defined] # what assembly calls
    server.serve(settings_with_logging())
