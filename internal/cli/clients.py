import sys
from typing import TYPE_CHECKING, Annotated

import typer

from internal.cli.opening import run_with_services

if TYPE_CHECKING:
    from internal.models.api_client import ApiClient
    from internal.services.assembly import Services

app = typer.Typer(help="API clients, which sign their requests.", no_args_is_help=True)

type ClientId = Annotated[str, typer.Argument(help="The client's id, gw_….")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    scope: Annotated[list[str] | None, typer.Option(help="A scope; may be repeated.")] = None,
) -> None:
    """Make a client; print its id and its secret, which is not shown again."""
    from pydantic import ValidationError

    from internal.core.caller import OPERATOR
    from internal.core.errors import StartError
    from internal.schemas.clients import NewClient

    try:
        new = NewClient(name=name, scopes=scope or [])
    except ValidationError as error:
        raise StartError(
            "; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())
        ) from None

    async def work(services: "Services") -> "tuple[ApiClient, str]":
        async with services.unit_of_work.begin() as session:
            return await services.clients.create(session, OPERATOR, new)

    _print(*run_with_services(work))


@app.command()
def rotate(
    client_id: ClientId,
    *,
    keep_previous: Annotated[
        bool, typer.Option(help="Whether the newest secret before this one stays valid.")
    ] = True,
) -> None:
    """Make a new secret and print it."""
    from internal.core.caller import OPERATOR

    async def work(services: "Services") -> "tuple[ApiClient, str]":
        async with services.unit_of_work.begin() as session:
            return await services.clients.rotate(
                session, OPERATOR, client_id, keep_previous=keep_previous
            )

    _print(*run_with_services(work))


@app.command()
def revoke(client_id: ClientId) -> None:
    """Accept nothing of this client any more."""
    from internal.core.caller import OPERATOR

    run_with_services(lambda services: services.clients.revoke(OPERATOR, client_id))
    print(f"revoked: {client_id}")


@app.command("list")
def list_clients(page: Annotated[int, typer.Option(min=1)] = 1) -> None:
    """Print a hundred clients: id, state, number of secrets, scopes, name."""
    from internal.core.caller import OPERATOR
    from internal.dao.base import MAX_LIMIT, ListQuery

    query = ListQuery(page=page, limit=MAX_LIMIT)
    listing = run_with_services(lambda services: services.clients.list(OPERATOR, query))
    for client in listing.rows:
        state = "revoked" if client.revoked else "active"
        scopes = ",".join(client.scopes) or "-"
        print(f"{client.client_id}\t{state}\t{client.secrets}\t{scopes}\t{client.name}")
    print(f"{listing.total} in all", file=sys.stderr)


@app.command()
def rekey() -> None:
    """Encrypt every secret anew, of webhook endpoints too, before an old AES_SECRET is dropped."""
    from internal.config.secrets import SecretError
    from internal.core.caller import OPERATOR
    from internal.core.errors import StartError

    async def work(services: "Services") -> int:
        clients = await services.clients.rekey(OPERATOR)
        return clients + await services.webhook_endpoints.rekey(OPERATOR)

    try:
        count = run_with_services(work)
    except SecretError as error:
        raise StartError(f"a stored secret: {error}; is it in AES_SECRET_PREVIOUS?") from error
    print(f"re-encrypted: {count}")


def _print(client: "ApiClient", secret: str) -> None:
    print(f"client id: {client.client_id}\nsecret:    {secret}")
