"""The guarded HTTP client for web pages: where it may connect, how long it waits, how much it takes.

    fetch -> _follow -> for each hop _get: _parse (URL), _CheckedBackend (resolve, check, connect), _read, _decode

A name is resolved once, every address it has is checked, and the connection goes to one of those very addresses: a name
that changes its address in between (DNS rebinding) gains nothing. `Host` and the certificate check keep the name.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import ipaddress
import queue
import re
import socket
import ssl
import tempfile
import threading
import time
import unicodedata
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import certifi
import httpcore
import idna

from rag.errors import SourceError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

USER_AGENT = "local-rag-chat/1 (reads pages for the person who runs it)"
ACCEPT = "text/html, application/xhtml+xml, text/plain;q=0.9, */*;q=0.5"
REDIRECTS = (301, 302, 303, 307, 308)
LONGEST_URL = 8000
LONGEST_HOST = 254  # with the final dot (RFC 1035, 2.3.4)
MOST_GZIP_MEMBERS = 64
PIECE = 2**18
"""Bytes that are decompressed at once."""
HELD_BYTES = 4 * 2**20
"""Bytes of a page that are held in memory while the rest is read."""
NO_ROOM = "there is no room for it in the folder for temporary files"

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
"""Ranges where `is_global` is wrong, or differs from Python 3.10 to 3.13. Source: IANA's special-purpose lists."""

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The only public IPv6 space (RFC 4291, 2.4). Outside it: loopback, IPv4-compatible ::/96, NAT64 64:ff9b::/96 and
64:ff9b:1::/48, fc00::/7, fe80::/10, fec0::/10, multicast, and what is not assigned."""

_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::(?P<port>[0-9]{0,5}))?")
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([^\s\"',;]+)", re.IGNORECASE)
_VISIBLE_ASCII = "".join(map(chr, range(33, 127)))
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_IN_URLS = "!#$%&'()*+,/:;=?@[]~"  # and the unreserved ones; RFC 3986, 2.2
_ETAG = re.compile(r'(?:W/)?"[!#-~]{0,500}"')
_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", re.ASCII)


@dataclass(frozen=True)
class Limits:
    """Time limits in seconds (`total` for the whole fetch, redirects included), size in bytes, redirects followed."""

    connect: float = 10.0
    read: float = 10.0
    total: float = 30.0
    bytes: int = 5 * 2**20
    redirects: int = 5


@dataclass(frozen=True)
class Page:
    """What the server sent.

    `url` is where it was found after redirects, `body` is decoded from gzip or deflate, `content_type` is in lower case
    and without parameters ("" if there is none), `headers` have lower-case names; repeated ones are joined by ", ".
    """

    url: str
    body: bytes
    content_type: str
    charset: str | None
    headers: dict[str, str]


class _Refused(Exception):
    """Carries one sentence for people to `fetch`, which adds the URL, and the status that the server answered with."""

    def __init__(self, reason: str, answered: int | None = None) -> None:
        super().__init__(reason)
        self.answered = answered


def fetch(
    url: str,
    *,
    allow_private: bool = False,
    allow_hosts: Sequence[str] = (),
    limits: Limits = Limits(),
    on_redirect: Callable[[str], None] | None = None,
) -> Page:
    """The page at `url`, redirects followed.

    Only public addresses are contacted. `allow_private` opens all others, also after redirects: it is for sources that
    the operator named at start. `allow_hosts` opens some: host names, addresses, or networks such as 10.0.0.0/8.
    `on_redirect` gets every address that a redirect leads to before it is contacted; what it raises ends the fetch.

    Raises:
        SourceError: the page was refused, not found, too slow, too large or broken; `reason` says which.
    """
    page = _follow(url, allow_private, allow_hosts, limits, on_redirect, "", {})
    assert page is not None  # nothing was asked that could be answered by 304
    return page


def fetch_if_changed(
    url: str,
    *,
    etag: str = "",
    last_modified: str = "",
    found_at: str = "",
    allow_private: bool = False,
    allow_hosts: Sequence[str] = (),
    limits: Limits = Limits(),
) -> Page | None:
    """The page at `url` as `fetch` gives it, or None if the server says that it is the one that is known already.

    `etag` and `last_modified` are the headers of the known page and `found_at` is its `Page.url` (default: `url`). They
    mean something at that address only (RFC 9110, 8.8), so they are sent there and to no other hop. A value that is
    not in the standard's form is not sent: the page then comes whole.

    Raises:
        SourceError: as `fetch`.
    """
    known = {"If-None-Match": etag if _ETAG.fullmatch(etag) else ""}
    known["If-Modified-Since"] = last_modified if _HTTP_DATE.fullmatch(last_modified) else ""
    known = {name: value for name, value in known.items() if value}
    return _follow(url, allow_private, allow_hosts, limits, None, found_at or url, known)


def _follow(
    url: str,
    allow_private: bool,
    allow_hosts: Sequence[str],
    limits: Limits,
    on_redirect: Callable[[str], None] | None,
    found_at: str,
    known: dict[str, str],
) -> Page | None:
    """The page at `url`, redirects followed; None if it is the `known` one of `found_at`."""
    deadline = time.monotonic() + limits.total
    backend = _CheckedBackend(_permission(allow_private, allow_hosts), deadline)
    here = url
    answered: int | None = None
    try:
        with httpcore.ConnectionPool(ssl_context=_tls_context(), network_backend=backend) as pool:
            for _ in range(limits.redirects + 1):
                found = _get(pool, here, limits, known if here == found_at else {})
                if not isinstance(found, str):
                    return found
                here = found
                if on_redirect is not None:
                    on_redirect(here)
        raise _Refused(f"more than {limits.redirects} redirects; use the address that a browser ends at")
    except _Refused as error:
        reason, answered = str(error), error.answered
    except httpcore.TimeoutException as error:
        if time.monotonic() >= deadline:
            reason = f"no complete answer within {limits.total:g} s"
        else:
            seconds = limits.connect if isinstance(error, httpcore.ConnectTimeout) else limits.read
            reason = f"no answer within {seconds:g} s"
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        reason = _what_failed(error)
    if here != url:
        reason = f"redirected to {here if len(here) <= 200 else here[:200] + '…'}: {reason}"
    raise SourceError(url, reason, answered)


def is_public(ip: IPAddress) -> bool:
    """Whether `ip` is an ordinary address on the public internet; an IPv4-mapped one counts as the IPv4 address."""
    ip = _unmapped(ip)
    if ip.version == 6 and ip not in GLOBAL_UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in NOT_PUBLIC)


def _unmapped(ip: IPAddress) -> IPAddress:
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


def _permission(allow_private: bool, allow_hosts: Sequence[str]) -> Callable[[str, IPAddress], bool]:
    """A function that tells whether a host may be contacted at an address."""
    names, networks = set(), []
    for entry in allow_hosts:
        try:
            networks.append(ipaddress.ip_network(entry.strip().strip("[]"), strict=False))
        except ValueError:
            with contextlib.suppress(ValueError):
                names.add(_host_name(entry.strip()))

    def permitted(host: str, ip: IPAddress) -> bool:
        if allow_private or host in names or is_public(ip):
            return True
        return any(ip in network or _unmapped(ip) in network for network in networks)

    return permitted


def _parse(url: str) -> httpcore.URL:
    """The URL's parts. No other parser sees it: this host is checked, resolved, connected to and sent as `Host`."""
    if len(url) > LONGEST_URL:
        raise _Refused(f"the address is longer than {LONGEST_URL} characters")
    if any(c == "\\" or c.isspace() or unicodedata.category(c) in ("Cc", "Cs") for c in url):
        raise _Refused("the address contains a space, a backslash or a control character; remove or percent-encode it")
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise _Refused("only addresses that start with http:// or https:// can be read")
        if "@" in parts.netloc:
            raise _Refused("the address contains a user name or password; remove it")
        authority = _AUTHORITY.fullmatch(parts.netloc)
        if authority is None:
            raise ValueError("no host, or a port that is no number")
        host = _host_name(authority["host"])
        port = int(authority["port"]) if authority["port"] else None
        if port is not None and not 0 < port < 65_536:
            raise ValueError("no such port")
    except ValueError:
        raise _Refused("the address is not a valid web address; check the host name and the port") from None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return httpcore.URL(scheme=parts.scheme, host=host, port=port, target=quote(target, safe=_VISIBLE_ASCII))


def _host_name(text: str) -> str:
    """`text` as it goes into DNS and onto the wire: ASCII, lower case, no final dot; IPv6 without brackets.

    Raises:
        ValueError: not a host name.
    """
    if text.startswith("["):
        return str(ipaddress.IPv6Address(text[1:-1]))
    if len(text) > LONGEST_HOST:
        raise ValueError("too long for DNS")
    # UTS 46 is what browsers do: other scripts' dots and digits become ASCII before the name means anything.
    name = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    name = name.removesuffix(".")
    if not _HOST_NAME.fullmatch(name):
        raise ValueError("not a host name")
    return name


def normalised(url: str) -> str:
    """The form that all spellings of an address share (RFC 3986, 6.2.2 and 6.2.3), without its fragment.

    Raises:
        ValueError: not an address that `fetch` would try.
    """
    try:
        parts = _parse(url)
    except _Refused as error:
        raise ValueError(str(error)) from None
    host = parts.host.decode("ascii")
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, {b"http": 80, b"https": 443}[parts.scheme]) else f":{parts.port}"
    target = re.sub("%([0-9A-Fa-f]{2})", _one_spelling, quote(parts.target.decode("ascii"), safe=_IN_URLS))
    path, mark, query = target.partition("?")
    segments = path.split("/")[1:]
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return f"{parts.scheme.decode('ascii')}://{host}{port}/{'/'.join(kept)}{mark}{query}"


def _one_spelling(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.match(character) else escape[0].upper()


def _get(pool: httpcore.ConnectionPool, url: str, limits: Limits, known: dict[str, str]) -> Page | str | None:
    """One request: the page, the URL that it redirects to, or None if it is the `known` one still."""
    parsed = _parse(url)
    host = parsed.host.decode("ascii")
    host = f"[{host}]" if ":" in host else host
    request_headers: dict[str, str] = {
        "Host": host if parsed.port is None else f"{host}:{parsed.port}",
        "User-Agent": USER_AGENT,
        "Accept": ACCEPT,
        "Accept-Encoding": "gzip, deflate",
        **known,
    }
    timeouts = {"connect": limits.connect, "read": limits.read, "write": limits.read}
    sent = list(request_headers.items())
    with pool.stream("GET", parsed, headers=sent, extensions={"timeout": timeouts}) as response:
        headers: dict[str, str] = {}
        for raw_name, raw_value in response.headers:
            name, value = raw_name.decode("ascii").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if response.status in REDIRECTS and "location" in headers:
            return _redirect_target(url, headers["location"])
        if response.status == 304 and known:
            return None
        if response.status != 200:
            # The standard's name of the code: the server's own wording is not repeated.
            phrase = http.client.responses.get(response.status, "not a standard code")
            raise _Refused(f"the server answered {response.status} ({phrase})", response.status)
        body = _decode(_read(response, headers, limits.bytes), headers, limits.bytes)
    content_type = headers.get("content-type", "")
    charset = _CHARSET.search(content_type)
    mime = re.split("[;,]", content_type)[0].strip().lower()
    return Page(url, body, mime, charset[1].lower() if charset else None, headers)


def _redirect_target(url: str, location: str) -> str:
    """Where `Location` points, seen from `url`; not judged yet, as the next hop does that in full."""
    location = location.encode("latin-1").decode("utf-8", "replace")
    try:
        # urljoin drops tabs and line breaks, so that the next hop would not see them.
        return location if re.search(r"[\x00-\x20]", location) else urljoin(url, location)
    except ValueError:
        raise _Refused("it redirects to something that is not a web address") from None


def _read(response: httpcore.Response, headers: dict[str, str], limit: int) -> bytes:
    """The body as sent. It may not be larger than what it decodes to may be."""
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _Refused(_too_large(limit))
    with _Gathered(limit) as body:
        try:
            for piece in response.iter_stream():
                body.add(piece)
        except (httpcore.ProtocolError, httpcore.ReadError):
            raise _Refused("the page was cut off before its end; try again") from None
        return body.whole()


class _Gathered:
    """Bytes that come in pieces, `limit` at most; from `HELD_BYTES` on, they lie on disk: most of these are refused."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit
        self._file = tempfile.SpooledTemporaryFile(HELD_BYTES)

    def __enter__(self) -> _Gathered:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # it writes what it still holds
            self._file.close()

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > self._limit:
            raise _Refused(_too_large(self._limit))
        try:
            self._file.write(piece)
        except OSError as error:
            raise _Refused(NO_ROOM) from error

    def whole(self) -> bytes:
        try:
            self._file.seek(0)
            return self._file.read()
        except OSError as error:
            raise _Refused(NO_ROOM) from error


def _decode(body: bytes, headers: dict[str, str], limit: int) -> bytes:
    """`body` without its Content-Encoding; never unfolds more than `limit` + 1 bytes."""
    coding = headers.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return body
    if coding in ("gzip", "x-gzip"):
        window = 16 + zlib.MAX_WBITS
    elif coding == "deflate":
        # Some servers send raw deflate. The first two bytes of a zlib stream tell (RFC 1950, 2.2).
        wrapped = len(body) >= 2 and body[0] & 15 == 8 and (body[0] * 256 + body[1]) % 31 == 0
        window = zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS
    else:
        raise _Refused("the server used a compression that was not asked for, so the page cannot be read")
    with _Gathered(limit) as decoded:
        for _ in range(MOST_GZIP_MEMBERS):
            decoder = zlib.decompressobj(window)
            try:
                body = _inflate(decoder, body, decoded, limit)
            except zlib.error:
                raise _Refused("the page is damaged: its compressed data cannot be read") from None
            if not decoder.eof:
                raise _Refused("the page was cut off before its end; try again")
            if not body.startswith(b"\x1f\x8b"):  # not one more gzip member: padding, which browsers ignore too
                return decoded.whole()
    raise _Refused("the page is damaged: its compressed data is in too many pieces")


def _inflate(decoder: Any, body: bytes, decoded: _Gathered, limit: int) -> bytes:
    """Decompress into `decoded`, piece by piece: nothing is held twice. Returns what stands after the stream's end."""
    for start in range(0, len(body), PIECE):
        data = body[start : start + PIECE]
        while True:
            room = min(PIECE, limit + 1 - decoded.size)
            piece = decoder.decompress(data, room)
            decoded.add(piece)
            if decoder.eof:
                return bytes(decoder.unused_data) + body[start + PIECE :]
            data = decoder.unconsumed_tail
            if not data and len(piece) < room:
                break
    return b""


def _too_large(limit: int) -> str:
    return f"larger than {f'{limit / 2**20:g} MiB' if limit >= 2**20 else f'{limit} bytes'}"


def _what_failed(error: Exception) -> str:
    cause = error.__context__  # not __cause__: httpcore's pool raises "from None"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"the server's certificate is not trusted ({cause.verify_message.rstrip('.')}); check the address, or set "
            "SSL_CERT_FILE to the certificate of your own authority"
        )
    if isinstance(cause, ssl.SSLError):
        return "no secure connection could be made; does the server speak https on this port?"
    if isinstance(cause, ConnectionRefusedError):
        return "the connection was refused; is the server running, and is the port right?"
    if isinstance(error, httpcore.ConnectError):
        detail = (cause.strerror if isinstance(cause, OSError) else None) or "no reason given"
        return f"could not connect ({detail}); is this machine online?"
    return "the server closed the connection without a valid HTTP answer; try again"


@functools.lru_cache(maxsize=1)
def _tls_context() -> ssl.SSLContext:
    """The system's certificates (or SSL_CERT_FILE's) and certifi's, as some Pythons find none on the system."""
    context = ssl.create_default_context()
    with contextlib.suppress(OSError):
        context.load_verify_locations(certifi.where())
    return context


def _left(deadline: float, timeout: float | None) -> float:
    """Seconds that the next step may take. Raises httpcore.TimeoutException if there are none."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise httpcore.TimeoutException
    return remaining if timeout is None else min(timeout, remaining)


def _resolve(host: str, port: int, seconds: float) -> list[IPAddress]:
    """The addresses of `host`. Looked up in a thread, as getaddrinfo knows no time limit."""
    answers: queue.SimpleQueue[list[IPAddress]] = queue.SimpleQueue()

    def look_up() -> None:
        addresses: list[IPAddress] = []
        with contextlib.suppress(OSError, ValueError):  # ValueError: the resolver's own idea of a valid name
            for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                addresses.append(ipaddress.ip_address(address[0]))
        answers.put(list(dict.fromkeys(addresses)))

    threading.Thread(target=look_up, name="rag-getaddrinfo", daemon=True).start()
    try:
        addresses = answers.get(timeout=seconds)
    except queue.Empty:
        raise _Refused(f"could not find the host {host} in time; is this machine online?") from None
    if not addresses:
        raise _Refused(f"could not find the host {host}; is this machine online?")
    return addresses


class _CheckedBackend(httpcore.NetworkBackend):
    """Connects only to addresses that are permitted, and lets nothing go on past the deadline."""

    def __init__(self, permitted: Callable[[str, IPAddress], bool], deadline: float) -> None:
        self._permitted = permitted
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _resolve(host, port, _left(self._deadline, timeout))
        for ip in addresses:
            if not self._permitted(host, ip):
                place = "a private address" if host == str(ip) else f"at the private address {ip}"
                raise _Refused(
                    f"{host} is {place}, which is refused for pages added later; "
                    "start the app with --source URL or set RAG_ALLOW_HOSTS to allow it"
                )
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for ip in addresses:
            try:
                stream = httpcore.SyncBackend().connect_tcp(
                    str(ip), port, _left(self._deadline, timeout), local_address, socket_options
                )
                return _TimedStream(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = failure or error
        assert failure is not None
        raise failure


class _TimedStream(httpcore.NetworkStream):
    """A connection whose every step ends by the deadline, so that a server which drips bytes cannot hold it."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            timeout = _left(self._deadline, timeout)
        except httpcore.TimeoutException:
            self.close()  # httpcore leaves this to start_tls
            raise
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
