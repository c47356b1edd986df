"""Accounts and a client to measure with, put into the database past HTTP."""

import asyncio
import secrets
from typing import NamedTuple

from internal.config.load_config import load_config
from internal.core.caller import OPERATOR, Role
from internal.core.snowflake import Snowflake
from internal.infra.database import open_database
from internal.infra.redis import create_client
from internal.schemas.clients import NewClient
from internal.services.accounts import add_user, new_user
from internal.services.assembly import assemble_services
from internal.services.passwords import PasswordHasher
from internal.services.unit_of_work import UnitOfWork

PASSWORD = "correct horse battery staple"
SEED_NODE = 1


class People(NamedTuple):
    """`usernames` all have `PASSWORD`; `user_id` is the first one's."""

    usernames: list[str]
    user_id: int
    client_id: str
    client_secret: str


def seed(env: dict[str, str], count: int, role: Role = Role.USER) -> People:
    return asyncio.run(_seed(env, count, role))


async def _seed(env: dict[str, str], count: int, role: Role) -> People:
    settings = load_config(env).settings
    redis = create_client(settings, connections=1, timeout=5)
    password_hash = await PasswordHasher().hash(PASSWORD)
    names = [f"user-{secrets.token_hex(8)}" for _ in range(count)]  # of each measurement its own
    users = [new_user(name, "", password_hash, role) for name in names]
    async with open_database(settings) as database, redis:
        unit_of_work = UnitOfWork(database, Snowflake(SEED_NODE))
        services = assemble_services(settings, unit_of_work, redis)
        async with unit_of_work.begin() as session:
            for user in users:
                await add_user(session, user)
            new = NewClient(name="bench", scopes=["audit:write"])
            client, secret = await services.clients.create(session, OPERATOR, new)
    return People([user.username for user in users], users[0].id, client.client_id, secret)
