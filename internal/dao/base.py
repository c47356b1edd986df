"""Queries that every model has. A DAO adds its own as methods; SQL lives nowhere else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Select,
    UnaryExpression,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from internal.core.clock import utc_now
from internal.core.errors import BadRequest, Text
from internal.models.base import Record

MAX_LIMIT = 100


class UnknownField(BadRequest):
    """A sort or filter field that is not offered. `data` names it."""

    message = Text("this field cannot be sorted or filtered by", "不支持按该字段排序或筛选")


@dataclass(frozen=True)
class ListQuery:
    """Which rows, in which order.

    Args:
        page: from 1.
        limit: 1 to `MAX_LIMIT` rows.
        sort: field names; a leading `-` sorts descending. The id breaks ties.
        filters: field name → value that it equals; None means null.
        deleted: whether deleted rows count too.
    """

    page: int = 1
    limit: int = 20
    sort: Sequence[str] = ()
    filters: Mapping[str, object] = field(default_factory=dict)
    deleted: bool = False

    def __post_init__(self) -> None:
        if self.page < 1 or not 1 <= self.limit <= MAX_LIMIT:
            raise ValueError(f"page {self.page} or limit {self.limit} is out of range")

    @classmethod
    def of(
        cls, page: int, limit: int, sort: str, filters: Mapping[str, object] | None = None
    ) -> Self:
        """A query as parameters of a request give it: a filter of None is none."""
        given = {name: value for name, value in (filters or {}).items() if value is not None}
        return cls(page, limit, (sort,), given)


class Listing[M: Record](NamedTuple):
    """The rows of one page, and how many there are on all pages."""

    rows: Sequence[M]
    total: int


class BaseDAO[M: Record]:
    """Queries of one model in one session.

    Subclasses set `model`, and `sortable` and `filterable` to the fields that callers may name.
    """

    model: type[M]
    sortable: ClassVar[frozenset[str]] = frozenset({"id", "created_at", "updated_at"})
    filterable: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, record_id: int, *, deleted: bool = False) -> M | None:
        """The row, or None. A deleted row only where `deleted` asks for it."""
        row = await self._session.get(self.model, record_id)
        return row if row is not None and (deleted or row.deleted_at is None) else None

    async def list(self, query: ListQuery) -> Listing[M]:
        """One page.

        Raises:
            UnknownField: the query names a field outside of the whitelists.
        """
        statement = (
            select(self.model)
            .where(*self._conditions(query))
            .order_by(*self._order(query.sort))
            .offset((query.page - 1) * query.limit)
            .limit(query.limit)
        )
        rows = (await self._session.scalars(statement)).all()
        return Listing(rows, await self.count(query))

    async def count(self, query: ListQuery) -> int:
        """How many rows match, on all pages. Raises UnknownField like `list`."""
        conditions = self._conditions(query)
        statement = select(func.count()).select_from(self.model).where(*conditions)
        return await self._session.scalar(statement) or 0

    async def create(self, row: M) -> M:
        """Inserts a new row; its id and audit columns are set when this returns."""
        self._session.add(row)
        await self._session.flush()
        return row

    async def update(self, record_id: int, values: Mapping[str, object]) -> bool:
        """Sets columns of one row that is not deleted; False if there is none."""
        return await self._change(record_id, self.model.deleted_at.is_(None), values)

    async def soft_delete(self, record_id: int) -> bool:
        """Marks one row deleted; False if there is none or it is deleted already."""
        return await self._change(
            record_id, self.model.deleted_at.is_(None), {"deleted_at": utc_now()}
        )

    async def restore(self, record_id: int) -> bool:
        """Brings one deleted row back; False if there is none or it is not deleted."""
        return await self._change(
            record_id, self.model.deleted_at.is_not(None), {"deleted_at": None}
        )

    async def lock(self, record_id: int) -> M | None:
        """The row as committed now, if it is not deleted; locked until the transaction ends."""
        statement = (
            select(self.model)
            .where(self.model.id == record_id, self.model.deleted_at.is_(None))
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        row: M | None = await self._session.scalar(statement)
        return row

    async def lock_after(self, record_id: int, limit: int) -> Sequence[M]:
        """The next rows by id, deleted ones too, locked until the transaction ends."""
        statement = (
            select(self.model)
            .where(self.model.id > record_id)
            .order_by(self.model.id)
            .limit(limit)
            .with_for_update()
        )
        return (await self._session.scalars(statement)).all()

    async def _purge(self, wanted: Select[int]) -> int:
        """Deletes the rows of these ids for good; returns how many there were."""
        ids = (await self._session.scalars(wanted)).all()
        doomed = delete(self.model).where(self.model.id.in_(ids))
        await self._session.execute(doomed.execution_options(synchronize_session=False))
        return len(ids)

    async def _change(
        self, record_id: int, condition: ColumnElement[bool], values: Mapping[str, object]
    ) -> bool:
        statement = (
            update(self.model)
            .where(self.model.id == record_id, condition)
            .values(dict(values))
            .execution_options(synchronize_session="fetch")
        )
        result = await self._session.execute(statement)
        return bool(cast("CursorResult[object]", result).rowcount)

    def _conditions(self, query: ListQuery) -> Sequence[ColumnElement[bool]]:
        alive = [] if query.deleted else [self.model.deleted_at.is_(None)]
        matching = [
            self._column(name, self.filterable) == value for name, value in query.filters.items()
        ]
        return [*alive, *matching]

    def _order(self, sort: Sequence[str]) -> Sequence[UnaryExpression[Any]]:
        columns = [(self._column(name.removeprefix("-"), self.sortable), name) for name in sort]
        order = [
            column.desc() if name.startswith("-") else column.asc() for column, name in columns
        ]
        return [*order, self.model.id.asc()]

    def _column(self, name: str, allowed: frozenset[str]) -> InstrumentedAttribute[object]:
        if name not in allowed:
            raise UnknownField({"field": name, "allowed": sorted(allowed)})
        column: InstrumentedAttribute[object] = getattr(self.model, name)
        return column
