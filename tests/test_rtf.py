"""RTF: headings, tables, notes and signs of every alphabet."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.settings import Settings
from tests.files import check, load, put

CASES = Path(__file__).parent / "data" / "cases"
FONTS = (
    r"{\fonttbl{\f0\fswiss\fcharset0 Arial;}{\f1\fcharset204 Arial CYR;}{\f2\fcharset128 MS Mincho;}"
    r"{\f3\fcharset2 Symbol;}}{\stylesheet{\s0 Normal;}{\s1 heading 1;}{\s2\outlinelevel1 Mine;}{\*\cs9 strong;}}"
)


def text_of(content: str, folder: Path, settings: Settings) -> str:
    data = rf"{{\rtf1\ansi\ansicpg1252\deff0{FONTS}{content}}}".encode("latin-1")
    document = load(put(folder, "a.rtf", data), settings)
    check(document)
    return document.page_content


def test_case_of_the_memo(settings: Settings) -> None:
    assert load(CASES / "othertypes" / "memo.rtf", settings).page_content == "The lighthouse was built in 1871."


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (r"J\'f6rg \endash  \ldblquote hi\rdblquote\~x\par", "Jörg – “hi”\u00a0x"),
        (r"{\f1 \'cf\'f0\'e8\'e2\'e5\'f2} {\f2 \'83\'41\'83B}\par", "Привет アィ"),
        (r"\u8364?5 \uc2\u228\'c3\'a4 \uc1\u-10179?\u-8704?\par", "€5 ä 😀"),
        (r"{\f3 a} rays\par", "α rays"),
        (r"a{\deleted gone}{\revised new}{\v hidden}b\par", "anewb"),
        (r"a{\strike old}{\striked1 older}\strike lost\strike0 b\par", "ab"),
        (r'{\field{\*\fldinst HYPERLINK "http://x"}{\fldrslt a link}}\par', "a link"),
        (r"x{\pict\wmetafile8 0102}y{\pict\bin4 {}\}z}w\par", "xyw"),
        (r"{\upr{no}{\*\ud{yes}}} {\*\unknown no}end\par", "yes end"),
        (r"one\line two\par\par three\par", "one\ntwo\n\nthree"),
        (r"{\listtext 1.\tab}Sign.\par", "1.\tSign."),
        (r"Text{\footnote \pard By the board.\par}.\par Next\par", "Text [1].\n\n[1] By the board.\n\nNext"),
        (r"Sum{\*\atnauthor Ann}{\*\annotation \pard Too high\par}\par", "Sum\n\nComment by Ann: Too high"),
        (r"{\shp{\*\shpinst{\sp{\sn n}{\sv 1}}{\shptxt \pard In the box\par}}{\shprslt no}}By\par", "By\n\nIn the box"),
        (r"a{\*\annotation One}{\footnote Two}b\par", "a [1]b\n\nComment: One\n\n[1] Two"),
        (r"{\header \pard KX\par}Body\par{\footerf \pard Foot\par}", "Page header: KX\n\nBody\n\nPage footer: Foot"),
    ],
)  # fmt: skip
def test_text(content: str, text: str, tmp_path: Path, settings: Settings) -> None:
    assert text_of(content, tmp_path, settings) == text


def test_headings_are_sections(tmp_path: Path, settings: Settings) -> None:
    content = rf"{{\rtf1\ansi{FONTS}\pard\s1 One\par\pard\plain a\par\pard\s2 Two\par\pard b\par}}"
    document = load(put(tmp_path, "a.rtf", content.encode()), settings)
    check(document)
    assert [path for _, path, _ in document.metadata["sections"]] == [["One"], ["One", "Two"]]


def test_tables(tmp_path: Path, settings: Settings) -> None:
    rows = (
        r"\trowd\trhdr\cellx1\cellx2\cellx3 \pard\intbl Unit\cell Rent\cell From\cell\row"
        r"\trowd\clvmgf\cellx1\cellx2\cellx3 \pard\intbl A1\cell 1,200\cell May\cell\row"
        r"\trowd\clvmrg\cellx1\clmgf\cellx2\clmrg\cellx3 \pard\intbl \cell none\par yet\cell\cell\row"
    )
    assert text_of(rf"{rows}\pard After.\par", tmp_path, settings).split("\n") == [
        *("Unit: A1 | Rent: 1,200 | From: May", "Unit: A1 | Rent: none yet | From: none yet", "", "After.")
    ]


@pytest.mark.parametrize(
    "content",
    [r"{" * 200_000 + "deep", r"ok\par" + "}" * 1000 + "after", r"ok\bin99999999999 x", r"ok\u99999999999 \par"],
    ids=["deep", "closed", "long", "no character"],
)
def test_hostile(content: str, tmp_path: Path, settings: Settings) -> None:
    assert text_of(r"first\par " + content, tmp_path, settings).startswith("first")
