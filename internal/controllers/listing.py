"""Lists over HTTP: which page, and the page."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from internal.core.envelope import Page
from internal.dao.base import MAX_LIMIT, Listing, ListQuery
from internal.models.base import Record

MAX_PAGE = 1_000_000

type PageNumber = Annotated[int, Query(ge=1, le=MAX_PAGE, description="from 1")]
type Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="items on a page")]


def page_of[M: Record, V: BaseModel](
    query: ListQuery, listing: Listing[M], view: Callable[[M], V]
) -> Page[V]:
    return Page(
        items=[view(row) for row in listing.rows],
        page=query.page,
        limit=query.limit,
        total=listing.total,
    )
