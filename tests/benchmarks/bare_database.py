"""The yardstick with a database and Redis: the same statements and calls, and nothing around them.

`python … PORT USER_ID [--our-engine]`, on the servers of the service's configuration. Its engine is
one as SQLAlchemy's own documentation has it, which pings a connection before it is used and rolls
back after; with the flag it is the service's, which does neither where it need not.
"""

import secrets
import sys
from datetime import timedelta

from fastapi import FastAPI, Request
from sqlalchemy.ext.asyncio import create_async_engine

from internal.config.load_config import load_config
from internal.core.caller import Caller, CallerKind, Role
from internal.core.clock import utc_now
from internal.core.context import new_trace_id
from internal.core.snowflake import Snowflake
from internal.infra.database import connect_args, create_engine, database_url, engine_options
from internal.infra.redis import TIMEOUT_SECONDS, create_client
from internal.models.job import Job
from internal.models.user import User
from internal.schemas.audit import AuditEventView, NewAuditEvent
from internal.schemas.jobs import JobView, NewJob
from internal.schemas.users import UserView
from internal.services import audit
from internal.services.jobs import states
from internal.services.unit_of_work import UnitOfWork
from tests.benchmarks.bare_server import serve

USER_ID = int(sys.argv[2])
NODE = 2
NONCE_SECONDS = 900

settings = load_config().settings
engine = (
    create_engine(settings)
    if "--our-engine" in sys.argv
    else create_async_engine(
        database_url(settings, driver="aiomysql"),
        connect_args=connect_args(settings),
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        **engine_options(settings),
    )
)
redis = create_client(settings, connections=settings.redis_pool_size, timeout=TIMEOUT_SECONDS)
# The session factory and the ids: what an INSERT of one of these tables cannot do without.
unit_of_work = UnitOfWork(engine, Snowflake(NODE))
caller = Caller(CallerKind.USER, id=USER_ID, address="127.0.0.1", role=Role.ADMIN)
app = FastAPI()


@app.get("/me")
async def me() -> UserView:
    async with unit_of_work.read() as session:
        return UserView.of(await session.get(User, USER_ID))


@app.post("/audit-events", status_code=201)
async def report(body: NewAuditEvent, _request: Request) -> AuditEventView:
    await redis.set(f"nonce:bare:{secrets.token_urlsafe(16)}", b"", nx=True, ex=NONCE_SECONDS)
    async with unit_of_work.begin(USER_ID) as session:
        target = (body.object_type, body.object_id)
        return AuditEventView.of(
            await audit.record(session, caller, body.action, target, body.details)
        )


@app.post("/jobs", status_code=202)
async def submit(body: NewJob) -> JobView:
    async with unit_of_work.begin(USER_ID) as session:
        job = Job(
            kind=body.kind,
            queue="default",
            owner_id=USER_ID,
            trace_id=new_trace_id(),
            payload=body.payload,
            max_attempts=1,
            next_run_at=utc_now() + timedelta(days=1),
        )
        await states.enqueue(session, job)
        await audit.record(session, caller, "job.submit", ("job", job.id), {"kind": body.kind})
        return JobView.of(job)


if __name__ == "__main__":
    serve(app)
