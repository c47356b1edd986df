"""What an address is: who is counted under it, and whether we may connect to it."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

_SUBSCRIBER_BITS = 64  # what a provider hands to one subscriber (RFC 6177)

# The only unicast that is routed (RFC 4291 §2.4, IANA's IPv6 address space).
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Special as well (RFC 6890's registries), and global for some releases of `ipaddress` or for all:
_SPECIAL = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments
    IPv4Network("192.88.99.0/24"),  # relays of 6to4, given up
    IPv6Network("2001::/23"),  # protocol assignments, Teredo (RFC 4380) is one of them
    IPv6Network("3fff::/20"),  # documentation (RFC 9637)
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052; the local 64:ff9b:1::/48 (RFC 8215) is not global


def is_reachable(address: Address, allowed_networks: Iterable[Network]) -> bool:
    """Whether we may connect to an address that somebody else has named.

    It must be unicast and global, or in one of the allowed networks. Where IPv6 carries an IPv4
    address that a gateway would connect to, that one decides: mapped (RFC 4291), 6to4 (RFC 3056),
    NAT64. The rest of that family (IPv4-compatible, Teredo, NAT64 with local prefixes) is refused,
    whatever it carries.
    """
    carried = _carried_ipv4(address)
    if any(address in network or carried in network for network in allowed_networks):
        return True
    return _is_global(carried)


def _carried_ipv4(address: Address) -> Address:
    """The IPv4 address that is reached by way of this one, or the address itself."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(address.packed[-4:])
        return address.ipv4_mapped or address.sixtofour or address
    return address


def _is_global(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    if address.is_multicast or address.is_reserved:
        return False
    return address.is_global and not any(address in network for network in _SPECIAL)


@lru_cache(maxsize=4096)
def counted_as(address: str) -> str:
    """The name that an address is counted under: an IPv6 address by its /64.

    What is no address (a socket file, a test) stands for itself.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), _SUBSCRIBER_BITS), strict=False))
