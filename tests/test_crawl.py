"""The pages of one site, from real servers on loopback. `canary` is a stranger that nobody may ask for anything."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from rag.errors import SourceError
from rag.sources.web import crawl
from rag.sources.web.crawl import LIMITS, LONGEST_LINK, MOST_IN_VAIN, find_pages
from rag.sources.web.fetch import USER_AGENT
from tests.conftest import Pages

XML = {"Content-Type": "application/xml"}
TEXT = {"Content-Type": "text/plain"}


class Hits(list[str]):
    """Paths asked for, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def append(self, path: str) -> None:
        self.times.append(time.monotonic())
        super().append(path)


@pytest.fixture
def canary() -> Iterator[Pages]:
    server = Pages()
    yield server
    server.close()


def paths(pages: Pages, start: str = "/", **options: Any) -> list[str]:
    """What is found from `start` on, without the host."""
    given = {"depth": 3, "limit": 50, "private": True, "allow_hosts": (), **options}
    urls = [page.url for page in find_pages(pages.url + start, **given)]
    assert all(url.startswith(pages.url + "/") for url in urls)
    return [url.removeprefix(pages.url) for url in urls]


def refusal(pages: Pages, start: str = "/", **options: Any) -> str:
    with pytest.raises(SourceError) as caught:
        paths(pages, start, **options)
    assert caught.value.source == pages.url + start
    return caught.value.reason


def links(*targets: str) -> str:
    return "<html><body>" + "".join(f'<a href="{target}">x</a>' for target in targets)


def urlset(*locations: str) -> str:
    entries = "".join(f"<url><loc> {location}\n</loc><lastmod>2024-01-01</lastmod></url>" for location in locations)
    return f'<?xml version="1.0"?><!-- made --><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</urlset>'


def index(*locations: str) -> str:
    entries = "".join(f"<sitemap><loc>{location}</loc></sitemap>" for location in locations)
    return f'<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{entries}</sitemapindex>'


# Links


@pytest.mark.parametrize(("depth", "found"), [(0, ["/"]), (1, ["/", "/a", "/b"]), (2, ["/", "/a", "/b", "/c", "/d"])])
def test_depth(pages: Pages, depth: int, found: list[str]) -> None:
    pages.pages = {"/": links("/a", "b"), "/a": links("c"), "/b": links("d"), "/c": links("/e"), "/d": "", "/e": ""}
    assert paths(pages, depth=depth) == found
    assert pages.hits == ["/robots.txt", *found]


def test_each_page_comes_fetched(pages: Pages) -> None:
    pages.pages = {"/": links("/a"), "/a": "<p>Grüße"}
    site = find_pages(pages.url, depth=1, limit=9, private=True, allow_hosts=())
    assert [page.body.decode() for page in site] == [links("/a"), "<p>Grüße"]


def test_limit(pages: Pages) -> None:
    pages.pages = {"/": links(*(f"/{n}" for n in range(9))), **{f"/{n}": "" for n in range(9)}}
    assert paths(pages, limit=4) == ["/", "/0", "/1", "/2"]
    assert len(pages.hits) == 5


def test_the_same_page_comes_once(pages: Pages) -> None:
    port = pages.url.rpartition(":")[2]
    same = ["/a", "/a#b", "./a", "/x/../a", "/%61", "a?", f"HTTP://127.0.0.1:{port}/a", " /a\n", "/moved", "/"]
    pages.pages = {"/": links(*same), "/a": links("/a", "/", "/moved"), "/moved": (301, {"Location": "/a#c"}, "")}
    assert paths(pages) == ["/", "/a"]
    assert pages.hits == ["/robots.txt", "/", "/a", "/moved"]


def test_redirect_to_a_new_page_of_the_site(pages: Pages) -> None:
    pages.pages = {"/": links("/a", "/b"), "/a": (302, {"Location": "/x/b"}, ""), "/x/b": links("c"), "/x/c": ""}
    assert paths(pages) == ["/", "/x/b", "/x/c"]


def test_base(pages: Pages) -> None:
    pages.pages = {"/": '<base href="/docs/">' + links("a"), "/docs/a": ""}
    assert paths(pages) == ["/", "/docs/a"]


def test_hostile_markup(pages: Pages) -> None:
    pages.pages = {
        "/": links("http://[::1", "//", "mailto:a@b", "a\\b", "javascript:x", "/a") + "<![x y]><!--",
        "/a": "",
    }
    assert paths(pages) == ["/", "/a"]


def test_strangers_are_left_alone(pages: Pages, canary: Pages) -> None:
    target = {"Location": canary.url + "/gone"}
    pages.pages = {
        "/": links(canary.url + "/", "/away", "//localhost/", "ftp://127.0.0.1/"),
        "/away": (302, target, ""),
    }
    failed: dict[str, str] = {}
    assert paths(pages, failed=failed) == ["/"]
    assert canary.hits == []
    assert failed == {}


def test_only_what_can_be_read(pages: Pages) -> None:
    pages.pages = {
        "/": links("/a.png", "/b.ZIP", "/c", "/d.pdf", "/e.txt", "/f.css?x"),
        "/c": (200, {"Content-Type": "image/png"}, b"\x89PNG"),
        "/d.pdf": (200, {"Content-Type": "application/pdf"}, b"%PDF"),
        "/e.txt": (200, TEXT, "text"),
    }
    assert paths(pages) == ["/", "/d.pdf", "/e.txt"]
    assert pages.hits == ["/robots.txt", "/", "/c", "/d.pdf", "/e.txt"]


def test_failed_pages_are_told(pages: Pages) -> None:
    pages.pages = {"/": links("/gone", "/a", "/out"), "/a": "", "/out": (302, {"Location": "ftp://x/"}, "")}
    failed: dict[str, str] = {}
    assert paths(pages, failed=failed) == ["/", "/a"]
    assert failed[pages.url + "/gone"] == "the server answered 404 (Not Found)"
    assert "http" in failed[pages.url + "/out"]


def test_start_that_cannot_be_read(pages: Pages) -> None:
    assert "404" in refusal(pages)
    pages.pages["/a"] = (200, {"Content-Type": "image/png"}, b"\x89PNG")
    assert "image/png" in refusal(pages, "/a")
    pages.pages["/b"] = (302, {"Location": "/b"}, "")
    assert "more than 5 redirects" in refusal(pages, "/b")
    assert "private" in refusal(pages, private=False)


def test_start_that_moved_to_another_host(pages: Pages, canary: Pages) -> None:
    pages.pages = {"/": (301, {"Location": canary.url + "/new"}, "")}
    canary.pages = {"/new": links("/a", "/shut", pages.url + "/b"), "/a": ""}
    canary.pages["/robots.txt"] = (200, TEXT, "User-agent: *\nDisallow: /shut")
    found = [page.url for page in find_pages(pages.url, depth=2, limit=9, private=True, allow_hosts=())]
    assert found == [canary.url + "/new", canary.url + "/a"]
    assert canary.hits == ["/robots.txt", "/new", "/a"]
    assert pages.hits == ["/robots.txt", "/"]


# What a site asks of robots


def test_robots_rules(pages: Pages) -> None:
    rules = "User-agent: other\nDisallow: /\n\nUser-agent: *\nDisallow: /shut\nAllow: /shut/open\nDisallow: /*.php$\n"
    pages.pages = {
        "/robots.txt": (200, TEXT, "\ufeff" + rules),
        "/": links("/shut/a", "/shut/open", "/a.php", "/a.php?b", "/way", "/%73hut"),
        **dict.fromkeys(("/shut/a", "/shut/open", "/a.php", "/a.php?b"), ""),
        "/way": (302, {"Location": "/shut/a"}, ""),
    }
    assert paths(pages) == ["/", "/shut/open", "/a.php?b"]
    assert pages.hits == ["/robots.txt", "/", "/shut/open", "/a.php?b", "/way"]


def test_robots_rules_for_us(pages: Pages) -> None:
    name = USER_AGENT.partition("/")[0].upper()
    pages.pages = {"/": "", "/robots.txt": (200, TEXT, f"User-agent: *\nAllow: /\n\nUser-agent: {name}\nDisallow: /")}
    assert "robots.txt" in refusal(pages)
    assert pages.hits == ["/robots.txt"]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_no_robots(pages: Pages, status: int) -> None:
    pages.pages = {"/": "", "/robots.txt": (status, TEXT, "User-agent: *\nDisallow: /")}
    assert paths(pages) == ["/"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_robots_that_cannot_be_had(pages: Pages, status: int) -> None:
    pages.pages = {"/": "", "/robots.txt": (status, TEXT, "")}
    reason = refusal(pages)
    assert "robots.txt" in reason and str(status) in reason
    assert pages.hits == ["/robots.txt"]


def test_crawl_delay(pages: Pages) -> None:
    pages.hits = hits = Hits()
    pages.pages = {
        "/robots.txt": (200, TEXT, "User-agent: *\nCrawl-delay: 0.3"),
        "/": links("a", "b"),
        "/a": "",
        "/b": "",
    }
    assert paths(pages) == ["/", "/a", "/b"]
    gaps = [later - sooner for sooner, later in zip(hits.times[1:], hits.times[2:], strict=False)]
    assert len(gaps) == 2 and min(gaps) >= 0.3


@pytest.mark.parametrize(("asked", "kept"), [("0.2", 0.5), ("2", 2.0), ("600", 10.0), ("-1", 0.5), ("inf", 0.5)])
def test_pause_of_a_public_host(pages: Pages, monkeypatch: pytest.MonkeyPatch, asked: str, kept: float) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **named: real("127.0.0.1", *rest, **named))
    pages.url = pages.url.replace("127.0.0.1", "public.test")
    pages.pages = {"/": links("/a"), "/a": "", "/robots.txt": (200, TEXT, f"User-agent: *\nCrawl-delay: {asked}")}
    waits: list[float] = []

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return False

    assert paths(pages, cancelled=Impatient()) == ["/", "/a"]
    assert len(waits) == 1 and kept - 0.2 < waits[0] <= kept


@pytest.mark.parametrize(
    "page",
    [
        '<a rel="external NoFollow" href="/a">x</a>',
        '<meta name=Robots content="index, NOFOLLOW"><a href="/a">x</a>',
        '<meta name=local-rag-chat content=nofollow><a href="/a">x</a>',
        (200, {"X-Robots-Tag": "otherbot: noindex, nofollow"}, links("/a")),
    ],
)
def test_nofollow(pages: Pages, page: Any) -> None:
    pages.pages = {"/": page, "/a": ""}
    assert paths(pages) == ["/"]
    assert "/a" not in pages.hits


def test_noindex(pages: Pages) -> None:
    pages.pages = {
        "/": '<meta name="robots" content="noindex">' + links("/a", "/b", "/c", "/d"),
        "/a": (200, {"X-Robots-Tag": "noindex"}, links("/e")),
        "/b": '<meta content="none" name="robots">' + links("/f"),
        "/c": (200, {"X-Robots-Tag": "otherbot: noindex"}, ""),
        "/d": '<meta name="otherbot" content="noindex">',
        "/e": "",
        "/f": "",
    }
    assert paths(pages) == ["/c", "/d", "/e"]


# Sitemaps


def test_sitemap(pages: Pages, canary: Pages) -> None:
    pages.pages = {
        "/a": links("/not-listed"),
        "/b": "",
        "/shut": "",
        "/robots.txt": (200, TEXT, "User-agent: *\nDisallow: /shut"),
    }
    listed = [pages.url + path for path in ("/b", "/a", "/b#again", "/shut", "/c.jpg", "/gone")]
    pages.pages["/list"] = (200, {}, urlset(*listed, canary.url + "/x", "not a url", ""))
    failed: dict[str, str] = {}
    assert paths(pages, "/list", depth=0, failed=failed) == ["/b", "/a"]
    assert list(failed) == [pages.url + "/gone"]
    assert canary.hits == []


def test_gzipped_sitemap(pages: Pages) -> None:
    body = gzip.compress(urlset(pages.url + "/a").encode())
    pages.pages = {"/a": "", "/s.xml.gz": (200, {"Content-Type": "application/gzip"}, body)}
    assert paths(pages, "/s.xml.gz") == ["/a"]
    pages.pages["/s.xml.gz"] = (200, {"Content-Encoding": "gzip", **XML}, body)
    assert paths(pages, "/s.xml.gz") == ["/a"]
    pages.pages["/s.xml.gz"] = (200, {"Content-Type": "application/gzip"}, body[:-9])
    assert "cut off" in refusal(pages, "/s.xml.gz")
    pages.pages["/s.xml.gz"] = (200, {}, gzip.compress(b"<urlset>" + b" " * LIMITS.bytes))
    assert "more than 10 MiB" in refusal(pages, "/s.xml.gz")


def test_index_of_sitemaps(pages: Pages, canary: Pages) -> None:
    here = pages.url
    pages.pages = {
        "/index": (200, XML, index(here + "/1.xml.gz", here + "/index", canary.url + "/x", here + "/bad", here + "/2")),
        "/1.xml.gz": (200, {}, gzip.compress(urlset(here + "/a", here + "/b").encode())),
        "/2": (200, XML, index(here + "/3")),
        "/3": (200, XML, urlset(here + "/c")),
        "/bad": (200, XML, "<urlset><url>"),
        **dict.fromkeys(("/a", "/b", "/c"), ""),
    }
    failed: dict[str, str] = {}
    assert paths(pages, "/index", failed=failed) == ["/a", "/b", "/c"]
    assert "well-formed" in failed[here + "/bad"]
    assert canary.hits == []
    pages.hits.clear()
    assert paths(pages, "/index", limit=1) == ["/a"]
    assert pages.hits == ["/robots.txt", "/index", "/1.xml.gz", "/a"]


def test_page_about_sitemaps_is_a_page(pages: Pages) -> None:
    pages.pages = {"/": "<!DOCTYPE html><html><script>x = '<urlset>'</script>" + links("/a"), "/a": ""}
    assert paths(pages) == ["/", "/a"]


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">',
        '<!ENTITY x SYSTEM "file:///etc/passwd">',
        '<!ENTITY % x SYSTEM "{canary}/x.dtd"> %x;',
    ],
)
def test_entities_in_a_sitemap(pages: Pages, canary: Pages, declared: str) -> None:
    body = f"<!DOCTYPE urlset [{declared.format(canary=canary.url)}]><urlset><url><loc>&b;&x;</loc></url></urlset>"
    pages.pages["/s"] = (200, XML, body)
    assert "entities" in refusal(pages, "/s")
    assert canary.hits == []


@pytest.mark.parametrize(
    "body", ["<urlset><url>", '<?xml version="1.0" encoding="no-such"?><urlset></urlset>', "<urlset>\0"]
)
def test_damaged_sitemap(pages: Pages, body: str) -> None:
    pages.pages["/s"] = (200, XML, body)
    assert "well-formed" in refusal(pages, "/s")


# Traps, and stopping


class Endless(dict[str, Any]):
    """A page at every address, which links to two more; `status` is what they answer, but for the first."""

    def __init__(self, status: int) -> None:
        super().__init__()
        self.status = status

    def get(self, path: str, default: Any = None) -> Any:
        if path == "/robots.txt":
            return default
        body = links(*(f"{path}{n}" for n in range(300))) if path == "/" else links(f"{path}?{'x' * 90}", f"{path}/y")
        return (200 if path == "/" else self.status, {}, body)


def test_endless_calendar(pages: Pages) -> None:
    pages.pages = Endless(200)
    assert len(paths(pages, depth=10**6, limit=30)) == 30
    assert len(pages.hits) == 31


def test_endless_failures(pages: Pages) -> None:
    pages.pages = Endless(500)
    assert paths(pages, depth=10**6) == ["/"]
    assert len(pages.hits) == 2 + MOST_IN_VAIN + 2


def test_ever_longer_addresses(pages: Pages) -> None:
    class Longer(Endless):
        def get(self, path: str, default: Any = None) -> Any:
            return default if path == "/robots.txt" else links(path + "a" * 99)

    pages.pages = Longer(200)
    found = paths(pages, depth=10**6)
    assert 8 <= len(found) <= 10
    assert max(map(len, pages.hits)) <= LONGEST_LINK


def test_many_links(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crawl, "MOST_KNOWN", 3)
    pages.pages = Endless(200)
    assert len(paths(pages)) == 3


def test_cancelled_in_a_pause(pages: Pages) -> None:
    pages.pages = {"/": links("/a"), "/a": "", "/robots.txt": (200, TEXT, "User-agent: *\nCrawl-delay: 100")}
    waiting = threading.Event()
    found: list[str] = []

    class Told(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waiting.set()
            return super().wait(timeout)

    cancelled = Told()
    crawler = threading.Thread(target=lambda: found.extend(paths(pages, cancelled=cancelled)))
    crawler.start()
    assert waiting.wait(10)
    cancelled.set()
    crawler.join(5)  # the pause is 10 seconds
    assert not crawler.is_alive()
    assert found == ["/"]
    assert "/a" not in pages.hits


def test_cancelled_between_pages(pages: Pages) -> None:
    pages.pages = {"/": links("/a", "/b"), "/a": "", "/b": ""}
    cancelled = threading.Event()
    site = find_pages(pages.url, depth=1, limit=9, private=True, allow_hosts=(), cancelled=cancelled)
    assert next(site).url == pages.url + "/"
    cancelled.set()
    assert list(site) == []
    assert pages.hits == ["/robots.txt", "/"]
    assert paths(pages, cancelled=cancelled) == []
    assert len(pages.hits) == 2
