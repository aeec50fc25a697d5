"""Questions that may follow an answer: what the passages found define or have headings of, asked by no model.

Whatever is proposed stands in a passage that was found, so that the passages can answer it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from langchain_core.documents import Document

from rag.answers.quotes.quote import Quote
from rag.answers.tables.values import MONTHS
from rag.answers.translation import foreign
from rag.text.detect import sure_language
from rag.text.headings import nearest_heading
from rag.text.language import ENGLISH, stems, surfaces
from rag.text.sentences import split_sentences

MOST = 3
LONGEST_SUBJECT = 48
"""Characters of what a proposed question is about."""
MOST_WORDS = 6


@dataclass(frozen=True)
class _Phrases:
    """How a language defines things (`subject` and `verb` are groups), and asks for them and about them."""

    defines: re.Pattern[str]
    what: str
    about: str
    several: tuple[str, str] = ("", "")


def _defining(no_subject: str, article: str, dropped: str, verb: str, kind: str) -> re.Pattern[str]:
    """A sentence that says what its subject is; an article before the subject stays in the question, or is dropped."""
    subject = r"(?P<subject>\w[\w.+#’'-]*(?: [\w.+#’'-]+){0,4})"
    return re.compile(
        rf"^(?!(?:{no_subject})\b)(?:{dropped})?(?P<article>(?:{article}) )?{subject} (?P<verb>{verb}) (?:{kind})\b"
    )


_PHRASES = {
    ENGLISH: _Phrases(
        _defining(
            "It|This|That|There|They|These|Those|He|She|We|You|Here|What|One|Note|Notice|If|When|Whether|Since|While|Because",
            *("An?|The", "", "is|are|means", r"an?|the|one of|\w+ing|that"),
        ),
        *("What is {}?", "What does it say about {}?", ("are", "What are {}?")),
    ),
    "de": _Phrases(
        _defining(
            "Es|Das ist|Dies|Dieser?|Hier|Was|Sie|Er|Wir",
            *("Der|Die|Das|Eine?", "", "ist|sind|bedeutet", "eine?[nmr]?|der|die|das|dass"),
        ),
        *("Was ist {}?", "Was steht da über {}?", ("sind", "Was sind {}?")),
    ),
    "fr": _Phrases(
        _defining("Il|Elle|Ce|C’|C'|Ceci|On", "Une?|Les?|La", "L’|L'", "est|sont", "une?|des|les?|la"),
        *("Qu’est-ce que {} ?", "Que dit-on de {} ?", ("sont", "Que sont {} ?")),
    ),
    "es": _Phrases(
        _defining("Esto|Eso|Este|Esta|Hay", "Una?|El|Los?|Las?", "", "es|son", "una?|unos|el|los?|las?"),
        *("¿Qué es {}?", "¿Qué dice sobre {}?", ("son", "¿Qué son {}?")),
    ),
    "zh": _Phrases(
        re.compile(r"^(?P<article>)(?P<subject>[^\s，。是这那它他她我你]{2,12})(?P<verb>是)(?:一[种个]|指)"),
        *("什么是{}？", "关于{}说了什么？"),
    ),
}
_HEADING = re.compile(r"^#{1,6} +(.+?)[ #]*$", re.M)
_MARKUP = re.compile(r"[*_`\[\]<>|]|\(http\S*\)")


_PLACES = """
monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag freitag samstag sonntag
lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miercoles jueves viernes sabado domingo
introduction overview contents summary appendix notes other others general miscellaneous changes chapter part section
page step einleitung uberblick inhalt zusammenfassung anhang sonstiges allgemeines kapitel teil seite
apercu sommaire annexe divers chapitre partie introduccion resumen anexo otros capitulo parte pagina
"""
_SAYS_NOTHING = frozenset([*MONTHS, *_PLACES.split()])
"""Words of headings that tell only where or when something is: nobody asks about "February" or "Part 2"."""


def suggest(question: str, sources: Sequence[Document], asked: Sequence[str] = ()) -> list[str]:
    """Up to three questions about what the passages found say besides the answer, in the language of the question.

    Where the passages are in another language, it is theirs: their headings are part of the questions.

    `asked`: earlier questions, which are not proposed again.
    """
    language = foreign(question, sources) or sure_language(question) or ENGLISH
    phrases = _PHRASES.get(language)
    if phrases is None:
        return []
    known = [stems(text, language) for text in (question, *asked)]
    proposed: list[str] = []
    for subject, text in [*_defined(sources, phrases), *_headed(sources, phrases)]:
        words = stems(subject, language)
        if not words or any(words <= each for each in known) or not _fits(subject):
            continue
        known.append(words)
        proposed.append(text)
        if len(proposed) == MOST:
            break
    return proposed


def answering(passages: Sequence[Document], quotes: Sequence[Quote]) -> list[Document]:
    """The passages of the sources that the leading quotes are from; all of them where there are no quotes."""
    leading = [each for each in quotes if each.leads] or quotes[:1]
    own = {passages[each.passage - 1].metadata.get("source") for each in leading}
    return [each for each in passages if not own or each.metadata.get("source") in own]


def _fits(subject: str) -> bool:
    return 2 <= len(subject) <= LONGEST_SUBJECT and len(subject.split()) <= MOST_WORDS and not _MARKUP.search(subject)


def _defined(sources: Sequence[Document], phrases: _Phrases) -> Iterator[tuple[str, str]]:
    """The first thing that each passage defines, and the question for it."""
    for source in sources:
        for sentence in split_sentences(_HEADING.sub("", source.page_content)):
            if (found := phrases.defines.match(sentence.strip())) and _fits(subject := found["subject"]):
                verb, plural = phrases.several
                named = (found["article"] or "").lower() + _within_sentence(subject, sources)
                asked = (plural if verb and found["verb"] == verb else phrases.what).format(named)
                yield subject, asked.replace("que un", "qu’un")
                break


def _headed(sources: Sequence[Document], phrases: _Phrases) -> Iterator[tuple[str, str]]:
    """The headings of the passages with their text, and the question about each; one that asks is its own question."""
    for source in sources:
        parts = _HEADING.split(source.page_content)
        section = nearest_heading(source)
        headings = [heading for heading, text in zip(parts[1::2], parts[2::2], strict=True) if text.strip()]
        for heading in dict.fromkeys([*headings, *([section] if section else [])]):
            heading = re.sub(r"^[\d.]+\s+", "", heading).strip(" :.")
            if heading.endswith(("?", "？")):
                yield heading, heading
            elif not all(word in _SAYS_NOTHING or word.isdigit() for word in surfaces(heading)):
                yield heading, phrases.about.format(_within_sentence(heading, sources))


def _within_sentence(subject: str, sources: Sequence[Document]) -> str:
    """The subject as it is written within a sentence: "Planning" as "planning" where the passages have it so, too."""
    if not subject[:1].isupper() or subject[1:2].isupper():
        return subject
    small = subject[0].lower() + subject[1:]
    first = re.compile(rf"\b{re.escape(small.split()[0])}\b")
    return small if any(first.search(source.page_content) for source in sources) else subject
