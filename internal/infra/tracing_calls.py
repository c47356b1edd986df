"""Spans of what goes to the database and to Redis: statements without values, names of commands."""

from collections.abc import Awaitable
from typing import Any

from opentelemetry.trace import Span, SpanKind
from redis.asyncio import Redis
from sqlalchemy import Connection, Engine, ExceptionContext, event

from internal.infra.tracing import begin, failed, within

# An INSERT of a thousand rows is as long as they are many.
MAX_STATEMENT_CHARACTERS = 2_000


def trace_statements(engine: Engine) -> None:
    """Right before and after the driver gets a statement, where all ways of executing meet."""
    system = engine.dialect.name

    def before(
        _connection: Connection,
        _cursor: object,
        statement: str,
        _parameters: object,
        context: Any,  # noqa: ANN401 - SQLAlchemy's execution context has no public type
        _executemany: bool,  # noqa: FBT001
    ) -> None:
        operation = (statement.split(None, 1) or [""])[0].upper()
        attributes = {
            "db.system.name": system,
            "db.operation.name": operation,
            "db.query.text": statement[:MAX_STATEMENT_CHARACTERS],
        }
        context.groundwork_span = begin(operation, SpanKind.CLIENT, attributes)

    def after(
        _connection: Connection,
        _cursor: object,
        _statement: str,
        _parameters: object,
        context: Any,  # noqa: ANN401
        _executemany: bool,  # noqa: FBT001
    ) -> None:
        if context.groundwork_span is not None:
            context.groundwork_span.end()

    def on_error(error: ExceptionContext) -> None:
        span: Span | None = getattr(error.execution_context, "groundwork_span", None)
        if span is not None:
            failed(span, error.original_exception)
            span.end()

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "handle_error", on_error)


def trace_commands(client: Redis) -> None:
    """Of this client and not its class: the embedded one's class is another."""
    execute, pipeline = client.execute_command, client.pipeline

    def execute_traced(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - as Redis has it
        return _traced(str(args[0]), execute(*args, **options))  # type: ignore[no-untyped-call]

    def pipeline_traced(*args: Any, **options: Any) -> Any:  # noqa: ANN401
        pipe = pipeline(*args, **options)
        execute_all = pipe.execute
        pipe.execute = lambda *args, **options: _traced(  # type: ignore[method-assign]
            "PIPELINE", execute_all(*args, **options)
        )
        return pipe

    client.execute_command = execute_traced  # type: ignore[method-assign]
    client.pipeline = pipeline_traced  # type: ignore[method-assign]


async def _traced(command: str, reply: Awaitable[Any]) -> Any:  # noqa: ANN401
    attributes = {"db.system.name": "redis", "db.operation.name": command}
    with within(command, SpanKind.CLIENT, attributes):
        return await reply
