"""The service as it ships, but for the cost of bcrypt: a thousand logins are to take seconds."""

import functools

from internal import server
from internal.cli.loading import settings_with_logging
from internal.services import assembly
from internal.services.jobs import watch
from internal.services.passwords import PasswordHasher

LEAST_COST = 4
STREAM_SECONDS = 0.2  # of a job that is not finished: its reader waits for the end of the reply

if __name__ == "__main__":
    cheap = functools.partial(PasswordHasher, cost=LEAST_COST)
    assembly.PasswordHasher = cheap  # type: ignore[assignment,attr-defined] # what assembly calls
    watch.LIFETIME_SECONDS = STREAM_SECONDS
    server.serve(settings_with_logging())
