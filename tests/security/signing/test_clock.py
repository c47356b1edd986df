"""Clocks that differ: 300 seconds either way and no more."""

from types import SimpleNamespace

import pytest

from internal.services import signed_requests
from tests.security.signing.signed import Client
from tests.unit.http.serving import Served

pytestmark = pytest.mark.anyio

NOW = 1_767_323_045


@pytest.fixture(params=[0.0, 0.999], ids=["on-the-second", "just-before-the-next"])
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's clock stands still."""
    stopped = SimpleNamespace(time=lambda: NOW + request.param)
    monkeypatch.setattr(signed_requests, "time", stopped)


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("skew", [-299, 0, 299])
async def test_a_clock_that_is_less_than_300_seconds_off_is_accepted(
    served: Served, client: Client, skew: int
) -> None:
    request = client.request(timestamp=str(NOW + skew).encode())
    assert (await request.sent_to(served.app)).status == 200


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("skew", [-NOW, -86_400, -302, -301, 302, 86_400, 10**11])
async def test_a_clock_that_is_more_than_300_seconds_off_is_refused(
    served: Served, client: Client, skew: int
) -> None:
    request = client.request(timestamp=str(NOW + skew).encode())
    exchange = await request.sent_to(served.app)
    assert (exchange.status, exchange.envelope["code"]) == (401, 40002)


async def test_the_limit_is_300_seconds_exactly(
    served: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signed_requests, "time", SimpleNamespace(time=lambda: float(NOW)))
    for skew, status in ((-300, 200), (300, 200), (-301, 401), (301, 401)):
        request = client.request(timestamp=str(NOW + skew).encode())
        assert (await request.sent_to(served.app)).status == status


async def test_what_is_too_old_is_refused_before_any_client_is_looked_up(
    served: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []
    monkeypatch.setattr(signed_requests, "is_signed_with", lambda key, *_: compared.append(key))
    for request in (client.request(timestamp=b"1"), client.request(nonce=b"short")):
        assert (await request.sent_to(served.app)).status == 401
    assert compared == []
