from pydantic import Field

from internal.schemas.fields import DisplayName, NewPassword, TriedPassword, Username
from internal.schemas.shapes import Reply, Request

EXAMPLE_TOKEN = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjFhMmIzYzRkIn0.eyJzdWIiOiI3MjAxIn0.c2lnbmF0dXJl"  # noqa: S105
EXAMPLE_REFRESH = "0Zk3v1o8yS1c5w2m9Qb7Rr4t6Xe0Lp8Ha2Nd5Gf1Uj0"


class Registration(Request):
    username: Username
    password: NewPassword
    display_name: DisplayName = ""


class Credentials(Request):
    username: Username
    password: TriedPassword


class RefreshRequest(Request):
    refresh_token: str = Field(min_length=1, max_length=256, examples=[EXAMPLE_REFRESH], repr=False)


class PasswordChange(Request):
    current_password: TriedPassword
    new_password: NewPassword


class TokenPair(Reply):
    """Send the access token as `Authorization: Bearer …`; spend the refresh token once."""

    access_token: str = Field(examples=[EXAMPLE_TOKEN], repr=False)
    token_type: str = Field(default="Bearer", examples=["Bearer"])
    expires_in: int = Field(description="seconds", examples=[1800])
    refresh_token: str = Field(examples=[EXAMPLE_REFRESH], repr=False)
    refresh_expires_in: int = Field(description="seconds", examples=[2592000])
