"""Headings of plain text: which lines are some, what is made of them, and what is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.answers.quotes.quotable import quotable
from rag.library.records import Record
from rag.library.revisions import Made
from rag.library.splitter import split_documents
from rag.settings import Settings
from rag.sources.outline import MARK
from rag.sources.plain.plain_headings import mark_headings
from tests.files import load

PROSE = "The dryer weighs 51 kg, so that two people are needed to carry it up the stairs."


def headings(text: str) -> list[tuple[int, str]]:
    marked, marks, _ = mark_headings(text)
    assert marked.replace(MARK, "") == text
    names = [line.partition(MARK)[2] for line in marked.split("\n") if MARK in line]
    return [(level, name) for (level, _), name in zip(marks, names, strict=True)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"Water\n\n{PROSE}", [(1, "Water")]),
        (
            f"Contrato\n\nArtículo 1.\n\n{PROSE}\n\n§ 2 Preis.\n\n{PROSE}",
            [(1, "Contrato"), (2, "Artículo 1."), (2, "§ 2 Preis.")],
        ),
        (f"{PROSE}\n\nWater\n\n{PROSE}", [(2, "Water")]),
        (f"NORDAL H3 DRYER\nInstructions for use\n\nWater\n\n{PROSE}", [(1, "NORDAL H3 DRYER"), (2, "Water")]),
        (f"PILOT LOG\nkept by Piet\n\n{PROSE}", [(1, "PILOT LOG")]),
        (f"{PROSE}\n\nRules\n- No smoking.\n- No dogs.", [(2, "Rules")]),
        (f"{PROSE}\n\nKey facts\nObjects: 23,640\nInsurer: Corvus", [(2, "Key facts")]),
        (f"{PROSE}\n\nWeek 1 (6-10 May)\n{PROSE}", [(2, "Week 1 (6-10 May)")]),
        (f"{PROSE}\n\nTitle\n=====\n{PROSE}", [(2, "Title")]),
        (f"{PROSE}\n\n  1. Scope.\n\n{PROSE}\n\n  1.2. Terms\n\n{PROSE}", [(2, "1. Scope."), (3, "1.2. Terms")]),
        (f"{PROSE}\n\nPART ONE\n\nThe house\n\n{PROSE}", [(2, "PART ONE"), (3, "The house")]),
        (
            f"{PROSE}\n\nChapter 1\nThe first light\n\n{PROSE}\n\nChapter 2\nThe builders\n\n{PROSE}",
            [(2, "Chapter 1"), (3, "The first light"), (2, "Chapter 2"), (3, "The builders")],
        ),
        (f"{PROSE}\n\n{' ' * 28}Preamble\n\n{PROSE}", [(2, "Preamble")]),
        (
            f"1. One\n\n   {PROSE}\n\n2. Two\n\n   CONNECT example\n\n   {PROSE}\n\n3. Three\n\n   {PROSE}",
            [(1, "1. One"), (2, "2. Two"), (2, "3. Three")],
        ),
        (f"{PROSE}\n\n保修\n\n{PROSE}", [(2, "保修")]),
        (
            "NAME\n       mend - repair a net\n\nOPTIONS\n       --knot <size>\n           How large a knot is.\n\n"
            "SEE ALSO\n\n       weave(1)\n\n   A smaller heading\n       Nothing more is to be said of it.",
            [(2, "NAME"), (2, "OPTIONS"), (2, "SEE ALSO")],
        ),
        (
            f"{PROSE}\n\nINSTALLING\n  make install\n\nRUNNING\n  mend net\n\nARTICLE IV\n  of the licence",
            [(2, "INSTALLING"), (2, "RUNNING"), (2, "ARTICLE IV")],
        ),
        (
            f"{PROSE}\n\n   Rotation\n       rotate count\n           Log files are kept count times.\n\n"
            "       olddir directory\n           Logs are moved into the directory.\n\n   Frequency\n"
            "       hourly\n       daily\n           Log files are rotated so often.\n\n"
            "           Further down it is told how.\n\n       The size is looked at first.\n\n"
            "       minsize size\n           Smaller files are left alone.\n\n   Mail\n       mail address\n"
            "           Logs are mailed to it.\n\n   Scripts\n       firstaction\n           Runs before all others.",
            [
                (7, "Rotation"),
                (8, "rotate count"),
                (8, "olddir directory"),
                (7, "Frequency"),
                (8, "hourly"),
                (8, "daily"),
                (9, "The size is looked at first."),
                (8, "minsize size"),
                (7, "Mail"),
                (8, "mail address"),
                (7, "Scripts"),
                (8, "firstaction"),
            ],
        ),
    ],
)
def test_headings(text: str, found: list[tuple[int, str]]) -> None:
    assert headings(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Milk\n\nEggs\n\nBread\n\nButter",
        "The sun did not shine\nIt was too wet to play\n\nSo we sat in the house\nAll that cold wet day",
        f"This line was wrapped where the\npage ended, in the middle of a sentence.\n\n{PROSE}",
        f"{PROSE}\n\nThat is all.\n\n{PROSE}",
        f"{PROSE}\n\nThe fair is on Saturday 14 June.\n\n{PROSE}",
        f"{PROSE}\n\nDear Mr Smith,\n\n{PROSE}",
        f"{PROSE}\n\nYours sincerely\n\nJohn Smith",
        f"{PROSE}\n\n2006-01-27\n\n{PROSE}",
        f"{PROSE}\n\n    code = indented\n\n{PROSE}",
        f"{PROSE}\n\nName    Price    Stock\n\n{PROSE}",
        f"{PROSE}\n\nSee https://example.org/all\n\n{PROSE}",
        f"{PROSE}\n\nCopyright (c) 2013 Ann Berg\n\n{PROSE}",
        f"{PROSE}\n\nFielding, et al.            Standards Track                   [Page 1]\n\n{PROSE}",
        f"{PROSE}\n\nBUGS\n    none\n\nSEE ALSO\n    weave",
        f"{PROSE}\n\nSELECT\n    name\nFROM\n    nets\nWHERE\n    size > 3\n\nPRINT\n    it\n\nSTOP!\n    it",
        f"{PROSE}\n\n" + "\n\n".join(f"{name}\n    Mend it" for name in ["ANNA", "BEN", "CARL"] * 3),
        f"{PROSE}\n\n" + "\n\n".join(f"    {name}\n        Mend it" for name in ["ANNA", "BEN", "CARL"]),
        "10:02 Anna joined\n10:03 Ben joined\n10:05 Anna left",
        f"{PROSE}\n\n"
        + "\n".join(f"The sun of day {day} did not shine\n    It was too wet to play" for day in "abcdef"),
        f"{PROSE}\n\n  for host in a\n     ssh $host date\n  then\n     echo it is done\n  else\n     echo no\n  fi",
    ],
)
def test_no_headings(text: str) -> None:
    assert headings(text) == []


def test_a_text_file_has_sections_and_its_own_title(tmp_path: Path, settings: Settings) -> None:
    text = f"NORDAL H3 DRYER\n\nWater\n\n{PROSE}\n\nFaults\nF01: door not closed\nF03: container full"
    (tmp_path / "dryer.txt").write_text(text, encoding="utf-8")
    document = load(tmp_path / "dryer.txt", settings)
    assert document.page_content == text
    assert document.metadata["title"] == "NORDAL H3 DRYER"
    assert [path for _, path, _ in document.metadata["sections"]] == [[], ["Water"], ["Faults"]]


def test_headings_are_no_quotes() -> None:
    metadata = {"title": "Nordal dryer manual", "section": "Before you begin with it"}
    passage = Document(f"Nordal dryer manual\n\nBefore you begin with it\n\n{PROSE}", metadata=metadata)
    found = list(quotable([passage]))
    assert [passage.page_content[each.segment.start : each.segment.end] for each in found] == [PROSE]
    assert found[0].heading == "Before you begin with it"


def test_headings_amid_a_passage_are_no_quotes(tmp_path: Path, settings: Settings) -> None:
    text = (
        "Maple Street School\nNewsletter No. 14, 9 May 2025\n\nDear parents and carers,\n\n"
        "The fair is on Saturday 14 June.\n\n"
        "1. What to bring to it\nA cake for the stall, and a chair if you want to sit down for the songs.\n\n"
        "2. Who to ask about the choir\nMs Brandt leads the choir from September on, since Mr Okafor moves to Leeds.\n"
    )
    (tmp_path / "letter.txt").write_text(text, encoding="utf-8")
    document = load(tmp_path / "letter.txt", settings)
    record = Record("letter.txt", "letter", [(document.page_content, document.metadata)])
    made = split_documents(record, Made("paper", 1000, 200), None, [])
    assert [chunk.metadata["headings"] for chunk in made] == [
        ["1. What to bring to it"],
        ["2. Who to ask about the choir"],
    ]
    quotes = list(quotable(made))
    begin = [made[each.passage - 1].page_content[each.segment.start : each.segment.end].split()[0] for each in quotes]
    assert begin == ["Newsletter", "The", "A", "Ms"]
    assert quotes[-1].heading == "2. Who to ask about the choir"
