"""The pages of one site, by its sitemap or by following links, at the pace and within the bounds that robots.txt sets.

    find_pages -> _Site.load (robots.txt, pause, fetch) -> _locations (of a sitemap) or _Links (of a page) -> the queue

Every request goes through `rag.sources.web.fetch.fetch`, so each hop is checked as any other source is.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import re
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
from protego import Protego

from rag.errors import SourceError
from rag.sources.loader import CONTENT_TYPES
from rag.sources.web.address import normalised
from rag.sources.web.fetch import USER_AGENT, Limits, Page, fetch

logger = logging.getLogger(__name__)

HTML_TYPES = ("text/html", "application/xhtml+xml", "")
_PASSED_OVER = {"text/xml", "application/xml", "application/zip"} | {
    kind for kind in CONTENT_TYPES if kind.startswith("image/")
}
DOCUMENT_TYPES = ("text/plain", *(CONTENT_TYPES.keys() - {*HTML_TYPES, *_PASSED_OVER}))
"""What is yielded besides web pages."""

ROBOT = USER_AGENT.partition("/")[0]
"""Our name in robots.txt and in robots directives of pages."""
PAUSE = 0.5
"""Seconds between requests to a host that is not this machine, where its robots.txt asks for no more."""
LONGEST_PAUSE = 10.0
"""Seconds; a Crawl-delay beyond is not waited for in full."""
LONGEST_ROBOTS = 500 * 2**10
"""Bytes of a robots.txt that are read (RFC 9309, 2.5)."""
LONGEST_LINK = 1000
"""Characters; what is longer is most often a trap that adds to its own address."""
MOST_KNOWN = 20_000
"""Addresses remembered; links beyond are passed over."""
MOST_IN_VAIN = 100
"""Requests that may give no page, beyond as many as gave one; a site that goes on so is left."""
LIMITS = Limits(bytes=10 * 2**20)
"""A sitemap may be larger than a page; the bound holds for what it unpacks to as well."""

_NOT_PAGES = (
    "png jpg jpeg jfif gif svg svgz webp avif heic ico bmp tif tiff psd ai eps css js mjs map json wasm woff woff2"
)
_NOT_PAGES += (
    " ttf otf eot mp3 m4a ogg oga opus flac wav aac mp4 m4v mov avi mkv webm ogv wmv mpg mpeg zip gz tgz bz2 xz"
)
_NOT_PAGES += (
    " zst 7z rar tar jar iso img dmg exe msi deb rpm apk pkg bin whl swf xls xlsx ppt pptx doc odt ods odp epub"
)
_LEFT_OUT = tuple(f".{ending}" for ending in _NOT_PAGES.split())

_FIRST_ELEMENT = re.compile(rb"<(?:[\w.-]+:)?([A-Za-z]\w*)[\s/>]")  # not <?xml, not <!DOCTYPE, not a comment


class _PassedOver(Exception):
    """A redirect leads off the site, to what robots.txt closes, or to a page that is known."""


def find_pages(
    start: str,
    *,
    depth: int,
    limit: int,
    private: bool,
    allow_hosts: Sequence[str],
    cancelled: threading.Event | None = None,
    failed: dict[str, str] | None = None,
) -> Iterator[Page]:
    """At most `limit` pages of one site, each once and already fetched, under its normalised address.

    If `start` is a sitemap or an index of sitemaps (told by content, also gzipped), these are the pages it lists; else
    `start` itself and what is linked from it in up to `depth` steps. A site is one scheme, host and port: those of
    `start`, or of where it redirects to. robots.txt, nofollow and noindex are obeyed. `failed` gets the reason for each
    page that could not be fetched. Once `cancelled` is set nothing more is requested, and a pause ends at once.

    Raises:
        SourceError: `start` cannot be read, is neither page nor sitemap, or robots.txt closes it or cannot be had.
    """
    failed = {} if failed is None else failed
    cancelled = cancelled or threading.Event()
    if cancelled.is_set():
        return
    site = _Site(partial(fetch, private=private, allow_hosts=allow_hosts, limits=LIMITS), cancelled)
    first = site.open(start)
    listed = _is_sitemap(first)
    if not listed and first.content_type not in (*HTML_TYPES, *DOCUMENT_TYPES):
        raise SourceError(start, f"its content type is {first.content_type}; it is neither a web page nor a sitemap")
    queue = deque([(first.url, 0)])
    found = in_vain = 0
    while queue and found < limit and not cancelled.is_set():
        if in_vain > MOST_IN_VAIN + found:
            logger.warning("Left %s after %d requests that gave no page", site.origin, in_vain)
            return
        url, level = queue.popleft()
        if url != first.url and not site.allows(url):
            continue
        in_vain += 1
        try:
            page = first if url == first.url else site.load(url)
            if page is None or cancelled.is_set():
                continue
            if listed and _is_sitemap(page):
                of_pages, locations = _locations(page)
                links = site.new(locations, any_ending=not of_pages)
                queue.extendleft((link, level + 1) for link in reversed(links))  # its pages before the next sitemap
                continue
        except SourceError as error:
            if url == first.url:
                raise SourceError(start, error.reason) from None
            failed[url] = error.reason
            continue
        said = _directives(page.headers.get("x-robots-tag", ""))
        if page.content_type in HTML_TYPES:
            seen = _Links(page)
            said |= seen.said
            if not listed and level < depth and not said & {"nofollow", "none"}:
                queue.extend((link, level + 1) for link in site.new(seen.links))
        elif page.content_type not in DOCUMENT_TYPES:
            continue
        if not said & {"noindex", "none"}:
            found, in_vain = found + 1, in_vain - 1
            yield page


class _Site:
    """One scheme, host and port: its rules, its pace, and the addresses that are known of it."""

    def __init__(self, get: Callable[..., Page], cancelled: threading.Event) -> None:
        self._get = get
        self._cancelled = cancelled
        self._known: set[str] = set()
        self._next = 0.0  # when the next request may be made, on the monotonic clock
        self._robots = Protego()
        self._pause = PAUSE
        self.origin = ""

    def open(self, start: str) -> Page:
        """The page at `start`; its site is the one read from now on, or the one that it redirects to."""

        def enter(url: str) -> None:
            try:
                url = normalised(url)
            except ValueError as error:
                raise SourceError(start, str(error)) from None
            if _origin(url) != self.origin:
                self._read_robots(start, url)
            self._known.add(url)
            if not self.allows(url):
                raise SourceError(start, f"robots.txt of {self.origin} asks robots not to read it")

        enter(start)
        page = self._fetch(start, enter)
        self._known.add(page.url)
        return page

    def load(self, url: str) -> Page | None:
        """The page at `url` after the pause; None if it redirects elsewhere or the wait was cancelled."""

        def stay(target: str) -> None:
            try:
                target = normalised(target)
            except ValueError as error:
                raise SourceError(url, str(error)) from None
            if _origin(target) != self.origin or target in self._known or not self.allows(target):
                raise _PassedOver
            self._known.add(target)

        if self._cancelled.wait(max(0.0, self._next - time.monotonic())):
            return None
        try:
            return self._fetch(url, stay)
        except _PassedOver:
            return None

    def allows(self, url: str) -> bool:
        """Whether robots.txt lets us read `url`."""
        return self._robots.can_fetch(url, ROBOT)

    def new(self, urls: list[str], any_ending: bool = False) -> list[str]:
        """Those of `urls` that are of this site, may be pages, and were not known; they are from now on."""
        fresh = []
        for url in urls:
            try:
                url = normalised(url)
            except ValueError:
                continue
            ending_fits = any_ending or not urlsplit(url).path.lower().endswith(_LEFT_OUT)
            bounded = len(url) <= LONGEST_LINK and len(self._known) < MOST_KNOWN
            if _origin(url) == self.origin and url not in self._known and ending_fits and bounded:
                self._known.add(url)
                fresh.append(url)
        return fresh

    def _fetch(self, url: str, on_redirect: Callable[[str], None]) -> Page:
        try:
            page = self._get(url, on_redirect=on_redirect)
        finally:
            self._next = time.monotonic() + self._pause
        return replace(page, url=normalised(page.url))

    def _read_robots(self, start: str, url: str) -> None:
        """Make the site of `url` the one that is read. No robots.txt: no rules; no answer: no pages (RFC 9309, 2.3)."""
        self.origin = _origin(url)
        try:
            text = self._get(f"{self.origin}/robots.txt").body[:LONGEST_ROBOTS].decode("utf-8", "replace")
        except SourceError as error:
            if error.answered is None or error.answered == 429 or not 400 <= error.answered < 500:
                reason = f"robots.txt of {self.origin} cannot be had, so no page is read: {error.reason}"
                raise SourceError(start, reason) from None
            text = ""
        self._robots = Protego.parse(text.removeprefix("\ufeff"))
        asked = self._robots.crawl_delay(ROBOT) or 0.0
        self._pause = min(LONGEST_PAUSE, max(0.0 if _is_loopback(url) else PAUSE, asked))


def _origin(url: str) -> str:
    """Scheme, host and port of a normalised address."""
    return url[: url.index("/", len("https://"))]


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unpacked(page: Page) -> bytes:
    """The body, without the gzip of a .xml.gz.

    Raises:
        SourceError: it is damaged or too large.
    """
    if not page.body.startswith(b"\x1f\x8b"):
        return page.body
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        body = decoder.decompress(page.body, LIMITS.bytes)
    except zlib.error:
        raise SourceError(page.url, "it is damaged: its gzip data cannot be read") from None
    if not decoder.eof:
        raise SourceError(page.url, f"it is cut off, or unpacks to more than {LIMITS.bytes >> 20} MiB")
    return body


def _is_sitemap(page: Page) -> bool:
    first = _FIRST_ELEMENT.search(_unpacked(page))
    return first is not None and first[1] in (b"urlset", b"sitemapindex")


def _locations(page: Page) -> tuple[bool, list[str]]:
    """Whether a sitemap lists pages (and not sitemaps), and the addresses it lists.

    Raises:
        SourceError: it is not well-formed, or declares entities, which a sitemap has no use for and attacks have.
    """
    try:
        root = fromstring(_unpacked(page), forbid_dtd=True)
    except DefusedXmlException:
        raise SourceError(page.url, "the sitemap declares a document type or entities, which is refused") from None
    except (ParseError, ValueError, LookupError):  # the latter two: an encoding that Python or expat lacks
        raise SourceError(page.url, "the sitemap is damaged: it is not well-formed XML") from None
    found = [(place.text or "").strip() for entry in root for place in entry.findall("{*}loc")]
    return root.tag.rpartition("}")[2] == "urlset", found


def _directives(text: str) -> set[str]:
    """The words of a robots directive that mean us; one that starts with another robot's name and a colon does not."""
    words = set()
    for part in text.lower().split(","):
        name, colon, word = part.partition(":")
        if not colon or name.strip() == ROBOT:
            words.add((word if colon else name).strip())
    return words


class _Links(HTMLParser):
    """Where a page links to (`links`, absolute) and what it says to robots (`said`).

    The text is taken as UTF-8, which is right for all addresses in ASCII, whatever the page's encoding.
    """

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.links: list[str] = []
        self.said: set[str] = set()
        self._base = page.url
        # No close(): what is left unfinished has no links, and older Pythons take quadratic time for it.
        with contextlib.suppress(AssertionError):  # the parser's word for a declaration that it does not know
            self.feed(page.body.decode("utf-8", "replace"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser for each tag."""
        values = {name: value or "" for name, value in reversed(attrs)}  # the first of a repeated one counts
        href = re.sub(r"[\t\r\n]", "", values.get("href", "")).strip().replace(" ", "%20")  # as browsers do
        if tag == "meta" and values.get("name", "").strip().lower() in ("robots", ROBOT):
            self.said |= _directives(values.get("content", ""))
        elif tag in ("a", "area", "base") and href and "nofollow" not in values.get("rel", "").lower().split():
            try:
                target = urljoin(self._base, href)
            except ValueError:
                return
            if tag == "base":
                self._base = target
            else:
                self.links.append(target)
