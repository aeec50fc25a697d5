"""Web addresses: checked, taken apart, and brought into the one form that all their spellings share."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from urllib.parse import quote, urlsplit

import httpcore
import idna

LONGEST_URL = 8000
"""Characters."""
LONGEST_HOST = 254
"""Characters, with the final dot (RFC 1035, 2.3.4)."""

_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::(?P<port>[0-9]{0,5}))?")
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_VISIBLE_ASCII = "".join(map(chr, range(33, 127)))
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_RESERVED = "!#$%&'()*+,/:;=?@[]~"
"""Characters that stay as they are, beside the unreserved ones (RFC 3986, 2.2)."""


class FetchError(Exception):
    """Why a page cannot be fetched, in one sentence without the URL; `status` is the server's, if it answered."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


def parse_url(url: str) -> httpcore.URL:
    """The parts of a URL. Nothing else parses it: this host is checked, resolved, connected to and sent as `Host`.

    Raises:
        FetchError: not an address that can be fetched.
    """
    if len(url) > LONGEST_URL:
        raise FetchError(f"the address is longer than {LONGEST_URL} characters")
    if any(c == "\\" or c.isspace() or unicodedata.category(c) in ("Cc", "Cs") for c in url):
        raise FetchError(
            "the address contains a space, a backslash or a control character; remove or percent-encode it"
        )
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise FetchError("only addresses that start with http:// or https:// can be read")
        if "@" in parts.netloc:
            raise FetchError("the address contains a user name or password; remove it")
        authority = _AUTHORITY.fullmatch(parts.netloc)
        if authority is None:
            raise ValueError("no host, or a port that is no number")
        host = host_name(authority["host"])
        port = int(authority["port"]) if authority["port"] else None
        if port is not None and not 0 < port < 65_536:
            raise ValueError("no such port")
    except ValueError:
        raise FetchError("the address is not a valid web address; check the host name and the port") from None
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return httpcore.URL(scheme=parts.scheme, host=host, port=port, target=quote(target, safe=_VISIBLE_ASCII))


def host_name(text: str) -> str:
    """A host as DNS and HTTP have it: ASCII, lower case, without a final dot; IPv6 without brackets.

    Raises:
        ValueError: not a host name.
    """
    if text.startswith("["):
        return str(ipaddress.IPv6Address(text[1:-1]))
    if len(text) > LONGEST_HOST:
        raise ValueError("too long for DNS")
    # UTS 46, as browsers do: dots and digits of other scripts become ASCII before the name is checked.
    name = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    name = name.removesuffix(".")
    if not _HOST_NAME.fullmatch(name):
        raise ValueError("not a host name")
    return name


def host_and_port(url: httpcore.URL, default: int | None = None) -> str:
    """Host and port as in a URL: IPv6 in brackets, no port if it is missing or the `default`."""
    host = url.host.decode("ascii")
    host = f"[{host}]" if ":" in host else host
    return host if url.port in (None, default) else f"{host}:{url.port}"


def normalised(url: str) -> str:
    """The form that all spellings of an address share (RFC 3986, 6.2.2 and 6.2.3), without its fragment.

    Raises:
        ValueError: not an address that can be fetched.
    """
    try:
        parts = parse_url(url)
    except FetchError as error:
        raise ValueError(str(error)) from None
    target = re.sub("%([0-9A-Fa-f]{2})", _normalised_escape, quote(parts.target.decode("ascii"), safe=_RESERVED))
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
    scheme = parts.scheme.decode("ascii")
    host = host_and_port(parts, default=443 if scheme == "https" else 80)
    return f"{scheme}://{host}/{'/'.join(kept)}{mark}{query}"


def _normalised_escape(escape: re.Match[str]) -> str:
    """An unreserved character without its percent-encoding; others in upper case: `%7e` is `~`, `%2f` is `%2F`."""
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.match(character) else escape[0].upper()
