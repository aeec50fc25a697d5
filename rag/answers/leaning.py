"""Whether a question leans on what was said before it: by a pronoun, or since its subject is left out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from langchain_core.messages import BaseMessage

from rag.text.language import FUNCTION_WORDS, fold

WORD = re.compile(r"[\w'’+#-]+")
TOPIC_CHANGE = re.compile(
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
_QUESTION_WORDS = {
    "de": _words(
        "wie was wann wo wer wem wen warum wieso woher wohin welche welcher welches ist sind hat kann darf gibt"
    ),
    "fr": _words("combien quel quelle quels quelles où quand comment pourquoi qui que quoi est peut a"),
    "es": _words(
        "cuánto cuánta cuántos cuántas qué cuál cuáles dónde cuándo cómo quién quiénes es son tiene puede hay"
    ),
}
"""Words of other languages that a question has, and no English one."""
_ELSEWHERE = {
    "de": _words(
        "er ihn ihm sie ihr ihre ihren ihrer sein seine seinen seiner dessen deren davon damit dafür dazu darin daran"
        " darauf darüber dort"
    ),
    "fr": _words("il elle ils elles ça cela celui-ci celle-ci son sa ses leur leurs lui"),
    "es": _words("él ella ello ellos ellas esto eso su sus allí"),
}
"""What stands for something else there."""
_PREPOSITIONS = _words("after against during except near per since unlike upon")
"""Words before what is asked about; others are among the function words."""
_MORE = re.compile(
    r"^(?:and|or|but)\b(?!.*\b(?:who|what|which|when|where|why|how|is|are|was|were|do|does|did|can|could|will|would|should"
    r"|must|may|has|have|had|\w+n['’]t|summari[sz]e|compare|list|show|tell|explain|give|describe|find)\b)",
    re.I,
)
"""An "and" with no verb after it: what it asks was asked before."""
_MOST_MORE = 7
"""Words of such a question, at most."""
_GERMAN_THIS = re.compile(r"\b(?:das|dies)(?=\s*[?.!]*$|\s+[a-zäöüß]+(?:t|en)\s*[?.!]*$)")
"""A "das" that is no article: at the end, or before a verb there."""
_AND = re.compile(r"¿?(?:und|et|y)\s+(?!wenn\b|si\b|a\b|a-t-il\b)", re.I)
_SHORT = 4
"""Words after an "and" in other languages with which nothing but the difference is said: "Und im Winter?"."""
_AMOUNTS = ("lange", "oft", "teuer")
_INVERTED = re.compile(r"(?<!a-t)(?<!faut)-(?:t-)?(?:ils?|elles?)$")
_NOBODY = re.compile(r"\b(?:il y a|il faut|est-il|a-t-il|faut-il)\b", re.I)
_DETERMINER = re.compile(r"\b(?:el|la|los|las|un|una|del|al|le|les|l|une|des|du)\b", re.I)


def _leans_elsewhere(question: str) -> bool:
    """Whether a question in German, French or Spanish leans on what was said.

    It does where it begins with "and" and is short; where it has a pronoun and nothing that this can stand for in it, a
    noun in German, which has a capital letter, and a word after an article in the others; and where it has no more than
    a verb, as in Spanish.
    """
    words = [word.casefold() for word in WORD.findall(question)]
    language = next((each for each, some in _QUESTION_WORDS.items() if words and words[0] in some), "")
    if _AND.match(question.strip()):
        return len(words) <= _SHORT + 1 or any(word in some for some in _QUESTION_WORDS.values() for word in words[1:3])
    if not language:
        return False
    this = _GERMAN_THIS.search(question) if language == "de" and question[:1].isupper() else None
    if this and not any(word[:1].isupper() for word in WORD.findall(question[: this.start()])[1:]):
        return True
    told = WORD.findall(_NOBODY.sub(" ", question))
    leaning = [place for place, word in enumerate(told) if _stands_for(word, language)]
    before = told[1 : leaning[0] if leaning else None]
    named = any(word[:1].isupper() for word in before)
    if named or (language != "de" and _DETERMINER.search(" ".join(before))):
        return False
    is_bare = len(words) <= 2 and all(word in _QUESTION_WORDS[language] or word in _AMOUNTS for word in words)
    return bool(leaning) or is_bare or (language == "es" and len(words) <= 2)  # "¿Cuánto pesa?"


def _stands_for(word: str, language: str) -> bool:
    is_polite = language == "de" and word[:1].isupper()  # "Sie", "Ihr"
    low = word.casefold()
    return not is_polite and (low in _ELSEWHERE[language] or (language == "fr" and bool(_INVERTED.search(low))))


def depends(question: str, history: Sequence[BaseMessage]) -> bool:
    """Whether a question leans on what was said: on a pronoun with nothing before it, or with its subject left out."""
    if not any(message.type == "human" for message in history) or TOPIC_CHANGE.match(question.strip()):
        return False
    if _leans_elsewhere(question):
        return True
    plain = _IMPERSONAL.sub(" ", _SELF.sub(" ", question))
    words = [word.casefold().replace("’", "'") for word in WORD.findall(plain)]
    told = [word for word in words if _says(word)]
    if not told or _leans(words) or words[-1] == "then":
        return True
    if len(told) <= 2 and (_OPENING.match(question.strip()) or _CONTRAST.search(question)):
        return True
    if len(words) <= _MOST_MORE and _MORE.match(question.strip()):
        return True
    return all(word in _RELATIONS for word in told)


def _says(word: str) -> bool:
    """Whether a word can be what a question is about."""
    is_small = fold(word) in FUNCTION_WORDS or word in _PRONOUNS or word in _PREPOSITIONS
    return not is_small and any(map(str.isalnum, word))


def _leans(words: Sequence[str]) -> bool:
    """Whether a pronoun stands for something outside of the question."""
    for place, word in enumerate(word.removesuffix("'s") for word in words):
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        if word in _POSSESSIVES:
            if not any(map(names_something, words[:place])):
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
            or (word == "both" and not names_something(after) and not _named_before(words[:place]))
        ):
            return True  # and not "an agent that plans"
    return False


def _named_before(words: Sequence[str]) -> bool:
    """Whether a clause before names something: "what is planning, and why does it matter?"."""
    return any(word in _BOUNDARIES and any(map(names_something, words[:place])) for place, word in enumerate(words))


def names_something(word: str) -> bool:
    """Whether a word can be what a pronoun stands for."""
    return _says(word) and word not in _RELATIONS
