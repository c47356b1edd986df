from datetime import datetime
from typing import Annotated

from pydantic import Field, StrictBool, StringConstraints

from internal.schemas.fields import Id
from internal.schemas.shapes import Reply, Request, View

type Scope = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_-]*(:[a-z0-9_-]+)*$", max_length=64),
    Field(examples=["audit:write"]),
]


class NewClient(Request):
    name: Annotated[
        str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
    ] = Field(max_length=128, examples=["billing"])
    scopes: list[Scope] = Field(default=[], max_length=32, examples=[["audit:write"]])


class Rotation(Request):
    keep_previous: StrictBool = Field(
        default=True,
        description="false where the previous secret may be known to somebody",
        examples=[True],
    )


class ClientView(View):
    id: Id
    client_id: str = Field(examples=["gw_5Zk3v1o8yS1c5w2m"])
    name: str = Field(examples=["billing"])
    scopes: list[str] = Field(examples=[["audit:write"]])
    secrets: int = Field(description="how many are valid now, 0 to 2", examples=[1])
    revoked: bool = Field(examples=[False])
    created_at: datetime = Field(examples=["2026-01-02T03:04:05.678901Z"])


class ClientSecret(Reply):
    """The only time that the secret is shown."""

    client: ClientView
    secret: str = Field(examples=["p0Zk3v1o8yS1c5w2m9Qb7Rr4t6Xe0Lp8Ha2Nd5Gf1Uj"], repr=False)


class WhoAmI(Reply):
    client_id: str = Field(examples=["gw_5Zk3v1o8yS1c5w2m"])
    scopes: list[str] = Field(examples=[["audit:write"]])
