from ipaddress import IPv6Address, IPv6Network, ip_address

_SUBSCRIBER_BITS = 64  # what a provider hands to one subscriber (RFC 6177)


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
