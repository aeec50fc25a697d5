"""The main text of web pages: banners, navigation and what is related stay out; folded parts and data are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from langchain_core.documents import Document

from rag.settings import Settings
from rag.sources.loader import load_source, section_at
from tests.conftest import Pages
from tests.files import BOOK, LETTER, check, load, pdf, reason, zipped

CASES = Path(__file__).parent / "data" / "cases" / "htmlchrome"
PROSE = "Rangers counted {} otters on the river this spring, and forty more of them than they had found a year ago. "


def read(path: Path, settings: Settings) -> Document:
    (document,) = load_source(str(path), settings, private=True).documents
    check(document)
    return document


@pytest.fixture
def page(tmp_path: Path, settings: Settings):
    def load(html: str) -> Document:
        (tmp_path / "a.html").write_text(html, encoding="utf-8")
        return read(tmp_path / "a.html", settings)

    return load


@pytest.mark.parametrize(
    ("name", "there", "not_there"),
    [
        ("cookie", ["Firing a kiln", "1000 degrees", "two days later"], ["812 partners", "Careers", "Newsletter"]),
        ("index", ["Bridge opens", "Talbot bridge", "Museum moves", "Harlow Street", "Prize", "Ilse Brandt"], []),
        ("related", ["Otter census", "318 otters", "near Hay"], ["cruise"]),
        ("nextdata", ["Knead the dough for twelve minutes."], []),
    ],
)
def test_the_pages_of_the_case(name: str, there: list[str], not_there: list[str], settings: Settings) -> None:
    text = read(CASES / f"{name}.html", settings).page_content
    assert [item for item in there if item not in text] == []
    assert [item for item in not_there if item in text] == []


ANSWER = "<div {}><p>We ship to Austria and Denmark only.</p></div>"


@pytest.mark.parametrize(
    ("button", "part"),
    [
        ("aria-expanded=false aria-controls=p1", "id=p1 hidden"),
        ("class=collapsible", "class=content"),
        ("class=accordion", "class=panel style='display: none'"),
    ],
)
def test_the_button_that_unfolds_an_answer_is_its_question(page, button: str, part: str) -> None:
    text = page(f"<h1>Help</h1><button {button}>Do you ship abroad?</button>{ANSWER.format(part)}").page_content
    assert text == "Help\nDo you ship abroad?\nWe ship to Austria and Denmark only."


@pytest.mark.parametrize(
    "part",
    [
        "<button>Book now</button>" + ANSWER.format(""),
        "<button aria-controls=m>Book now</button><ul id=m hidden><li><a href=/a>All our boats and bikes</a></ul>",
        "<button class=accordion>Book now</button><div class=modal hidden><p>We use cookies for this.</p></div>",
    ],
    ids=["a button", "a menu", "a dialog"],
)
def test_other_buttons_are_no_text(page, part: str) -> None:
    assert "Book" not in page(f"<h1>Help</h1><p>The ferry leaves at seven.</p>{part}").page_content


def test_cards_have_their_titles_as_sections(page) -> None:
    card = (
        "<article><div class=card><div class='green card-header'><img src=a.gif alt=star> {} <em>(museum)</em></div>"
        "<div class=row><p><a href=/map>On a map</a></p><p>A museum with a lot to laugh about in town {}.</p>"
        "<p>Entry: {} Euro</p></div></div></article>"
    )
    names = [("Otto-Huus", 1, 2), ("Kunsthalle", 2, 10), ("Bunker", 3, 4)]
    document = page(f"<h1>Emden</h1><p>{PROSE.format(3)}</p>" + "".join(card.format(*each) for each in names))
    text = document.page_content
    assert "\nKunsthalle (museum)\n" in text
    assert section_at(document.metadata, text.index("Entry: 10"))[0].endswith("Kunsthalle (museum)")


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<dt>Monday</dt><dd>9 to 17</dd><dt>Tuesday</dt><dd>10 to 20</dd>", "Monday: 9 to 17\nTuesday: 10 to 20"),
        ("<dt>Tuesday<dd>10 to 20<dd>for women from 18", "Tuesday: 10 to 20\nfor women from 18"),
        ("<div><dt>Weight</dt><dd><b>51</b> kg</dd></div>", "Weight: 51 kg"),
        ("<dt>--port</dt><dd><p>The port.</p><p>It is 22.</p></dd>", "--port: The port.\nIt is 22."),
        ("<dt>Fish</dt><dd><ul><li>Eel</li><li>Trout</li></ul></dd>", "Fish\n- Eel\n- Trout"),
        ("<dt>What is it?</dt><dd>A boat.</dd>", "What is it?\nA boat."),
        ("<dt>Run</dt><dd><pre>a = 1\nb = 2</pre></dd>", "Run\na = 1\nb = 2"),
    ],
)
def test_a_short_term_stands_in_one_line_with_what_it_is(page, inner: str, expected: str) -> None:
    assert page(f"<h1>Pool</h1><dl>{inner}</dl>").page_content == f"Pool\n{expected}"


def test_a_page_that_a_script_draws_is_refused_with_the_reason(settings: Settings, tmp_path: Path) -> None:
    assert "a script draws the page" in reason(CASES / "spa.html", settings)
    (tmp_path / "b.html").write_text("<title>T</title><div id=app>Loading...</div><script src=a.js></script>")
    assert "a script draws the page" in reason(tmp_path / "b.html", settings)


def test_the_body_in_json_ld_is_read_where_a_script_draws_the_page(page) -> None:
    data = (
        '{"@graph": [{"@type": "Article", "headline": "x", "articleBody": "<p>The ferry leaves.</p><p>At seven.</p>"}]}'
    )
    document = page(f'<title>T</title><div id=root></div><script type="application/ld+json">{data}</script>')
    assert document.page_content == "The ferry leaves.\nAt seven."
    assert "script" in document.metadata["notes"][0]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            '{"@type": "Product", "name": "Kettle", "url": "https://a.example/k", "offers": {"@type": "Offer", '
            '"price": "39.90", "priceCurrency": "EUR", "availability": "https://schema.org/InStock"}}',
            "name: Kettle\noffers | price: 39.90 | priceCurrency: EUR | availability: InStock",
        ),
        (
            '{"@type": "FAQPage", "mainEntity": [{"@type": "Question", "name": "Do you ship abroad?", '
            '"acceptedAnswer": {"@type": "Answer", "text": "<p>Yes, to <b>12</b> countries.</p>"}}]}',
            "mainEntity | question: Do you ship abroad? | answer: Yes, to 12 countries.",
        ),
        (
            '{"@graph": [{"@type": "WebSite", "name": "Bakes"}, {"@type": "Recipe", "name": "Rye bread", '
            '"cookTime": "PT1H10M", "recipeIngredient": ["500 g rye flour", "400 ml water"]}]}',
            "name: Rye bread | cookTime: 1 h 10 min | recipeIngredient: 500 g rye flour, 400 ml water",
        ),
    ],
)
def test_things_in_json_ld_are_read_where_a_script_draws_the_page(page, data: str, expected: str) -> None:
    document = page(f'<title>T</title><div id=root></div><script type="application/ld+json">{data}</script>')
    assert document.page_content == expected


RECIPE = (
    '{"@graph": [{"@type": "WebSite", "name": "Bakes"}, {"@type": ["Recipe"], "name": "Rye bread", "prepTime": "PT0S", '
    '"cookTime": "PT1H10M", "recipeIngredient": ["500 g rye flour", "400 ml water", "2 tsp fennel &amp; salt"], '
    '"recipeInstructions": [{"@type": "HowToSection", "name": "Dough", "itemListElement": [{"@type": "HowToStep", '
    '"text": "Knead it for long and let it rest."}, {"@type": "HowToStep", "text": "Cover it."}]}], '
    '"author": {"name": "Ann"}, "nutrition": {"@type": "NutritionInformation", "fatContent": "4 g"}}]}'
)


def test_what_the_data_of_a_page_tells_and_its_text_lacks_is_read(page) -> None:
    body = "<h1>Rye bread</h1><p>This bread keeps for a week. Bake it for 1 h 10 min in a hot oven.</p>"
    data = f'<script type="application/ld+json">{RECIPE}</script>'
    document = page(f"<title>Bakes</title>{data}{body}<p>Knead it for long and let it rest. Cover it.</p><p>Dough</p>")
    assert document.page_content.split("\n")[4:] == [
        "Rye bread",
        "Recipe ingredient:",
        "- 500 g rye flour",
        "- 400 ml water",
        "- 2 tsp fennel & salt",
        "Nutrition: fat content 4 g",
    ]
    assert section_at(document.metadata, document.page_content.index("400 ml"))[0] == "Rye bread"


def test_places_in_the_data_of_a_page_are_told_by_their_values(page) -> None:
    place = '{"@type": "Place", "address": {"streetAddress": "Elm 3", "addressLocality": "Bath"}, "name": "The Owl"}'
    data = (
        f'{{"@type": "MusicEvent", "name": "蓝莓之夜", "location": {place}, "description": "今晚有蓝莓", '
        '"offers": {"price": 9.5, "priceCurrency": "GBP"}}'
    )
    text = page(f'<h1>Gig</h1><p>今晚 有 蓝莓</p><script type="application/ld+json">{data}</script>').page_content
    assert text.split("\n")[2:] == [
        "蓝莓之夜",
        "Location: The Owl, Elm 3, Bath",
        "Offers: price 9.5, price currency GBP",
    ]


@pytest.mark.timeout(60)
def test_much_data_of_a_page_is_read_in_time(page) -> None:
    data = f'[{"{}," * 400_000}{"[" * 500}{"]" * 500}, {{"@type": "Recipe", "recipeIngredient": [{"1," * 300_000}2]}}]'
    document = page(f'<p>Bread.</p><script type="application/ld+json">{data}</script>')
    assert document.page_content.startswith("Bread.\nRecipe ingredient:\n- 1\n")
    assert len(document.page_content) < 2000


def test_questions_in_the_data_of_a_page_are_headings(page) -> None:
    data = (
        '{"@type": "FAQPage", "mainEntity": [{"@type": "Question", "name": "Do you ship abroad?", '
        '"acceptedAnswer": {"@type": "Answer", "text": "<p>Yes, to <b>12</b> countries.</p>"}}]}'
    )
    data = data.replace('"', "&quot;")  # as some pages have it
    document = page(f'<p>Ask us anything.</p><script type="application/ld+json">{data}</script>')
    assert document.page_content == "Ask us anything.\nDo you ship abroad?\nYes, to 12 countries."
    assert section_at(document.metadata, document.page_content.index("12"))[0] == "Do you ship abroad?"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<span>Invoice no.</span><span>2024-117</span>", "Invoice no. 2024-117"),
        ("<b>Date</b><span>3 May</span>", "Date 3 May"),
        ("<label>Town</label><span><i>Bath</i></span>", "Town Bath"),
        ("<span>30</span><span>Days</span>", "30 Days"),
        ("<span>Burrata</span><span>€9.50</span>", "Burrata €9.50"),
        ("<span>Kilo</span><span>meter</span>", "Kilometer"),
        ("<span>12</span><span>99</span> and H<span>2</span>O", "1299 and H2O"),
        ("<b>T</b>he <span>CO</span><span>2</span>", "The CO2"),
        ("<code><span>get</span><span>(</span></code>", "get("),
    ],
)
def test_labels_beside_each_other_are_two_words(page, inner: str, expected: str) -> None:
    assert page(f"<h1>Order</h1><div>{inner}</div>").page_content == f"Order\n{expected}"


def test_a_page_that_a_browser_saved_in_one_file(settings: Settings, tmp_path: Path) -> None:
    parts = (
        'Subject: Harbour\nMIME-Version: 1.0\nContent-Type: multipart/related; type="text/html"; boundary="B"\n\n'
        "--B\nContent-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n"
        "<html><title>Harbour</title><body><h1>Harbour</h1><p>The crane lifts 40 tonnes =\nat K=C3=B6ln.</p>"
        "</body></html>\n--B\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n--B--\n"
    )
    (tmp_path / "a.mht").write_text(parts.replace("\n", "\r\n"), newline="")
    document = load(tmp_path / "a.mht", settings)
    assert document.page_content == "Harbour\nThe crane lifts 40 tonnes at Köln."
    assert document.metadata["title"] == "Harbour"
    (tmp_path / "b.mhtml").write_text("MIME-Version: 1.0\nContent-Type: text/plain\n\nx")
    assert reason(tmp_path / "b.mhtml", settings) == "there is no page in it"


def long_page(inner: str) -> str:
    return (
        "<title>Otters</title><body><div class=navbar><ul><li><a href=/>Home</a><li><a href=/s>Shop</a></ul></div>"
        "<div id=cookie-banner><p>We and our many partners use cookies to personalise what you see.</p></div>"
        f"<div class=content><h1 id=top>Otters</h1><p>{PROSE.format(318) * 3}</p>{inner}"
        f"<p>{PROSE.format(12) * 3}</p></div>"
        "<div class='related-posts'><h3>Related</h3><p><a href=/b>Badgers return to the forest</a></p></div>"
        "<footer><p>All rights reserved. Imprint and privacy.</p></footer></body>"
    )


def test_navigation_banners_and_related_links_stay_out(page) -> None:
    text = page(long_page("")).page_content
    assert "318 otters" in text and "12 otters" in text
    for noise in ("Shop", "cookies", "Badgers", "Related", "rights"):
        assert noise not in text


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (
            "<h2 id=f><button aria-expanded=false>Food</button></h2><div hidden class=panel><p>Fish.</p></div>",
            "Fish.",
        ),
        ("<h2 id=f><button aria-expanded=false>Food</button></h2><div hidden><p>Crabs.</p></div>", "Crabs."),
        (
            "<h2 id=f>Food</h2><details><summary>More</summary><p>They eat eels and trout.</p></details>",
            "eels and trout",
        ),
        ("<h2 id=f>Food</h2><dl><dt>Length</dt><dd>One metre</dd></dl>", "Length: One metre"),
        ("<h2 id=f>Food</h2><pre>def eat():\n    return 'eel'</pre>", "def eat():\n    return 'eel'"),
        ("<h2 id=f>Food</h2><table><tr><th>Prey<th>Share<tr><td>Eels<td>40 %</table>", "Prey: Eels | Share: 40 %"),
        ("<h2 id=f>Food</h2><ul><li>Eels</li><li>Trout</li></ul>", "- Eels\n- Trout"),
    ],
    ids=["button", "bare panel", "details", "definitions", "code", "table", "list"],
)
def test_what_is_in_the_text_survives_with_its_section(page, inner: str, expected: str) -> None:
    document = page(long_page(inner))
    assert expected in document.page_content
    assert section_at(document.metadata, document.page_content.index(expected)) == ("Food", "f")


@pytest.mark.parametrize(
    "beside",
    [
        '<div role="navigation"><ul><li>Home<li>Shop</ul></div>',
        '<div role="banner"><p>Home of Clay Co</p></div>',
        '<div id="onetrust-banner-sdk"><p>Home and partners store data on your device.</p></div>',
        '<div id="CybotCookiebotDialog"><p>Home uses small files.</p></div>',
        "<dialog open><p>Home letter: subscribe</p></dialog>",
        '<ul class="menu"><li><a href="/">Home</a><li><a href="/s">Shop</a></ul>',
        '<div class="site-nav">Home</div>',
        '<div id="header"><p>Home of Clay Co</p></div>',
        '<div class="most-read"><h3>Home stories</h3><p>Cat saved from tree</p></div>',
        '<p class="sr-only">Home of pots</p>',
        "<select><option>Home</option><option>Abroad</option></select>",
        '<div style="visibility: hidden">Home</div>',
    ],
)
def test_what_stands_beside_a_short_text_stays_out(page, beside: str) -> None:
    text = "<h1>Firing a kiln</h1><p>Bisque firing reaches 1000 degrees and takes nine hours.</p>"
    for inner in (beside + text, text + beside):
        assert "Home" not in page(f"<title>Kilns</title><body>{inner}</body>").page_content


def test_a_heading_that_is_not_shown_names_its_section(page) -> None:
    inner = '<h1>Museum</h1><h2 class="sr-only">Opening hours</h2><p>From nine to five, but not on Mondays.</p>'
    document = page(f"<title>Museum</title><body>{inner}</body>")
    assert section_at(document.metadata, document.page_content.index("nine"))[0].endswith("Opening hours")


def test_a_section_is_text_whatever_it_is_about(page) -> None:
    """As Sphinx and pandoc write them: the id is the heading's."""
    parts = (("pagination", "Lists have pages of 50 items."), ("comments", "Comments begin with a hash."))
    inner = "".join(f'<section id="{name}"><h2>{name.title()}</h2><p>{text}</p></section>' for name, text in parts)
    inner = f'<div id="header"><h1>git-stash(1)</h1><h2>Name</h2><p>Put changes away</p></div>{inner}'
    menu = '<div class="menu"><h2>Starters</h2><p>Soup of nettles 7</p></div>'
    text = page(f"<title>Docs</title><body><h1>Widgets</h1>{inner}{menu}</body>").page_content
    assert all(told in text for told in (*dict(parts).values(), "Soup of nettles", "Put changes"))


def test_code_right_below_text_is_read(page) -> None:
    code = "<div class=wrap><pre><code>let s = open({});\n\ns.read();</code></pre></div>"
    inner = "".join(f"<p>{PROSE.format(number)}</p>{code.format(number)}" for number in range(3))
    lines = page(long_page(inner)).page_content.split("\n")
    assert [line for line in lines if "let s" in line] == [f"let s = open({number});" for number in range(3)]


def test_what_a_click_on_another_part_shows_is_read(page) -> None:
    answer = "Send item {} back within a month, in its own box, to the address on the bill that came with it."
    part = "<div><div onclick=t()><b>How do I return {}?</b></div><div style='display:none'><p>{}</p></div></div>"
    parts = [part.format(number, answer.format(number)) for number in range(9)]
    lines = page(f"<title>FAQ</title><h1>FAQ</h1><p>{PROSE.format(3)}</p>{''.join(parts)}").page_content.split("\n")
    assert lines[-2:] == ["How do I return 8?", answer.format(8)]


def test_tasks_of_confluence_and_evernote_have_their_boxes(page) -> None:
    wiki = "<ul class='inline-task-list'><li class=checked>Sign</li><li>Badge</li></ul>"
    notes = '<ol style="--en-todo:true"><li style="--en-checked:true"><div>Milk</div></li></ol>'
    assert page(f"<h1>New</h1>{wiki}{notes}").page_content.split("\n")[1:] == ["- ☑ Sign", "- ☐ Badge", "1. ☑ Milk"]


def test_bookmarks_of_a_browser_have_their_addresses(page) -> None:
    document = page(
        "<!DOCTYPE NETSCAPE-Bookmark-file-1>\n<TITLE>Bookmarks</TITLE>\n<DL><p>\n<DT><H3>Cooking</H3>\n<DL><p>\n"
        '<DT><A HREF="https://rye.example/b" ADD_DATE="2">Rye bread</A>\n<DD>The best\n'
        '<DT><A HREF="javascript:x()">Print</A>\n</DL><p>\n</DL><p>'
    )
    assert document.page_content == "Cooking\nRye bread (https://rye.example/b): The best\nPrint"


def test_a_script_whose_tag_closes_itself_is_no_text(page) -> None:
    script = '<script type="text/javascript"/>var settings = {"adId": 7};</script>'
    assert page(f'<script src="a.js"/><p>Before.</p>{script}<style/>p {{}}</style><p>After.</p>').page_content == (
        "Before.\nAfter."
    )


def test_a_menu_above_the_title_stays_out(page) -> None:
    menu = "".join(f"<div><a href=/{number}>Shelf {number}</a></div>" for number in range(30))
    inner = f"<div><h1>Kettle</h1><p>{PROSE.format(7)}</p><p>In Stock</p></div>"
    assert page(f"<title>K</title><div>{menu}</div>{inner}").page_content.split("\n")[0] == "Kettle"
    assert "Shelf 3" in page(f"<title>K</title><h1>Shelves</h1><div>{menu}</div>").page_content


def test_comments_are_the_text_of_a_thread(page) -> None:
    post = '<div class="comment js-comment" id=c{0}><h3>user{0} commented</h3><div><p>{1}</p></div></div>'
    posts = [post.format(number, PROSE.format(number) * 2) for number in range(4)]
    text = page(f"<title>Pump fails</title><div class=nav-links>Home</div>{''.join(posts)}").page_content
    assert [PROSE.format(number) in text for number in range(4)] == [True] * 4 and "user3 commented" in text
    about = f"<div><h1>Otters</h1><p>{PROSE.format(9) * 8}</p></div>"
    assert "user1" not in page(f"<title>Otters</title>{about}{posts[0]}{posts[1]}").page_content


def test_what_is_struck_out_is_not_read(page) -> None:
    inner = (
        "<h2>Boat</h2><p>Price: <del>49 euros</del> <ins>29 euros</ins></p>"
        "<p><s>Open in May.</s> Open in June. <a href=/x style='text-decoration: line-through'>Old tour</a></p>"
        "<table><tr><th>Tour<th>Price<tr><td>Wye<td><strike>12</strike> 9</table>"
    )
    text = " ".join(page(long_page(inner)).page_content.split())
    assert "Price: 29 euros" in text and "Open in June." in text and "Tour: Wye | Price: 9" in text
    assert not [gone for gone in ("49", "May", "12 9", "Old tour") if gone in text]


def test_the_price_of_a_product_is_read(page) -> None:
    """As WooCommerce writes it: what is seen is hidden from screen readers, and told to them beside it."""
    price = (
        "<p class=price><del aria-hidden=true>&pound;529.00</del> <span class=screen-reader-text>Original price was: "
        "&pound;529.00.</span><ins aria-hidden=true>&pound;429.00</ins><span class=screen-reader-text>Current price "
        "is: &pound;429.00.</span></p>"
    )
    html = f"<title>Heron</title><main><h1>Heron</h1>{price}<div><p>{PROSE.format(3) * 4}</p></div></main>"
    text = page(html).page_content
    assert "Original price was: £529.00. Current price is: £429.00." in text


def test_a_heading_that_sticks_below_the_navigation_bar_is_a_heading(page) -> None:
    """Docusaurus has the class anchorWithStickyNavbar on each."""
    inner = "<h2 class='anchor anchorWithStickyNavbar_LWe7' id=r>Restore<a class=hash-link href='#r'>\u200b</a></h2>"
    document = page(long_page(f"{inner}<p>{PROSE.format(7)}</p>"))
    assert section_at(document.metadata, document.page_content.index(" 7 otters")) == ("Restore", "r")


def test_a_heading_over_what_is_left_out_and_text_in_one_part_is_kept(page) -> None:
    """As Node's reference has them, below a list of all of their names."""
    names = ["basename", "dirname", "extname"]
    contents = "".join(f"<li><a href='#{name}'>path.{name}(path)</a></li>" for name in names)
    parts = "".join(
        f"<section><h3><code>path.{name}(path)</code><span><a class=mark href='#{name}' id={name}>#</a></span></h3>"
        "<div class=api_metadata><span>Added in: v0.1.25</span></div><ul><li>Returns: <a href=/s>string</a></li>"
        f"</ul><p>{PROSE.format(number)}</p></section>"
        for number, name in enumerate(names, 1)
    )
    document = page(long_page(f"<details open><summary>Contents</summary><ul>{contents}</ul></details>{parts}"))
    found = [section_at(document.metadata, document.page_content.index(f" {n} otters")) for n in (1, 2, 3)]
    assert [anchor for _, anchor in found] == names


def test_boxes_of_tasks_and_a_list_that_ends_its_part(page) -> None:
    items = (
        "<li><input type=checkbox checked disabled> Count the holts</li><li><input type=checkbox> Feed the cubs</li>"
        "<li><div class='checkbox checkbox-on'></div> <span>Call the ranger</span></li>"
    )
    before, _, _ = long_page("").partition("</div><div class='related")
    text = page(f"{before}<ul>{items}</ul></div>").page_content
    assert text.endswith("- ☑ Count the holts\n- ☐ Feed the cubs\n- ☑ Call the ranger")


def test_what_a_picture_shows_is_read_where_it_is_a_phrase(page) -> None:
    shown = "Map of the river with the otters' holts in red"
    inner = (
        f'<p><img src=a.png alt="{shown}"></p><p>{PROSE.format(7)}</p>'
        "<p><a href=big.jpg><img src=b.jpg alt='A ranger counts tracks in the mud'></a></p>"
        f"<p>{PROSE.format(8)}</p><figure><img src=c.png alt='A young otter eats an eel'><figcaption>Look: "
        f"a young otter eats an eel.</figcaption></figure><p>{PROSE.format(9)}<img src=d.png alt='Logo'></p>"
        "<p><a href=/shop><img src=e.png alt='Buy our calendar of otters today'></a></p>"
    )
    document = page(long_page(inner) + "<img src=f.png alt='All our partners at one glance'>")
    pictures = [line for line in document.page_content.split("\n") if not line.startswith(("Otters", "Rangers"))]
    assert pictures == [
        *(f"Picture: {shown}", "Picture: A ranger counts tracks in the mud", "Look: a young otter eats an eel.")
    ]
    assert section_at(document.metadata, document.page_content.index(shown)) == ("", "top")


def test_a_formula_on_a_line_of_its_own_is_main_text(page) -> None:
    drawn = "<img class='mwe-math-fallback-image-display' alt='{\\displaystyle E=mc^{2}+\\ldots }' src=e.svg>"
    text = page(long_page(f"<p>It follows that</p><dl><dd>{drawn}</dd></dl><p>as Einstein found.</p>")).page_content
    assert "E=mc^{2}+\\ldots" in text


ITEMS = ["Boil the potatoes with their skins until a fork goes in.", "Slice them in two.", "Mash them with salt."]
PLAIN = (
    "<html><title>T</title><body>{before}<h1>Gnocchi</h1><p>{prose}</p><p>They are made like this:</p>{items}"
    "<p>{prose}</p>"
    "<h2>More</h2><ul><li><a href=/b>Badgers return to the forest of Hay</a><li><a href=/c>Cats</a></ul>"
)


@pytest.mark.parametrize(
    ("items", "signs"),
    [
        ("<ol><li>{}<li>{}<li>{}</ol>", ["1. ", "2. ", "3. "]),
        ("<ol start=4><li>{}<li value=8>{}<li>{}</ol>", ["4. ", "8. ", "9. "]),
        ("<ol reversed><li>{}</li><li>{}</li><li>{}</li></ol>", ["3. ", "2. ", "1. "]),
        ("<ol start=x><li>{}<li></li><li><p>{}</p></li><li>{}</ol>", ["1. ", "3. ", "4. "]),
        ("<ul><li>{}<ol><li>{}</ol><li>{}</ul>", ["- ", "1. ", "- "]),
        ("<ul><li>(a) {}<li>\u2022 {}<li>7. {}</ul>", ["(a) ", "\u2022 ", "7. "]),
        ("<div><ul><li>{}</li><li>{}</li><li>{}</li></ul></div>", ["- "] * 3),
    ],
)
def test_a_list_in_the_text_of_a_page_without_article_or_main_is_read(items: str, signs: list[str], page) -> None:
    menu = "<ul><li><a href=/>Home and all that is in it</a><li><a href=/s>Shop for otters and badgers</a></ul>"
    text = page(PLAIN.format(before=menu, prose=PROSE.format(3) * 2, items=items.format(*ITEMS))).page_content
    assert "\n".join(map("".join, zip(signs, ITEMS, strict=True))) in text
    assert "Shop for otters" not in text and "Badgers" not in text


def test_a_line_break_in_the_file_is_none_on_the_page(page) -> None:
    document = page(
        "<title>T</title><article>"
        "<p>SQLite knows the words TRUE and FALSE,\nas of version 3.23, which\r\n\tare numbers.</p>"
        f"<pre>one\ntwo</pre><p>{PROSE.format(1)}</p></article>"
    )
    assert "the words TRUE and FALSE, as of version 3.23, which are numbers.\none\ntwo" in document.page_content


@pytest.mark.parametrize(
    ("path", "content_type", "body", "kind"),
    [
        ("/a", "application/json", b'{"a": 1}', "code"),
        ("/a", "text/yaml", b"a: 1", "code"),
        ("/a", "application/octet-stream", LETTER, "Word"),
        ("/a.bin", "text/plain", LETTER, "Word"),
        ("/a", "text/html", pdf("Hello"), "PDF"),
        ("/a.md", "application/octet-stream", b"# Hello", "Markdown"),
        ("/a", "application/octet-stream", b"<!doctype html><p>Hello", "web page"),
        ("/a.docx", "text/plain", b"Hello", "text"),
        ("/a", "application/zip", zipped(BOOK), "EPUB"),
    ],
)
def test_kinds_by_url(path: str, content_type: str, body: bytes, kind: str, pages: Pages, settings: Settings) -> None:
    pages.pages[path] = (200, {"Content-Type": content_type}, body)
    assert load_source(f"{pages.url}{path}", settings, private=True).kind == kind
