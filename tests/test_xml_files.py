"""XML: books, feeds and outlines as texts with headings and lists, data as lines of `key: value`."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.settings import Settings
from rag.sources.loader import section_at
from tests.files import check, load


def read(folder: Path, name: str, text: str, settings: Settings) -> tuple[list[str], list[list[str]]]:
    """The lines of a file, and the path of each of its sections."""
    (folder / name).write_bytes(text.encode("latin-1" if "ISO-8859-1" in text else "utf-8"))
    document = load(folder / name, settings)
    check(document)
    return document.page_content.split("\n"), [path for _, path, _ in document.metadata["sections"]]


BOOK = """<?xml version="1.0"?><FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0"><description><title-info>
<author><first-name>Ilse</first-name><last-name>Brandt</last-name></author><book-title>Ferry</book-title></title-info>
</description><body><title><p>Ferry</p></title>
<section><title><p>One</p></title><p>It left at <emphasis>seven</emphasis>.</p></section>
<section><title><p>Two</p></title><poem><stanza><v>Grey water,</v><v>grey sky.</v></stanza></poem>
</section></body><binary id="c.jpg">/9j/4AAQSkZJRg==</binary></FictionBook>"""
MANUAL = """<article xmlns="http://docbook.org/ns/docbook"><title>Pump</title><section><title>Safety</title><para>Never
run the <emphasis>pump</emphasis> dry.</para><itemizedlist><listitem><para>Wear gloves</para></listitem></itemizedlist>
<section><title>Parts</title><table><tgroup><thead><row><entry>Part</entry><entry>No</entry></row></thead><tbody><row><entry>Seal
</entry><entry>S-11</entry></row></tbody></tgroup></table></section></section></article>"""
FEED = """<rss version="2.0"><channel><title>Harbour</title><item><title>Crane</title><pubDate>Mon, 06 May</pubDate>
<description>&lt;p&gt;It fell into &lt;b&gt;dock 3&lt;/b&gt;.&lt;/p&gt;</description></item><item><title>Pilot</title>
<description>Ruth Hale.</description></item></channel></rss>"""
OUTLINE = """<opml><head><title>Plan</title></head><body><outline text="Trip" _note="In June"><outline text="Ferry"/>
</outline></body></opml>"""


@pytest.mark.parametrize(
    ("name", "text", "lines", "sections"),
    [
        (
            "a.fb2",
            BOOK,
            ["author: Ilse Brandt", "book-title: Ferry", "Ferry", "One", "It left at seven.", "Two",
             "Grey water,", "grey sky."],
            [[], ["One"], ["Two"]],
        ),
        (
            "a.xml",
            MANUAL,
            ["Pump", "Safety", "Never run the pump dry.", "- Wear gloves", "Parts", "Part: Seal | No: S-11"],
            [[], ["Safety"], ["Safety", "Parts"]],
        ),
        (
            "a.rss",
            FEED,
            ["Harbour", "Crane", "pubDate: Mon, 06 May", "It fell into dock 3.", "Pilot", "Ruth Hale."],
            [[], ["Crane"], ["Pilot"]],
        ),
        ("a.opml", OUTLINE, ["Plan", "- Trip: In June", "- Ferry"], [[]]),
        (
            "a.xml",
            '<?xml version="1.0" encoding="ISO-8859-1"?><stock site="Köln"><item sku="K-17"><name>Kettle</name>'
            '<price currency="EUR">39.90</price></item><item sku="T-2"><name>Tent</name></item></stock>',
            [
                "site: Köln",
                "item | sku: K-17 | name: Kettle | price: 39.90 | price.currency: EUR",
                "item | sku: T-2 | name: Tent",
            ],
            [],
        ),
        (
            "a.plist",
            '<plist version="1.0"><dict><key>Name</key><string>A</string><key>Age</key><real>5.5</real></dict></plist>',
            ["Name: A | Age: 5.5"],
            [],
        ),
        ("a.xml", "<a><b>one&nbsp;two</b><c>y</c></a>", ["b: one two | c: y"], []),
        (
            "a.xml",
            '<r><a b="1"><b>2</b><c>x</c></a><a b="3"><b>3</b><a>y</a></a><a>z<a>w</a></a></r>',
            ["a | b: 1, 2 | c: x", "a | b: 3 | a: y", "a | a: z, w"],
            [],
        ),
        ("a.xml", "<not closed", ["<not closed"], []),
        ("a.xml", "<settings><!-- a port --></settings>", ["<settings><!-- a port --></settings>"], []),
        (
            "a.xml",
            '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a><b>&e;x</b><c>y</c></a>',
            ["b: &e;x | c: y"],
            [],
        ),
    ],
)  # fmt: skip
def test_files(
    name: str, text: str, lines: list[str], sections: list[list[str]], tmp_path: Path, settings: Settings
) -> None:
    assert read(tmp_path, name, text, settings) == (lines, sections)


def test_notes_of_evernote(tmp_path: Path, settings: Settings) -> None:
    body = '<![CDATA[<?xml version="1.0"?><!DOCTYPE en-note SYSTEM "x.dtd"><en-note>{}</en-note>]]>'
    trip = '<div>The ferry leaves at <b>seven</b>.</div><div><en-todo checked="true"/>Bags</div>'
    milk = '<ul style="--en-todo:true;"><li style="--en-checked:false;"><div>Milk</div></li></ul>'
    notes = [
        "<note><title>Trip</title><created>20240305T101500Z</created><tag>sea</tag><tag>2024</tag>",
        f"<content>{body.format(trip)}</content><resource><data encoding='base64'>AAAA</data></resource>",
        "<task><title>Book</title><taskStatus>open</taskStatus></task></note>",
        f"<note><title>List</title><content>{body.format(milk)}</content></note>",
    ]
    path = tmp_path / "notes.enex"
    path.write_text(f'<?xml version="1.0"?><en-export>{"".join(notes)}</en-export>', encoding="utf-8")
    document = load(path, settings)
    assert document.page_content.split("\n") == [
        *("Trip", "Created: 2024-03-05", "Tags: sea, 2024", "☐ Book", "The ferry leaves at seven.", "☑ Bags"),
        *("List", "- ☐ Milk"),
    ]
    assert document.metadata["title"] == "notes.enex"
    assert section_at(document.metadata, document.page_content.index("ferry")) == ("Trip", "")


def test_sections_that_are_named_by_their_attributes(tmp_path: Path, settings: Settings) -> None:
    text = (
        '<document><properties><title>Pump</title></properties><body><section name="Use"><p>Fill it.</p>'
        '<subsection name="Oil"><p>Weekly.</p></subsection></section><release version="2.1" date="2024-05-03">'
        '<action type="fix">Seal the valve.</action><action>New hose.</action></release></body></document>'
    )
    lines, sections = read(tmp_path, "a.xml", text, settings)
    assert lines == [
        *("Pump", "Use", "Fill it.", "Oil", "Weekly.", "release 2.1 2024-05-03"),
        *("action: Seal the valve.", "action: New hose."),
    ]
    assert sections[-3:] == [["Use"], ["Use", "Oil"], ["release 2.1 2024-05-03"]]
