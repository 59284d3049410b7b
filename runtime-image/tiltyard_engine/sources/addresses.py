"""Which addresses may be spoken to, and speaking to the very address that was judged.

In a cluster a manifest must not make us read what only this machine can: services that listen on
loopback, and the credentials that clouds hand out on link-local addresses.
"""

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

METADATA = tuple(map(ipaddress.ip_network, ("fd00:ec2::254/128", "100.100.100.200/32")))
"""Where clouds hand out credentials on addresses that are not link-local."""

EVERYWHERE: Sequence[Network] = tuple(map(ipaddress.ip_network, ("0.0.0.0/0", "::/0")))


class AddressRefused(Exception):  # noqa: N818 - says what happened
    """A host has no address that may be spoken to."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """A judge of addresses."""

    allowed: Sequence[Network] = ()
    """Networks that may be spoken to although they are of a refused kind."""

    def admits(self, text: str) -> bool:
        """Whether an address may be spoken to."""
        address = ipaddress.ip_address(text.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self.allowed) or not _special(address)

    def of(self, host: str, port: int) -> Iterator[str]:
        """Addresses of a host that may be spoken to.

        Raises:
            AddressRefused: it has none.
            OSError: its name is not known.

        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        admitted = [address for address in addresses if self.admits(address)]
        if not admitted:
            raise AddressRefused(addresses[0])
        return iter(admitted)

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect to a host by an address that was judged, so that no second answer slips by.

        Raises:
            AddressRefused: it has no address that may be spoken to.
            OSError: nobody answers.

        """
        failure: OSError | None = None
        for address in self.of(host, port):
            try:
                return socket.create_connection((address, port), timeout)
            except OSError as error:
                failure = error
        raise failure or OSError("no address")


def _special(address: Address) -> bool:
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
        or any(address in network for network in METADATA)
    )
