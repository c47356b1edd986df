"""The yardstick with a database: the statement of `/v1/auth/me`, by the same SQLAlchemy.

`python … PORT USER_ID`, with the database of the service's configuration.
"""

import sys

import uvicorn
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from internal.config.load_config import load_config
from internal.infra.database import connect_args, database_url, engine_options
from internal.models.user import User
from internal.schemas.users import UserView

PORT, USER_ID = int(sys.argv[1]), int(sys.argv[2])

settings = load_config().settings
engine = create_async_engine(
    database_url(settings, driver="aiomysql"),
    connect_args=connect_args(settings),
    pool_size=settings.db_pool_size,
    max_overflow=settings.db_max_overflow,
    **engine_options(settings),
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


@app.get("/me")
async def me() -> UserView:
    async with sessions() as session:
        return UserView.of(await session.get(User, USER_ID))


if __name__ == "__main__":
    uvicorn.run(
        app, port=PORT, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
