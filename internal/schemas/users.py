from datetime import datetime

from pydantic import Field, StrictBool

from internal.core.caller import Role
from internal.schemas.fields import DisplayName, Id, NewPassword, Username
from internal.schemas.shapes import Change, Request, View


class NewUser(Request):
    username: Username
    password: NewPassword
    display_name: DisplayName = ""
    role: Role = Field(default=Role.USER, examples=[Role.USER])


class UserChange(Change):
    """What is left out stays. `role` and `disabled` are for admins, for other accounts."""

    display_name: DisplayName = Field(default="", examples=["Ada"])
    role: Role = Field(default=Role.USER, examples=[Role.ADMIN])
    disabled: StrictBool = Field(default=False, examples=[False])


class UserView(View):
    id: Id
    username: str = Field(examples=["ada@example.com"])
    display_name: str = Field(examples=["Ada Lovelace"])
    role: Role = Field(examples=[Role.USER])
    disabled: bool = Field(examples=[False])
    created_at: datetime = Field(examples=["2026-01-02T03:04:05.678901Z"])
    updated_at: datetime = Field(examples=["2026-01-02T03:04:05.678901Z"])
