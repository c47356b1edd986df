from datetime import datetime
from typing import Annotated

from pydantic import Field, StrictBool, StringConstraints

from internal.core.http_url import MAX_URL, URL_PATTERN
from internal.schemas.fields import Id
from internal.schemas.shapes import Change, Reply, Request, View

_URL = "https://billing.example.com/hooks/groundwork"

type WebhookUrl = Annotated[
    str,
    StringConstraints(pattern=URL_PATTERN, max_length=MAX_URL),
    Field(
        description="http(s)://host[:port][/path][?query] in ASCII; in production https only",
        examples=[_URL],
    ),
]
type Owner = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"),
    Field(
        max_length=128, description="who answers for it: a team, a customer", examples=["billing"]
    ),
]


class NewWebhookEndpoint(Request):
    url: WebhookUrl
    owner: Owner


class WebhookEndpointChange(Change):
    """What is left out stays."""

    url: WebhookUrl = _URL
    owner: Owner = "billing"
    disabled: StrictBool = Field(default=False, examples=[False])


class WebhookEndpointView(View):
    id: Id
    url: str = Field(examples=[_URL])
    owner: str = Field(examples=["billing"])
    client_id: str = Field(
        description="X-Client-Id of the requests that are sent to it",
        examples=["7201443112960000"],
    )
    disabled: bool = Field(examples=[False])
    created_at: datetime = Field(examples=["2026-01-02T03:04:05.678901Z"])
    updated_at: datetime = Field(examples=["2026-01-02T03:04:05.678901Z"])


class WebhookEndpointSecret(Reply):
    """The only time that the secret is shown."""

    endpoint: WebhookEndpointView
    secret: str = Field(examples=["p0Zk3v1o8yS1c5w2m9Qb7Rr4t6Xe0Lp8Ha2Nd5Gf1Uj"], repr=False)
