"""Answers that open with the best quote, and those that say that nothing says it directly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document
from websockets.sync.client import connect

from rag.answers.build import Chains
from rag.answers.chain import INDIRECT
from rag.answers.quotes.beyond import Beyond
from rag.answers.quotes.quote import Quote, says_something
from rag.answers.update import Update
from rag.errors import EngineStalled
from rag.grounding.ground import Sentence
from rag.models.choose import Chat
from rag.page.conversation import show_answer, show_failure
from rag.page.export import conversation_as_markdown
from rag.page.history import BESIDE, INSTEAD, UNCOPIED, as_messages
from tests.browser import copied_from
from tests.commands import run
from tests.conftest import Script, ScriptedChat, make_settings
from tests.minilm import shared_minilm
from tests.ollama_server import ModelSpec
from tests.serving import ANSWER, Served, ask_socket, frames, serve
from tests.ways import library_of

OPENING = "Adults pay 18.50 a year. Between 14 and 25 it is 6."


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Adults pay 18.50 a year.", ""),
        ("adults pay 18.50", ""),
        ("**Between** 14 and 25 it is 6", ""),
        ("Adults pay 18.50 a month.", "Adults pay 18.50 a month."),
        ("Adults pay 18.", "Adults pay 18."),
        ("Adults pay 18.50 a year. A card costs 3.", "A card costs 3."),
        ("A card costs 3. Adults pay 18.50 a year.\n\n- one\n- two", "A card costs 3.\n\n- one\n- two"),
        ("Yes! Adults pay 18.50 a year. (Really.) So.", "Yes! (Really.) So."),
        ("年费是18。年费是18。", "年费是18。年费是18。"),
        ("...", ""),
    ],
)
def test_what_only_repeats_the_opening_is_left_out(written: str, shown: str) -> None:
    for size in (1, 3, len(written)):
        beyond = Beyond(OPENING)
        parts = [beyond.feed(written[start : start + size]) for start in range(0, len(written), size)]
        assert ("".join(parts) + beyond.feed("", last=True)).removeprefix("\n\n") == shown


@pytest.mark.parametrize("size", [1, 3, 100])
def test_an_abbreviation_ends_no_sentence(size: int) -> None:
    text = "The caretaker is Mr. Sommer. His number is no. 6 of the list."
    beyond = Beyond("The rent is due on the third.")
    shown = "".join(beyond.feed(text[at : at + size]) for at in range(0, len(text), size)) + beyond.feed("", last=True)
    assert shown == f"\n\n{text}"


def test_a_sentence_is_shown_from_its_first_new_word_on() -> None:
    beyond = Beyond(OPENING)
    assert [beyond.feed(part) for part in ("Adults ", "pay ", "noth", "ing ", "at all")] == [
        "",
        "",
        "",
        "\n\nAdults pay nothing ",
        "at ",
    ]
    assert beyond.feed("", last=True) == "all"


# -- the chain, and every door ---------------------------------------------------------------------------------------

QUESTION, BEST = "What is a plan?", "A plan is a list of tasks."
SMALL = ModelSpec(8192, parameter_size="494M")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("opening"), model="ollama:qwen2.5:0.5b", models={"qwen2.5:0.5b": SMALL})
    yield made
    made.close()


def test_the_answer_of_a_small_model_opens_with_the_best_quote_before_it_has_written(served: Served) -> None:
    with served.server.hold(after=0) as held, connect(served.socket_url) as socket:
        socket.send(QUESTION)
        first, second = (json.loads(socket.recv(timeout=60)) for _ in range(2))
        held.release()
        rest = frames(socket)
    assert first["quotes"][0]["text"] == BEST and first["opening"] == len(second["message"])
    assert second["message"] == BEST
    assert "".join(frame.get("message", "") for frame in rest) == "\n\n" + "".join(ANSWER)
    done = rest[-1]
    assert (done["quoted"], done["indirect"], done["opening"]) == (False, False, len(BEST))
    assert done["grounding"][0]["text"] == BEST and done["grounding"][0]["supported"] is True
    assert done["timings"]["first_token"] > done["timings"]["retrieval"] and done["timings"]["tokens"] >= len(ANSWER)


def test_doors_without_marks_give_the_quote_alone(served: Served) -> None:
    assert httpx.get(f"{served.url}predict", params={"query": QUESTION}, timeout=60).json() == BEST
    whole = httpx.get(f"{served.url}predict", params={"query": QUESTION, "sources": True}, timeout=60).json()
    assert whole["answer"] == f"{BEST}\n\n{''.join(ANSWER)}"
    outputs = list(served.with_client().submit(QUESTION, api_name="/chat"))
    assert outputs[0] == outputs[-1] == BEST and any(text.startswith(f"{BEST}\n\n") for text in outputs[1:-1])
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    completion = httpx.post(f"{served.url}v1/chat/completions", json=body, timeout=60).json()
    assert completion["choices"][0]["message"]["content"] == BEST
    assert completion["local_rag"]["answer"] == whole["answer"]


def test_what_the_model_says_again_is_left_out(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.server, "reply", lambda messages: ["A plan ", "is a list ", "of tasks. ", "It helps."])
    assert "".join(frame.get("message", "") for frame in ask_socket(served, QUESTION)) == f"{BEST}\n\nIt helps."
    monkeypatch.setattr(served.server, "reply", lambda messages: [BEST])
    assert "".join(frame.get("message", "") for frame in ask_socket(served, QUESTION)) == BEST


def test_it_does_not_open_with_a_quote_where_the_form_is_another(served: Served) -> None:
    update = asyncio.run(served.assistant.chain.ainvoke({"question": QUESTION, "instructions": "Answer in one word."}))
    assert update.opening == 0 and update.text == "".join(ANSWER)


def test_quotes_in_another_language_are_the_answer(served: Served) -> None:
    """A small model would make a sentence of neither language of them; with a wish it is asked."""
    question = "Was ist ein Plan, und wozu?"
    update = asyncio.run(served.assistant.chain.ainvoke({"question": question}))
    assert update.quoted and not update.indirect and BEST in update.text and "".join(ANSWER) not in update.text
    update = asyncio.run(served.assistant.chain.ainvoke({"question": question, "instructions": "Answer in German."}))
    assert not update.quoted and update.text == "".join(ANSWER)


def test_what_was_taken_for_the_answer_and_is_thinking_leaves_the_opening(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.server, "reply", lambda messages: ["I look at it. ", "\n</think>\n\n", "It is a list."])
    got = ask_socket(served, QUESTION)
    moved = next(place for place, frame in enumerate(got) if "moved" in frame)
    after = "".join(frame.get("message", "") for frame in got[moved:])
    assert after == f"{BEST}\n\nIt is a list." and got[-1]["thinking"].strip() == "I look at it."
    assert [each["text"] for each in got[-1]["grounding"]] == [BEST, "It is a list."]


def test_the_terminal_shows_the_quote_once(served: Served) -> None:
    folder = served.assistant.settings.data_dir.parent
    asked = run(folder, "ask", QUESTION)
    others, own = asked.stdout.split("\n\nWhat the model made of it:\n")
    assert others.startswith(f"{BEST}\n\nAlso in your sources:\n"), asked.stdout + asked.stderr
    assert own.startswith(f"{''.join(ANSWER)}\n\n") and others.count(BEST) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ASP.NET Core Security", False),
        ("Barry Dorrans", False),
        ("The key changes every year.", True),
        ("Seat: Karlsruhe", True),
        ("Oak | 12 metres", True),
        ("3 tbsp honey", True),
        ("- leader\n- follower", True),
        ("@ann funded the work on it through a campaign of gifts", True),
        ("密钥每年更换。", True),
    ],
)
def test_a_title_or_name_says_nothing_alone(text: str, says: bool) -> None:
    assert says_something(Quote(1, 0, len(text)), [Document(text)]) is says


def test_an_answer_opens_with_a_quote_that_says_something(tmp_path: Path) -> None:
    path = tmp_path / "keys.md"
    path.write_text("Change of the master key\n\nA key changes after a quarter of a year.", encoding="utf-8")
    with library_of(tmp_path, shared_minilm(), path) as library:
        chains = Chains(make_settings(tmp_path))
        chains.link(library.index, Chat(ScriptedChat(script=Script(["So it is."])), 4000, "small"))
        assert chains.own is not None
        told = asyncio.run(chains.own.ainvoke({"question": "When does the master key change?"}))
    texts = [each.text(told["passages"]) for each in told["quotes"]]
    assert told["opening"] == "A key changes after a quarter of a year."
    assert texts == ["A key changes after a quarter of a year.", "Change of the master key"]


def test_each_of_two_questions_has_its_quote_in_the_opening(tmp_path: Path) -> None:
    path = tmp_path / "pool.md"
    text = "The pool opens at nine.\n\nA visit costs 6 euros.\n\nThe sauna is closed in summer.\n\nThe pool has a café."
    path.write_text(text, encoding="utf-8")
    with library_of(tmp_path, shared_minilm(), path) as library:
        chains = Chains(make_settings(tmp_path))
        chains.link(
            library.index, Chat(ScriptedChat(script=Script(["A visit costs 6 euros. ", "Come early."])), 4000, "small")
        )
        assert chains.own is not None
        question = "When does the pool open, and what does a visit cost?"
        told = asyncio.run(chains.own.ainvoke({"question": question}))
    assert told["opening"] == "The pool opens at nine.\n\nA visit costs 6 euros."
    assert told["answer"] == "\n\nCome early."
    update = Update(
        text=told["opening"], opening=len(told["opening"]), quotes=told["quotes"], passages=tuple(told["passages"])
    )
    assert update.opens_with == 2 and [each.leads for each in told["quotes"]][:3] == [True, True, False]


# -- the page --------------------------------------------------------------------------------------------------------

SOURCES = (
    Document(
        "Adults pay 18.50 a year. Between 14 and 25 it is 6.\n\nChildren pay nothing.", metadata={"title": "Fees"}
    ),
)
FIRST, OTHER = Quote(1, 0, 51), Quote(1, 53, 74)


def answered(written: str, *supported: bool) -> Update:
    text = f"{OPENING}\n\n{written}" if written else OPENING
    place = len(OPENING)
    own = [Sentence(place, len(text), 1 if has else None, (0, 5) if has else None) for has in supported]
    grounding = (Sentence(0, len(OPENING), 1, (FIRST.start, FIRST.end)), *own)
    given: dict[str, Any] = {"passages": SOURCES, "quotes": (FIRST, OTHER), "grounding": grounding}
    return Update("done", text, opening=place, **given)


def test_who_sees_no_marks_is_not_given_what_a_small_model_adds() -> None:
    assert answered("A card costs 18.50.", True).alone == OPENING
    assert answered("A card is free.", False).alone == f"{OPENING}\n\nChildren pay nothing."
    assert replace(answered("A card is free.", False), grounding=None).alone == OPENING


def test_doors_without_marks_leave_out_what_nothing_supports(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.server, "reply", lambda messages: ["The moon ", "is made ", "of cheese."])
    plain = httpx.get(f"{served.url}predict", params={"query": QUESTION}, timeout=60).json()
    assert plain.startswith(BEST) and "moon" not in plain
    whole = httpx.get(f"{served.url}predict", params={"query": QUESTION, "sources": True}, timeout=60).json()
    assert whole["doubtful"] and "moon" in whole["answer"]
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    completion = httpx.post(f"{served.url}v1/chat/completions", json=body, timeout=60).json()
    assert completion["choices"][0]["message"]["content"] == plain
    assert completion["local_rag"]["answer"] == whole["answer"]
    assert served.with_client().predict(QUESTION, api_name="/chat") == plain


def told(messages: list[Any]) -> list[tuple[str, str]]:
    return [
        (str(each.metadata.get("id", "")), str(each.metadata.get("title", "")).partition(" · ")[0]) for each in messages
    ]


@pytest.mark.parametrize("supported", [True, False])
def test_the_page_folds_what_a_small_model_adds_behind_all_quotes(supported: bool) -> None:
    update = answered("A card costs 18.50.", supported)
    assert (update.support, update.doubtful) == ((int(supported), 1), not supported)
    messages = show_answer(update, "What does a card cost?")
    assert told(messages) == [(INSTEAD, ""), (BESIDE, ""), ("", "What the model made of it"), ("", "Sources")]
    assert messages[0].content.startswith("> “Adults pay 18&#46;50") and "[1](#quote-" in messages[0].content
    assert messages[1].content.startswith("<small>Also in your sources</small>\n\n> “Children")
    assert messages[2].content.startswith(f"{UNCOPIED}A card costs 18.50.[{'1](#quote-' if supported else '?](#none-'}")
    assert messages[2].metadata["title"].endswith(f" · {int(supported)} of 1 sentence supported")
    assert messages[2].metadata["status"] == "done"  # Gradio folds it by that
    history = [{"role": "assistant", "content": each.content, "metadata": each.metadata} for each in messages]
    assert [each.text for each in as_messages(history)] == [f"“{OPENING}” [1]"]


def test_what_a_small_model_adds_is_open_while_it_writes() -> None:
    update = replace(answered("A card"), phase="writing", grounding=None)
    text = show_answer(update, "What does a card cost?")[2]
    assert text.content == f"{UNCOPIED}A card{UNCOPIED}" and text.metadata == {"title": "What the model made of it"}


def test_it_is_seen_while_it_comes_folded_then_and_never_copied(served: Served) -> None:
    browser, text = served.in_browser(), "".join(ANSWER)

    def ask() -> tuple[list[bool], list[str]]:
        page = browser.visit()
        conversation = page.locator("#conversation")
        made_of_it = conversation.locator(".thought-group").filter(has_text="What the model made of it")
        with served.server.hold(after=4) as held:
            page.get_by_role("textbox", name="Question").fill(QUESTION)
            page.get_by_role("textbox", name="Question").press("Enter")
            made_of_it.get_by_text("An agent plans").wait_for()
            held.release()
        conversation.get_by_text("Sources ·").wait_for()
        conversation.get_by_text(text).wait_for(state="hidden")
        seen = [conversation.get_by_text(BEST).first.is_visible(), conversation.get_by_text(text).is_visible()]
        conversation.get_by_text("What the model made of it").click()
        conversation.get_by_text(text).wait_for()
        copied = copied_from(page)
        page.goto("about:blank")
        return seen, copied

    seen, copied = browser.do(ask)
    assert seen == [True, False]
    for each in copied:
        assert BEST in each and "Also in your sources" in each and "[1] Notes" in each, each
        assert text not in each and "What the model" not in each and "\u2063" not in each, each


def test_what_is_saved_has_what_the_model_made_of_it() -> None:
    messages = show_answer(answered("A card costs 18.50."), "What does a card cost?")
    turns = [{"role": "assistant", "content": each.content, "metadata": each.metadata} for each in messages]
    saved = conversation_as_markdown(turns)
    assert f"> “{OPENING}” [1]\n\n> “Children pay nothing.” [1]\n\n*What the model made of it*\n\nA card costs" in saved


def test_a_model_that_adds_nothing_leaves_the_quotes_alone() -> None:
    messages = show_answer(answered(""), "What does a card cost?")
    assert told(messages) == [(INSTEAD, ""), (BESIDE, ""), ("", "Sources")]


def test_a_failure_before_the_first_token_is_no_answer_cut_off() -> None:
    messages = show_failure(answered(""), EngineStalled("It is silent."))
    assert [title for _, title in told(messages)] == ["", "⚠ Not answered: It is silent&#46;"]


# -- where nothing says it directly ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Is the library of Ostby open on Monday?", False),
        ("Kostet die library card in Ostby etwas, oder ist sie frei?", False),  # in another language
        ("When is the library of Ostby open?", True),
        ("Can you tell me when the library of Ostby is open?", True),
        ("Is the library of Ostby open from Monday or from Tuesday?", True),
    ],
)
def test_a_small_model_is_not_asked_for_yes_or_no(tmp_path: Path, question: str, asked: bool) -> None:
    path = tmp_path / "fees.md"
    path.write_text("A library card costs 18.50.\n\nThe library of Ostby is open from Monday on.", encoding="utf-8")
    with library_of(tmp_path, shared_minilm(), path) as library:
        chat = ScriptedChat(script=Script(["No, it is not."]))
        chains = Chains(make_settings(tmp_path))
        chains.link(library.index, Chat(chat, 4000, "small"))
        assert chains.own is not None
        told = asyncio.run(chains.own.ainvoke({"question": question}))
    assert (told["quoted"], "No, it is not." in told["answer"]) == (not asked, asked)


def test_a_small_model_is_not_asked_what_the_passages_hardly_say(tmp_path: Path) -> None:
    path = tmp_path / "fees.md"
    path.write_text(
        "# Library of Ostby\n\nA library card costs adults 18.50 a year. Between 14 and 25 it costs 6.\n\n"
        "The library is open from Monday to Saturday. Books can be kept for four weeks.",
        encoding="utf-8",
    )
    with library_of(tmp_path, shared_minilm(), path) as library:
        for size in ("small", "none", "large"):
            chat = ScriptedChat(script=Script(["Made up."])) if size != "none" else None
            chains = Chains(make_settings(tmp_path, refuse=True))
            chains.link(library.index, Chat(chat, 4000, size))
            assert chains.own is not None
            near = asyncio.run(chains.own.ainvoke({"question": "Who designed the library building of Ostby?"}))
            assert near["indirect"] is (size != "large") and near.get("refused") is not True
            if size == "large":
                assert near["answer"] == "Made up."
                continue
            assert near["answer"].startswith(f"{INDIRECT}\n\n") and not (chat and chat.script.asked)
            for sentence in near["grounding"]:
                assert near["answer"][sentence.start : sentence.end] in path.read_text(encoding="utf-8")
            known = asyncio.run(chains.own.ainvoke({"question": "What does a library card cost adults in Ostby?"}))
            assert known["indirect"] is False
            update = Update(
                "done",
                near["answer"],
                passages=tuple(near["passages"]),
                quotes=near["quotes"],
                quoted=True,
                indirect=True,
            )
            assert show_answer(update, "Who?")[0].content.startswith(f"<small>{INDIRECT}</small>")
