import pytest

from tests.conftest import MakeSettings
from tests.unit.http.routes import every_way
from tests.unit.http.serving import Exchange, Lines, serving

pytestmark = pytest.mark.anyio

PEER = "203.0.113.9"  # the address that the connection comes from
PROXIES = "203.0.113.0/24, 10.0.0.0/8, 2001:db8::/32"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ([], PEER),
        ([b""], PEER),
        ([b"198.51.100.7"], "198.51.100.7"),
        ([b"1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        ([b"1.1.1.1, 198.51.100.7, 10.0.0.3"], "198.51.100.7"),
        ([b"1.1.1.1", b"198.51.100.7", b"10.0.0.3, 10.0.0.4"], "198.51.100.7"),
        ([b"198.51.100.7,10.0.0.3,1.1.1.1"], "1.1.1.1"),
        ([b"10.0.0.2, 10.0.0.3"], "10.0.0.2"),
        ([b"198.51.100.7, garbage"], PEER),
        ([b"198.51.100.7, garbage, 10.0.0.3"], "10.0.0.3"),
        ([b"198.51.100.7, "], PEER),
        ([b"\xff\x00\r\n"], PEER),
        ([b"unknown"], PEER),
        ([b"198.51.100.7:8080"], PEER),
        ([b"1.1.1.1, 2001:db9::1"], "2001:db9::1"),
        ([b"2001:db9::1, 2001:DB8::2"], "2001:db9::1"),
        ([b"::ffff:198.51.100.7"], "198.51.100.7"),
        ([b"198.51.100.7, ::ffff:10.0.0.3"], "198.51.100.7"),
        ([b"fe80::1%status=200 route=/admin"], "fe80::1"),
        ([b"1.1.1.1," * 2000 + b"198.51.100.7"], "198.51.100.7"),
    ],
)
async def test_the_client_is_the_rightmost_hop_that_is_no_proxy_of_ours(
    make_settings: MakeSettings, lines: Lines, forwarded: list[bytes], client: str
) -> None:
    headers = [(b"x-forwarded-for", value) for value in forwarded]
    async with serving(make_settings(TRUSTED_PROXIES=PROXIES), every_way()) as served:
        await Exchange(path="/ok", headers=headers).run(served.app)
        assert [line["client"] for line in lines.access] == [client]


@pytest.mark.parametrize("proxies", ["", "192.0.2.0/24"])
async def test_who_is_no_proxy_of_ours_is_not_believed(
    make_settings: MakeSettings, lines: Lines, proxies: str
) -> None:
    headers = [(b"x-forwarded-for", b"198.51.100.7"), (b"forwarded", b"for=198.51.100.7")]
    async with serving(make_settings(TRUSTED_PROXIES=proxies), every_way()) as served:
        await Exchange(path="/ok", headers=headers).run(served.app)
        assert [line["client"] for line in lines.access] == [PEER]


async def test_an_ipv4_proxy_is_known_on_a_socket_for_both_families(
    make_settings: MakeSettings, lines: Lines
) -> None:
    settings = make_settings(TRUSTED_PROXIES="10.0.0.0/8")
    async with serving(settings, client=("::ffff:10.0.0.3", 1)) as served:
        await served.http.get("/livez", headers={"X-Forwarded-For": "198.51.100.7"})
        assert [line["client"] for line in lines.access] == ["198.51.100.7"]
