"""Line breaks that wrap a sentence, and those that do not."""

from __future__ import annotations

import textwrap

import pytest
from langchain_core.documents import Document

from rag.answers.quotes.quotable import quotable
from rag.answers.quotes.quote import Quote
from rag.text.sentences import split_sentences
from rag.text.wraps import unwrap

STORY = (
    "The harbour office keeps a record of every boat that enters between dusk and dawn. Its books go back to 1871, when"
    " Ann Berg was made harbour master after the great storm. Visitors may read them on the first Sunday of a month,"
    " unless the tide stands above four metres."
)
SENTENCES = [each if each.endswith(".") else f"{each}." for each in STORY.split(". ")]


@pytest.mark.parametrize("width", [45, 60, 72, 100])
@pytest.mark.parametrize("indent", ["", "   "])
def test_a_wrapped_paragraph_has_its_sentences(width: int, indent: str) -> None:
    text = textwrap.fill(STORY, width, initial_indent=indent, subsequent_indent=indent)
    assert text.count("\n") >= 2
    assert split_sentences(f"Harbour\n\n{text}\n\nThe end") == ["Harbour", *SENTENCES, "The end"]
    assert len(unwrap(text)) == len(text)


@pytest.mark.parametrize("width", [60, 72, 100])
def test_a_passage_that_begins_without_its_indent_is_one_paragraph(width: int) -> None:
    text = textwrap.fill(STORY, width, initial_indent="       ", subsequent_indent="       ").lstrip()
    assert split_sentences(text) == SENTENCES


@pytest.mark.parametrize("word", ["-c", "**path:**", "--onto", "*every*"])
def test_an_option_or_emphasis_begins_no_item(word: str) -> None:
    story = STORY.replace("first Sunday", f"{word} Sunday")
    wraps = [textwrap.fill(story, width) for width in range(45, 80)]
    (text, *_) = (each for each in wraps if f"\n{word} " in each)
    assert unwrap(text) == story


def test_items_of_a_list_are_wrapped_each_by_itself() -> None:
    items = [textwrap.fill(each, 50, initial_indent="- ", subsequent_indent="  ") for each in SENTENCES]
    unwrapped = unwrap("\n".join(items)).split("\n")
    assert [" ".join(line.split()) for line in unwrapped] == [f"- {each}" for each in SENTENCES]


@pytest.mark.parametrize(
    "text",
    [
        "milk from the farm behind the church\neggs\nbread",
        "The sun did not shine, it was too wet to play,\nSo we sat in the house\nall that cold, cold, wet day",
        "Name: Ann Berg, harbour master of this town\nborn: 1840 in a village on the other side",
        "A row with cells | and more of them in it\nanother row of cells | and yet more in it",
        "benchsuite  grep       tests     Cargo.toml\nci          ignore     wincolor  changelog",
        "```\nprint('a line of code that is rather long')\nand_another_one_that_goes_on = 1\n```",
        "There are three kinds of boat that are let in here:\nferries, fishing boats and the pilot's",
        "The harbour office keeps a record of every boat.\nit is open on Sundays",
        "- the first item of this list is longer than forty\n- the second one is shorter",
        "The first heading of this rather long document\n    indented code below it, on one line",
    ],
)
def test_other_line_breaks_stay(text: str) -> None:
    assert unwrap(text) == text


def test_a_quote_is_one_line_where_its_sentence_is_wrapped() -> None:
    text = textwrap.fill(STORY, 60)
    passage = Document(f"Times:\nMonday 9 to 17\nSunday 10 to 12\n\n{text}")
    (story,) = (
        each for each in quotable([passage]) if "1871" in passage.page_content[each.segment.start : each.segment.end]
    )
    assert Quote(1, story.segment.start, story.segment.end).text([passage]) == SENTENCES[1]
    assert Quote(1, 0, 37).text([passage]) == "Times:\nMonday 9 to 17\nSunday 10 to 12"


def test_a_line_below_the_text_of_an_item_is_of_it() -> None:
    text = (
        "    * Should it be able to run from node modules, ie should files be run from\n      Dependencies.\n    * Next"
    )
    assert unwrap(text) == text.replace("from\n", "from ")
    for other in (
        "    * Short\n      Dependencies.",
        f"{text[:76]}:\n      Dependencies.",
        "* Name\n  Hall Street 5\n  Bath",
    ):
        assert unwrap(other) == other


MANUAL = """\
       logrotate  is  designed to ease administration of systems that generate
       large numbers of log files.  It allows automatic rotation, compression,
       removal,   and   mailing   of   log  files,  each  of  which  may   have
       `daily`   rotation,   or  be  rotated  weekly,  or  when  it has grown."""


def test_justified_text_is_no_table() -> None:
    assert [" ".join(each.split()) for each in split_sentences(MANUAL)] == [
        "logrotate is designed to ease administration of systems that generate large numbers of log files.",
        "It allows automatic rotation, compression, removal, and mailing of log files, each of which may have `daily`"
        " rotation, or be rotated weekly, or when it has grown.",
    ]


def test_rows_with_wide_gaps_stay_rows() -> None:
    rows = [
        "Route of the ferry      Fare of an adult",
        "from Arden to Coll      22.00 in summer alone",
        "and back to Arden       12.00",
    ]
    assert split_sentences("\n".join(rows)) == [" ".join(row.split()) for row in rows]


@pytest.mark.parametrize("mark", ["#", "//", ";", "--", "%"])
def test_comments_over_several_lines_are_sentences(mark: str) -> None:
    comment = ["When a replica loses its connection with the master, it can act in", "two ways. By default it answers."]
    text = "\n".join([*(f"{mark} {line}" for line in comment), "replica-serve-stale-data yes"])
    found = list(quotable([Document(text)]))
    assert [each.words for each in found][:2] == [
        "When a replica loses its connection with the master, it can act in two ways.",
        "By default it answers.",
    ]
    assert Quote(1, found[0].segment.start, found[1].end).text([Document(text)]) == " ".join(comment)


def test_headings_and_code_are_no_comments() -> None:
    code = "```\n# a long comment in a block of code, which\n# goes on\n```"
    (found,) = quotable([Document(f"# Fares of the ferry\n# Times\n\n{code}")])
    assert found.segment.kind == "code"


@pytest.mark.parametrize(
    "lines",
    [
        [
            "2026-05-01 12:00:01 INFO server started and listens on port 80",
            "2026-05-01 12:00:02 INFO client connected from the address 10.0.0.1",
        ],
        ["200 g of flour, sieved through a fine sieve of metal", "100 g of butter, soft, and cut into small pieces"],
        ["7:10 leaves the harbour of Arden for the isle of Coll", "9:45 leaves the isle of Coll for Arden, on Sundays"],
        ["“I have seen the ferry come in at the break of day”", "“And I have seen it leave again before the night”"],
    ],
)
def test_lines_that_begin_alike_are_lines(lines: list[str]) -> None:
    assert split_sentences("\n".join(lines)) == lines


def test_what_is_commented_out_is_not_quoted_as_a_setting() -> None:
    text = "# The default is on, which makes the server listen on all of the addresses.\n# port = 5433\nport = 5432"
    assert not any("5433" in each.words and "#" not in each.words for each in quotable([Document(text)]))
