"""The guarded HTTP client against real servers on loopback. Nothing else is contacted: `wire` sees to that."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import ipaddress
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import tracemalloc
import types
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest

from rag.errors import SourceError
from rag.sources.web import network
from rag.sources.web.address import normalised
from rag.sources.web.fetch import USER_AGENT, Limits, Page, fetch, fetch_if_changed
from rag.sources.web.network import is_public, tls_context

PUBLIC = "1.2.3.4"  # stands for a public server; connections to it end at a stand-in on loopback
HTML = b"<html><title>A page</title><p>Gr\xc3\xbc\xc3\x9fe</p></html>"
MIB = 2**20

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Wire:
    """What was looked up and connected to. Set `names` for the resolver, `stand_ins` for public addresses."""

    def __init__(self) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.stand_ins: dict[str, int] = {}
        self.looked_up: list[str] = []
        self.connected: list[tuple[str, int]] = []
        self.seconds_to_connect = 0.0  # only the clock of rag.sources.web.network notices


@pytest.fixture(autouse=True)
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """A resolver that asks no DNS server, and a connect that records and keeps to loopback."""
    wire = Wire()
    clock = types.SimpleNamespace(monotonic=lambda: time.monotonic() + wire.seconds_to_connect * len(wire.connected))
    real_getaddrinfo = socket.getaddrinfo
    real_connect = httpcore.SyncBackend.connect_tcp

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        name = str(host)
        if name in wire.names:
            wire.looked_up.append(name)
            answers = wire.names[name]
            addresses = answers.pop(0) if len(answers) > 1 else answers[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]
        if name == "localhost" or set(name) <= set("0123456789abcdefx.:%"):  # answered without a network
            return real_getaddrinfo(host, port, *args, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def connect_tcp(backend: httpcore.SyncBackend, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        wire.connected.append((host, port))
        if host in wire.stand_ins:
            host, port = "127.0.0.1", wire.stand_ins[host]
        assert ipaddress.ip_address(host).is_loopback, f"a test tried to reach {host}"
        return real_connect(backend, host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect_tcp)
    monkeypatch.setattr(network, "time", clock)
    return wire


class Site:
    """An HTTP server on 127.0.0.1. `answers` maps a path to a function; requests are kept in `hits`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.hits: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20

            def do_GET(self) -> None:
                site.hits.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                with contextlib.suppress(OSError):  # the client hangs up when it has seen enough
                    site.answers.get(self.path, page())(self)
                self.close_connection = True

            def log_message(self, *args: Any) -> None: ...

        class Server(socketserver.ThreadingTCPServer):  # HTTPServer would look up the machine's name
            daemon_threads = True
            request_queue_size = 50

            def handle_error(self, *args: Any) -> None: ...

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port: int = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.005})
        self.thread.start()

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def canary() -> Iterator[Site]:
    """A server that nobody may reach."""
    site = Site()
    yield site
    site.close()


def page(body: bytes = HTML, status: int = 200, **headers: str) -> Answer:
    """An answer with a Content-Length, unless `headers` has one. `Content_Type` becomes Content-Type."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Type": "text/html", "Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def raw(*pieces: bytes) -> Answer:
    """Bytes as they are, status line included; then the connection ends."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        for piece in pieces:
            handler.wfile.write(piece)

    return answer


def drip(site: Site, start: bytes, piece: bytes) -> Answer:
    """`start`, then `piece` again and again until the client or the test has gone."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(start)
        while piece and not site.closing.wait(0.05):
            handler.wfile.write(piece)
        site.closing.wait(20)

    return answer


def redirect(location: str, status: int = 302) -> Answer:
    return page(b"moved", status, Location=location)


def refusal(url: str, **options: Any) -> str:
    """The reason why `url` is refused, checked for what holds for all of them."""
    with pytest.raises(SourceError) as caught:
        fetch(url, **options)
    reason = caught.value.reason
    assert caught.value.source == url
    assert reason.strip()
    assert "\n" not in reason and "Traceback" not in reason and "object at 0x" not in reason
    return reason


# A page that is there


def test_page(site: Site) -> None:
    site.answers["/a?b=1"] = page(Content_Type='Text/HTML; Charset="UTF-8"', X_One="1")
    found = fetch(site.url + "/a?b=1#part", private=True)
    assert found.url == site.url + "/a?b=1#part"
    assert found.body == HTML
    assert (found.content_type, found.charset) == ("text/html", "utf-8")
    assert found.headers["x-one"] == "1"
    assert isinstance(found, Page)


def test_request(site: Site, monkeypatch: pytest.MonkeyPatch, canary: Site) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, canary.url)
    site.answers["/a"] = page(b"", 302, Location="/b", Set_Cookie="tracked=yes")
    fetch(site.url + "/a", private=True)
    for path, headers in site.hits:
        assert path in ("/a", "/b")
        assert headers["host"] == f"127.0.0.1:{site.port}"
        assert headers["user-agent"] == USER_AGENT
        assert headers["accept-encoding"] == "gzip, deflate"
        assert "cookie" not in headers and "authorization" not in headers
    assert len(site.hits) == 2 and canary.hits == []


@pytest.mark.parametrize(
    ("header", "content_type", "charset"),
    [
        ("text/plain", "text/plain", None),
        ("", "", None),
        ("TEXT/HTML;charset=Shift_JIS;x=y", "text/html", "shift_jis"),
        ("text/html; charset='utf-8'", "text/html", "utf-8"),
        ("text/html;charset=", "text/html", None),
        ("application/pdf; name=charset", "application/pdf", None),
    ],
)
def test_content_type(site: Site, header: str, content_type: str, charset: str | None) -> None:
    site.answers["/"] = page(Content_Type=header)
    found = fetch(site.url, private=True)
    assert (found.content_type, found.charset) == (content_type, charset)


def test_no_content_type_and_repeated_headers(site: Site) -> None:
    site.answers["/"] = raw(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 2\r\n\r\nhi")
    found = fetch(site.url, private=True)
    assert (found.body, found.content_type, found.charset) == (b"hi", "", None)
    assert found.headers["x-a"] == "1, 2"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["chunked", "until the end", "after 100"],
)
def test_framing(site: Site, answer: bytes) -> None:
    site.answers["/"] = raw(answer)
    assert fetch(site.url, private=True).body == b"hello"


def test_other_scripts_in_path(site: Site) -> None:
    fetch(site.url + "/Größe?q=日本&r=%41", private=True)
    assert site.hits[0][0] == "/Gr%C3%B6%C3%9Fe?q=%E6%97%A5%E6%9C%AC&r=%41"


def test_public_name_keeps_name_in_host(site: Site, wire: Wire) -> None:
    wire.names["bücher.example".encode("idna").decode()] = [[PUBLIC]]
    wire.stand_ins[PUBLIC] = site.port
    assert fetch("http://BÜCHER。example.:8080/").body == HTML
    assert wire.connected == [(PUBLIC, 8080)]
    assert site.hits[0][1]["host"] == "xn--bcher-kva.example:8080"


# What is known already

ETAG = '"v1"'
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"


def conditional(handler: http.server.BaseHTTPRequestHandler) -> None:
    """A page with validators, and 304 without a body to who has it."""
    known = handler.headers["If-None-Match"] == ETAG or handler.headers["If-Modified-Since"] == MODIFIED
    if known:
        raw(b"HTTP/1.1 304 Not Modified\r\n\r\n")(handler)
    else:
        page(ETag=ETAG, Last_Modified=MODIFIED)(handler)


@pytest.mark.parametrize("header", ["etag", "last_modified"])
def test_unchanged(site: Site, header: str) -> None:
    site.answers["/a"] = conditional
    first = fetch_if_changed(site.url + "/a", private=True)
    assert first and first.body == HTML
    known = {header: first.headers[header.replace("_", "-")]}
    assert fetch_if_changed(site.url + "/a", private=True, **known) is None
    site.answers["/a"] = page(b"new")
    second = fetch_if_changed(site.url + "/a", private=True, **known)
    assert second and second.body == b"new"
    assert [set(headers) & {"if-none-match", "if-modified-since"} for _, headers in site.hits] == [
        set(),
        *[{"if-none-match" if header == "etag" else "if-modified-since"}] * 2,
    ]


def test_unchanged_behind_a_redirect(site: Site) -> None:
    site.answers["/a"] = redirect("/b")
    site.answers["/b"] = conditional
    known = {"etag": ETAG, "found_at": site.url + "/b"}
    assert fetch_if_changed(site.url + "/a", private=True, **known) is None
    assert [headers.get("if-none-match") for _, headers in site.hits] == [None, ETAG]


def test_validators_go_to_no_other_address(site: Site, canary: Site) -> None:
    site.answers["/a"] = redirect(canary.url + "/a")
    assert fetch_if_changed(site.url + "/a", private=True, etag=ETAG, last_modified=MODIFIED)
    assert site.hits[0][1]["if-none-match"] == ETAG
    assert not {"if-none-match", "if-modified-since"} & set(canary.hits[0][1])


@pytest.mark.parametrize(
    ("etag", "last_modified"),
    [
        ('"v1"\r\nX-Evil: 1', MODIFIED + "\r\nX-Evil: 1"),
        ('"v1"\n', MODIFIED + "\n"),
        ('"v1', "yesterday"),
        ("*", ""),
        ('"v1", "v2"', MODIFIED + ", " + MODIFIED),
        ('"' + "x" * 501 + '"', "x" * 501),
        ('"gr\u00fc\u00df"', "\u0661" * 10),
    ],
)
def test_bad_validators_are_not_sent(site: Site, etag: str, last_modified: str) -> None:
    assert fetch_if_changed(site.url, private=True, etag=etag, last_modified=last_modified)
    assert not {"if-none-match", "if-modified-since", "x-evil"} & set(site.hits[0][1])


def test_unchanged_though_not_asked(site: Site) -> None:
    site.answers["/"] = raw(b"HTTP/1.1 304 Not Modified\r\n\r\n")
    assert refusal(site.url, private=True) == "the server answered 304 (Not Modified)"
    with pytest.raises(SourceError):
        fetch_if_changed(site.url, private=True, etag="bad")


# One form for all spellings


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("http://example.org:80/a#b", "http://example.org/a"),
        ("https://example.org:443/?", "https://example.org/"),
        ("https://example.org:80/", "https://example.org:80/"),
        ("http://example.org/a/./b/../c/..", "http://example.org/a/"),
        ("http://example.org/../../a//b/.", "http://example.org/a//b/"),
        ("http://example.org/%7ea/%2e%2e/%c3%bc?q=%2f%41", "http://example.org/%C3%BC?q=%2FA"),
        ("http://b\u00fccher.example./\u00fc?a=../b", "http://xn--bcher-kva.example/%C3%BC?a=../b"),
        ("http://[0:0::1]:8080/%zz", "http://[::1]:8080/%zz"),
    ],
)
def test_normalised(url: str, form: str) -> None:
    assert normalised(url) == normalised(form) == form


@pytest.mark.parametrize("url", ["mailto:a@b", "http://", "http://a b/", "//example.org/", "http://u:p@example.org/"])
def test_not_normalised(url: str) -> None:
    with pytest.raises(ValueError, match="address"):
        normalised(url)


# Redirects


def test_each_redirect_is_told_before_it_is_followed(site: Site, canary: Site) -> None:
    site.answers["/a"] = redirect("/b")
    site.answers["/b"] = redirect(canary.url + "/c")
    told = []

    def look(url: str) -> None:
        told.append(url)
        if not url.startswith(site.url):
            raise LookupError(url)

    with pytest.raises(LookupError):
        fetch(site.url + "/a", private=True, on_redirect=look)
    assert told == [site.url + "/b", canary.url + "/c"]
    assert canary.hits == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/b", "b?c", "//127.0.0.1:{port}/b", "http://127.0.0.1:{port}/b#d"])
def test_redirect_followed(site: Site, status: int, location: str) -> None:
    site.answers["/a"] = redirect(location.format(port=site.port), status)
    found = fetch(site.url + "/a", private=True)
    assert found.body == HTML
    assert found.url.startswith(site.url + "/b")
    assert len(site.hits) == 2


def test_redirects_end(site: Site) -> None:
    for n in range(10):
        site.answers[f"/{n}"] = redirect(f"/{n + 1}")
    assert fetch(site.url + "/5", private=True).url == site.url + "/10"
    assert "more than 5 redirects" in refusal(site.url + "/4", private=True)
    assert len(site.hits) == 6 + 6


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "http://127.1:{port}/",
        "http://2130706433:{port}/",
        "http://0.0.0.0:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://sly.test:{port}/",
        "http://user:secret@localhost:{port}/",
        "http://localhost:{port}\\@127.0.0.1/",
        "http://127.0.\t0.1:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "ftp://localhost/x",
        "http://[::1",
        "http://local host/",
    ],
)
def test_redirect_to_forbidden_host(site: Site, canary: Site, wire: Wire, location: str) -> None:
    wire.names["sly.test"] = [["127.0.0.1"]]
    site.answers["/"] = redirect(location.format(port=canary.port))
    reason = refusal(f"http://localhost:{site.port}/", allow_hosts=["localhost"])
    assert "redirect" in reason
    assert len(site.hits) == 1
    assert canary.hits == []
    assert all(port == site.port for _, port in wire.connected)


def test_redirect_stays_private_when_operator_named_it(site: Site, canary: Site) -> None:
    site.answers["/"] = redirect(canary.url + "/")
    assert fetch(f"http://localhost:{site.port}/", private=True).url == canary.url + "/"


def test_redirect_with_tab(site: Site) -> None:
    site.answers["/"] = redirect("/a\tb")
    assert "contains a space" in refusal(site.url, private=True)
    assert len(site.hits) == 1


def test_redirect_without_location(site: Site) -> None:
    site.answers["/"] = page(status=302)
    assert refusal(site.url, private=True) == "the server answered 302 (Found)"


# Where it may connect

HOSTILE = [
    "http://127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST.:{port}/",
    "http://0.0.0.0:{port}/",
    "http://0:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://0X7F.0.0.0x1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://017700000001:{port}/",
    "http://127.255.255.254:{port}/",
    "http://[::1]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/",
    "http://[fec0::1]:{port}/",
    "http://[fd00::1]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[ff02::1]:{port}/",
    "http://10.0.0.1:{port}/",
    "http://172.16.0.1:{port}/",
    "http://192.168.0.1:{port}/",
    "http://100.64.0.1:{port}/",
    "http://100.100.100.200/latest/meta-data/",
    "http://192.0.0.8:{port}/",
    "http://168.63.129.16:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/latest/meta-data/",
    "http://224.0.0.1:{port}/",
    "http://255.255.255.255:{port}/",
    "http://127。0。0。1:{port}/",
    "http://127．0｡0．1:{port}/",
    "http://①②⑦.⓪.⓪.①:{port}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "http://local\u00adhost:{port}/",
    "http://%31%32%37.0.0.1:{port}/",
    "http://127.0.0.1%00.example:{port}/",
    "http://sly.test:{port}/",
    "http://SLY.test.:{port}/",
    "http://mixed.test:{port}/",
    "http://user:secret@127.0.0.1:{port}/",
    "http://1.2.3.4@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@1.2.3.4/",
    "http://@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@1.2.3.4/",
    "http://1.2.3.4\\@127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@1.2.3.4/",
    "http://127.0.0.1:{port}?@1.2.3.4/",
    "http://127.0.0.1 :{port}/",
    " http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/\r\nHost: x",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1:{port}/\x00",
    "http://127.0.0.1\u2028:{port}/",
    "http://127.0.0.1:{port}/\ud800",
    "http://[127.0.0.1]:{port}/",
    "http://[::1]x:{port}/",
    "http://x[::1]:{port}/",
    "http://[::1:{port}/",
    "http://[v1.x]:{port}/",
    "http://127.0.0.1:{port}:80/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:65536/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:８０/",
    "http://:{port}/",
    "http:///127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}/",
    "http://..127.0.0.1:{port}/",
    "http://xn--\u2603:{port}/",
    "http://" + "a" * 300 + "/",
    "http://127.0.0.1:{port}/" + "a" * 9000,
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "data:text/html,hello",
    "javascript:alert(1)",
    "gopher://127.0.0.1:{port}/_x",
    "ws://127.0.0.1:{port}/",
    "unix:///var/run/docker.sock",
    "http+unix://x/",
    "http://",
    "",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_url_refused(canary: Site, wire: Wire, url: str) -> None:
    wire.names["sly.test"] = [["127.0.0.1"]]
    wire.names["mixed.test"] = [[PUBLIC, "127.0.0.1"]]
    wire.stand_ins[PUBLIC] = canary.port
    refusal(url.format(port=canary.port))
    assert wire.connected == []
    assert canary.hits == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "http:// or https://"),
        ("example.test", "http:// or https://"),
        ("http://user:secret@example.test/", "user name or password"),
        ("http://user@example.test/", "user name or password"),
        ("http://example.test/a b", "contains a space"),
        ("http://example.test\\a", "a backslash"),
        ("http://example.test/\x7f", "a control character"),
        ("http://example.test:0/", "check the host name and the port"),
        ("http://example.test:x/", "check the host name and the port"),
        ("http://exa%6dple.test/", "check the host name and the port"),
        ("http://-☃-.test/", "check the host name and the port"),
        ("http://example.test/" + "a" * 8000, "longer than 8000 characters"),
    ],
)
def test_bad_address_says_what_is_wrong(url: str, said: str) -> None:
    reason = refusal(url, private=True)
    assert said in reason and "secret" not in reason


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("127.0.0.1", "127.0.0.1 is a private address"),
        ("[::1]", "::1 is a private address"),
        ("0x7f.1", "0x7f.1 is at the private address 127.0.0.1"),
        ("sly.test", "sly.test is at the private address 127.0.0.1"),
    ],
)
def test_private_address_says_what_to_do(wire: Wire, host: str, place: str) -> None:
    wire.names["sly.test"] = [["127.0.0.1"]]
    assert refusal(f"http://{host}/") == (
        f"{place}, which is refused for pages added later; "
        "start the app with --source URL or set RAG_ALLOW_HOSTS to allow it"
    )


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.0/8", " 127.0.0.1/8 ", "SLY.test.", "::/0,sly.test"])
def test_allow_hosts(site: Site, wire: Wire, allowed: str) -> None:
    wire.names["sly.test"] = [["127.0.0.1"]]
    assert fetch(f"http://sly.test:{site.port}/", allow_hosts=allowed.split(",")).body == HTML


@pytest.mark.parametrize("allowed", ["10.0.0.0/8", "test", "y.test", "127.0.0.2", "::/0", "", "http://sly.test"])
def test_allow_hosts_allows_no_others(canary: Site, wire: Wire, allowed: str) -> None:
    wire.names["sly.test"] = [["127.0.0.1"]]
    assert "private address" in refusal(f"http://sly.test:{canary.port}/", allow_hosts=[allowed])
    assert wire.connected == []


@pytest.mark.parametrize("entry", ["::1", "[::1]", "::/64"])
def test_allow_hosts_ipv6(wire: Wire, entry: str) -> None:
    port = closed_port()
    assert "private address" not in refusal(f"http://[::1]:{port}/", allow_hosts=[entry])
    assert wire.connected == [("::1", port)]


def test_rebinding_resolver(site: Site, canary: Site, wire: Wire) -> None:
    wire.names["rebind.test"] = [[PUBLIC], ["127.0.0.1"]]
    wire.stand_ins[PUBLIC] = site.port
    assert fetch(f"http://rebind.test:{canary.port}/").body == HTML
    assert wire.looked_up == ["rebind.test"]
    assert wire.connected == [(PUBLIC, canary.port)]
    assert site.hits[0][1]["host"] == f"rebind.test:{canary.port}"
    assert canary.hits == []


def test_rebinding_between_redirects(site: Site, canary: Site, wire: Wire) -> None:
    wire.names["rebind.test"] = [[PUBLIC], ["127.0.0.1"]]
    wire.stand_ins[PUBLIC] = site.port
    site.answers["/"] = redirect("/again")
    assert "private address" in refusal(f"http://rebind.test:{canary.port}/")
    assert wire.connected == [(PUBLIC, canary.port)]
    assert canary.hits == []


def test_next_address_when_one_refuses(site: Site, wire: Wire) -> None:
    wire.names["two.test"] = [["1.2.3.5", PUBLIC]]
    wire.stand_ins = {"1.2.3.5": closed_port(), PUBLIC: site.port}
    assert fetch("http://two.test/").body == HTML
    assert [host for host, _ in wire.connected] == ["1.2.3.5", PUBLIC]


NOT_PUBLIC = {
    "unspecified": ":: 0.0.0.0 0.1.2.3",
    "loopback": "127.0.0.1 127.255.255.255 ::1",
    "private": "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 fc00::1 fd12:3456:789a::1",
    "carrier-grade NAT": "100.64.0.1 100.100.100.200 100.127.255.255",
    "link-local": "169.254.0.1 169.254.169.254 fe80::1 fe80::1%lo febf::1",
    "site-local": "fec0::1 feff::1",
    "cloud platform": "168.63.129.16",
    "protocol use": "192.0.0.1 192.0.0.8 192.0.0.9 192.0.0.170 100::1 100:0:0:1::1 2001:1::1 2001:10::1 2001:20::1",
    "documentation": "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1",
    "benchmarks": "198.18.0.1 198.19.255.255 2001:2::1",
    "multicast": "224.0.0.1 224.0.1.1 239.255.255.250 ff02::1 ff0e::1",
    "reserved": "240.0.0.1 255.255.255.255 4000::1 5f00::1 8000::1",
    "IPv4-mapped": "::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:100.64.0.1 ::ffff:0:1",
    "IPv4-compatible": "::7f00:1 ::8.8.8.8",
    "NAT64": "64:ff9b::7f00:1 64:ff9b::8.8.8.8 64:ff9b:1::a00:1",
    "6to4": "192.88.99.1 2002:7f00:1:: 2002:808:808::1",
    "Teredo": "2001::1 2001:0:4136:e378::1",
}


@pytest.mark.parametrize("address", [address for addresses in NOT_PUBLIC.values() for address in addresses.split()])
def test_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


JUST_OUTSIDE = {
    "private": "9.255.255.255 11.0.0.1 172.15.255.255 172.32.0.1 192.167.255.255 192.169.0.1",
    "other ranges": "1.0.0.0 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 168.63.129.15 168.63.129.17",
    "IETF": "192.0.1.1",
    "link-local, benchmarks, multicast": "169.253.255.255 169.255.0.1 198.17.255.255 198.20.0.1 223.255.255.255",
    "IPv6 ranges": "2001:200::1 2001:db7:: 2001:db9:: 2003::1 3ffe:ffff:: 2400:cb00::1 2c0f:fb50::1",
    "well known": "1.1.1.1 8.8.8.8 185.199.108.153 ::ffff:8.8.8.8 2001:4860:4860::8888 2606:4700:4700::1111",
}


@pytest.mark.parametrize("address", [address for addresses in JUST_OUTSIDE.values() for address in addresses.split()])
def test_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


# What goes wrong


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (201, "201 (Created)"),
        (204, "204 (No Content)"),
        (206, "206 (Partial Content)"),
        (304, "304 (Not Modified)"),
        (403, "403 (Forbidden)"),
        (404, "404 (Not Found)"),
        (500, "500 (Internal Server Error)"),
        (599, "599 (not a standard code)"),
    ],
)
def test_status(site: Site, status: int, said: str) -> None:
    site.answers["/"] = raw(f"HTTP/1.1 {status} <b>own words</b>\r\nContent-Length: 0\r\n\r\n".encode())
    assert refusal(site.url, private=True) == f"the server answered {said}"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_connection_refused() -> None:
    assert "connection was refused" in refusal(f"http://127.0.0.1:{closed_port()}/", private=True)


def test_unknown_host() -> None:
    assert refusal("http://nowhere.test/") == "could not find the host nowhere.test; is this machine online?"


def test_name_lookup_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        done.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        assert "could not find the host slow.test in time" in refusal("http://slow.test/", limits=Limits(connect=0.2))
    finally:
        done.set()


def brief(seconds: float, redirects: int = 5) -> Limits:
    """Limits of which only the total can be reached in a test."""
    return Limits(connect=600, read=600, total=seconds, redirects=redirects)


@pytest.mark.timeout(15)
@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b""),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: 1\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["hang", "hang in body", "drip of headers", "drip of 100s", "drip of body", "drip of chunks"],
)
def test_total_time(site: Site, start: bytes, piece: bytes) -> None:
    site.answers["/"] = drip(site, start, piece)
    assert refusal(site.url, private=True, limits=brief(0.6)) == "no complete answer within 0.6 s"


@pytest.mark.timeout(15)
def test_total_time_covers_redirects(site: Site) -> None:
    def slow(handler: http.server.BaseHTTPRequestHandler) -> None:
        site.closing.wait(0.3)
        redirect("/")(handler)

    site.answers["/"] = slow
    assert "no complete answer within 0.8 s" in refusal(site.url + "/", private=True, limits=brief(0.8, 1000))


@pytest.mark.timeout(15)
def test_read_time(site: Site) -> None:
    site.answers["/"] = drip(site, b"HTTP/1.1 200 OK\r\n", b"")
    assert refusal(site.url, private=True, limits=Limits(read=0.3)) == "no answer within 0.3 s"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x00\xa5",
    ],
)
def test_not_http(site: Site, answer: bytes) -> None:
    site.answers["/"] = raw(answer)
    reason = refusal(site.url, private=True)
    assert reason == "the server closed the connection without a valid HTTP answer; try again"


# Size and compression


def gzip_bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(MIB)
    return b"".join(packer.compress(zeros) for _ in range(size // MIB)) + packer.flush()


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(HTML)),
        ("GZip", gzip.compress(HTML)),
        ("x-gzip", gzip.compress(HTML)),
        ("gzip", gzip.compress(HTML[:20]) + gzip.compress(HTML[20:])),
        ("gzip", gzip.compress(HTML) + bytes(100)),
        ("deflate", zlib.compress(HTML)),
        ("deflate", raw_deflate(HTML)),
        ("identity", HTML),
        ("", HTML),
    ],
    ids=["gzip", "GZip", "x-gzip", "two members", "padded", "deflate", "raw deflate", "identity", "empty"],
)
def test_compression(site: Site, coding: str, body: bytes) -> None:
    site.answers["/"] = page(body, Content_Encoding=coding)
    assert fetch(site.url, private=True).body == HTML


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "utf-8"])
def test_unknown_compression(site: Site, coding: str) -> None:
    site.answers["/"] = page(gzip.compress(gzip.compress(HTML)), Content_Encoding=coding)
    assert "compression that was not asked for" in refusal(site.url, private=True)


@pytest.mark.parametrize(
    "answer",
    [
        page(HTML[:-1], Content_Length=str(len(HTML))),
        page(gzip.compress(HTML)[:-1], Content_Encoding="gzip"),
        page(gzip.compress(HTML)[:20], Content_Encoding="gzip"),
        page(gzip.compress(HTML) + gzip.compress(HTML)[:15], Content_Encoding="gzip"),
        page(zlib.compress(HTML)[:-5], Content_Encoding="deflate"),
        page(b"", Content_Encoding="gzip"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense"),
    ],
    ids=["length", "gzip end", "gzip", "second member", "deflate", "no gzip", "chunked", "bad chunk"],
)
def test_cut_off(site: Site, answer: Answer) -> None:
    site.answers["/"] = answer
    assert refusal(site.url, private=True) == "the page was cut off before its end; try again"


def flipped(body: bytes, position: int) -> bytes:
    return body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :]


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", HTML),
        ("gzip", flipped(gzip.compress(HTML), -6 + len(gzip.compress(HTML)))),
        ("gzip", gzip.compress(b"") * 70),
        ("deflate", b"\xff" + HTML),
    ],
    ids=["not gzip", "checksum", "pieces", "not deflate"],
)
def test_damaged(site: Site, coding: str, body: bytes) -> None:
    site.answers["/"] = page(body, Content_Encoding=coding)
    assert "damaged" in refusal(site.url, private=True)


def test_exactly_at_the_limit(site: Site) -> None:
    body = bytes(1000)
    site.answers["/plain"] = page(body)
    site.answers["/gzip"] = page(gzip.compress(body), Content_Encoding="gzip")
    for path in ("/plain", "/gzip"):
        assert fetch(site.url + path, private=True, limits=Limits(bytes=1000)).body == body
        reason = refusal(site.url + path, private=True, limits=Limits(bytes=999))
        assert reason == "larger than 999 bytes"


@pytest.mark.parametrize(
    "answer",
    [
        page(b"x", Content_Length=str(2**30)),
        raw(b"HTTP/1.1 200 OK\r\n\r\n", *[bytes(MIB)] * 8),
        raw(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            *[b"100000\r\n" + bytes(MIB) + b"\r\n"] * 8,
        ),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", *[b"\x1f\x8b" + bytes(MIB)] * 8),
    ],
    ids=["announced", "until the end", "chunked", "gzip"],
)
def test_too_large(site: Site, answer: Answer) -> None:
    site.answers["/"] = answer
    assert refusal(site.url, private=True) == "larger than 5 MiB"


@pytest.mark.parametrize("members", [1, 3])
def test_gzip_bomb(site: Site, members: int) -> None:
    site.answers["/"] = page(gzip_bomb(150 * MIB // members) * members, Content_Encoding="gzip")
    tracemalloc.start()
    try:
        reason = refusal(site.url, private=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reason == "larger than 5 MiB"
    assert peak < 50e6


# TLS


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a fresh key and self-signed certificate for page.test."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command")
    key, pem = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=page.test -addext subjectAltName=DNS:page.test"
    command_line = [openssl, *command.split(), "-keyout", str(key), "-out", str(pem)]
    made = subprocess.run(command_line, check=False, capture_output=True)
    if made.returncode != 0:
        pytest.skip("this openssl cannot make the certificate")
    pem.write_bytes(pem.read_bytes() + key.read_bytes())
    return pem


@pytest.fixture
def secure_site(certificate: Path, wire: Wire) -> Iterator[Site]:
    """An https server that page.test and other.test lead to."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    site = Site(tls)
    wire.names = {"page.test": [[PUBLIC]], "other.test": [[PUBLIC]]}
    wire.stand_ins[PUBLIC] = site.port
    yield site
    site.close()


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


@pytest.mark.usefixtures("trusted")
def test_tls_checks_the_name_at_the_checked_address(secure_site: Site, wire: Wire) -> None:
    assert fetch("https://page.test/").body == HTML
    assert wire.connected == [(PUBLIC, 443)]
    assert secure_site.hits[0][1]["host"] == "page.test"
    reason = refusal("https://other.test/")
    assert "certificate is not trusted" in reason and "other.test" in reason
    assert len(secure_site.hits) == 1


def test_tls_unknown_authority(secure_site: Site) -> None:
    assert "certificate is not trusted (self" in refusal("https://page.test/")
    assert secure_site.hits == []


def test_https_to_an_http_port(site: Site) -> None:
    reason = refusal(f"https://127.0.0.1:{site.port}/", private=True)
    assert reason == "no secure connection could be made; does the server speak https on this port?"


@pytest.mark.timeout(15)
def test_tls_handshake_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        reason = refusal(url, private=True, limits=brief(0.4))
    assert reason == "no complete answer within 0.4 s"


@pytest.mark.timeout(15)
@pytest.mark.usefixtures("trusted")
def test_tls_drip(secure_site: Site) -> None:
    secure_site.answers["/"] = drip(secure_site, b"HTTP/1.1 200 OK\r\n\r\n", b"x")
    assert refusal("https://page.test/", limits=brief(0.6)) == "no complete answer within 0.6 s"


def test_time_is_up_before_tls(secure_site: Site, wire: Wire) -> None:
    wire.seconds_to_connect = 31
    assert refusal("https://page.test/") == "no complete answer within 30 s"  # and no socket stays open


@pytest.mark.usefixtures("trusted")
def test_tls_trusts_certifi_too() -> None:
    assert len(tls_context().get_ca_certs()) > 50
