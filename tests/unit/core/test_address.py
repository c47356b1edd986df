"""Where outgoing requests may go."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from internal.core.address import Network, is_reachable

GLOBAL = ["8.8.8.8", "1.0.0.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "198.20.0.1"]
SPECIAL = {
    "unspecified": ["0.0.0.0", "0.255.255.255", "::"],
    "loopback": ["127.0.0.1", "127.255.255.255", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "fc00::1", "fdff::1"],
    "shared": ["100.64.0.0", "100.127.255.255"],
    "link-local": ["169.254.169.254", "fe80::1", "febf::1"],
    "site-local": ["fec0::1", "feff::1"],
    "protocol assignments": ["192.0.0.8", "192.0.0.9", "192.0.0.170", "2001:1::1", "2001:20::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarks": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "relays of 6to4": ["192.88.99.1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "4000::1", "100::1", "5f00::1", "::1:0:0:0"],
    "IPv4-compatible": ["::127.0.0.1", "::8.8.8.8"],
    "Teredo": ["2001:0:808:808::f7f7:f7f7", "2001::1"],
    "NAT64 with a local prefix": ["64:ff9b:1::7f00:1", "64:ff9b:1::808:808"],
    "NAT64 as written in the tests of others": ["64:ff9b::7f00:1"],
    "6to4 of loopback": ["2002:7f00:1::"],
    "mapped loopback": ["::ffff:127.0.0.1"],
}
CARRIERS = {
    "mapped": lambda number: IPv6Address((0xFFFF << 32) | number),
    "6to4": lambda number: IPv6Address((0x2002 << 112) | (number << 80) | 1),
    "NAT64": lambda number: IPv6Address((0x64FF9B << 96) | number),
}


@pytest.mark.parametrize("address", [*GLOBAL, "2606:4700::1111", "2a00:1450::1"])
def test_a_global_address_is_reachable(address: str) -> None:
    assert is_reachable(ip_address(address), [])


@pytest.mark.parametrize(
    "address",
    [pytest.param(each, id=f"{kind}: {each}") for kind, many in SPECIAL.items() for each in many],
)
def test_a_special_address_is_reachable_only_where_its_network_is_allowed(address: str) -> None:
    parsed = ip_address(address)
    assert not is_reachable(parsed, [])
    assert not is_reachable(parsed, [ip_network("192.0.2.77/32"), ip_network("2001:db8:77::/48")])
    assert is_reachable(parsed, [ip_network(parsed)])


@pytest.mark.parametrize("carrier", CARRIERS)
@given(number=st.integers(0, 2**32 - 1))
def test_an_address_that_carries_ipv4_is_judged_by_what_it_carries(
    carrier: str, number: int
) -> None:
    carried = IPv4Address(number)
    address = CARRIERS[carrier](number)
    assert is_reachable(address, []) == is_reachable(carried, [])
    assert is_reachable(address, [ip_network(carried)])


@given(number=st.integers(0, 2**32 - 1))
def test_no_ipv4_address_that_python_knows_as_special_is_reachable(number: int) -> None:
    address = IPv4Address(number)
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert not is_reachable(address, [])


@given(number=st.integers(0, 2**128 - 1))
def test_no_ipv6_address_outside_of_global_unicast_is_reachable(number: int) -> None:
    address = IPv6Address(number)
    if address not in ip_network("2000::/3") and address not in ip_network("64:ff9b::/96"):
        assert not is_reachable(address, []) or address.ipv4_mapped


@pytest.mark.parametrize(
    ("network", "address"),
    [
        ("10.0.0.0/8", "10.1.2.3"),
        ("10.0.0.0/8", "::ffff:10.1.2.3"),
        ("10.0.0.0/8", "64:ff9b::a01:203"),
        ("fd00::/8", "fd12::1"),
        ("64:ff9b:1::/48", "64:ff9b:1::a01:203"),
    ],
)
def test_an_allowed_network_is_reachable_and_no_more(network: str, address: str) -> None:
    allowed: list[Network] = [ip_network(network)]
    assert is_reachable(ip_address(address), allowed)
    for other in ("127.0.0.1", "192.168.0.1", "::1", "fe80::1", "64:ff9b::7f00:1"):
        assert not is_reachable(ip_address(other), allowed)
