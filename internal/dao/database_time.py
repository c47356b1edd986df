"""The database's clock in SQL: what several machines compare times by."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Float, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from internal.models.base import UtcDateTime


class database_now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function that it is
    """UTC now on the database's clock plus an offset: microseconds, on SQLite milliseconds."""

    name = "database_now"
    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, offset: timedelta = timedelta()) -> None:
        super().__init__(literal(offset.total_seconds(), Float()))


@compiles(database_now, "mysql")
@compiles(database_now, "mariadb")
def _mysql(element: database_now, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    seconds = compiler.process(element.clauses, **options)
    return f"TIMESTAMPADD(MICROSECOND, ROUND(1000000 * {seconds}), UTC_TIMESTAMP(6))"


@compiles(database_now, "sqlite")
def _sqlite(element: database_now, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    """As SQLAlchemy stores datetimes there: text with six digits of a second."""
    seconds = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {seconds} || ' seconds')"
