"""Mails become documents: what their heads and texts say, and their attachments by the readers of these."""

from __future__ import annotations

import email.policy
import mailbox
import mimetypes
import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from email.utils import parseaddr, parsedate_tz
from pathlib import Path, PurePosixPath
from typing import Any

from langchain_core.documents import Document

from rag.sources.formats import Job, Unreadable, ending_of
from rag.sources.html.inline import html_lines
from rag.sources.html.web_page import parse_html
from rag.sources.inside import Inside, Read
from rag.sources.outline import MARK, one_line
from rag.sources.plain.encoding import decode_noted

HEADERS = ("From", "To", "Cc", "Date", "Subject")
_WORD = re.compile(r"[^\W\d_]{2,}|\d+")
_LONGEST_STUB = 600
"""Characters of a plain text that only points to the page beside it, at most."""
MOST_PARTS = 1000
"""Parts of one mail that are looked at."""


def read_mail(job: Job, read: Read) -> Iterator[Document]:
    """A mail, or all mails of a mailbox, as one document, and each attachment as documents of its own."""
    readers = {".msg": _read_outlook, ".mbox": _read_mailbox}
    return readers.get(job.ending, _read_mime)(job, Inside(job, read))


def _read_mime(job: Job, inside: Inside) -> Iterator[Document]:
    """A mail as it is sent (RFC 5322).

    Raises:
        Unreadable: it has no header of a mail.
    """
    told, body, documents = _parts_of(Path(job.path).read_bytes(), job, inside)
    if not any(told.values()):
        raise Unreadable("the file is not a mail: it has no sender, date or subject")
    inside.finish()
    yield _document(job, told, body)
    yield from documents


def _parts_of(data: bytes, job: Job, inside: Inside) -> tuple[dict[str, str], str, list[Document]]:
    """A mail's headers, its text, and the documents that are attached to it."""
    message = BytesParser(policy=email.policy.default).parsebytes(data)
    told = {name: _header(message, name) for name in HEADERS}
    bodies: list[Message] = []
    attached: list[Message] = []
    if not _sort_parts(message, bodies, attached):
        job.notes.append(f"left out: the parts of the mail after the first {MOST_PARTS}")
    documents = [item for part in attached for item in _attachment(part, inside)]
    return told, "\n\n".join(filter(None, (_text_of(part, job.notes) for part in bodies))), documents


def _read_mailbox(job: Job, inside: Inside) -> Iterator[Document]:
    """The mails of a mailbox (mbox, RFC 4155), each below a heading with its subject, its sender and its day.

    Raises:
        Unreadable: it has no mail.
    """
    mails, attached = [], []
    box = mailbox.mbox(job.path, create=False)
    for key in box.iterkeys():
        told, body, documents = _parts_of(box.get_bytes(key), job, inside)
        if any(told.values()):
            heading = one_line(f"{told['Subject'] or 'Mail'} ({_sender_and_day(told)})")
            mails.append(f"{MARK}{heading}\n\n{body.strip()}")
            attached += documents
    inside.finish()
    if not mails:
        raise Unreadable("the file is not a mailbox: no mail begins in it")
    yield job.document("\n\n".join(mails), [(1, "")] * len(mails), job.name)
    yield from attached


def _sender_and_day(told: dict[str, str]) -> str:
    name, address = parseaddr(told["From"])
    day = parsedate_tz(told["Date"])
    return ", ".join(filter(None, (name or address, "{}-{:02}-{:02}".format(*day[:3]) if day else "")))


def _document(job: Job, told: dict[str, str], body: str) -> Document:
    head = "\n".join(f"{name}: {value}" for name, value in told.items() if value)
    return job.document(f"{head}\n\n{body.strip()}", [], told["Subject"] or job.name)


def _header(message: Message, name: str) -> str:
    """A header in words, in one line; the standard library raises many things on damaged ones."""
    try:
        value = str(message.get(name, ""))
    except Exception:  # IndexError, AttributeError, ValueError: whatever its parser meets
        raw = [value for key, value in message.raw_items() if key.lower() == name.lower()]
        value = str(raw[0]) if raw else ""
    return one_line(value)[:2000]


def _sort_parts(message: Message, bodies: list[Message], attached: list[Message]) -> bool:
    """Part a mail's text from what is attached to it; of the forms of one text, take the plain one if it has the text.

    Returns:
        Whether all its parts were looked at.
    """
    waiting: list[Message] = [message]
    for _ in range(MOST_PARTS):
        if not waiting:
            return True
        part = waiting.pop(0)
        kind = part.get_content_type()
        inner = [item for item in part.get_payload() if isinstance(item, Message)] if part.is_multipart() else []
        if kind == "multipart/alternative":
            flat = [item for item in inner if not item.is_multipart()]
            told = [item for item in flat if item.get_content_type() == "text/plain" and _text_of(item)]
            if told and _is_stub("\n".join(map(_text_of, told)), part):
                told = []
            others = [item for item in inner if item.is_multipart()]
            page = [item for item in flat if item.get_content_type() == "text/html"]
            waiting = (told or [*others, *page[-1:]]) + waiting
        elif kind.startswith("multipart/"):
            waiting = inner + waiting
        elif kind == "message/rfc822" or part.get_filename() or part.get_content_disposition() == "attachment":
            attached.append(part)
        elif kind in ("text/plain", "text/html"):
            bodies.append(part)
        elif not kind.startswith("message/"):
            attached.append(part)
    return not waiting


def _is_stub(plain: str, forms: Message) -> bool:
    """Whether the plain form of a text only points to its page, whose words it has not: "This mail is in HTML"."""
    page = next((part for part in forms.walk() if part.get_content_type() == "text/html"), None)
    if page is None or len(plain) > _LONGEST_STUB:
        return False
    shown, told = _words_of(_text_of(page)), _words_of(plain)
    return 2 * len(shown & told) < min(len(shown), len(told)) and len(shown) > len(told)


def _words_of(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}


def _text_of(part: Message, notes: list[str] | None = None) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    html = part.get_content_type() == "text/html"
    charset = str(part.get_content_charset() or "")
    try:
        text, note = decode_noted(data, charset, html=html)
    except Unreadable as error:
        text, note = "", f"left out: the text of the mail ({error})"
    if note and notes is not None:
        notes.append(note)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _html_text(text) if html else text.strip()


def _html_text(html: str) -> str:
    return "\n".join(html_lines(parse_html(html)))


def _attachment(part: Message, inside: Inside) -> Iterator[Document]:
    """The documents of an attachment; a mail within the mail is one, too."""
    kind = part.get_content_type()
    if kind == "message/rfc822":
        inner = part.get_payload()
        message = inner[0] if isinstance(inner, list) and inner else None
        if isinstance(message, Message):
            name = f"{_header(message, 'Subject') or 'mail'}.eml".replace("/", "_")
            yield from _read_inside(inside, name, message.as_bytes(policy=email.policy.compat32), ".eml")
        return
    data = part.get_payload(decode=True)
    ending = _ENDINGS.get(kind) or mimetypes.guess_extension(kind) or ""
    name = str(part.get_filename() or f"attachment{ending}")
    yield from _read_inside(inside, name, data if isinstance(data, bytes) else b"", ending_of(f"x{ending}"))


def _read_inside(inside: Inside, name: str, data: bytes, ending: str) -> Iterator[Document]:
    name = PurePosixPath(name.replace("\\", "/")).name
    if inside.full:
        return inside.leave_out(name, "too many attachments")
    yield from inside.read(name, data, ending=ending)


_ENDINGS = {
    "text/markdown": ".md",
    "text/csv": ".csv",
    "text/calendar": ".ics",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "text/plain": ".txt",
}


def _read_outlook(job: Job, inside: Inside) -> Iterator[Document]:
    """A mail as Outlook keeps it (.msg)."""
    from oxmsg import Message as OutlookMessage

    message: Any = OutlookMessage.load(job.path)
    headers = {str(name).lower(): str(value) for name, value in dict(message.message_headers).items()}
    sent = message.sent_date
    people = [(str(one.name or ""), str(one.email_address or "")) for one in message.recipients]
    shown = "; ".join(f"{name} <{address}>" if address and address != name else name for name, address in people)
    told = {
        "From": str(message.sender or headers.get("from", "")),
        "To": headers.get("to") or shown,
        "Cc": headers.get("cc", ""),
        "Date": headers.get("date") or (str(sent) if sent and sent.year > 1970 else ""),
        "Subject": str(message.subject or headers.get("subject", "")),
    }
    told = {name: one_line(value)[:2000] for name, value in told.items()}
    body = str(message.body or "") or _html_text(str(message.html_body or ""))
    documents = []
    for attachment in message.attachments:
        data = attachment.file_bytes or b""
        documents += list(_read_inside(inside, str(attachment.file_name or "attachment"), data, ""))
    inside.finish()
    yield _document(job, told, body.replace("\r\n", "\n"))
    yield from documents
