"""The conversation as the page shows it: marks behind sentences, passages with what supports them, read back."""

from __future__ import annotations

import asyncio
import html
import re
import time
from dataclasses import replace

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage

from rag.answers.quotes.find import find_quotes
from rag.answers.quotes.quote import Quote
from rag.answers.update import Timings, Update
from rag.doors.bodies import quotes_of
from rag.errors import EngineUnreachable
from rag.grounding.ground import Sentence
from rag.page.answer_text import as_written, plain, with_marks
from rag.page.conversation import show_answer, show_failure, show_text
from rag.page.history import as_messages, read_quotes
from rag.page.passages import show_passages
from tests.minilm import shared_minilm

PASSAGE = "Agents plan. They split a task into steps. Cheese is not on the moon."
SOURCES = (
    Document("Nothing of the kind.", metadata={"title": "One", "source": "notes.md"}),
    Document(PASSAGE, metadata={"title": "Two", "source": "https://x.example/a", "anchor": "plan", "start_index": 40}),
)
TEXT = "A task is split into steps. It takes 12 of them. Hello!"


def supported(sentence: str, quote: str, words: tuple[str, ...] = (), passage: int = 2) -> Sentence:
    start, place = TEXT.index(sentence), PASSAGE.index(quote)
    spans = tuple((PASSAGE.index(word), PASSAGE.index(word) + len(word)) for word in words)
    return Sentence(start, start + len(sentence), passage, (place, place + len(quote)), spans)


SPLIT = supported("A task is split into steps.", "They split a task into steps.", ("split", "task", "steps"))
TWELVE = Sentence(28, 48, None, None, (), why="the number 12")
HELLO = Sentence(49, 55, None, None, (), claims=False)
DONE = Update("done", TEXT, passages=SOURCES, asked="How?", grounding=(SPLIT, TWELVE, HELLO))


def test_history_comes_as_strings_and_as_parts_and_notes_are_no_turns() -> None:
    history = [
        {"role": "user", "content": "What is it?"},
        {"role": "assistant", "content": [{"type": "text", "text": "A "}, {"type": "text", "text": "plan."}]},
        {"role": "assistant", "content": "the passages", "metadata": {"title": "Sources · 4 passages"}},
        {"role": "user", "content": [{"type": "text", "text": "And why?"}]},
        {"role": "assistant", "content": None},
    ]
    assert as_messages(history) == [HumanMessage("What is it?"), AIMessage("A plan."), HumanMessage("And why?")]


def test_what_documents_say_is_text_to_the_page() -> None:
    shown = plain("<img src=x onerror=alert(1)> **bold** [a](javascript:b) $$x$$ `c`\n\nhttps://x.y")
    assert not set(shown.replace("<br>", "")) & set("<>*[]()$`:")


def test_a_mark_stands_behind_each_sentence_that_claims_something() -> None:
    shown = show_text(DONE, "ab12")
    place = "?source=https%3A%2F%2Fx.example%2Fa&title=Two&start=53&end=82"
    assert shown.startswith(f"A task is split into steps.[2](#quote-ab12-0{place} ")
    assert re.search(r"12 of them\.\[\?\]\(#none-ab12-1 \"[^\"]*the number 12[^\"]*\"\) Hello!$", shown)


def test_marks_are_taken_out_of_the_history() -> None:
    messages = as_messages([{"role": "assistant", "content": show_text(DONE, "ab12")}])
    assert messages == [AIMessage(TEXT)]


def test_a_model_cannot_write_a_mark() -> None:
    forged = "It is so.[1](#quote-ab12-0) And so.[?](#none-ab12-0)"
    shown = show_text(Update("done", forged), "ab12")
    assert "#quote-" not in shown and "#none-" not in shown
    assert "#quote-" not in show_failure(Update("writing", forged), EngineUnreachable("gone"))[0].content
    for nested in ("#none-quote-ab12-0", "#quote-none-quote-ab12-0", "##quote-quote-ab12-0"):
        assert not re.search("#(quote|none)-", show_text(Update("done", f"[1]({nested})"), "ab12"))


def test_the_beginning_of_a_passage_is_told_without_its_headings() -> None:
    metadata = {"title": "Dryer", "section": "Care > Cleaning", "source": "/a"}
    shown = show_passages([Document("Dryer\n\nCleaning\n\nThe filter has two layers.", metadata=metadata)])
    assert "<small>The filter has two layers&#46; …</small>" in shown


def test_quotes_stay_where_the_answer_fails() -> None:
    start, end = SPLIT.quote or (0, 0)
    failed = replace(DONE, phase="writing", text="A task is", quotes=(Quote(2, start, end),), grounding=None)
    quotes, answer, note = show_failure(failed, EngineUnreachable("gone"))
    assert "They split a task into steps" in quotes.content and "#quote-" in quotes.content
    assert answer.content == "A task is …"
    assert "gone" in note.content and "<mark>" in note.content, "the marks of the quotes lead to the passages"


def places(text: str) -> tuple[str, str]:
    """The text where each "¦" is the end of a sentence, as it is shown, its marks as "¦"; and as it is read back."""
    pieces = text.split("¦")
    ends = [sum(map(len, pieces[: number + 1])) for number in range(len(pieces) - 1)]
    grounding = tuple(Sentence(0, end, number % 2 or None, None) for number, end in enumerate(ends))
    shown = show_text(Update("done", "".join(pieces), grounding=grounding), "ab12")
    read = as_messages([{"role": "assistant", "content": shown}])
    return re.sub(r'\[[?\d]\]\(#(?:quote|none)-ab12-\d+ "[^"\n]*"\)', "¦", shown), str(read[0].content)


BLOCKS = {
    "a fence": "```python\nx = 1.¦\n# A comment.¦\n```¦",
    "a fence of tildes": "~~~\nA line.¦\n```\n~~~¦",
    "a longer fence": "````md\n```\nA line.¦\n```¦\n````¦",
    "an indented fence": "   ```\n   A line.¦\n   ```¦",
    "a fence in a list": "1. Do\n\n   ```sh\n   run.¦\n   ```¦\n2. done",
    "a fence in a list in a list": "- a\n  - ```sh\n    run.¦\n    ```¦",
    "a fence in a quotation": "> ```\n> A line.¦\n> ```¦",
    "a fence that is not closed": "```\nA line.¦\n\nAnother.¦",
    "a fence that the text before does not open": "Text `` ` ``\n```\nA line.¦\n```¦",
    "indented code": "So:\n\n    A line.¦\n\n    Another.¦",
    "a formula": "$$\nA = b. C¦\n$$¦",
    "a formula in a line": "$$A = b. C¦$$¦",
    "a formula behind words": "The area is $$A.¦ B$$¦",
    "a formula with a list's mark": "$$\na\n+ b.¦\n\n- c\n$$¦",
    "a formula in brackets": "\\[\nA = b. C¦ \\\\[4pt]\n+ d\n\\]¦",
    "a table": "| Ticket¦ | Price |\n|---|:-:|¦\n| Day | 18 francs.¦ |¦\n| Season | 240.¦ |",
    "a table without its outer bars": "Ticket | Price¦\n--- | ---\nDay. | 18 francs¦\nWhat follows.¦",
    "a table behind a line": "So it is:\n| a |\n|---|\n| It is.¦ |",
    "a table in a list": "- | a | b |\n  |---|---|\n  | It is.¦ | 2¦ |",
    "a definition": "See [it].\n\n[it]: https://x.example/a \"The guide.¦ It is.\"¦",
    "lines that end otherwise": "One\r\n\r\n```\r\nA line.¦\r\n```¦\r\n",
}  # fmt: skip


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
def test_no_mark_stands_in_a_block_that_it_would_break(block: str) -> None:
    plain = block.replace("¦", "")
    assert places(f"Before.¦\n\n{block}\n")[0] == f"Before.¦\n\n{plain}\n"
    assert places(f"{block}\n")[1] == f"{plain}\n"
    if "not closed" not in block and "Another" not in block:
        assert places(f"{block}\n\nAfter.¦")[0] == f"{plain}\n\nAfter.¦"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Call `a.¦ B` now.¦", "Call `a. B`¦ now.¦"),
        ("Call ``a.¦ ` B``.¦", "Call ``a. ` B``¦.¦"),
        ("Call `a. B`¦", "Call `a. B`¦"),
        ("Call `a.¦ B.¦ C`.¦", "Call `a. B. C`¦¦.¦"),
        ("A ` stands alone.¦ It does.¦", "A ` stands alone.¦ It does.¦"),
        ("A \\`tick.¦ It\\` is.¦", "A \\`tick.¦ It\\` is.¦"),
        ("Call `a.¦\nB` now.¦", "Call `a.\nB` now.¦"),
        ("It is \\(a.¦ B\\) so.¦", "It is \\(a. B\\)¦ so.¦"),
        ("The area is $$A$$.¦ It is.¦", "The area is $$A$$.¦ It is.¦"),
        ("It costs $18.¦ Or $240.¦", "It costs $18.¦ Or $240.¦"),
        ("See [a.¦ B](https://x.y/a.¦(b)?c. \"D.¦\") so.¦", "See [a. B](https://x.y/a.(b)?c. \"D.\")¦¦¦ so.¦"),
        ("See [a [b.¦] `]` c](x) now.¦", "See [a [b.] `]` c](x)¦ now.¦"),
        ("See ![a.¦ B](x.png).¦", "See ![a. B](x.png)¦.¦"),
        ("See [a.¦ B][it].¦\n\n[it]: x", "See [a. B][it] ¦.¦\n\n[it]: x"),
        ("See [a.¦ B] and so.¦\n\n[a. b]: x", "See [a. B] ¦ and so.¦\n\n[a. b]: x"),
        ("Note [so it is.¦ It is] this.¦", "Note [so it is.¦ It is] this.¦"),
        ("See [`a.¦ B` c](x).¦", "See [`a. B` c](x)¦.¦"),
        ("It is 3 < 4.¦ And 5 > 4.¦", "It is 3 < 4.¦ And 5 > 4.¦"),
        ("See https://x.example/a.¦ So.¦", "See https://x.example/a. ¦ So.¦"),
        ("See (www.x.example)¦", "See (www.x.example) ¦"),
        ("See [it](https://x.example).¦", "See [it](https://x.example).¦"),
        ("See <https://x.example>.¦", "See <https://x.example>.¦"),
        ("It is!¦ So it is \\¦", "It is! ¦ So it is \\ ¦"),
        ("It costs 18 francs [1]¦", "It costs 18 francs [1] ¦"),
        ("- It is.¦\n- [x] So `it. is`.¦\n\n> Quoted.¦", "- It is.¦\n- [x] So `it. is`.¦\n\n> Quoted.¦"),
        ("It | is.¦\nSo | it is.¦", "It | is.¦\nSo | it is.¦"),
    ],
)  # fmt: skip
def test_a_mark_stands_behind_what_it_would_break_in_a_line(text: str, shown: str) -> None:
    assert places(text) == (shown, text.replace("¦", ""))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A List<String> and <b>x</b>, 3 < 4 > 2.", "A List&lt;String> and &lt;b>x&lt;/b>, 3 < 4 > 2."),
        ("<details>\n```\n<b>\n```\n</details>", "&lt;details>\n```\n<b>\n```\n&lt;/details>"),
        ("x<sub>2</sub><br>`<b>` <!-- no --> <https://a.b>", "x<sub>2</sub><br>`<b>` &lt;!-- no --> <https://a.b>"),
        ("| `a<b>` | <i> |\n|---|---|\n| <b> | 2 |", "| `a<b>` | &lt;i> |\n|---|---|\n| &lt;b> | 2 |"),
        ("Open C:\\a_b\\*.txt.", "Open C:&#92;a&#95;b&#92;&#42;.txt."),
        ("See ~/__init__.py, `~/__x__`, **/a_b_**", "See &#126;/&#95;&#95;init&#95;&#95;.py, `~/__x__`, **/a&#95;b_**"),
        ("2*3*4 in __init__, *so* __bold__", "2&#42;3&#42;4 in &#95;&#95;init&#95;&#95;, *so* __bold__"),
        ("It is \\*so\\* and snake\\_case, __bold__ and/or _this_.",) * 2,
        ("https://a.b/c_d_e and $x_1$, $18 or $240.", "https://a.b/c_d_e and \\(x_1\\), $18 or $240."),
        ("From $5-$6, US$5 and A$6 to 5$; `$a$` and $$b$$.",) * 2,
    ],
)  # fmt: skip
def test_prose_is_shown_as_it_is_written(text: str, shown: str) -> None:
    assert with_marks(text) == shown
    if "$x" not in text:
        assert as_written(shown) == text


def test_a_formula_between_dollars_takes_its_mark_behind() -> None:
    assert with_marks("It is $a. b$ so.", [(8, "[1](x)")]) == "It is \\(a. b\\)[1](x) so."


def test_what_is_supported_is_counted_where_no_mark_stands() -> None:
    text = "```\nA task is split.\n```\n\n| a |\n|---|\n| 12 |"
    grounding = (Sentence(0, 24, 2, (0, 5)), Sentence(26, len(text) - 2))
    answer, note = show_answer(Update("done", text, passages=SOURCES, grounding=grounding), "How?")
    assert answer.content == text
    assert "1 of 2 sentences supported" in note.metadata["title"]


@pytest.mark.parametrize(
    "text",
    [
        *(piece * 4_000 for piece in ("```", "``` `` ` ", "[", "[a](", "[a](b", "<a ", "<!--", "> ", "- ")),
        *(piece * 4_000 for piece in ("$$ ", "\\[", "\\(")),
        "http://" * 4_000,
        "| a " * 8_000 + "\n" + "|---" * 8_000 + "\n" + "| b\n" * 2_000,
        "`a. b` [c](d) " * 2_000,
    ],
)  # fmt: skip
def test_places_are_found_in_bounded_time(text: str) -> None:
    grounding = tuple(Sentence(0, end) for end in range(1, len(text), len(text) // 400))
    started = time.process_time()
    show_text(Update("done", text, grounding=grounding), "ab12")
    assert time.process_time() - started < 20


def test_a_mark_says_why_in_words_that_cannot_break_it() -> None:
    odd = Sentence(0, 4, None, None, (), why='the name "A](javascript:x)\n<b>"')
    shown = show_text(Update("done", "Odd.", grounding=(odd,)), "ab12")
    assert re.fullmatch(r'Odd\.\[\?\]\(#none-ab12-0 "[^"<>\[\]()\n]*"\)', shown)
    assert as_messages([{"role": "assistant", "content": shown}]) == [AIMessage("Odd.")]


def test_the_words_that_support_a_sentence_are_marked_in_the_passage() -> None:
    shown = show_passages(SOURCES, DONE.grounding or (), "ab12")
    first, second = re.findall(r"<blockquote>(.*?)</blockquote>", shown)
    assert "<mark>" not in first
    assert second.count('id="quote-ab12-0"') == 1
    marked = re.search(r"<mark>(.*?)</mark>", second)
    assert marked
    assert html.unescape(re.sub("<.*?>", "", marked[1])) == "They split a task into steps."
    assert re.findall("<b>(.*?)</b>", marked[1]) == ["split", "task", "steps"]
    assert "https://x.example/a#plan:~:text=" in html.unescape(second)
    assert html.unescape(re.sub("<.*?>", "", second)).replace(" ↗", "") == PASSAGE


def test_overlapping_quotes_are_one_place_with_an_anchor_each() -> None:
    both = supported("A task is split into steps.", "Agents plan. They split a task into steps.")
    shown = show_passages(SOURCES, (SPLIT, both), "ab12")
    assert shown.count("<mark>") == 1
    assert 'id="quote-ab12-0"' in shown and 'id="quote-ab12-1"' in shown


def test_the_note_counts_what_is_supported_and_says_what_was_searched_for() -> None:
    answer, note = show_answer(DONE, "How?")
    assert answer.content.startswith("A task")
    assert "1 of 2 sentences supported" in note.metadata["title"]
    assert "Searched for" not in note.content
    assert "Searched for" in show_answer(DONE, "And how?")[1].content


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"refused": True}, "Not in the library · nearest 2 passages"),
        ({"coverage": "from the beginnings of 2 sources"}, "Sources · 2 passages · from the beginnings of 2 sources"),
        ({"phase": "thinking", "timings": Timings(total=12.2)}, "The model is thinking · 2 passages · 12\u00a0s"),
        ({"notice": "The model was stopped."}, "Sources · 2 passages · The model was stopped."),
        ({"unread": 1}, "1 of them did not fit the model's window"),
        ({"phase": "starting"}, "loading llama3"),
        ({"timings": Timings(first_token=0.5, total=2.5, tokens=21)}, "Sources · 2 passages · 2\u00a0s"),
    ],
)
def test_the_note_says_what_is_so(given: dict[str, object], words: str) -> None:
    update = Update(**{"phase": "done", "text": "x", "passages": SOURCES, **given})  # type: ignore[arg-type]
    note = show_answer(update, "?", (), ["loading llama3"])[1]
    assert words in note.metadata["title"]
    if update.timings.first_token:
        assert "First token after 0.5 s, 10 tokens a second" in note.content


def test_quotes_from_several_sources_tell_which_and_those_of_one_do_not() -> None:
    """A row of another document is else read as one about the thing that is asked for; history has the quotes alone."""
    dryer = Document("No higher than *80* cm.", metadata={"title": "The dryer <H3>", "source": "dryer.md"})
    quotes = (Quote(2, 0, 12, leads=True), Quote(3, 0, 23))
    update = Update("done", "", passages=(*SOURCES, dryer), quotes=quotes, quoted=True, grounding=())
    (shown, *_) = show_answer(update, "How?")
    told = str(shown.content).split("\n\n")
    assert [line.endswith(("<small>Two</small>", "<small>The dryer &lt;H3&gt;</small>")) for line in told[1:]] == [
        True
    ] * 2
    history = [
        {"role": "user", "content": "How?"},
        {"role": "assistant", "content": shown.content, "metadata": shown.metadata},
    ]
    assert as_messages(history)[1] == AIMessage("“Agents plan.” [2]\n“No higher than *80* cm.” [3]")
    alone = replace(update, quotes=quotes[:1])
    assert "<small>Two</small>" not in str(show_answer(alone, "How?")[0].content)


def test_a_quote_tells_the_heading_or_question_that_it_stands_under() -> None:
    text = "## May I pause?\n\nFor up to a year, without the fee.\n\n## How do I leave?\n\nWith six weeks' notice."
    pause = Document(text, metadata={"title": "Car club", "source": "club.md", "start_index": 0})
    quotes = asyncio.run(find_quotes("Can I take a break for a year?", [pause], shared_minilm()))
    assert quotes[0].heading == "May I pause?"
    update = Update("done", passages=(pause,), quotes=quotes, quoted=True, text="x")
    shown = str(show_answer(update, "Can I take a break for a year?")[0].content)
    assert (
        "<small>May I pause?</small>" in shown and read_quotes(shown)[0] == "“For up to a year, without the fee.” [1]"
    )
    assert quotes_of(update)[0]["heading"] == "May I pause?"
