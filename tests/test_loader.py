"""Loading: pages from a real server on loopback and files of every type, whole and damaged, for what a reader sees."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from rag.errors import SourceError
from rag.settings import Settings
from rag.sources.loader import FILE_TYPES, GUIDE, LARGEST_FILE, expand_source, is_url, load_source
from tests.conftest import Pages, make_settings
from tests.files import LETTER, altered, load, pdf, reason, word, write_pdf

PLAIN = {"Content-Type": "text/plain"}


class Reader:
    """Puts a page on the server and gives back what was read of it."""

    def __init__(self, pages: Pages, settings: Settings) -> None:
        self.pages = pages
        self.settings = settings

    def document(self, body: str | bytes, headers: dict[str, str] | None = None, path: str = "/page") -> Document:
        self.pages.pages[path] = (200, headers or {}, body)
        return load(self.pages.url + path, self.settings)

    def __call__(self, body: str | bytes, headers: dict[str, str] | None = None) -> str:
        return self.document(body, headers).page_content

    def refused(self, body: str | bytes, headers: dict[str, str] | None = None, status: int = 200) -> str:
        self.pages.pages["/page"] = (status, headers or {}, body)
        return reason(f"{self.pages.url}/page", self.settings)


@pytest.fixture
def read(pages: Pages, settings: Settings) -> Reader:
    return Reader(pages, settings)


# Pages: which part of them


def test_the_classes_of_the_article(read: Reader) -> None:
    page = read.document(
        """<!doctype html><html><head><title> The
        Article </title></head><body><nav>Menu</nav>
        <header class="post-header"><h1 class="post-title">Agents</h1><div class="post-meta">June</div></header>
        <div class="toc">Contents</div><div class="post-content"><p>One.</p><p>Two.</p></div><footer>End</footer>"""
    )
    assert page.metadata["title"] == "The Article"
    assert page.page_content.split() == ["Agents", "June", "One.", "Two."]


def test_an_element_may_have_other_classes_too(read: Reader) -> None:
    page = '<h1 class="post-title">Agents</h1><p>Menu</p><div class="wide post-content md"><p>One.</p></div>'
    assert read(page) == "Agents\nOne."


def test_elements_of_the_classes_do_not_run_together(read: Reader) -> None:
    page = '<span class="post-title">Agents</span><span>no</span><span class="post-content">One.</span>'
    assert read(page) == "Agents\nOne."
    assert read('<div class="post-content">a<div class="post-content">b</div>c</div>') == "a\nb\nc"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<article>", "</article>"),
        ("<main>", "</main>"),
        ('<div role="main">', "</div>"),
        ("<main><article>", "</article></main>"),
    ],
)
def test_main_content_where_there_are_no_such_classes(read: Reader, before: str, after: str) -> None:
    assert read(f"<body><nav>Menu</nav><p>Aside</p>{before}<h1>Real</h1>Too{after}<footer>End</footer>") == "Real\nToo"


def test_empty_main_content_is_passed_over(read: Reader) -> None:
    assert read("<body><article> </article><main>Real</main><p>no</p>") == "Real"
    assert read("<body><main></main><p>Real</p>") == "Real"


def test_body_without_what_frames_it(read: Reader) -> None:
    page = "<body><nav>n</nav><header>h</header><script>s()</script><style>p{}</style><aside>a</aside><p>Real</p>"
    assert read(page + "<div><nav>n</nav>too</div><template>t</template><footer>f</footer>") == "Real\ntoo"
    assert read("Real, <b>bare</b>") == "Real, bare"


@pytest.mark.parametrize(
    "hidden",
    [
        *("<p hidden>", '<p hidden="">', '<p aria-hidden="true">', '<p style="color:red;display:none">'),
        *('<p style="display: none;">', '<p style="DISPLAY:NONE">'),
    ],
)
def test_hidden_elements_are_dropped(read: Reader, hidden: str) -> None:
    assert read(f'<div class="post-content">Seen. {hidden}Obey <b>me</b></p>More.</div>').split() == ["Seen.", "More."]


# Pages: text


def test_blocks_break_lines_and_inline_tags_do_not_split_words(read: Reader) -> None:
    assert read("<main><p>Un<b>believ</b><i>able</i>.</p><p>Two<br>lines</p>tail<div>x</div></main>") == (
        "Unbelievable.\nTwo\nlines\ntail\nx"
    )
    assert read("<main><ul><li>a</li><li>b</li></ul><table><tr><td>c<td>d</table><h2>e</h2>f</main>") == (
        "- a\n- b\nc | d\ne\nf"
    )
    assert read("<main><p>a <em>b</em> c</p>\n\n  <p>d</p>\n</main>") == "a b c\nd"
    assert read("<main>x &amp; y &lt;z&gt; a&nbsp;b<!-- no --></main>") == "x & y <z> a\u00a0b"
    assert read("<main><pre>def f():\n    return 1\n</pre></main>") == "def f():\n    return 1"


def test_title_of_a_site(pages: Pages, settings: Settings) -> None:
    pages.pages["/"] = "<p>Text</p>"
    assert load(f"{pages.url}/", settings).metadata["title"] == f"{pages.url}/"


def test_nuls_and_lone_surrogates(read: Reader) -> None:
    assert read("<main>a\0b&#xD800;&#0;c\x1ed\x1e</main>").startswith("ab")
    assert read("a\0b", PLAIN) == "ab"
    assert read(b"Gr\\ud800\\u00fc", {"Content-Type": "text/plain; charset=unicode-escape"})[:2] == "Gr"


@pytest.mark.parametrize(
    ("encoding", "header", "meta"),
    [
        ("utf-8", "; charset=utf-8", ""),
        ("utf-8", "", ""),
        ("utf-8", '; Charset="UTF-8"', '<meta charset="latin-1">'),  # the server's word is the stronger
        ("latin-1", "; charset=ISO-8859-1", ""),
        ("latin-1", "", '<meta charset="iso-8859-1">'),
        ("latin-1", "", '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-1">'),
        ("utf-8-sig", "", ""),
        ("utf-16", "", ""),
        ("utf-8", "; charset=no-such-thing", ""),
        ("utf-8", "; charset=hex", ""),
        ("utf-8", "", '<meta charset="utf-16">'),  # which it cannot be, as this was read
    ],
)
def test_encoding_of_a_page(read: Reader, encoding: str, header: str, meta: str) -> None:
    body = f"<html><head>{meta}<title>Größe</title></head><main>Die Straße heißt „Öde“.</main>"
    body = body.replace("„", "").replace("“", "") if encoding == "latin-1" else body
    page = read.document(body.encode(encoding), {"Content-Type": f"text/html{header}"})
    assert page.metadata["title"] == "Größe" and page.page_content.startswith("Die Straße heißt ")
    assert page.page_content.rstrip(".“").endswith("Öde")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "page",
    [
        "<main>para" + " " * 300_000 + "para</main>",
        "<main>para" + "\n" * 300_000 + "para</main>",
    ],
    ids=["blanks", "breaks"],
)
def test_large_pages_are_read_in_time(read: Reader, page: str) -> None:
    """Time may not grow with the square of their size: an ingest cannot be cancelled while it reads."""
    assert set(read(page).split()) == {"para"}


# Pages: refused, never a document


@pytest.mark.parametrize("status", [400, 403, 404, 410, 429, 500, 503])
def test_error_pages(read: Reader, status: int) -> None:
    assert str(status) in read.refused("<main>Sorry, but this reads like an article.</main>", status=status)


@pytest.mark.parametrize(
    "body",
    [
        *("", " \n\t ", "<html></html>", "<body>&nbsp;</body>", "<!-- x -->", "\0", "<body><script>x</script>"),
        '<body><noscript>Enable JavaScript.</noscript><div id="root"></div><script src="a.js"></script></body>',
        *("<body><nav>Menu</nav><footer>Imprint</footer></body>", '<div class="post-content"><img src="x.png"></div>'),
    ],
)
def test_pages_without_text(read: Reader, body: str) -> None:
    assert "no text" in read.refused(body)


@pytest.mark.parametrize(
    "kind", ["image/png", "application/json", "application/zip", "application/octet-stream", "video/mp4", "text/css"]
)
def test_other_content_types(read: Reader, kind: str) -> None:
    assert kind in read.refused(b"PK\x03\x04 <p>text", {"Content-Type": f"{kind}; charset=utf-8"})


# Plain text and Markdown by URL


@pytest.mark.parametrize("kind", ["text/plain", "text/markdown", "text/x-markdown", "TEXT/PLAIN; charset=utf-8"])
def test_plain_text_by_url(read: Reader, kind: str) -> None:
    page = read.document("intro\r\n\r\n# A Grüße <b> #\r\ntext  \r\n", {"Content-Type": kind}, "/notes.md")
    assert page.page_content == "intro\n\n# A Grüße <b> #\ntext"
    assert page.metadata["title"] == "A Grüße <b>"
    assert read.document("no heading", {"Content-Type": kind}, "/my%20notes.md?x=1").metadata["title"] == "my notes.md"


@pytest.mark.parametrize(
    ("encoding", "charset"),
    [
        *(("utf-8", ""), ("utf-8-sig", ""), ("utf-16", ""), ("latin-1", "; charset=latin-1"), ("cp1252", "")),
        *(("utf-8", "; charset=no-such-thing"), ("utf-8", "; charset=hex"), ("utf-8", "; charset=idna")),
    ],
)
def test_encoding_of_plain_text(read: Reader, encoding: str, charset: str) -> None:
    text = "# Café\nLe déjeuner était déjà prêt à midi."
    page = read.document(text.encode(encoding), {"Content-Type": f"text/plain{charset}"})
    assert (page.page_content, page.metadata["title"]) == (text, "Café")


# Sources added later


def test_later_sources_may_not_be_on_this_machine(pages: Pages, settings: Settings, tmp_path: Path) -> None:
    pages.pages["/page"] = "<main>Secret</main>"
    for url in (f"{pages.url}/page", f"{pages.url}/page".replace("127.0.0.1", "localhost")):
        assert "RAG_ALLOW_HOSTS" in reason(url, settings, private=False)
    assert "RAG_ALLOW_HOSTS" in reason(
        f"{pages.url}/page", make_settings(tmp_path, allow_hosts="10.0.0.0/8"), private=False
    )
    assert pages.hits == []
    for allowed in ("127.0.0.1", "127.0.0.0/8", "10.0.0.0/8, 127.0.0.1"):
        named = make_settings(tmp_path, allow_hosts=allowed)
        (document,) = load_source(f"{pages.url}/page", named, private=False).documents
        assert document.page_content == "Secret"


def test_what_a_url_is() -> None:
    assert all(map(is_url, ["http://x", "HTTPS://x", "ftp://x", "file:///etc/passwd"]))
    assert not any(map(is_url, ["notes.md", "/a/b", "C:\\a", "C:/a", "bundled:guide.md", "a/http://x", "", "//x"]))


@pytest.mark.parametrize("url", ["ftp://x/y", "file:///etc/passwd", "http://", "http://127.0.0.1:1/page"])
def test_urls_that_lead_nowhere(url: str, settings: Settings) -> None:
    assert reason(url, settings)


# Files


@pytest.mark.parametrize(
    ("name", "data", "text", "title"),
    [
        ("a.html", b"<title>T</title><body><nav>n</nav><p>One</p><p>Two</p>", "One\nTwo", "T"),
        ("a.HTM", "<body><p>Größe".encode(), "Größe", "a.HTM"),
        ("a.md", "intro\n\n## B\n# Ä #\ntext".encode(), "intro\n\n## B\n# Ä #\ntext", "Ä"),
        ("a.markdown", b"no heading", "no heading", "a.markdown"),
        ("my notes.txt", b"\r\nOne\r\nTwo\rThree\n\n", "One\nTwo\nThree", "my notes.txt"),
    ],
)
def test_text_files(name: str, data: bytes, text: str, title: str, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / name).write_bytes(data)
    document = load(tmp_path / name, settings)
    assert (document.page_content, document.metadata["title"]) == (text, title)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8-sig", "# Ä title\ntext"),
        ("utf-16", "# Ä title\nGrüße aus Köln."),
        ("cp1252", "# Ä title\nIt’s “a plan” — it works."),
        ("cp1252", "# Ä title\nLe café était déjà fermé à l’été dernier."),
        ("cp1252", "# Ä title\nDie Größe der Straße überraschte Jörg."),
    ],
)
def test_encoding_of_a_file(encoding: str, text: str, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.md").write_bytes(text.encode(encoding))
    document = load(tmp_path / "a.md", settings)
    assert (document.page_content, document.metadata["title"]) == (text, "Ä title")


def test_bytes_in_no_encoding_are_refused_but_where_they_are_few(tmp_path: Path, settings: Settings) -> None:
    odd = b"\x81\x8d\xff\xfe\0\xed\xa0\x80"
    (tmp_path / "a.txt").write_bytes(b"begin " + odd + b" end")
    assert "save it as UTF-8" in reason(tmp_path / "a.txt", settings)
    (tmp_path / "a.txt").write_bytes(b"begin " + odd + b" end " + b"of a plain log. " * 100)
    document = load(tmp_path / "a.txt", settings)
    assert document.page_content.startswith("begin") and document.page_content.endswith("plain log.")
    (note,) = document.metadata["notes"]
    assert "characters are in no known encoding" in note


def test_pdf_pages_count_from_one(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "two.pdf"
    path.write_bytes(pdf("First page.", None, "Third page.", title="A title"))
    documents = load_source(str(path), settings, private=True).documents
    assert [(item.page_content, item.metadata) for item in documents] == [
        ("First page.", {"source": str(path), "title": "A title", "page": 1, "sections": []}),
        ("Third page.", {"source": str(path), "title": "A title", "page": 3, "sections": []}),
    ]
    path.write_bytes(pdf("First page."))
    assert load(path, settings).metadata["title"] == "two.pdf"


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-128", "AES-256"])
def test_encrypted_pdf(algorithm: str, tmp_path: Path, settings: Settings) -> None:
    writer = write_pdf("Behind a password")
    writer.encrypt("secret", algorithm=algorithm)
    writer.write(tmp_path / "locked.pdf")
    assert "password" in reason(tmp_path / "locked.pdf", settings)
    writer = write_pdf("Only copying is forbidden")  # as many reports are; anyone may read them
    writer.encrypt("", "owner", algorithm=algorithm)
    writer.write(tmp_path / "open.pdf")
    assert load(tmp_path / "open.pdf", settings).page_content == "Only copying is forbidden"


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        (b"%PDF-1.3", b"%nothing"),
        (b"/Kids [", b"/Kids 7 ["),
        (b"/Pages 2 0 R", b"/Pages 7"),
        (b"/Length 50\n", b"/Length 50 /Filter 7\n"),
        (b"/Length 50\n", b"/Length 999999999\n"),
        (b"/Root 3 0 R", b"/Root 3 0 R /Encrypt <</Filter /Standard /V 9>>"),
        (b"/Root 3 0 R", b"/Root 3 0 R /Encrypt 7"),
        (b"endobj", b""),
        (b"xref", b""),
        (b"obj", b"\0\0\0"),
    ],
)
def test_damaged_pdf(whole: bytes, part: bytes, tmp_path: Path, settings: Settings) -> None:
    data = pdf("A page of text here", title="T")
    assert whole in data
    (tmp_path / "a.pdf").write_bytes(data.replace(whole, part))
    try:
        assert load(tmp_path / "a.pdf", settings).page_content == "A page of text here"  # pypdf could mend it
    except SourceError as error:
        assert "PDF" in error.reason and len(error.reason) < 250


@pytest.mark.parametrize("data", [b"%PDF-1.7", b"no PDF", b"\0" * 999, pdf("text")[:300], pdf("text")[300:]])
def test_cut_pdf(data: bytes, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.pdf").write_bytes(data)
    assert "damaged" in reason(tmp_path / "a.pdf", settings)


@pytest.mark.parametrize("data", [pdf(None), pdf(None, " "), pdf()])
def test_pdf_without_text(data: bytes, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "scan.pdf").write_bytes(data)
    assert "text recognition" in reason(tmp_path / "scan.pdf", settings)


def test_word(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "My letter.DOCX").write_bytes(word("Dear Jörg,", "the agent plans."))
    document = load(tmp_path / "My letter.DOCX", settings)
    assert document.page_content.split("\n\n") == ["Dear Jörg,", "the agent plans.", "left | right"]
    assert document.metadata["title"] == "My letter"


def corrupted(data: bytes, at: int, by: bytes) -> bytes:
    """The same with bytes of its main member overwritten, `at` from its header, or, if negative, in the directory."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.getinfo("word/document.xml").header_offset + at
    if at < 0:  # an entry of the directory has the name 46 bytes from its start
        start = data.rindex(b"word/document.xml") - 46 - at
    return data[:start] + by + data[start + len(by) :]


@pytest.mark.parametrize(
    "data",
    [
        b"no Word file",
        b"PK\x03\x04",
        LETTER[: len(LETTER) // 2],
        LETTER[len(LETTER) // 2 :],
        altered(LETTER, "word/document.xml", None),
        altered(LETTER, "word/document.xml", b"<w:document"),
        altered(LETTER, "word/document.xml", b""),
        corrupted(LETTER, 60, b"\xff" * 40),  # its compressed data
        corrupted(LETTER, 120, b"\xff" * 4),
        corrupted(LETTER, -8, b"\x01"),  # its flags: encrypted
        corrupted(LETTER, -10, b"\x63"),  # its compression: unknown
        corrupted(LETTER, -6, b"\x63"),  # the version of zip that it needs
    ],
    ids=lambda data: "",
)
def test_damaged_word(data: bytes, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.docx").write_bytes(data)
    assert "damaged" in reason(tmp_path / "a.docx", settings)


@pytest.mark.parametrize("kind", FILE_TYPES)
def test_empty_file(kind: str, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / f"a{kind}").touch()
    assert "empty" in reason(tmp_path / f"a{kind}", settings)


def test_files_refused(tmp_path: Path, settings: Settings) -> None:
    for name, data in (("a.xyz", bytes(range(256))), ("a", b"\0" * 99), ("a.exe", b"text")):
        (tmp_path / name).write_bytes(data)
        assert "cannot be read; these can: web pages" in reason(tmp_path / name, settings)
    for name in ("b.xyz", "b", ".txt"):  # named by a person, and plainly text
        (tmp_path / name).write_text("text")
        assert load(tmp_path / name, settings).page_content == "text"
    (tmp_path / "blank.txt").write_bytes(b" \n\0 \x1e\t")
    assert "no text" in reason(tmp_path / "blank.txt", settings)
    assert "No such file" in reason(tmp_path / "missing.md", settings)
    (tmp_path / "folder.md").mkdir()
    assert "cannot be read" in reason(tmp_path / "folder.md", settings)
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    assert "50 MiB" in reason(tmp_path / "large.txt", settings)


def test_the_guide(settings: Settings) -> None:
    assert expand_source(GUIDE) == [GUIDE]
    assert len(load(GUIDE, settings).page_content) > 5000


# Folders


def names(folder: Path) -> list[str]:
    return [Path(source).relative_to(folder).as_posix() for source in expand_source(str(folder))]


def test_folder(tmp_path: Path) -> None:
    for name in (
        "b.md",
        "A.TXT",
        "deep/er/c.pdf",
        "d d.html",
        "x.exe",
        "x.unknown",
        "README",
        ".hidden.md",
        ".git/e.md",
        "deep/.f/g.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.md").mkdir()
    assert names(tmp_path) == ["A.TXT", "README", "b.md", "d d.html", "deep/er/c.pdf"]


def test_folder_within_a_hidden_one(tmp_path: Path) -> None:
    (tmp_path / ".mine").mkdir()
    (tmp_path / ".mine" / "a.md").touch()
    assert names(tmp_path / ".mine") == ["a.md"]  # it was named


def test_links_may_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    for place in (folder, outside, tmp_path / "folder2"):
        place.mkdir()
        (place / "a.md").touch()
    (folder / "secret.md").symlink_to(outside / "a.md")
    (folder / "near.md").symlink_to("../folder2/a.md")
    (folder / "way").symlink_to(outside, target_is_directory=True)
    (folder / "gone.md").symlink_to("nowhere.md")
    (folder / "round").symlink_to(".", target_is_directory=True)
    assert names(folder) == ["a.md"]
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    assert names(tmp_path / "link") == ["a.md"]  # the named folder itself may be one


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").touch()
    expected = [str(tmp_path / "docs" / "a.md")]
    assert expand_source("docs") == expand_source("docs/a.md") == expand_source("./docs/") == expected
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert expand_source("~/docs") == expected
    assert expand_source("https://x.example/a b") == ["https://x.example/a b"]


def test_folder_with_nothing_to_read(tmp_path: Path) -> None:
    (tmp_path / "a.exe").touch()
    with pytest.raises(SourceError, match=r"no file of a readable type: web pages \(\.html"):
        expand_source(str(tmp_path))


@pytest.mark.parametrize(
    "source", ["missing", "/no/such/file.md", "a\0b.md", "~no-such-user/a.md", "~$letter.docx", "x" * 300]
)
def test_no_such_file(source: str) -> None:
    with pytest.raises(SourceError):
        expand_source(source)


def test_metadata_is_plain(read: Reader, tmp_path: Path) -> None:
    """It goes through JSON, and but for the sections, the vector store takes it as it is."""
    (tmp_path / "a.pdf").write_bytes(pdf("text", title="T"))
    (tmp_path / "a.docx").write_bytes(LETTER)
    found: list[dict[str, Any]] = [read.document("<main>text</main>").metadata]
    found += [load(tmp_path / name, read.settings).metadata for name in ("a.pdf", "a.docx")]
    assert all(set(item) <= {"source", "title", "page", "sections", "notes"} for item in found)
    assert [item.pop("notes", []) for item in found] == [[], [], ["1 table"]]
    assert all(item.pop("sections") == [] for item in found)
    assert all(type(value) in (str, int) for item in found for value in item.values())


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<title> A \n page </title><main>x</main>", "A page"),
        ("<main><h1>Heading</h1>x</main>", "Heading"),
        ("<main>x</main>", "page"),
    ],
)
def test_titles_of_pages(read: Reader, page: str, title: str) -> None:
    assert read.document(page).metadata["title"] == title
