"""Calendars (.ics, RFC 5545) and address cards (.vcf, RFC 6350) become documents: a line for each event or person."""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from langchain_core.documents import Document

from rag.sources.formats import Job, Unreadable
from rag.sources.html.inline import text_of_html
from rag.sources.outline import plain
from rag.sources.plain.encoding import text_of
from rag.sources.tables import SEPARATOR, cell_text

_LINE = re.compile(r'(?:[\w-]+\.)?([\w-]+)((?:;(?:[^:;"]|"[^"]*")*)*):(.*)', re.DOTALL)
_ESCAPED = re.compile(r"\\([\\;,:nN])")
_DATE = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d)(?::?\d\d)?(Z?))?")
_ENTRIES = {"VEVENT": "Event", "VTODO": "Task", "VJOURNAL": "Entry"}
_UNITS = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year", "HOURLY": "hour"}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAYS = {day[:2].upper(): day for day in _WEEKDAYS}
_FIRST_HALF = ("January", "February", "March", "April", "May", "June")
_MONTHS = (*_FIRST_HALF, "July", "August", "September", "October", "November", "December")
_NUMBERED = {"1": "first", "2": "second", "3": "third", "4": "fourth", "-1": "last"}
_EVENT_NAMES = {"LOCATION": "Place", "DESCRIPTION": "Description", "CATEGORIES": "Categories", "STATUS": "Status"}
_CARD_NAMES = {
    "NICKNAME": "Nickname",
    "ORG": "Organization",
    "TITLE": "Title",
    "ROLE": "Role",
    "TEL": "Phone",
    "EMAIL": "Email",
    "ADR": "Address",
    "BDAY": "Birthday",
    "ANNIVERSARY": "Anniversary",
    "URL": "Web",
    "NOTE": "Note",
    "CATEGORIES": "Categories",
}
_KINDS_OF_PLACE = ("cell", "home", "work", "fax", "mobile", "main")


class _Property(NamedTuple):
    """A property of an event or a card: its name in capitals, its parameters and its value."""

    name: str
    parameters: str
    value: str

    @property
    def text(self) -> str:
        """The value in one line, without escapes and tags."""
        text = _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], self.value)
        return cell_text(text_of_html(text))

    @property
    def parts(self) -> str:
        """The parts of a value, as of an address, with commas between them."""
        parts = re.split(r"(?<!\\);", self.value)
        return ", ".join(filter(None, (_Property("", "", part).text for part in parts)))

    def parameter(self, name: str) -> str:
        """The value of a parameter; "" if it has none."""
        found = re.search(rf';{name}=(?:"([^"]*)"|([^;]*))', self.parameters, re.IGNORECASE)
        return (found[1] or found[2] or "") if found else ""


def read_calendar(job: Job) -> Iterator[Document]:
    """A calendar as one document: a line for each event, task or entry, with its date in words.

    Raises:
        Unreadable: there is no event in it.
    """
    lines, title = [], ""
    for kind, properties in _components(text_of(job)):
        if kind == "VCALENDAR":
            title = title or next((item.text for item in properties if item.name in ("X-WR-CALNAME", "NAME")), "")
        elif kind in _ENTRIES:
            lines.append(_event_line(_ENTRIES[kind], properties))
    yield _document(job, lines, title or job.stem, "event")


def read_cards(job: Job) -> Iterator[Document]:
    """Address cards as one document: a line for each person.

    Raises:
        Unreadable: there is no card in it.
    """
    lines = [_card_line(properties) for kind, properties in _components(text_of(job)) if kind == "VCARD"]
    yield _document(job, lines, job.stem, "card")


def _document(job: Job, lines: Iterable[str], title: str, what: str) -> Document:
    told = list(filter(None, lines))
    if not told:
        raise Unreadable(f"there is no {what} in it")
    return job.document("\n".join(told), [], title)


def _components(text: str) -> Iterator[tuple[str, list[_Property]]]:
    """Each event, card and calendar with the properties of its own, in the order of their ends."""
    open_ones: list[tuple[str, list[_Property]]] = []
    for line in _unfolded(plain(text)):
        found = _LINE.fullmatch(line)
        if not found:
            continue
        item = _Property(found[1].upper(), found[2], found[3].strip())
        if item.name == "BEGIN":
            open_ones.append((item.value.upper(), []))
        elif item.name == "END" and open_ones:
            yield open_ones.pop()
        elif open_ones:
            if "QUOTED-PRINTABLE" in item.parameters.upper():
                raw = quopri.decodestring(item.value.encode("utf-8", "ignore"))
                item = item._replace(value=raw.decode(_charset(item), "replace"))
            open_ones[-1][1].append(item)
    yield from reversed(open_ones)


def _charset(item: _Property) -> str:
    charset = item.parameter("CHARSET").lower()
    return charset if charset in ("iso-8859-1", "iso-8859-15", "windows-1252", "shift_jis", "gb2312") else "utf-8"


def _unfolded(text: str) -> list[str]:
    """The lines, those joined that were folded: the next one begins with a blank, or "=" ends one of version 2.1."""
    lines: list[list[str]] = []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        last = lines[-1] if lines else [""]
        if last[-1].endswith("=") and "QUOTED-PRINTABLE" in last[0].partition(":")[0].upper():
            last[-1] = last[-1][:-1]
            last.append(line.strip())
        elif line[:1] in (" ", "\t") and lines:
            last.append(line[1:])
        else:
            lines.append([line])
    return list(map("".join, lines))


def _event_line(kind: str, properties: list[_Property]) -> str:
    own = {item.name: item for item in reversed(properties)}
    if not own.keys() & {"SUMMARY", "DESCRIPTION", "DTSTART"}:
        return ""
    pairs = [(kind, own["SUMMARY"].text if "SUMMARY" in own else "without a name"), *_times(own)]
    if "RRULE" in own:
        pairs.append(("Repeats", _repeats(own["RRULE"].value)))
    pairs += [(name, own[key].text) for key, name in _EVENT_NAMES.items() if key in own]
    people = [(item.name, item.parameter("CN") or item.value.removeprefix("mailto:")) for item in properties]
    pairs += [
        (shown, ", ".join(dict.fromkeys(person for name, person in people if name == key)))
        for key, shown in (("ORGANIZER", "Organizer"), ("ATTENDEE", "With"))
    ]
    return SEPARATOR.join(f"{name}: {value}" for name, value in pairs if value)


def _times(own: dict[str, _Property]) -> Iterator[tuple[str, str]]:
    """The date in words, its day of the week, its hours, and the last day where it is another one."""
    first, last = (_date(own.get(name)) for name in ("DTSTART", "DTEND"))
    if first:
        begin, timed, zone = first
        yield "Date", _in_words(begin)
        yield "Weekday", _WEEKDAYS[begin.weekday()]
        end = last[0] if last else begin
        if last and not last[1]:  # the day after the last one is given
            end = max(begin, end - timedelta(days=1)) if end > begin else begin
        if end.date() != begin.date():
            yield "Until", _in_words(end)
        if timed:
            hours = f"{begin:%H:%M} to {end:%H:%M}" if last and last[1] and end != begin else f"{begin:%H:%M}"
            yield "Time", f"{hours} ({zone})" if zone else hours
    if due := _date(own.get("DUE")):
        yield "Due", _in_words(due[0])


def _date(item: _Property | None) -> tuple[datetime, bool, str] | None:
    """A date, whether it has a time, and its zone."""
    found = _DATE.match(item.value) if item else None
    if not found or not item:
        return None
    year, month, day, hour, minute = (int(part or 0) for part in found.groups()[:5])
    try:
        at = datetime(year, month, day, hour, minute)
    except ValueError:
        return None
    return at, found[4] is not None, "UTC" if found[6] else item.parameter("TZID")


def _in_words(date: datetime) -> str:
    return f"{date.day} {_MONTHS[date.month - 1]} {date.year}"


def _repeats(rule: str) -> str:
    """A rule of repetition in words: every 2 weeks on Saturday until 30 June 2024."""
    parts = dict(part.split("=", 1) for part in rule.upper().split(";") if "=" in part)
    unit, number = _UNITS.get(parts.get("FREQ", "")), parts.get("INTERVAL", "1")
    if not unit:
        return ""
    told = f"every {unit}" if number == "1" else f"every {number} {unit}s"
    days = []
    for day in parts.get("BYDAY", "").split(","):
        if name := _DAYS.get(day[-2:]):
            days.append(f"{_NUMBERED.get(day[:-2].lstrip('+'), '')} {name}".strip())
    if days:
        told += f" on {', '.join(days)}"
    if parts.get("COUNT", "").isdecimal():
        told += f", {parts['COUNT']} times"
    until = _date(_Property("UNTIL", "", parts.get("UNTIL", "")))
    return f"{told} until {_in_words(until[0])}" if until else told


def _card_line(properties: list[_Property]) -> str:
    own = {item.name: item for item in reversed(properties)}
    name = own["FN"].text if "FN" in own else ""
    if not name and "N" in own:
        parts = [*re.split(r"(?<!\\);", own["N"].value), "", "", "", "", ""][:5]
        last, first, middle, before, after = (_Property("", "", part).text for part in parts)
        name = " ".join(filter(None, (before, first, middle, last, after)))
    pairs = [("Name", name)] if name else []
    for key, shown in _CARD_NAMES.items():
        for item in properties:
            if item.name == key:
                kinds = item.parameters.lower()
                place = next((word for word in _KINDS_OF_PLACE if re.search(rf"\b{word}\b", kinds)), "")
                date = _date(item) if key in ("BDAY", "ANNIVERSARY") else None
                value = _in_words(date[0]) if date else item.parts.removeprefix("tel:")
                pairs.append((f"{shown} ({place})" if place and key in ("TEL", "EMAIL", "ADR") else shown, value))
    return SEPARATOR.join(f"{name}: {value}" for name, value in dict.fromkeys(pairs) if value)
