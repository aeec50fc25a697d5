"""Mails: head, text and attachments; hostile ones are bounded."""

from __future__ import annotations

import io
import struct
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.settings import Settings
from rag.sources.loader import load_source
from tests.files import load, reason, word


def mail(subject: str, text: str, *, html: str = "") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "Jörg <j@example.org>", "ann@example.org"
    message["Subject"], message["Date"] = subject, "Mon, 23 Nov 2026 09:00:00 +0100"
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


def archive(**members: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        for name, data in members.items():
            file.writestr(name.replace("_", "."), data)
    return held.getvalue()


def outlook(texts: dict[str, str]) -> bytes:
    """A mail as Outlook keeps it (MS-CFB, MS-OXMSG): a stream of 4,096 bytes or more for each text, by its tag."""
    listed = b"".join(struct.pack("<HHIII", 0x1F, int(tag, 16), 6, 4096, 0) for tag in texts)
    streams = {"__properties_version1.0": bytes(32) + listed}
    streams |= {f"__substg1.0_{tag}001F": text.ljust(2048).encode("utf-16-le") for tag, text in texts.items()}
    names = ["Root Entry", *sorted(streams, key=lambda name: (len(name), name.upper()))]
    free, end, none = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF
    sectors: list[bytes] = []
    table: list[int] = []

    def add(data: bytes) -> int:
        first, count = len(sectors), -(-len(data) // 512)
        sectors.extend(data[512 * number : 512 * number + 512].ljust(512, b"\0") for number in range(count))
        table.extend([*range(first + 1, first + count), end])
        return first

    entries = b""
    for number, name in enumerate(names):
        data = streams.get(name, b"").ljust(4096, b"\0") if number else b""
        title = f"{name}\0".encode("utf-16-le")
        entries += title.ljust(64, b"\0") + struct.pack("<HBB", len(title), 2 if number else 5, 1)
        entries += struct.pack("<III", none, number + 1 if 0 < number < len(names) - 1 else none, none if number else 1)
        entries += bytes(36) + struct.pack("<IQ", add(data) if number else end, len(data))
    directory = add(entries)
    at = len(sectors)
    table += [0xFFFFFFFD]
    assert len(table) <= 128
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<IIIIIIIIII", 0, 1, directory, 0, 4096, end, 0, end, 0, at)
    fat = struct.pack("<128I", *table, *[free] * (128 - len(table)))
    return head.ljust(512, b"\xff") + b"".join(sectors) + fat


def read(data: bytes, tmp_path: Path, settings: Settings) -> dict[str, Document]:
    """The documents by their titles."""
    (tmp_path / "a.eml").write_bytes(data)
    loaded = load_source(str(tmp_path / "a.eml"), settings, private=True)
    assert loaded is not None and loaded.kind == "mail"
    assert len({item.metadata["title"] for item in loaded.documents}) == len(loaded.documents)
    return {item.metadata["title"]: item for item in loaded.documents}


def test_a_plain_form_that_sends_elsewhere_is_not_the_text(tmp_path: Path, settings: Settings) -> None:
    page = "<p>From 1 June a main dish costs £6.20, a soup £2.80. Cards are topped up at the till by Mrs Lam.</p>"
    message = mail("Prices", "This message contains HTML. Please use a program that shows it.\n", html=page)
    (found,) = read(message.as_bytes(), tmp_path, settings).values()
    assert "soup £2.80" in found.page_content and "Please use" not in found.page_content


def test_head_and_text(tmp_path: Path, settings: Settings) -> None:
    message = mail("Bücher 本", "Die Größe ist 40.\n", html="<p>The page</p>")
    found = read(message.as_bytes(), tmp_path, settings)
    assert [item.page_content.split("\n") for item in found.values()] == [
        [
            *("From: Jörg <j@example.org>", "To: ann@example.org", "Date: Mon, 23 Nov 2026 09:00:00 +0100"),
            *("Subject: Bücher 本", "", "Die Größe ist 40."),
        ]
    ]
    assert list(found) == ["Bücher 本"]


def test_a_page_where_there_is_no_plain_text(tmp_path: Path, settings: Settings) -> None:
    message = mail("x", "")
    message.set_content(
        "<style>p{}</style><h1>Hi</h1><p>The price is <b>18</b></p><script>s()</script>", subtype="html"
    )
    (document,) = read(message.as_bytes(), tmp_path, settings).values()
    assert document.page_content.endswith("Subject: x\n\nHi\nThe price is 18")


@pytest.mark.parametrize(
    ("charset", "encoding", "noted"),
    [("; charset=koi8-r", "koi8_r", False), ("", "koi8_r", True), ("", "utf-8", False)],
)
def test_encoding_of_the_text(charset: str, encoding: str, noted: bool, tmp_path: Path, settings: Settings) -> None:
    head = f"From: x@example.org\r\nSubject: s\r\nContent-Type: text/plain{charset}\r\n\r\n".encode()
    (document,) = read(head + "Привет, как дела сегодня утром".encode(encoding), tmp_path, settings).values()
    assert document.page_content.endswith("Привет, как дела сегодня утром")
    assert ("notes" in document.metadata) == noted


def test_a_text_in_an_encoding_that_cannot_be_told_is_left_out(tmp_path: Path, settings: Settings) -> None:
    head = b"From: x@example.org\r\nSubject: s\r\nContent-Type: text/plain\r\n\r\n"
    (document,) = read(head + "ťřď ěšč".encode("iso8859_2"), tmp_path, settings).values()
    assert document.page_content == "From: x@example.org\nSubject: s"
    (note,) = document.metadata["notes"]
    assert note.startswith("left out: the text of the mail (its encoding cannot be told")


def test_attachments_are_documents_of_their_own(tmp_path: Path, settings: Settings) -> None:
    message = mail("Sales", "See the files.")
    for name, data in {
        "sales.csv": b"Ort;Wert\nKiel;1,5\n",
        "letter.docx": word("Dear Ann,"),
        "papers.zip": archive(note_md=b"# Note\n\nIn the archive.", run_exe=b"MZ"),
        "tool.exe": b"MZ\x90",
    }.items():
        message.add_attachment(data, maintype="application", subtype="octet-stream", filename=name)
    message.add_attachment(b"a,b\n1,2", maintype="text", subtype="csv", filename="sales.csv")
    message.add_attachment(mail("Inner", "A mail within."))
    found = read(message.as_bytes(), tmp_path, settings)
    assert list(found) == [
        *("Sales", "a.eml/sales.csv", "a.eml/letter.docx", "a.eml/papers.zip/note.md", "a.eml/sales.csv (2)"),
        "a.eml/Inner.eml",
    ]
    assert found["a.eml/sales.csv"].page_content == "Ort: Kiel | Wert: 1,5"
    assert "A mail within." in found["a.eml/Inner.eml"].page_content
    assert set(found["Sales"].metadata["notes"]) == {
        "papers.zip: left out: run.exe (its type cannot be read)",
        "left out: tool.exe (its type cannot be read)",
        "letter.docx: 1 table",
    }
    assert all("notes" not in item.metadata for title, item in found.items() if title != "Sales")


def test_a_mail_of_outlook(tmp_path: Path, settings: Settings) -> None:
    texts = {"0037": "Harvest date", "1000": "The harvest begins\r\non 9 September.", "001A": "IPM.Note"}
    (tmp_path / "a.msg").write_bytes(outlook(texts))
    document = load(tmp_path / "a.msg", settings)
    assert document.page_content == "Subject: Harvest date\n\nThe harvest begins\non 9 September."
    assert document.metadata["title"] == "Harvest date"


def test_what_is_no_mail_is_refused(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.eml").write_text("Just some text.\n\nNo headers.", encoding="utf-8")
    assert "not a mail" in reason(tmp_path / "a.eml", settings)
    (tmp_path / "a.msg").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "seems to be a PNG image" in reason(tmp_path / "a.msg", settings)
    (tmp_path / "b.msg").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 999)
    assert "damaged" in reason(tmp_path / "b.msg", settings)
    (tmp_path / "c.msg").write_text("text", encoding="utf-8")
    assert "no mail of Outlook" in reason(tmp_path / "c.msg", settings)


def test_mails_within_mails_and_many_parts_are_bounded(tmp_path: Path, settings: Settings) -> None:
    message = mail("0", "innermost")
    for number in range(1, 8):
        outer = mail(str(number), f"level {number}")
        outer.add_attachment(message)
        message = outer
    found = read(message.as_bytes(), tmp_path, settings)
    assert len(found) == 4 and "too many files in one another" in str(found["7"].metadata["notes"])
    parts = b"".join(b"--x\r\nContent-Type: text/plain\r\n\r\npart\r\n" for _ in range(5000))
    head = b'From: a@example.org\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary="x"\r\n\r\n'
    (document,) = read(head + parts + b"--x--", tmp_path, settings).values()
    assert document.page_content.count("part") < 1001 and "after the first" in document.metadata["notes"][0]
    deep = head + b'--x\r\nContent-Type: multipart/mixed; boundary="x"\r\n\r\n' * 3000 + b"text"
    (tmp_path / "a.eml").write_bytes(deep)
    try:
        assert load(tmp_path / "a.eml", settings).page_content
    except Exception as error:
        assert "damaged" in str(error)


def test_a_mailbox_is_its_mails_each_below_its_subject_sender_and_day(tmp_path: Path, settings: Settings) -> None:
    attached = mail("Minutes", "The minutes are attached.")
    attached.add_attachment(b"# Vote\n\nThe vote was 24 to 33.", "text", "markdown", filename="vote.md")
    mails = [
        mail("Pump", "The pump is out.\n\nPlease water by hand."),
        attached,
        mail("", "", html="<p>No<b>w</b>.</p>"),
    ]
    path = tmp_path / "list.mbox"
    path.write_bytes(b"\n".join(b"From j@example.org Mon Nov 23 08:00:00 2026\n" + bytes(each) for each in mails))
    first, vote = load_source(str(path), settings, private=True).documents
    assert (first.metadata["title"], vote.metadata["title"]) == ("list.mbox", "list.mbox/vote.md")
    heads = [path[-1] for _, path, _ in first.metadata["sections"]]
    assert heads == ["Pump (Jörg, 2026-11-23)", "Minutes (Jörg, 2026-11-23)", "Mail (Jörg, 2026-11-23)"]
    assert first.page_content.startswith(
        "Pump (Jörg, 2026-11-23)\n\nThe pump is out.\n\nPlease water by hand.\n\nMinutes ("
    )
    assert first.page_content.endswith("Now.") and "multipart" not in first.page_content
    path.write_text("There is no mail in it.")
    assert reason(path, settings) == "the file is not a mailbox: no mail begins in it"
