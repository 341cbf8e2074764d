"""Addresses and networks as a TOML lists them: is this peer among them?"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Peers:
    """A set of peers: "127.0.0.1", "10.0.0.0/8", "::1"; what is no address ("testclient") is compared as it stands."""

    def __init__(self, listed: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._networks: list[_Network] = []
        for entry in listed:
            try:
                self._networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                self._names.add(entry)

    def __contains__(self, peer: object) -> bool:
        if peer in self._names:
            return True
        try:
            address = ipaddress.ip_address(str(peer))
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped  # a server on "::" sees IPv4 this way
        return any(address in network for network in self._networks)
