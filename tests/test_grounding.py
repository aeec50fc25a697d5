"""What supports an answer's sentences: labelled sentences on the real small model, altered ones, exact offsets."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from rag.errors import EngineError
from rag.grounding.fragment import text_fragment
from rag.grounding.ground import ground
from rag.grounding.tokenizer import tokenize
from rag.text.sentences import sentence_spans, split_sentences
from tests.conftest import ROOT, PaperEmbeddings
from tests.minilm import shared_minilm

DATA = ROOT / "tests" / "data"


def sections(path: Path) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^(?=#{1,6} )", path.read_text(encoding="utf-8"), flags=re.M):
        if part.strip():
            yield part.split("\n", 1)[0].lstrip("# ").strip(), part.strip()


TEXTS = dict(sections(ROOT / "rag" / "guide.md")) | dict(sections(DATA / "grounding.md"))
LABELLED: list[dict[str, Any]] = [
    json.loads(line) for line in (DATA / "grounding.jsonl").read_text(encoding="utf-8").splitlines()
]
ANSWERS: list[dict[str, Any]] = [
    json.loads(line) for line in (DATA / "grounding_answers.jsonl").read_text(encoding="utf-8").splitlines()
]
NAMES = ["ReAct", "Reflexion", "LLM+P", "HuggingGPT", "AutoGPT", "BabyAGI", "GPT-Engineer", "FAISS", "ScaNN", "HNSW"]
NAMES += ["ANNOY", "LSH", "Google", "Meta", "PDDL"]
COUNTS = ["two", "three", "four", "five", "six", "seven"]


def passages(names: list[str]) -> list[Document]:
    return [Document(TEXTS[name], metadata={"title": "A guide", "section": name}) for name in names]


@pytest.fixture(scope="module")
def minilm() -> Embeddings:
    return shared_minilm()


class Squeezed(Embeddings):
    """The small model with all nearness moved up, between 0.6 and 0.9 for different texts: as some models have it."""

    def __init__(self, model: Embeddings) -> None:
        self._model = model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        found = []
        for text, vector in zip(texts, self._model.embed_documents(texts), strict=True):
            own = random.Random(text)
            noise = [own.gauss(0, 1) for _ in range(384)]
            scale = 0.1**0.5 / sum(each * each for each in noise) ** 0.5
            near = [0.3**0.5 * each for each in vector]
            found.append([0.6**0.5, *near, *(scale * each for each in noise)])
        return found

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def judged(line: dict[str, Any], embeddings: Embeddings) -> tuple[bool, str]:
    """Whether all that a labelled sentence claims is supported, and the quote of the first part."""
    given = passages(line["passages"])
    claims = [each for each in ground(line["text"], given, embeddings) if each.claims]
    if not claims or any(each.passage is None for each in claims):
        return False, ""
    first = claims[0]
    assert first.passage and first.quote
    return True, given[first.passage - 1].page_content[slice(*first.quote)]


def figures(embeddings: Embeddings, lines: list[dict[str, Any]]) -> tuple[float, float, Counter[str]]:
    """Precision, recall, and how many altered sentences of each kind count as supported."""
    right = wrong = missed = 0
    passed: Counter[str] = Counter()
    for line in lines:
        supported, quote = judged(line, embeddings)
        if supported and line["supported"]:
            right += 1
            assert line["quote"] in quote, line["text"]
        elif supported:
            wrong += 1
            passed[line["kind"]] += 1
        elif line["supported"]:
            missed += 1
    return right / (right + wrong), right / (right + missed), passed


def test_the_labelled_set_is_large_enough() -> None:
    true = [line for line in LABELLED if line["supported"]]
    assert len(true) >= 70 and len(LABELLED) - len(true) >= 70
    kinds = Counter(line["kind"] for line in LABELLED if not line["supported"])
    assert {"number", "name", "negation", "antonym", "swap", "invention", "absent", "world"} <= set(kinds)
    for line in true:
        assert any(line["quote"] in TEXTS[name] for name in line["passages"]), line["text"]


@pytest.mark.parametrize("half", [0, 1], ids=["tuned on", "held out"])
def test_labelled_sentences(half: int, minilm: Embeddings) -> None:
    precision, recall, passed = figures(minilm, LABELLED[half::2])
    assert not {"number", "name", "negation"} & set(passed), passed
    assert precision >= 0.97
    assert recall >= 0.83


def test_another_scale_of_nearness_changes_little(minilm: Embeddings) -> None:
    precision, recall, passed = figures(Squeezed(minilm), LABELLED[::2])
    assert not {"number", "name", "negation"} & set(passed), passed
    assert precision >= 0.95
    assert recall >= 0.75


def test_what_the_small_model_writes(minilm: Embeddings) -> None:
    right = wrong = missed = 0
    for line in ANSWERS:
        found = ground(line["answer"], passages(line["passages"]), minilm, line["question"])
        assert len(found) == len(line["labels"])
        for sentence, label in zip(found, line["labels"], strict=True):
            right += label == "S" and sentence.passage is not None
            wrong += label == "U" and sentence.passage is not None
            missed += label == "S" and sentence.passage is None
    assert right / (right + wrong) >= 0.93
    assert right / (right + missed) >= 0.85


def altered(sentence: str, draw: random.Random) -> Iterator[str]:
    """The sentence with another number, another name, and with a negation more or less."""
    for old, new in (
        (" is ", " is not "),
        (" are ", " are not "),
        (" can ", " cannot "),
        (" means ", " does not mean "),
    ):
        if old in sentence and " not " not in sentence:
            yield sentence.replace(old, new, 1)
            break
    for old, new in ((" does not ", " does "), (" is not ", " is "), (" cannot ", " can ")):
        if old in sentence:
            yield sentence.replace(old, new, 1)
            break
    for name in NAMES:
        whole = rf"(?<![\w+]){re.escape(name)}(?![\w+])"
        if re.search(whole, sentence):
            other = draw.choice([each for each in NAMES if each != name])
            yield re.sub(whole, other, sentence)
            break
    for number in [*COUNTS, *re.findall(r"\d+", sentence)]:
        if re.search(rf"\b{number}\b", sentence):
            others = [each for each in COUNTS if each != number] if number in COUNTS else [str(int(number) + 7)]
            yield re.sub(rf"\b{number}\b", draw.choice(others), sentence, count=1)
            break


def test_sentences_as_they_stand_are_supported_and_altered_ones_are_not(minilm: Embeddings) -> None:
    draw = random.Random(3)
    names = [name for name in TEXTS if len(TEXTS[name]) > 200]
    changed = 0
    for name in names:
        given = passages([name, *draw.sample([other for other in names if other != name], 3)])
        draw.shuffle(given)
        for sentence in split_sentences(TEXTS[name]):
            sentence = sentence.removeprefix("- ")
            if sentence.startswith("#") or len(sentence) < 30:
                continue
            (found,) = ground(sentence, given, minilm)
            assert found.passage and found.quote, sentence
            text = given[found.passage - 1].page_content[slice(*found.quote)]
            assert sentence.replace("**", "") in " ".join(text.split()).replace("**", "")
            for other in altered(sentence, draw):
                changed += 1
                assert ground(other, given, minilm)[0].passage is None, other
    assert changed > 90


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("three", "3"),
        ("twenty-five", "25"),
        ("Twenty five", "25"),
        ("1,000", "1000"),
        ("2.4 million", "2,400,000"),
        ("two hundred and six", "206"),
        ("5%", "5 percent"),
        ("$20", "20 dollars"),
        ("１２", "12"),
        ("vier", "4"),
        ("second", "2nd"),
    ],
)
def test_numbers_that_are_the_same(text: str, other: str) -> None:
    (one,), (two,) = tokenize(text), tokenize(other)
    assert one.values & two.values and one.unit == two.unit


@pytest.mark.parametrize(
    ("text", "other"),
    [("12", "21"), ("5%", "5"), ("5%", "50%"), ("three", "four"), ("1.5", "15"), ("$5", "€5"), ("2", "2nd")],
)
def test_numbers_that_differ(text: str, other: str) -> None:
    (one,), (two,) = tokenize(text), tokenize(other)
    assert not (one.values & two.values and one.unit == two.unit)


# What an answer is made of

ANSWER = """# Agents

Sure! Here is what I found:

- **Memory**: An agent keeps facts in memory. [1]
1. It uses tools [2][3].

| part | plan |
|---|---|
| An agent has a plan. | yes |

```python
plan("cheese")
```
Is that all? I do not know.
"""


def test_markdown_is_taken_apart() -> None:
    given = [Document("An agent keeps facts in memory. It uses tools. An agent has a plan.")]
    found = ground(ANSWER, given, PaperEmbeddings())
    told = {ANSWER[each.start : each.end]: each for each in found}
    assert told["It uses tools [2][3]."].passage == 1
    code = told['```python\nplan("cheese")\n```']
    assert code.claims and code.passage is None
    for text in ("# Agents", "Is that all?", "I do not know."):
        assert not told[text].claims and told[text].passage is None


@pytest.mark.parametrize(
    ("answer", "supported"),
    [
        ("A monthly ticket for the Marra ferry costs 34.00.", True),
        ("A monthly ticket for the Marra ferry costs 43.00.", False),
        ("The boats of the Marra ferry leave every fifteen minutes.", False),  # these are the coach's
        ("A monthly ticket for the Marra ferry costs something.", False),  # no more than the question
        ("A monthly ticket for the Lune ferry costs 34.00.", False),
    ],
)
def test_what_the_question_says_need_not_be_said_again(answer: str, supported: bool, minilm: Embeddings) -> None:
    texts = [
        ("The Marra ferry", "A single ticket costs 1.80, a monthly ticket 34.00. Bicycles travel free."),
        ("The town's coach", "It leaves the market every fifteen minutes and takes half an hour."),
    ]
    given = [Document(text, metadata={"title": title, "source": title}) for title, text in texts]
    (found,) = ground(answer, given, minilm, "What does a monthly ticket for the Marra ferry cost?")
    assert (found.passage == 1) is supported
    (alone,) = ground("A monthly ticket for the Marra ferry costs 34.00.", given, minilm)
    assert alone.passage is None


GRANT = "Basic grant: 300 euros. For first-year students the amount of it is 350 euros."
BOTH = "both the father and the mother count as members of the family."
CUSTODY = f"Some live away from home. When the custody of the children is shared by the parents, {BOTH}"
SURVEY = "Cry: Often | Adult men: 7% | Age 18 to 34: 13% | Age 35 to 64: 5%"
TARGET = "Debian has targets. The default target to which systemd will bring the system is shown by a command."
COFFEE = "{} can be used through the small lid beside the bean container."
ROWS = "Room: Small hall | Seats in rows: 120 | At tables: 70\nRoom: Garden room | Seats in rows: 60 | At tables: 36"
HOLIDAYS = "Your days of vacation are paid on request. Unused holidays are not paid upon termination or resignation."


@pytest.mark.parametrize(
    ("said", "question", "answer", "supported"),
    [
        (
            COFFEE,
            "May sugared beans be used?",
            "Sugared beans can be used through the small lid beside the bean container.",
            False,
        ),
        (
            COFFEE,
            "May ground coffee be used?",
            "Ground coffee can be used through the small lid beside the bean container.",
            True,
        ),
        (ROWS, "How many people can sit in rows in the small hall?", "60 rows in the small hall.", False),
        (ROWS, "How many people can sit in rows in the garden room?", "60 rows in the garden room.", True),
        (HOLIDAYS, "And my unused vacation?", "Unused vacation is not paid upon termination or resignation.", False),
        (SURVEY, "How many of the young men cry often?", "7% of the young men cry often.", False),
        (SURVEY, "How many of the adult men cry often?", "The adult men who cry often are 7%.", True),
        (TARGET, "Who started Debian?", "The default target for systemd to bring the system is Debian.", False),
        (GRANT, "How much is the basic grant?", "The basic grant is 350 euros.", False),
        (GRANT, "How much is the basic grant?", "The basic grant is 300 euros.", True),
        (GRANT, "What do first-year students get?", "First-year students get 350 euros.", True),
        (CUSTODY, "And when I live away from my parents?", f"When I live away from them, {BOTH}", False),
        (CUSTODY, "And when custody is shared?", f"When the custody is shared, {BOTH}", True),
        (HOLIDAYS, "And my unused holidays?", "Unused holidays are not paid upon termination or resignation.", True),
    ],
)
def test_another_subject_of_the_question_is_not_put_in_its_place(
    said: str, question: str, answer: str, supported: bool, minilm: Embeddings
) -> None:
    given = [Document(said.format("Ground coffee"), metadata={"title": "a", "source": "a"})]
    (found,) = ground(answer, given, minilm, question)
    assert (found.passage is not None) is supported


@pytest.mark.parametrize(
    ("said", "answer", "supported"),
    [
        (
            "Day: Friday | Hours: 9:00 to 11:00",
            "On Friday, the office of the Kestrel centre is open from 9:00 to 11:00.",
            True,
        ),
        (
            "Day: Friday | Hours: 9:00 to 11:00",
            "On Monday, the office of the Kestrel centre is open from 9:00 to 11:00.",
            False,
        ),
        (
            "Day: Friday | Hours: 9:00 to 11:00",
            "On Friday, the office of the Lune centre is open from 9:00 to 11:00.",
            False,
        ),
        ("Quick 40: up to 2 kg, 40 minutes, 0.48 kWh", "The quick hours of the Kestrel centre are 40 minutes.", True),
    ],
)
def test_a_short_line_is_read_with_its_heading(said: str, answer: str, supported: bool, minilm: Embeddings) -> None:
    heading = {"title": "Kestrel Centre", "section": "Opening hours of the office", "source": "a"}
    asked = "When is the office of the Kestrel centre open on Friday, and for quick hours?"
    (found,) = ground(answer, [Document(said, metadata=heading)], minilm, asked)
    assert (found.passage is not None) is supported


@pytest.mark.parametrize(
    "said",
    [
        "Budget 450.",
        "It is only a file.",
        "Books four weeks; magazines, films and games two weeks; things from the library of things one week.",
        "Guest flat: from October on members may book it twelve months ahead, and no longer than ten nights.",
    ],
)
def test_a_copy_of_a_sentence_is_supported(said: str, minilm: Embeddings) -> None:
    text = f"- The guest flat is closed in March. {said}"
    (found,) = ground(said, [Document(text)], minilm, "What does the budget say of books and the guest flat in March?")
    assert found.quote and text[slice(*found.quote)] == said


def test_one_is_no_number_where_it_stands_for_a_noun() -> None:
    assert not any(token.values for token in tokenize("Leselicht is the one you need."))
    assert [token.values for token in tokenize("the one app")] == [frozenset(), frozenset("1"), frozenset()]


@pytest.mark.parametrize("mark", ["?", ""])
def test_a_question_supports_nothing(mark: str, minilm: Embeddings) -> None:
    said = f"* Should the scripts of the package be able to run from modules{mark}\n* No scripts run from folders."
    answer = "The scripts of the package should be able to run from modules."
    (found,) = ground(answer, [Document(said)], minilm)
    assert found.passage is None
    (stated,) = ground(answer, [Document(said.replace("Should the scripts", "The scripts should"))], minilm)
    assert (stated.passage is not None) is (mark == "")


@pytest.mark.parametrize(
    ("question", "answer", "supported"),
    [
        ("How many generative agents lived in the virtual town?", "25.", True),
        ("How many generative agents lived in the virtual town?", "Twenty-six.", False),
        ("Which library comes from Meta?", "FAISS.", True),
        ("Which library comes from Meta?", "ScaNN.", False),
    ],
)
def test_a_short_answer_is_read_with_its_question(
    question: str, answer: str, supported: bool, minilm: Embeddings
) -> None:
    given = passages(["Generative agents", "Approximate nearest neighbour methods"])
    (found,) = ground(answer, given, minilm, question)
    assert found.claims and (found.passage is not None) is supported


@pytest.mark.parametrize(
    ("claim", "supported"),
    [
        ("Autoclean runs every 50 updates before it.", False),
        ("Autoclean runs every 10 minutes.", True),
        ("Autoclean has a threshold of 50 updates before it runs.", True),
        ("Every one of the updates before autoclean runs has a threshold of 50.", True),
    ],
)
def test_a_rate_has_to_be_one_in_the_passage(claim: str, supported: bool, minilm: Embeddings) -> None:
    said = ["autoclean_threshold = 50  # number of updates before autoclean runs"]
    if "minutes" in claim:
        said.append("autoclean_naptime = 10min  # 10 minutes between autoclean runs")
    (found,) = ground(claim, [Document(text, metadata={"title": "a", "source": "a"}) for text in said], minilm)
    assert (found.passage is not None) is supported


def test_it_says_what_is_not_there(minilm: Embeddings) -> None:
    given = passages(["The harbour bridge"])
    for text, why in (
        ("The steel was made in Germany, but the stone came from a quarry near Norlund.", 'the name "Germany"'),
        ("Its main span is 530 metres long, and the deck lies 59 metres above the water.", "the number 530"),
        ("The bridge is lovely.", 'the word "lovely"'),
    ):
        (found,) = ground(text, given, minilm)
        assert (found.passage, found.why) == (None, why)


def test_a_superlative_has_to_be_that_of_its_noun(minilm: Embeddings) -> None:
    said = "The player who has completed the most tickets wins. If there are two, the one with the longest path wins."
    for word, supported in (("most", True), ("longest", False)):
        (found,) = ground(f"The player who has completed the {word} tickets wins.", [Document(said)], minilm)
        assert (found.passage is not None) is supported


LIGHTS = (
    "Light: Orange, steady | Meaning: battery too hot | What to do: let it cool\n"
    "Light: Orange, blinking | Meaning: dust container missing or wet | What to do: put it in, dry"
)
VOTE = "The heating contract goes to Nordheat for 18,400, four in favour, one against (George Walsh)."
PAID = "I paid the dentist 80 euros on 3 May. The bill was paid by the tenant."
CHAIR = "The treasurer (Ben Cole) read the accounts."


@pytest.mark.parametrize(
    ("claim", "said", "supported"),
    [
        ("An orange light means the battery is too hot, and it is missing or wet.", LIGHTS, False),
        ("A steady orange light means that the battery is too hot.", LIGHTS, True),
        ("Oak has 8 seats, and Elm has 12 seats.", "Room: Oak | Seats: 8\nRoom: Elm | Seats: 12", True),
        ("George Walsh decided that the heating contract goes to Nordheat.", VOTE, False),
        ("George Walsh was against.", VOTE, True),
        ("Ben Cole read the accounts.", CHAIR, True),
        ("The dentist paid 80 euros.", PAID, False),
        ("The dentist was paid 80 euros.", PAID, True),
        ("The tenant paid the bill.", PAID, True),
        ("The shop opened in 1998.", "They opened the shop in 1998.", True),
        ("The total amount paid was 80 euros.", "I paid a total amount of 80 euros.", True),
        (
            "OCR reads scanned pages.",
            "Optical character recognition (OCR) is on by default, and reads scanned pages.",
            True,
        ),
        (
            "North had 5 boats in 2023, and 7 boats in 2024.",
            "Region: North | Year: 2023 | Boats: 5\nRegion: North | Year: 2024 | Boats: 7",
            True,
        ),
    ],
)
def test_it_is_told_of_the_same_thing(claim: str, said: str, supported: bool, minilm: Embeddings) -> None:
    (found,) = ground(claim, [Document(said)], minilm)
    assert (found.passage is not None) is supported


def test_offsets_are_exact() -> None:
    draw = random.Random(7)
    parts = [
        "agent",
        "plan",
        "Memory",
        "**tool**",
        "12",
        "not",
        "ReAct",
        "。",
        "记忆",
        "Größe",
        "e\u0301",
        "[1]",
        "(Shen et al. 2023)",
    ]
    parts += [
        ". ",
        "\n",
        "\n- ",
        "? ",
        "! ",
        "```\n",
        "| ",
        "“",
        "”",
        "\u2028",
        "\ud800",
        "\0",
        "z. B. ",
        "1. ",
        "# ",
        "<b>",
        "\r\n",
    ]
    for _ in range(300):
        answer, *texts = (
            "".join(draw.choice(parts) + draw.choice(["", " "]) for _ in range(draw.randrange(40))) for _ in range(4)
        )
        given = [Document(text) for text in texts]
        place = 0
        for each in ground(answer, given, PaperEmbeddings(), "Which plan?"):
            assert place <= each.start < each.end <= len(answer)
            assert answer[each.start : each.end].strip() == answer[each.start : each.end]
            place = each.end
            assert (each.passage is None) == (each.quote is None)
            if each.passage is None or each.quote is None:
                assert not each.words
                continue
            assert 0 <= each.quote[0] < each.quote[1] <= len(texts[each.passage - 1])
            assert list(each.words) == sorted(each.words)
            assert all(each.quote[0] <= first < last <= each.quote[1] for first, last in each.words)
    spans = sentence_spans("  One two.\tThree. ")
    assert spans == [(2, 10), (11, 17)]


HOSTILE = ["memory agent " * 1600, "x" * 20_000, ". " * 10_000, "\ud800 agent. " * 2000, "\0" * 20_000, "ReAct " * 3300]
HOSTILE += [
    "agent, " * 2800,
    "[a](" * 5000,
    "```\n" * 5000,
    "记忆" * 10_000,
    "9" * 20_000,
    "**" * 10_000,
    "n't " * 5000,
]
HOSTILE += ["| " * 10_000, "|" * 20_000 + "x|", "twenty-" * 2800]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:8]))
def test_hostile_texts(text: str) -> None:
    given = [Document(text), Document(""), Document("An agent keeps facts in memory.")]
    found = ground(text, given, PaperEmbeddings(), text[:100])
    assert all(text[each.start : each.end] for each in found)
    (last,) = ground("An agent keeps facts in memory.", given, PaperEmbeddings())
    assert last.passage is not None
    assert ground(text, [], PaperEmbeddings()) == [] or ground(text, [], PaperEmbeddings())[0].passage is None
    assert ground("", given, PaperEmbeddings()) == []


def test_words_decide_alone_where_vectors_cannot_be_had(minilm: Embeddings) -> None:
    class Gone(PaperEmbeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            raise EngineError("Ollama does not answer.")

    given = passages(["ReAct"])
    same, other = ground(
        "ReAct combines reasoning and acting. The agent uses what it observed to write the following thought.",
        given,
        Gone(),
    )
    assert same.passage == 1
    assert other.passage is None


# Links to a quote


@pytest.mark.parametrize(
    ("quote", "directive"),
    [
        ("a short-term, R&D\n quote", ":~:text=a%20short%2Dterm%2C%20R%26D,quote"),
        ("An  agent plans.", ":~:text=An%20agent%20plans."),
        ("- **FAISS** is a library", ":~:text=FAISS%20is%20a%20library"),
        ("", ""),
        (" \n", ""),
        ("Größe \ud800 100%", ":~:text=Gr%C3%B6%C3%9Fe%20100%25"),
        (
            " ".join(f"word{number}" for number in range(20)),
            ":~:text=word0%20word1%20word2%20word3%20word4%20word5,word14%20word15%20word16%20word17%20word18%20word19",
        ),
    ],
)
def test_text_fragments(quote: str, directive: str) -> None:
    assert text_fragment(quote) == directive


def test_text_fragments_keep_to_the_grammar() -> None:
    """`TextMatchChar` of the specification: an unreserved or reserved character but `&`, `-` and `,`, or `%xx`."""
    draw = random.Random(11)
    character = r"(?:[!$'()*+./:;=?@_~a-zA-Z0-9]|%[0-9A-F]{2})"
    for _ in range(500):
        quote = "".join(draw.choices('ab c-,&%#\n\t é记\ud800\0"<>', k=draw.randrange(200)))
        found = text_fragment(quote)
        assert re.fullmatch(rf"(?::~:text={character}+(?:,{character}+)?)?", found), found
        for end in filter(None, found.removeprefix(":~:text=").split(",")):
            assert unquote(end) in " ".join(quote.encode("utf-8", "ignore").decode().split())
