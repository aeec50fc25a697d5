"""The HTTP client for web pages: `fetch` -> `_follow` -> for each hop `_get`.

`address` parses the URL, `network` resolves the host, checks its addresses and connects, and `body` reads the response
up to a limit.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

import httpcore

from rag.errors import SourceError
from rag.sources.web.address import FetchError, host_and_port, parse_url
from rag.sources.web.body import read_body
from rag.sources.web.network import CheckedBackend, Deadline, Permission, tls_context

__all__ = ["USER_AGENT", "Limits", "Page", "fetch", "fetch_if_changed"]

USER_AGENT = "local-rag-chat/1 (reads pages for the person who runs it)"
ACCEPT = "text/html, application/xhtml+xml, text/plain;q=0.9, */*;q=0.5"
REDIRECTS = (301, 302, 303, 307, 308)

_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?([^\s\"',;]+)", re.IGNORECASE)
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
    """A page as the server sent it.

    Attributes:
        url: its address after redirects.
        body: decompressed.
        content_type: in lower case, without parameters; "" if the server gave none.
        charset: in lower case, from the content type; None if it has none.
        headers: by lower-case names; repeated ones are joined by ", ".
    """

    url: str
    body: bytes
    content_type: str
    charset: str | None
    headers: dict[str, str]


def fetch(
    url: str,
    *,
    private: bool = False,
    allow_hosts: Sequence[str] = (),
    limits: Limits = Limits(),
    on_redirect: Callable[[str], None] | None = None,
) -> Page:
    """The page at `url`, redirects followed.

    Args:
        url: http or https.
        private: the operator named the source, so that private addresses may be contacted, also after redirects.
        allow_hosts: private hosts that may be contacted: names, addresses, or networks such as 10.0.0.0/8.
        limits: of time and size.
        on_redirect: is called with each redirect's target before it is contacted; an exception ends the fetch.

    Raises:
        SourceError: the page was refused, not found, too slow, too large or broken; `reason` says which.
    """
    page = _follow(url, Permission(private, allow_hosts), limits, on_redirect)
    assert page is not None  # without validators, no server answers 304
    return page


def fetch_if_changed(
    url: str,
    *,
    etag: str = "",
    last_modified: str = "",
    found_at: str = "",
    private: bool = False,
    allow_hosts: Sequence[str] = (),
    limits: Limits = Limits(),
) -> Page | None:
    """The page at `url` as `fetch` gives it, or None if it has not changed.

    `etag` and `last_modified` are headers of the known page, and `found_at` is its `Page.url` (default: `url`). They
    are sent to that address only, because they mean nothing at others (RFC 9110, 8.8). A value that is not in the
    standard's form is not sent.

    Raises:
        SourceError: as `fetch`.
    """
    validators = {}
    if _ETAG.fullmatch(etag):
        validators["If-None-Match"] = etag
    if _HTTP_DATE.fullmatch(last_modified):
        validators["If-Modified-Since"] = last_modified
    return _follow(url, Permission(private, allow_hosts), limits, None, found_at or url, validators)


def _follow(
    url: str,
    permission: Permission,
    limits: Limits,
    on_redirect: Callable[[str], None] | None,
    found_at: str = "",
    validators: dict[str, str] | None = None,
) -> Page | None:
    """The page at `url`, redirects followed; None if the `validators` of `found_at` say that it has not changed."""
    deadline = Deadline(limits.total)
    here = url
    status: int | None = None
    try:
        backend = CheckedBackend(permission, deadline)
        with httpcore.ConnectionPool(ssl_context=tls_context(), network_backend=backend) as pool:
            for _ in range(limits.redirects + 1):
                found = _get(pool, here, limits, (here == found_at and validators) or {})
                if not isinstance(found, str):
                    return found
                here = found
                if on_redirect is not None:
                    on_redirect(here)
        raise FetchError(f"more than {limits.redirects} redirects; use the address that a browser ends at")
    except FetchError as error:
        reason, status = str(error), error.status
    except httpcore.TimeoutException as error:
        if deadline.is_over:
            reason = f"no complete answer within {limits.total:g} s"
        else:
            seconds = limits.connect if isinstance(error, httpcore.ConnectTimeout) else limits.read
            reason = f"no answer within {seconds:g} s"
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        reason = _explain(error)
    if here != url:
        reason = f"redirected to {here if len(here) <= 200 else here[:200] + '…'}: {reason}"
    raise SourceError(url, reason, status)


def _get(pool: httpcore.ConnectionPool, url: str, limits: Limits, validators: dict[str, str]) -> Page | str | None:
    """One request: the page, the URL that it redirects to, or None if `validators` say that it has not changed."""
    parsed = parse_url(url)
    request_headers = {
        "Host": host_and_port(parsed),
        "User-Agent": USER_AGENT,
        "Accept": ACCEPT,
        "Accept-Encoding": "gzip, deflate",
        **validators,
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
        if response.status == 304 and validators:
            return None
        if response.status != 200:
            # The standard's name for the status: a server may put any text here.
            phrase = http.client.responses.get(response.status, "not a standard code")
            raise FetchError(f"the server answered {response.status} ({phrase})", response.status)
        body = read_body(response, headers, limits.bytes)
    content_type = headers.get("content-type", "")
    charset = _CHARSET.search(content_type)
    mime = re.split("[;,]", content_type)[0].strip().lower()
    return Page(url, body, mime, charset[1].lower() if charset else None, headers)


def _redirect_target(url: str, location: str) -> str:
    """The address that the `Location` header of `url` means; the next hop checks it."""
    location = location.encode("latin-1").decode("utf-8", "replace")
    try:
        # urljoin would drop tabs and line breaks, which the next hop refuses.
        return location if re.search(r"[\x00-\x20]", location) else urljoin(url, location)
    except ValueError:
        raise FetchError("it redirects to something that is not a web address") from None


def _explain(error: Exception) -> str:
    """A failed connection in words, with what to do about it."""
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
