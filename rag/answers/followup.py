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

from rag.answers.thinking import without_thinking
from rag.text.language import FUNCTION_WORDS, fold, rarity
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
"""Words of the last answer that are searched for with a follow-up; more of a wrong answer would lead astray."""
RARE = 0.45
"""Rarity (0 to 1) of a word that can be a name."""
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

_WORD = re.compile(r"[\w'’+#-]+")
_TOPIC_CHANGE = re.compile(
    r"^(?:(?:and|but|ok(?:ay)?|well|so|now)[\s,]+)*(?:"
    r"(?:now\s+)?(?:to\s+)?(?:something|anything)\s+(?:completely\s+|entirely\s+)?(?:else|different)"
    r"|(?:an?\s+)?(?:different|new|another|other|unrelated)\s+(?:question|topic|subject)"
    r"|change\s+of\s+(?:topic|subject)|on\s+another\s+note|by\s+the\s+way|btw)\b[\s:,.–—-]*",
    re.I,
)
_OPENING = re.compile(
    r"^(?:and|but|or|so|also|then|what about|how about|what if|why not|how so|how come|really|in what way)\b", re.I
)
_SELF = re.compile(
    r"\b(?:this|these)\s+(?:app|application|program|project|library|tool|software|chat|page|site|guide)\b", re.I
)
_IMPERSONAL = re.compile(
    r"\b(?:is|was|be|makes?|does)\s+it\s+(?:\w+\s+)?(?:possible|true|safe|bad|good|necessary|better|worth|hard|easy|important"
    r"|allowed|legal|take|matter)\b(?:\s+(?:to|that|for|if|when)\b)?|\bhow\s+long\s+does\s+it\s+take\s+to\b",
    re.I,
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PRONOUNS = _words(
    """
    it its itself they them their theirs he him his she her hers this that these those one ones former latter
    both same there here such
    """
)
_POSSESSIVES = _words("its their theirs his her hers")
_PERSONS = _words("it itself they them he him she")
_BEFORE_THAT = _words(
    """
    do does did is was are were can could will would should may about of for with to in from than by after
    before on and but like why how at if when all
    """
)
_BEFORE_ONE = _words("this that which the first second third last other exact good any each another an a")
_RELATIVE = ("who", "which", "that")
_BOUNDARIES = _words(
    """
    and or but if when while after before because since so as until that which who once where whether than how
    why
    """
)
_RELATIONS = _words(
    """
    advantage advantages alternative alternatives author authors benefit benefits cause causes component
    components cost costs date default defaults definition detail details difference differences disadvantage
    disadvantages downside downsides drawback drawbacks effect effects example examples exception exceptions
    first second third fourth last next former latter idea kind kinds limit limits limitation limitations
    meaning measures name names number option options origin other others part parts point price problem
    problems pro pros con cons purpose reason reasons result results risk risks role size solution solutions
    step steps strength strengths type types use uses value values version way ways weakness weaknesses year
    better worse best worst faster slower larger smaller bigger cheaper newer older easier different similar
    common exactly really actually mean means meant happen happens happened work works worked make makes made
    use used uses help helps matter matters need needs needed go goes come comes exist exists many long far
    often large small big again together used useful main important short
    """
)
"""Words that say what is asked about a subject, and not which: a question with no others has left its subject out."""
_CONTRAST = re.compile(r"\b(?:else|others?|another|more|instead|together|too|as well)\b", re.I)
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


def depends(question: str, history: Sequence[BaseMessage]) -> bool:
    """Whether a question leans on what was said: on a pronoun with nothing before it, or with its subject left out."""
    if not any(message.type == "human" for message in history) or _TOPIC_CHANGE.match(question.strip()):
        return False
    plain = _IMPERSONAL.sub(" ", _SELF.sub(" ", question))
    words = [word.casefold().replace("’", "'") for word in _WORD.findall(plain)]
    told = [word for word in words if _says(word)]
    if not told or _leans(words) or words[-1] == "then":
        return True
    if len(told) <= 2 and (_OPENING.match(question.strip()) or _CONTRAST.search(question)):
        return True
    return all(word in _RELATIONS for word in told)


def _says(word: str) -> bool:
    """Whether a word can be what a question is about."""
    return fold(word) not in FUNCTION_WORDS and word not in _PRONOUNS and any(map(str.isalnum, word))


def _leans(words: Sequence[str]) -> bool:
    """Whether a pronoun stands for something outside of the question."""
    for place, word in enumerate(word.removesuffix("'s") for word in words):
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        if word in _POSSESSIVES:
            if not any(map(_names, words[:place])):
                return True  # and not "which trees lose their leaves?"
        elif word in _PERSONS:
            if not _named_before(words[:place]):
                return True
        elif (
            word in ("this", "these", "former", "latter")
            or (word in ("there", "here") and not after)
            or (word == "that" and (not before or before in _BEFORE_THAT) and after not in _RELATIVE)
            or (word == "those" and after not in _RELATIVE)
            or (word in ("one", "ones") and before in _BEFORE_ONE)
            or (word == "both" and not _names(after) and not _named_before(words[:place]))
        ):
            return True  # and not "an agent that plans"
    return False


def _named_before(words: Sequence[str]) -> bool:
    """Whether a clause before names something: "what is planning, and why does it matter?"."""
    return any(word in _BOUNDARIES and any(map(_names, words[:place])) for place, word in enumerate(words))


def _names(word: str) -> bool:
    """Whether a word can be what a pronoun stands for."""
    return _says(word) and word not in _RELATIONS


def without_opening(question: str) -> str:
    """The question without what says that another subject begins."""
    return _TOPIC_CHANGE.sub("", question.strip(), count=1) or question


def combine(question: str, history: Sequence[BaseMessage]) -> str:
    """A text to search with: before the question, what it leans on; the question itself where it leans on nothing.

    That is the last question of the person's (with what that one leans on), and the rarest words of the answer's first
    sentence that are not in either: "Which ANN library comes from Facebook? FAISS And what does it assume?". Costs no
    call to a model. Measured in bench/followup.py against other ways.
    """
    if not depends(question, history):
        return without_opening(question)
    last = max(place for place, message in enumerate(history) if message.type == "human")
    earlier = combine(history[last].text, history[:last])
    answer = next((message.text for message in history[last + 1 :] if message.type == "ai"), "")
    said = set(map(fold, _WORD.findall(f"{earlier} {question}")))
    names = [word for word in _rarest(answer) if fold(word) not in said][:ANSWER_WORDS]
    return " ".join([earlier, *names, question])


def _rarest(text: str) -> list[str]:
    """The words of the first sentence that say most, rarest first."""
    sentences = split_sentences(text)
    found = dict.fromkeys(_WORD.findall(sentences[0])) if sentences else {}
    worth = {word: rarity(fold(word)) for word in found if _names(word.casefold())}
    return sorted((word for word in worth if worth[word] >= RARE), key=lambda word: -worth[word])


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
