"""`/v1/users`: accounts, for admins; one's own, for everybody."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from internal.controllers.dependencies import ResourcesDep
from internal.controllers.doors import AdminCaller, UserCaller
from internal.controllers.listing import Limit, PageNumber, page_of
from internal.controllers.once import IdempotencyKey, create_once
from internal.controllers.paths import IdPath
from internal.controllers.replies import errors
from internal.core.caller import Role
from internal.core.envelope import Envelope, Page
from internal.core.errors import Forbidden, NotFound
from internal.dao.base import ListQuery
from internal.schemas.users import NewUser, UserChange, UserView
from internal.services.accounts import UsernameTaken
from internal.services.authorization import NotYourself

router = APIRouter(prefix="/v1/users", tags=["users"])

type UserSort = Literal["id", "-id", "username", "-username", "created_at", "-created_at"]


@router.get("", operation_id="listUsers")
async def list_users(  # noqa: PLR0913, PLR0917 - one argument a query parameter
    caller: AdminCaller,
    resources: ResourcesDep,
    page: PageNumber = 1,
    limit: Limit = 20,
    sort: UserSort = "id",
    username: Annotated[str | None, Query(max_length=128)] = None,
    role: Role | None = None,
) -> Envelope[Page[UserView]]:
    """One page of all accounts."""
    filters = {"username": username and username.lower(), "role": role}
    query = ListQuery.of(page, limit, sort, filters)
    listing = await resources.services.users.list(caller, query)
    return Envelope(data=page_of(query, listing, UserView.of))


@router.post(
    "",
    operation_id="createUser",
    status_code=201,
    response_model=Envelope[UserView],
    responses=errors(UsernameTaken),
)
async def create_user(
    body: NewUser,
    request: Request,
    caller: AdminCaller,
    resources: ResourcesDep,
    key: IdempotencyKey = None,
) -> Response:
    """Makes an account of any role."""
    users = resources.services.users
    password_hash = await users.password_hash(caller, body)

    async def create(session: AsyncSession) -> UserView:
        return UserView.of(await users.create(session, caller, body, password_hash))

    return await create_once(request, caller, key, create)


@router.get("/{user_id}", operation_id="getUser", responses=errors(NotFound))
async def get_user(
    user_id: IdPath, caller: UserCaller, resources: ResourcesDep
) -> Envelope[UserView]:
    """One's own account; any for admins."""
    return Envelope(data=UserView.of(await resources.services.users.get(caller, user_id)))


@router.patch(
    "/{user_id}", operation_id="updateUser", responses=errors(NotFound, Forbidden, NotYourself)
)
async def update_user(
    user_id: IdPath, body: UserChange, caller: UserCaller, resources: ResourcesDep
) -> Envelope[UserView]:
    """Changes the fields that are sent. Role and `disabled` are for admins."""
    user = await resources.services.users.update(caller, user_id, body)
    return Envelope(data=UserView.of(user))
