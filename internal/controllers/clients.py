"""`/v1/clients`: API clients and their secrets, for admins."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import AdminCaller
from internal.controllers.listing import Limit, PageNumber, page_of
from internal.controllers.once import IdempotencyKey, create_once
from internal.controllers.replies import errors
from internal.core.envelope import Envelope, Page
from internal.core.errors import NotFound
from internal.dao.base import ListQuery
from internal.schemas.clients import ClientSecret, ClientView, NewClient, Rotation
from internal.services.clients import ClientRevoked
from internal.services.idempotency import ReplyNotKept

router = APIRouter(prefix="/v1/clients", tags=["clients"])

type ClientId = Annotated[
    str, Path(pattern=r"^[A-Za-z0-9_-]{1,40}$", examples=["gw_5Zk3v1o8yS1c5w2m"])
]
type ClientSort = Literal["id", "-id", "name", "-name", "created_at", "-created_at"]


@router.get("", operation_id="listClients")
async def list_clients(
    caller: AdminCaller,
    resources: ResourcesDep,
    page: PageNumber = 1,
    limit: Limit = 20,
    sort: ClientSort = "id",
) -> Envelope[Page[ClientView]]:
    """One page of all API clients."""
    query = ListQuery.of(page, limit, sort)
    listing = await resources.services.clients.list(caller, query)
    return Envelope(data=page_of(query, listing, ClientView.of))


@router.post(
    "",
    operation_id="createClient",
    status_code=201,
    response_model=Envelope[ClientSecret],
    responses=errors(ReplyNotKept),
)
async def create_client(
    body: NewClient,
    request: Request,
    caller: AdminCaller,
    resources: ResourcesDep,
    key: IdempotencyKey = None,
) -> Response:
    """Makes an API client. Its secret is in this reply and in no other."""

    async def create(session: AsyncSession) -> ClientSecret:
        client, secret = await resources.services.clients.create(session, caller, body)
        return ClientSecret(client=ClientView.of(client), secret=secret)

    return await create_once(request, caller, key, create, holds_secret=True)


@router.get("/{client_id}", operation_id="getClient", responses=errors(NotFound))
async def get_client(
    client_id: ClientId, caller: AdminCaller, resources: ResourcesDep
) -> Envelope[ClientView]:
    """An API client, without its secrets."""
    return Envelope(data=ClientView.of(await resources.services.clients.get(caller, client_id)))


@router.post(
    "/{client_id}/rotate",
    operation_id="rotateClient",
    status_code=201,
    response_model=Envelope[ClientSecret],
    responses=errors(NotFound, ClientRevoked, ReplyNotKept),
)
async def rotate_client(  # noqa: PLR0913, PLR0917 - what a route is made of
    client_id: ClientId,
    body: Rotation,
    request: Request,
    caller: AdminCaller,
    resources: ResourcesDep,
    key: IdempotencyKey = None,
) -> Response:
    """Makes a new secret. The newest one before it stays valid, unless it may be known."""
    clients = resources.services.clients

    async def rotate(session: AsyncSession) -> ClientSecret:
        client, secret = await clients.rotate(
            session, caller, client_id, keep_previous=body.keep_previous
        )
        return ClientSecret(client=ClientView.of(client), secret=secret)

    response = await create_once(request, caller, key, rotate, holds_secret=True)
    clients.changed(client_id)
    return response


@router.post("/{client_id}/revoke", operation_id="revokeClient", responses=errors(NotFound))
async def revoke_client(
    client_id: ClientId, caller: AdminCaller, resources: ResourcesDep
) -> Envelope[ClientView]:
    """Nothing that the client signs is accepted any more. It stays to be seen, for good."""
    return Envelope(data=ClientView.of(await resources.services.clients.revoke(caller, client_id)))
