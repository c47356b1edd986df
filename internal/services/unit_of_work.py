"""One transaction per piece of work, and the audit columns of what it writes."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction

from internal.core.clock import utc_now
from internal.core.snowflake import Snowflake
from internal.infra.database import standalone
from internal.models.base import Record

_IDS = "ids"
_ACTOR = "actor_id"
_AFTER_COMMIT = "after_commit"

type AfterCommit = Callable[[], Awaitable[None]]


class UnitOfWorkSession(Session):
    """The session of a unit of work: it stamps what it writes."""


class UnitOfWork:
    """Opens transactions: committed when the block ends, rolled back when it raises.

    Args:
        ids: where ids of new rows come from.
    """

    def __init__(self, engine: AsyncEngine, ids: Snowflake) -> None:
        self._ids = ids
        self._sessions = async_sessionmaker(
            engine, sync_session_class=UnitOfWorkSession, expire_on_commit=False
        )
        self._reading = async_sessionmaker(
            standalone(engine), expire_on_commit=False, autoflush=False
        )

    @asynccontextmanager
    async def begin(self, actor_id: int | None = None) -> AsyncGenerator[AsyncSession]:
        """A session in a transaction of its own.

        Args:
            actor_id: on whose behalf rows are written; None for the service itself.
        """
        after_commit: list[AfterCommit] = []
        may_be_committed = False
        try:
            async with self._sessions.begin() as session:
                session.info.update(
                    {_IDS: self._ids, _ACTOR: actor_id, _AFTER_COMMIT: after_commit}
                )
                yield session
                may_be_committed = True  # from here on: nobody knows where no answer came
        finally:
            if may_be_committed:
                for work in after_commit:
                    await work()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession]:
        """A session that only reads, outside of transactions; what it has loaded stays usable."""
        async with self._reading() as session:
            yield session


def after_commit(session: AsyncSession, work: AfterCommit) -> None:
    """Has something done once the session's unit of work is committed; it must not raise.

    Also where the commit was begun and cut off, or failed: it may have been carried out.
    """
    session.info[_AFTER_COMMIT].append(work)


@event.listens_for(UnitOfWorkSession, "before_flush")
def _stamp_rows(session: Session, _flush: UOWTransaction, _instances: object) -> None:
    now, actor_id = utc_now(), session.info[_ACTOR]
    for row in session.new:
        if isinstance(row, Record):
            row.id = row.id or session.info[_IDS].next_id()
            row.created_at = row.updated_at = now
            row.creator_id = row.updater_id = actor_id
    for row in session.dirty:
        if isinstance(row, Record) and session.is_modified(row):
            row.updated_at, row.updater_id = now, actor_id


@event.listens_for(UnitOfWorkSession, "do_orm_execute")
def _stamp_statements(state: ORMExecuteState) -> None:
    """An UPDATE of many rows is stamped like one of a single row."""
    mapper = state.bind_mapper
    if state.is_update and mapper is not None and issubclass(mapper.class_, Record):
        state.statement = state.statement.values(  # type: ignore[attr-defined] # it is an Update
            updated_at=utc_now(), updater_id=state.session.info[_ACTOR]
        )
