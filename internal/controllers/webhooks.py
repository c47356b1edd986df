"""`/v1/webhook-endpoints`: where events are sent, for admins."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import AdminCaller
from internal.controllers.listing import Limit, PageNumber, page_of
from internal.controllers.once import IdempotencyKey, create_once
from internal.controllers.paths import IdPath
from internal.controllers.replies import errors
from internal.core.envelope import Envelope, Page
from internal.core.errors import NotFound
from internal.dao.base import ListQuery
from internal.schemas.webhooks import (
    NewWebhookEndpoint,
    WebhookEndpointChange,
    WebhookEndpointSecret,
    WebhookEndpointView,
)
from internal.services.idempotency import ReplyNotKept
from internal.services.webhook_endpoints import UrlRefused

router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhooks"])

type EndpointSort = Literal["id", "-id", "owner", "-owner", "created_at", "-created_at"]


@router.get("", operation_id="listWebhookEndpoints")
async def list_webhook_endpoints(  # noqa: PLR0913, PLR0917 - one argument a query parameter
    caller: AdminCaller,
    resources: ResourcesDep,
    page: PageNumber = 1,
    limit: Limit = 20,
    sort: EndpointSort = "id",
    owner: Annotated[str | None, Query(max_length=128)] = None,
) -> Envelope[Page[WebhookEndpointView]]:
    """One page of all endpoints."""
    query = ListQuery.of(page, limit, sort, {"owner": owner})
    listing = await resources.services.webhook_endpoints.list(caller, query)
    return Envelope(data=page_of(query, listing, WebhookEndpointView.of))


@router.post(
    "",
    operation_id="createWebhookEndpoint",
    status_code=201,
    response_model=Envelope[WebhookEndpointSecret],
    responses=errors(UrlRefused, ReplyNotKept),
)
async def create_webhook_endpoint(
    body: NewWebhookEndpoint,
    request: Request,
    caller: AdminCaller,
    resources: ResourcesDep,
    key: IdempotencyKey = None,
) -> Response:
    """Makes an endpoint. What its requests are signed with is in this reply and in no other."""
    endpoints = resources.services.webhook_endpoints

    async def create(session: AsyncSession) -> WebhookEndpointSecret:
        endpoint, secret = await endpoints.create(session, caller, body)
        return WebhookEndpointSecret(endpoint=WebhookEndpointView.of(endpoint), secret=secret)

    return await create_once(request, caller, key, create, holds_secret=True)


@router.get("/{endpoint_id}", operation_id="getWebhookEndpoint", responses=errors(NotFound))
async def get_webhook_endpoint(
    endpoint_id: IdPath, caller: AdminCaller, resources: ResourcesDep
) -> Envelope[WebhookEndpointView]:
    """An endpoint, without its secret."""
    endpoint = await resources.services.webhook_endpoints.get(caller, endpoint_id)
    return Envelope(data=WebhookEndpointView.of(endpoint))


@router.patch(
    "/{endpoint_id}",
    operation_id="updateWebhookEndpoint",
    responses=errors(NotFound, UrlRefused),
)
async def update_webhook_endpoint(
    endpoint_id: IdPath,
    body: WebhookEndpointChange,
    caller: AdminCaller,
    resources: ResourcesDep,
) -> Envelope[WebhookEndpointView]:
    """Changes the fields that are sent. To a disabled endpoint nothing is sent."""
    endpoint = await resources.services.webhook_endpoints.update(caller, endpoint_id, body)
    return Envelope(data=WebhookEndpointView.of(endpoint))


@router.post(
    "/{endpoint_id}/rotate",
    operation_id="rotateWebhookEndpoint",
    status_code=201,
    response_model=Envelope[WebhookEndpointSecret],
    responses=errors(NotFound, ReplyNotKept),
)
async def rotate_webhook_endpoint(
    endpoint_id: IdPath,
    request: Request,
    caller: AdminCaller,
    resources: ResourcesDep,
    key: IdempotencyKey = None,
) -> Response:
    """Makes a new secret, which signs every request from now on, repeated ones too."""
    endpoints = resources.services.webhook_endpoints

    async def rotate(session: AsyncSession) -> WebhookEndpointSecret:
        endpoint, secret = await endpoints.rotate(session, caller, endpoint_id)
        return WebhookEndpointSecret(endpoint=WebhookEndpointView.of(endpoint), secret=secret)

    return await create_once(request, caller, key, rotate, holds_secret=True)


@router.delete("/{endpoint_id}", operation_id="deleteWebhookEndpoint", responses=errors(NotFound))
async def delete_webhook_endpoint(
    endpoint_id: IdPath, caller: AdminCaller, resources: ResourcesDep
) -> Envelope[None]:
    """Nothing is sent to it any more, and it is not found any more."""
    await resources.services.webhook_endpoints.delete(caller, endpoint_id)
    return Envelope(data=None)
