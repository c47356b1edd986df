"""The services, open for the length of a command: a database, and no server around it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from internal.services.assembly import Services


def run_with_services[R](work: "Callable[[Services], Awaitable[R]]") -> R:
    """Opens what the services need, does the work, closes it again.

    Errors that a service foresees (not found, taken) end the command with their message.
    """
    import asyncio

    from sqlalchemy.exc import DBAPIError

    from internal.cli.loading import settings_with_logging
    from internal.core.errors import ServiceError, StartError
    from internal.core.snowflake import IdsUnavailable
    from internal.infra.database import explain

    settings = settings_with_logging({"LOG_LEVEL": "CRITICAL"})

    async def opened() -> R:
        from internal.core.snowflake import Snowflake
        from internal.infra.database import open_database
        from internal.infra.redis import TIMEOUT_SECONDS, create_client
        from internal.services.assembly import assemble_services
        from internal.services.id_nodes import open_id_node
        from internal.services.leases import Leases
        from internal.services.unit_of_work import UnitOfWork

        # Redis is at hand and not asked: accounts and clients are rows.
        redis = create_client(settings, connections=1, timeout=TIMEOUT_SECONDS)
        async with open_database(settings) as database, redis:
            ids = Snowflake(settings.snowflake_node_id)
            unit_of_work = UnitOfWork(database, ids)
            async with open_id_node(Leases(unit_of_work), ids):
                return await work(assemble_services(settings, unit_of_work, redis))

    try:
        return asyncio.run(opened())
    except (ServiceError, IdsUnavailable) as error:
        raise StartError(str(error)) from error
    except UnicodeEncodeError:
        raise StartError("an argument is not valid UTF-8") from None
    except DBAPIError as error:
        raise StartError(explain(error, settings)) from error
