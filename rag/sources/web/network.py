"""Connections to permitted addresses only, until a deadline.

A host is resolved once, all its addresses are checked, and the connection goes to one of those. So a host whose address
changes in between (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Sequence

import certifi
import httpcore

from rag.sources.web.address import FetchError, host_name

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

NOT_PUBLIC = [
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "192.0.0.0/24", "240.0.0.0/4", "2001::/23"),  # protocol use, reserved; Teredo is 2001::/32
        *("100.64.0.0/10", "168.63.129.16/32"),  # carrier-grade NAT and Tailscale; Azure's platform service
        *("192.88.99.0/24", "2002::/16"),  # 6to4, with an IPv4 address inside
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),  # documentation
        "198.18.0.0/15",  # benchmarks
    )
]
"""Ranges for which `is_global` is wrong, or differs from Python 3.10 to 3.13. Source: IANA's special-purpose lists."""
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The only public IPv6 space (RFC 4291, 2.4). Outside it: loopback, IPv4-compatible ::/96, NAT64 64:ff9b::/96 and
64:ff9b:1::/48, fc00::/7, fe80::/10, fec0::/10, multicast, and unassigned space."""


def is_public(ip: IPAddress) -> bool:
    """Whether `ip` is an ordinary address on the public internet; an IPv4-mapped one counts as the IPv4 address."""
    ip = _unmapped(ip)
    if ip.version == 6 and ip not in GLOBAL_UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in NOT_PUBLIC)


def _unmapped(ip: IPAddress) -> IPAddress:
    """The IPv4 address in an IPv4-mapped IPv6 one; others as they are."""
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


class Permission:
    """Tells which hosts may be contacted at which addresses."""

    def __init__(self, private: bool, allow_hosts: Sequence[str]) -> None:
        """`private`: the operator named the source, so that all are permitted.

        `allow_hosts` are names, addresses and networks; invalid ones are ignored.
        """
        self._all = private
        self._names: set[str] = set()
        self._networks = []
        for entry in allow_hosts:
            try:
                self._networks.append(ipaddress.ip_network(entry.strip().strip("[]"), strict=False))
            except ValueError:
                with contextlib.suppress(ValueError):
                    self._names.add(host_name(entry.strip()))

    def check(self, host: str, ip: IPAddress) -> None:
        """Raise FetchError if `host` may not be contacted at `ip`."""
        if self._all or host in self._names or is_public(ip):
            return
        if any(ip in network or _unmapped(ip) in network for network in self._networks):
            return
        place = "a private address" if host == str(ip) else f"at the private address {ip}"
        raise FetchError(
            f"{host} is {place}, which is refused for pages added later; "
            "start the app with --source URL or set RAG_ALLOW_HOSTS to allow it"
        )


class Deadline:
    """The end of a fetch, `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether it has passed."""
        return time.monotonic() >= self._end

    def limit(self, timeout: float | None) -> float:
        """Seconds that the next step may take, `timeout` at most. Raises httpcore.TimeoutException at 0."""
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise httpcore.TimeoutException
        return remaining if timeout is None else min(timeout, remaining)


class CheckedBackend(httpcore.NetworkBackend):
    """Connects to permitted addresses only; all its connections end at the deadline. Its methods are httpcore's."""

    def __init__(self, permission: Permission, deadline: Deadline) -> None:
        self._permission = permission
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address that answers. Raises FetchError if any address is not permitted."""
        addresses = _resolve(host, port, self._deadline.limit(timeout))
        for ip in addresses:
            self._permission.check(host, ip)
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for ip in addresses:
            try:
                stream = httpcore.SyncBackend().connect_tcp(
                    str(ip), port, self._deadline.limit(timeout), local_address, socket_options
                )
                return _TimedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = failure or error
        assert failure is not None
        raise failure


def _resolve(host: str, port: int, seconds: float) -> list[IPAddress]:
    """The addresses of `host`. A thread looks them up, because getaddrinfo has no time limit."""
    answers: queue.SimpleQueue[list[IPAddress]] = queue.SimpleQueue()

    def look_up() -> None:
        addresses: list[IPAddress] = []
        with contextlib.suppress(OSError, ValueError):  # ValueError: the resolver has its own rules for names
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                addresses.append(ipaddress.ip_address(address[0]))
        answers.put(list(dict.fromkeys(addresses)))

    threading.Thread(target=look_up, name="rag-getaddrinfo", daemon=True).start()
    try:
        addresses = answers.get(timeout=seconds)
    except queue.Empty:
        raise FetchError(f"could not find the host {host} in time; is this machine online?") from None
    if not addresses:
        raise FetchError(f"could not find the host {host}; is this machine online?")
    return addresses


class _TimedStream(httpcore.NetworkStream):
    """A connection that ends at the deadline, even if the server sends a byte now and then."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.limit(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.limit(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            timeout = self._deadline.limit(timeout)
        except httpcore.TimeoutException:
            self.close()  # httpcore leaves this to start_tls
            raise
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The certificates of the system (or of SSL_CERT_FILE) and of certifi: some Pythons find none on the system."""
    context = ssl.create_default_context()
    with contextlib.suppress(OSError):
        context.load_verify_locations(certifi.where())
    return context
