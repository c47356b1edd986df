import sys
from typing import TYPE_CHECKING, Annotated

import typer

from internal.cli.opening import run_with_services

if TYPE_CHECKING:
    from internal.models.user import User
    from internal.services.assembly import Services

app = typer.Typer(help="Accounts, from where no password is asked for.", no_args_is_help=True)

type Name = Annotated[str, typer.Argument(help="The username.")]


@app.command("create-admin")
def create_admin(username: Name) -> None:
    """Make an account with the role admin; the password comes from the terminal or stdin."""
    from pydantic import ValidationError

    from internal.core.caller import OPERATOR, Role
    from internal.core.errors import StartError
    from internal.schemas.users import NewUser

    try:
        new = NewUser.model_validate(
            {"username": username, "password": _password(), "role": Role.ADMIN}
        )
    except ValidationError as error:
        raise StartError(_problems(error)) from None

    async def create(services: "Services") -> "User":
        password_hash = await services.users.password_hash(OPERATOR, new)
        async with services.unit_of_work.begin() as session:
            return await services.users.create(session, OPERATOR, new, password_hash)

    print(f"created: {run_with_services(create).username}")


@app.command("list")
def list_users(page: Annotated[int, typer.Option(min=1)] = 1) -> None:
    """Print a hundred accounts: id, role, state, username."""
    from internal.core.caller import OPERATOR
    from internal.dao.base import MAX_LIMIT, ListQuery

    query = ListQuery(page=page, limit=MAX_LIMIT)
    listing = run_with_services(lambda services: services.users.list(OPERATOR, query))
    for user in listing.rows:
        state = "disabled" if user.disabled else "active"
        print(f"{user.id}\t{user.role}\t{state}\t{user.username}")
    print(f"{listing.total} in all", file=sys.stderr)


@app.command()
def disable(username: Name) -> None:
    """Disable an account and end every session of it."""
    from internal.core.caller import OPERATOR
    from internal.schemas.users import UserChange

    async def change(services: "Services") -> "User":
        user = await services.users.by_username(OPERATOR, username.lower())
        return await services.users.update(OPERATOR, user.id, UserChange(disabled=True))

    print(f"disabled: {run_with_services(change).username}")


@app.command("reset-password")
def reset_password(username: Name) -> None:
    """Set an account's password and end every session of it."""
    from internal.core.caller import OPERATOR
    from internal.core.errors import StartError
    from internal.core.password import UnacceptablePassword, check_password

    try:
        password = check_password(_password())
    except UnacceptablePassword as error:
        raise StartError(str(error)) from None
    user = run_with_services(
        lambda services: services.users.reset_password(OPERATOR, username.lower(), password)
    )
    print(f"password reset: {user.username}")


def _password() -> str:
    import getpass

    from internal.core.errors import StartError

    if sys.stdin.isatty():
        password = getpass.getpass("password: ")
        if password != getpass.getpass("again: "):
            raise StartError("the two passwords differ")
        return password
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise StartError("the password is not valid UTF-8") from None


def _problems(error: Exception) -> str:
    from pydantic import ValidationError

    assert isinstance(error, ValidationError)  # noqa: S101
    return "; ".join(
        f"{item['loc'][0]}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors(include_input=False)
    )
