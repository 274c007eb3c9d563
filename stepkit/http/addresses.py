"""Refuse a host that is an address of the machine's own network, where clouds keep credentials."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES: Final = frozenset({"metadata.google.internal", "metadata.goog"})
# Metadata servers that are not link-local: AWS and Google by IPv6, Alibaba, Oracle, Azure.
_ADDRESSES: Final = frozenset(
    map(
        ip_address,
        ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    )
)
# An IPv6 address in these ends in the IPv4 address that it stands for (RFC 4291, 6052, 7915).
_HOLD_IPV4: Final = tuple(
    map(IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96"))
)


def check(host: str, shown: str, *, look_up: bool = False) -> None:
    """Refuse ``host``, a name or an address in any spelling; ``shown`` begins the message.

    With ``look_up``, what the name resolves to on this machine counts too; a name that does not
    resolve passes. Raises :class:`ConfigurationError`.
    """
    found = _resolved(host) if look_up else []
    if any(map(_is_refused, (host, *found))):
        raise ConfigurationError(
            f"{shown} is an address of the machine's own network, where clouds keep credentials: "
            "name another server"
        )


def _is_refused(host: str) -> bool:
    try:
        # As the resolver does: full-width digits become digits, and other full stops become dots.
        name = host.encode("idna").decode().rstrip(".").lower().partition("%")[0]
    except UnicodeError:
        return False  # a host without a name cannot be asked
    if name in _NAMES:
        return True
    try:
        address = ip_address(name)
    except ValueError:
        try:
            address = IPv4Address(socket.inet_aton(name))  # 0xa9fea9fe, 2852039166, 169.254.43518
        except OSError:
            return False
    return any(one.is_link_local or one in _ADDRESSES for one in _meanings(address))


def _meanings(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    yield address
    if isinstance(address, IPv6Address):
        if address.sixtofour:
            yield address.sixtofour
        if any(address in network for network in _HOLD_IPV4):
            yield IPv4Address(int(address) & 0xFFFFFFFF)


def _resolved(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for *_, address in found]
