"""Time from exec to ready, and memory when idle, against the imports nobody can do without."""

ROUNDS = 7
IMPORTS = "import fastapi, sqlalchemy.ext.asyncio, redis.asyncio"
SETTLE_SECONDS = 2
