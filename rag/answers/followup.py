"""A question in a conversation -> what it asks for, in words that retrieval can use.

"And what are its drawbacks?" finds nothing by its own words. A capable chat model rewrites it in one short call; for a
tiny one, which rewrites wrongly, the subject of what was asked before is put in front of it. A question that stands by
itself stays as it is, in the middle of a conversation, too: so no old subject is dragged along.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda

from rag.answers.leaning import TOPIC_CHANGE, WORD, depends, names_something
from rag.answers.parts import LEANING
from rag.answers.thinking import without_thinking
from rag.answers.told import without_what_is_told
from rag.text.language import fold, rarity
from rag.text.sentences import split_sentences

log = logging.getLogger(__name__)

REWRITTEN_TOKENS = 64
"""Tokens of a rewritten question, at most."""
LONGEST = 300
"""Characters of a rewritten question, at most: a longer one is an answer or a story."""
TURNS = 4
"""Messages of the conversation that a rewriter reads: two questions with their answers."""
ANSWER_READ = 600
"""Characters of each that it reads."""
ANSWER_WORDS = 2
"""Names in the last answer that are searched for with a follow-up; more of a wrong answer would lead astray."""
SHORT = 120
"""Characters of an answer that says little beside what was asked for."""
RARE, A_NAME = 0.45, 0.9
"""Rarity (0 to 1) of a word that can be a name, and of one that begins a sentence, where all have a capital letter."""
REWRITE_SECONDS = 8.0
"""How long a rewriting may take unless the caller says otherwise."""

_BRIEF = {"think": "off", "temperature": 0.0, "num_predict": REWRITTEN_TOKENS, "max_tokens": REWRITTEN_TOKENS}
"""What the chat models' classes call it: Ollama's, OpenAI's and most others."""

PROMPT = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            "You turn the last question of a conversation into a question that can be understood without the"
            " conversation. Replace words such as 'it', 'they', 'that one' or 'the second' by what they stand for, and"
            " add the subject if it is left out. Change nothing else, and keep the language. If the question can be"
            " understood by itself, repeat it as it is. Do not answer it. Reply with the question alone, on one line.",
        ),
        (
            "human",
            "Conversation:\nPerson: What is photosynthesis?\nAssistant: Plants turn light into sugar by it.\n\n"
            "Last question: And where does it happen?",
        ),
        ("ai", "Where does photosynthesis happen?"),
        ("human", "Conversation:\n{conversation}\n\nLast question: {question}"),
    ]
)

_ANOTHER = re.compile(
    r"^¿?(?:(?:and|or|und|et|y)\s+|(?:and\s+)?(?:what|how)\s+about\s+)(?P<rest>\S.*?)\s*[?.!]*$", re.I
)
"""A question that names something else alone: "And at Lumen?"."""
LONGEST_NAME = 4
"""Words of what it names, at most."""
_PLACING = r"at|in|on|of|for|from|with|during|by|bei|im|aus|mit|für|von|en|dans|chez|pour|avec|de|con|para|por"
_PLACED = re.compile(
    rf"\b(?P<word>{_PLACING})\s+(?:(?:the|a|an|der|die|das|dem|den|le|la|les|el|los|las)\s+)?"
    r"(?:[A-ZÀ-Þ0-9][\w'’-]*(?:\s+[A-ZÀ-Þ0-9][\w'’-]*)*|[\w'’-]+(?=\s*[?.!]*$))"
)
"""A name, or the last word of a question, with what places it."""
_ARTICLE = re.compile(r"^(?:the|der|die|das|le|la|les|el|los|las)\s+(?=[A-ZÀ-Þ])", re.I)
_NAME = re.compile(r"(?<=[\w,] )[A-ZÀ-Þ][\w'’-]*(?:\s+[A-ZÀ-Þ0-9][\w'’-]*)*")
_COLUMN = re.compile(r"(?:(?<=\| )|^)[^|:]{1,30}:(?= )|\|")
"""The name of a column before its value, in a row."""
_OF_ITS_OWN = re.compile(r"(?<=\S )[(“\"]?([A-ZÀ-Þ][\w'’+#-]*|[A-Za-z]+\d[\w-]*)")
"""A word amid a sentence with a capital letter or a number in it."""
_LABEL = re.compile(
    r"^(?:(?:sure|certainly|of course)\b[^:]*:|(?:here\s+is|here's)\b[^:]*:"
    r"|(?:the\s+)?(?:standalone|stand-alone|rewritten|rephrased|last|final|new)?\s*"
    r"(?:question|query|answer|output|assistant)\s*(?:\([^)]*\))?\s*:)[\s*]*",
    re.I,
)
_REFUSAL = re.compile(
    r"^(?:i(?:'m| am)?\s+(?:sorry|cannot|can't|can not|do not|don't|am unable|unable)|sorry|as an ai|unfortunately"
    r"|there is no|the conversation|i apologi[sz]e)\b",
    re.I,
)


_IT, _BIT = r"(?:it|that|this)", r"(?:a (?:bit|little) )?"
_OF_THE_ANSWER = re.compile(
    r"\W*(?:(?:please|bitte|but|and|und|ok|okay|can you|could you|would you)\W+)*(?:"
    + "|".join(
        [
            rf"are you (?:(?:really|quite|very) )?(?:sure|certain)(?: (?:about|of) {_IT})?|really",
            rf"is {_IT} (?:really )?(?:right|true|correct|so)|what do you mean|i (?:do not|don['’]t) understand",
            rf"(?:(?:say|tell|explain|put|write|give) (?:me )?(?:{_IT}|the answer) )?(?:again )?"
            r"(?:in|with) (?:(?:just|only) )?(?:one|a single|two|three|a few|short|other|simpler?|plain|fewer)"
            r" (?:sentences?|words?|terms|lines?|english)",
            rf"(?:make|keep) {_IT} {_BIT}(?:short|brief|long|simple)(?:r|er)?|shorter|longer|simpler",
            rf"(?:say|repeat|explain|tell me) {_IT}(?: (?:again|differently|once more|better))?",
            rf"(?:tell me|say|explain|show me) {_BIT}more(?: (?:about|on) {_IT})?|more details?",
            rf"explain(?: (?:{_IT}|more))?|elaborate|go on|continue|explain further",
            rf"(?:translate|say|write) {_IT}(?: answer)? (?:in|into|to) \w+",
            rf"where does it say {_IT}|says who",
            r"(?:bist du|sind sie) (?:dir |sich )?(?:da )?(?:wirklich |ganz )?sicher|wirklich|stimmt das(?: wirklich)?",
            r"(?:in|mit) (?:einem|zwei|anderen|einfachen|wenigen) (?:satz|sätzen|worten)|kürzer|erzähle? (?:mir )?mehr",
            r"erkläre? (?:mir )?das(?: genauer)?|mehr (?:dazu|details)",
            r"(?:es-tu|tu es|êtes-vous|vous êtes) (?:vraiment )?sûre?s?|vraiment|c['’]est vrai|en une phrase",
            r"plus court|dis-m['’]en plus|(?:estás|está)(?: usted)? segur[oa]|de verdad|en una frase",
            r"más corto|dime más",
        ]
    )
    + r")(?:\W+(?:please|bitte|now|then))?\W*",
    re.I,
)
"""A request about the last answer and not about the library: "Are you sure?", "In one sentence"."""


def without_opening(question: str) -> str:
    """The question without what says that another subject begins."""
    return TOPIC_CHANGE.sub("", question.strip(), count=1) or question


def combine(question: str, history: Sequence[BaseMessage]) -> str:
    """A text to search with: before the question, what it leans on; the question itself where it leans on nothing.

    That is the last question of the person's (with what that one leans on), and the rarest names of the answer's first
    sentence that are not in either: "Which ANN library comes from Facebook FAISS?" and, on a line of its own, "And what
    does it assume?". Where a question puts another place, name or number into the earlier one, it is that one with it:
    "How many days of leave are there at Brightline?" and "And at Lumen?". Where something is asked of the answer itself
    ("Are you sure?"), it is the earlier question again. Costs no call to a model. Measured in bench/followup.py.
    """
    question = " ".join(question.split())  # a line of its own means that it leans on something
    asked = [place for place, message in enumerate(history) if message.type == "human"]
    if asked and _OF_THE_ANSWER.fullmatch(question):
        return combine(history[asked[-1]].text, history[: asked[-1]])
    if not depends(question, history):
        return without_opening(question)
    last = asked[-1]
    earlier = combine(history[last].text, history[:last])
    if other := _with_another(earlier, question):
        return other
    answer = without_what_is_told(next((message.text for message in history[last + 1 :] if message.type == "ai"), ""))
    said = set(map(fold, WORD.findall(f"{earlier} {question}")))
    names = [word for word in _names_in(answer) if fold(word) not in said][:ANSWER_WORDS]
    return f"{' '.join([earlier.rstrip(' ?.!'), *names])}?{LEANING}{question}"


def _with_another(earlier: str, question: str) -> str:
    """The earlier question with the place, name or number in this one in place of its own; "" where it has none."""
    found = _ANOTHER.match(question.strip())
    if not found or len(found["rest"].split()) > LONGEST_NAME:
        return ""
    rest = _ARTICLE.sub("", found["rest"])
    first = rest.split()[0].casefold()
    if re.fullmatch(_PLACING, first):
        own = [each for each in _PLACED.finditer(earlier) if each["word"].casefold() == first]
    elif rest.isdecimal():
        own = list(re.finditer(r"\b\d+\b", earlier))
    elif all(word[:1].isupper() or word[:1].isdecimal() for word in rest.split()):
        own = list(_NAME.finditer(earlier))
    else:
        return ""
    if len(own) != 1:
        return ""
    return f"{earlier[: own[0].start()]}{rest}{earlier[own[0].end() :]}"


def _names_in(answer: str) -> list[str]:
    """The names in the first sentence, rarest first; in a short answer all rare words, as they are what was asked for.

    A name has a capital letter amid the sentence, or is very rare at its beginning.
    """
    sentences = split_sentences(answer)
    if not sentences:
        return []
    said = _COLUMN.sub(" ", sentences[0]).strip()
    first = WORD.match(said)
    found = {first[0]: A_NAME} if first else {}
    found |= dict.fromkeys(_OF_ITS_OWN.findall(said), RARE)
    if len(answer) <= SHORT:
        found = dict.fromkeys(WORD.findall(said), RARE)
    worth = {word: rarity(fold(word)) for word in found if names_something(word.casefold()) and not word.isdecimal()}
    return sorted((word for word, much in worth.items() if much >= found[word]), key=lambda word: -worth[word])


def build_rewriter(chat_model: BaseChatModel) -> Runnable[dict[str, Any], str]:
    """`{"question", "history"}` -> the question as one of its own, in one short call; empty where nothing useful came.

    For chat models that follow instructions, of some billions of parameters: the embedded one is too small.
    """

    async def ask(prompt: PromptValue) -> BaseMessage:
        return await briefly(chat_model).ainvoke(prompt)

    return RunnableLambda(_variables) | PROMPT | RunnableLambda(ask) | StrOutputParser() | RunnableLambda(cleaned)


def briefly(chat_model: BaseChatModel) -> BaseChatModel:
    """The model, but for one short reply without thinking.

    A copy, to be made at each call: what the model has learned meanwhile, such as Ollama's window, is kept.
    """
    fields = type(chat_model).model_fields
    return chat_model.model_copy(update={name: value for name, value in _BRIEF.items() if name in fields})


def _variables(given: dict[str, Any]) -> dict[str, str]:
    speakers = {"human": "Person", "ai": "Assistant"}
    told = [
        f"{speakers[message.type]}: {' '.join(message.text.split())[:ANSWER_READ]}"
        for message in list(given["history"])[-TURNS:]
        if message.type in speakers
    ]
    return {"conversation": "\n".join(told), "question": given["question"]}


def cleaned(reply: str) -> str:
    """The question in a chat model's reply, without quotes and labels; empty if it holds none.

    None is: nothing, more than `LONGEST` characters, an apology, or a statement in place of a question.
    """
    lines = [line.strip("* ") for line in without_thinking(reply).splitlines() if line.strip("* ")]
    lines = [line for line in lines if not _LABEL.fullmatch(line)]
    line = _LABEL.sub("", lines[0]).strip() if lines else ""
    line = line.strip("\"'“”„«»*` ")
    if not line or len(line) > LONGEST or _REFUSAL.match(line) or line.endswith("."):
        return ""
    return line


async def standalone(
    question: str,
    history: Sequence[BaseMessage],
    rewriter: Runnable[dict[str, Any], str] | None,
    seconds: float = REWRITE_SECONDS,
) -> str:
    """The question as one of its own: by the rewriter, within so many seconds, and else as `combine` has it.

    A question that stands by itself asks no model and stays as it is. Never fails: a rewriting that does is logged.
    """
    if rewriter is None or not depends(question, history):
        return combine(question, history)
    try:
        asked = {"question": question, "history": list(history)}
        written = await asyncio.wait_for(rewriter.ainvoke(asked), seconds)
    except Exception as error:  # whatever the engine raises: the answer itself will tell if it stays so
        log.warning("the follow-up was not rewritten (%s: %s)", type(error).__name__, error)
        written = ""
    if not written or depends(written, history):  # small models often repeat it as it was
        return combine(question, history)
    return written
