"""Calendars and address cards: a line for each event and each person."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.settings import Settings
from tests.files import load, reason


def lines(folder: Path, name: str, text: str, settings: Settings) -> list[str]:
    (folder / name).write_bytes(text.replace("\n", "\r\n").encode())
    return load(folder / name, settings).page_content.split("\n")


def calendar(inner: str, kind: str = "VEVENT") -> str:
    return f"BEGIN:VCALENDAR\nX-WR-CALNAME:Rowing\nBEGIN:{kind}\n{inner}\nEND:{kind}\nEND:VCALENDAR\n"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (
            "DTSTART;TZID=Europe/Berlin:20240504T193000\nDTEND;TZID=Europe/Berlin:20240504T210000\n"
            "SUMMARY:Regatta\\, first heat\nLOCATION:Pier 3\nDESCRIPTION:Bring vests.\\n"
            "Park beh\n ind the mill\\; no dogs.",
            "Event: Regatta, first heat | Date: 4 May 2024 | Weekday: Saturday | Time: 19:30 to 21:00 (Europe/Berlin)"
            " | Place: Pier 3 | Description: Bring vests. Park behind the mill; no dogs.",
        ),
        (
            "DTSTART;VALUE=DATE:20250414\nDTEND;VALUE=DATE:20250426\nSUMMARY:Holidays",
            "Event: Holidays | Date: 14 April 2025 | Weekday: Monday | Until: 25 April 2025",
        ),
        (
            "DTSTART;VALUE=DATE:20251225\nDTEND;VALUE=DATE:20251226\nSUMMARY;LANGUAGE=en:Closed\n"
            "BEGIN:VALARM\nDESCRIPTION:Reminder\nEND:VALARM\nSTATUS:CONFIRMED",
            "Event: Closed | Date: 25 December 2025 | Weekday: Thursday | Status: CONFIRMED",
        ),
        (
            "DTSTART;VALUE=DATE:00010101\nDTEND;VALUE=DATE:00010101\nSUMMARY:Birth",
            "Event: Birth | Date: 1 January 1 | Weekday: Monday",
        ),
        (
            "DTSTART:20240504T080000Z\nSUMMARY:Call\nRRULE:FREQ=MONTHLY;INTERVAL=2;BYDAY=1SA,-1SU;COUNT=5\n"
            'ORGANIZER;CN="Hale; Ruth":mailto:r@e.example\nATTENDEE:mailto:tom@e.example',
            "Event: Call | Date: 4 May 2024 | Weekday: Saturday | Time: 08:00 (UTC)"
            " | Repeats: every 2 months on first Saturday, last Sunday, 5 times"
            " | Organizer: Hale; Ruth | With: tom@e.example",
        ),
    ],
)
def test_an_event_is_a_line_with_its_date_in_words(
    inner: str, expected: str, tmp_path: Path, settings: Settings
) -> None:
    assert lines(tmp_path, "a.ics", calendar(inner), settings) == [expected]


def test_a_calendar_has_its_own_name_and_its_tasks(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "a.ics").write_text(calendar("SUMMARY:Buy oars\nDUE;VALUE=DATE:20240401", "VTODO"))
    document = load(tmp_path / "a.ics", settings)
    assert document.page_content == "Task: Buy oars | Due: 1 April 2024"
    assert document.metadata["title"] == "Rowing"
    (tmp_path / "b.ics").write_text("BEGIN:VCALENDAR\nVERSION:2.0\nEND:VCALENDAR\n")
    assert reason(tmp_path / "b.ics", settings) == "there is no event in it"


def test_a_card_is_a_line_of_what_it_tells_of_a_person(tmp_path: Path, settings: Settings) -> None:
    text = (
        "BEGIN:VCARD\nVERSION:3.0\nN:Hale;Ruth;;Dr.;\nFN:Dr. Ruth Hale\nORG:Rowing club;Board\nTEL;TYPE=CELL:+44 77\n"
        "TEL;TYPE=WORK,VOICE:01432 99\nitem1.EMAIL:ruth@e.example\nADR;TYPE=HOME:;;Mill Lane 4;Bath;;BA1 2XY;UK\n"
        "BDAY:19710602\nNOTE:Prefers calls\\, not\n  mails.\nPHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSk\n ZJRg\nEND:VCARD\n"
        "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BC=\nller;J=C3=BCrgen\n"
        "TEL;HOME:0221 5551\nEND:VCARD\n"
    )
    assert lines(tmp_path, "a.vcf", text, settings) == [
        "Name: Dr. Ruth Hale | Organization: Rowing club, Board | Phone (cell): +44 77 | Phone (work): 01432 99"
        " | Email: ruth@e.example | Address (home): Mill Lane 4, Bath, BA1 2XY, UK | Birthday: 2 June 1971"
        " | Note: Prefers calls, not mails.",
        "Name: Jürgen Müller | Phone (home): 0221 5551",
    ]
