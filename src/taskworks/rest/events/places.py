"""Who may have how many of the event streams of a process."""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from taskworks.conf import conf
from taskworks.options.owner import ANYBODY

NETWORK_BITS = 64  # of an IPv6 address; a client has all the addresses that begin with them


class Holder(NamedTuple):
    """A user, or all the anonymous users of one address."""

    owner: str
    address: str = ""

    @property
    def is_anonymous(self) -> bool:
        return self.owner == ANYBODY


def holder_of(owner: str, address: str) -> Holder:
    """Return who opens a stream; ``address`` is what the server took for the client's."""
    return Holder(ANYBODY, _network_of(address)) if owner == ANYBODY else Holder(owner)


def has_place(holder: Holder, taken: Sequence[Holder]) -> bool:
    """Return whether this one may have another stream, besides those that are taken."""
    limits = conf()
    if len(taken) >= limits.api_max_streams or taken.count(holder) >= limits.api_max_user_streams:
        return False
    anonymous = sum(one.is_anonymous for one in taken)
    return not holder.is_anonymous or anonymous < limits.api_max_anonymous_streams


def _network_of(address: str) -> str:
    try:
        given = ip_address(address)
    except ValueError:  # such as "", behind a Unix socket
        return address
    if not isinstance(given, IPv6Address):
        return address
    if given.ipv4_mapped:
        return str(given.ipv4_mapped)
    host_bits = given.max_prefixlen - NETWORK_BITS
    return str(IPv6Address(int(given) >> host_bits << host_bits))
