"""Sentences that are of the kind that a question asks for: the row that it names, the key, an amount of money.

Embedding models tell "Somewhat masculine: 46%" and "Very masculine: 37%" hardly apart, and an amount from another fact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rag.sources.tables import SEPARATOR
from rag.text.language import stems, surfaces, word_weights

NAMED, AMOUNT, VALUE = 0.3, 0.6, 0.3
"""What it adds to a sentence's score that the question says the label of its row, has all words of its key or names it
by its code, that it has an amount where the question asks for money, and another value of the kind asked for. A value
that has none of the question's words near it is worth less: it is that of another thing."""
FAR = 0.5
"""Share of it that is left then."""
NUMBERED = 1.5
"""Added to the score of a text that begins with the number of the clause or section that is asked for."""
NEAR = 30
"""Characters between a word of the question and a value, at most."""
LABELS = 3
"""Cells at a row's beginning that may be its label."""
SHORTEST_LABEL = 4
"""Letters; "no" and "a" are in many questions."""
_KEY = re.compile(r"(?:[-*•]\s+|\w{1,3}[.)]\s+)?(\S.{1,60}?)(?:\*\*)?[:：](?:\*\*)?\s")
_ASKS_MONEY = re.compile(
    r"\b(?:pay|paid|salary|wages?|earns?|costs?|prices?|spen[dt]|fees?|fine|charge[ds]?|how (?:much|expensive)"
    r"(?=.*\b(?:money|costs?|pay|charge|spend|rent|deposit|fare|bill|refund|bonus)\b)"
    r"|(?:ver)?dien\w*|gehalt|kostet|kosten|preis\w*|teuer|gebühr\w*"
    r"|combien .*coûte\w*|prix|coûte\w*|salaire|tarif\w*|cuesta\w?|precio\w?|sueldo|salario|dinero)\b",
    re.I,
)
_NO_AMOUNT = re.compile(
    r"(?:(?:by|until|since|and|for) )*(?:who|whom|whose|when|where|why|wer|wann|wo|warum|qui|quand|où|pourquoi)\b", re.I
)
"""Questions that speak of paying and ask for no amount."""
_ASKS_SHARE = re.compile(
    r"\b(?:by how much|what (?:percentage|per ?cent|share)|how many per ?cent|wie ?viel prozent)\b", re.I
)
_CODE = re.compile(r"\b(?=\w*-?\w*\d)(?=\w*-?\w*[A-Z])[A-Z]{1,6}-?\d\w*")
"""A name of letters and digits: CX-400, A17, ISO9001."""
_PARTS = r"(?:clause|section|article|paragraph|item|point|chapter|rule|ziffer|absatz|artikel|punkt|abschnitt|kapitel)"
_NUMBER_OF_PART = re.compile(rf"\b{_PARTS} (\d+(?:\.\d+)*)\b", re.I)
_STAGE = re.compile(
    r"\b(?:day|week|lesson|step|unit|module|session|lecture|stage|phase|grade|level|tag|woche|lektion|schritt|stufe|jour"
    r"|semaine|leçon|étape|día|semana|lección|paso) \d{1,3}\b(?![.,]\d)",
    re.I,
)
"""The day, week or lesson whose number is asked for."""
_SIGN = r"[$€£¥]|\b(?:USD|EUR|CHF|GBP|[Ee]uros?|[Dd]ollars?|[Ff]ranken|[Pp]ounds)\b"
_AMOUNT = re.compile(rf"(?:{_SIGN})\s?\d|\d[\d.,' ]*\s?(?:{_SIGN})|(?:{_SIGN})[^|]{{0,20}}:\s*\d")
"""An amount with its currency, which may also stand in the name of its column."""


_NUMBERED = re.compile(r"(?:\s*(?:\d+\.)*\d+[.)]?\s+(?=\S+\s))?")
"""The number of a section or an item, which is no value."""
_TIME = (
    r"(?:second|minute|hour|day|night|week|month|year|sekunde|stunde|tag|woche|monat|jahr|seconde|heure|jour|semaine|mois|an"
    r"|segundo|minuto|hora|d[ií]a|semana|mes|a[nñ]o)(?:s|e|en|n|es)?"
)
_MONTH = (
    r"(?:jan(?:uar)?y?|feb(?:ruar)?y?|m[aä]r(?:ch|z)?|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?|sep(?:t(?:ember)?)?"
    r"|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
_NUMBER = (
    r"(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred"
    r"|thousand)"
)
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_NAME = re.compile(rf"(?<=[a-z,] )(?!(?i:{_DAY}|{_MONTH})\b)[A-Z][a-z]{{2,}}")
"""A name in an English question, unless it begins with it, that is none of a day or month."""
_CONTACTS = {
    r"\be-?mail(?: address)?|\bmail address|\bcourriel|\bcorreo\b": r"[\w.+-]+@[\w-]+\.\w+",
    r"\b(?:tele)?phone\b(?: number)?|\bmobile number|\btelefon|\bt[ée]l[ée]phone|\btel[ée]fono": (
        r"\+?\d[\d ()/-]{6,}\d"
    ),
    r"\bweb ?site\b|\bhome ?page\b|\burl\b": r"https?://|\bwww\.|\b[\w-]+\.(?:com|org|net|de|io)\b",
}
_RARE = _CONTACTS | {
    r"\btemp[eé]ratur[ea]?\b|\btemperatura\b|\bhow (?:hot|warm|cold)\b": r"\d\s?(?:°|degr|grad\b|grados)",
}
"""Kinds of values of which a text has few, so that any may be the one that is asked for."""
_KINDS = _RARE | {
    r"\bby how much\b|\bpercentage\b|\bper ?cent\b|\bprozent\b|\bpourcentage\b|\bporcentaje\b": (
        r"\d\s?%|\d\s(?:per ?cent|prozent|pour ?cent|por ciento)\b"
    ),
    r"\bhow long\b|\bhow many (?:minute|hour|day|week|month|year)s\b|\bwie lange\b|\bcombien de temps\b"
    r"|\bcu[áa]nto tiempo\b": rf"\b[\w-]+[\s-]{_TIME}\b",
    r"^when\b|\bwhat (?:date|day|year|time)\b|^wann\b|^quand\b|^¿?cu[áa]ndo\b": (
        rf"\b{_MONTH}\b|\b(?:1[5-9]|20)\d\d\b|\b\d{{1,2}}[:.]\d\d\b|\b\d{{1,2}} ?[ap]m\b|\b{_DAY}\b"
    ),
    r"^(?:and |but )?(?:who|whom|whose)\b(?! (?:may|can|could|must|should|needs?|has to|is allowed)\b)": (
        r"(?-i:\b(?!(?:The|A|An|This|That|These|Those|If|When|Our|Your|Their|In|On|At|For|All|Each|No)\b)"
        r"[A-ZÄÖÜÀ-Þ][a-zß-ÿ]+ (?:[A-Z]\. )?[A-ZÄÖÜÀ-Þ][a-zß-ÿ]+\b)"
    ),
    r"\bhow many\b": rf"\d|\b{_NUMBER}\b",
    r"\bhow (?:much|big|large|high|tall|deep|far|heavy|old|fast)\b"
    r"|\bwie (?:viel\w*|gro[ßs]+|hoch|weit|schwer|alt)\b|\bcombien\b|\bcu[áa]nt[oa]s?\b": r"\d",
}
"""What asks for a value of a kind, and what is one."""


def asked_for(question: str, language: str) -> Callable[[str], float]:
    """What it adds to the score of a sentence, given as its text, that it has the key or kind of value asked for."""
    weights = word_weights(question, language).keys()
    asks_amount = not (_NO_AMOUNT.match(question) or _ASKS_SHARE.search(question) or asks_yes_or_no(question))
    kinds = [(AMOUNT, _AMOUNT)] if asks_amount and _ASKS_MONEY.search(question) else []
    part = numbered_part(question)
    asked = [value for asks, value in _KINDS.items() if re.search(asks, question, re.I)]
    kinds += [(VALUE, re.compile(value, re.I)) for value in asked]
    rare = {*_RARE.values()} & {*asked}
    codes, named = codes_of(question), _STAGE.search(question)
    stage = named and re.compile(rf"\b{named[0]}\b(?![.,]\d)", re.I)

    def added(text: str) -> float:
        if part and part.match(text):
            return NUMBERED
        key = None if SEPARATOR in text else _KEY.match(text)
        says_key = key and ((weights and weights <= stems(key[1], language)) or has_code(codes, key[1]))
        found = NAMED * bool(says_key or (stage and stage.search(text)))
        return found + max((worth * _share(value, text) for worth, value in kinds), default=0.0)

    def _share(value: re.Pattern[str], text: str) -> float:
        """1 where a value of the kind has a word of the question near it, less where it has none, 0 without a value."""
        numbered = _NUMBERED.match(text)
        places = [each.span() for each in value.finditer(text, numbered.end() if numbered else 0)]
        around = [text[max(0, start - NEAR) : end + NEAR] for start, end in places]
        if any(weights & stems(each, language) or (value is _AMOUNT and _ASKS_MONEY.search(each)) for each in around):
            return 1.0
        return (1.0 if value.pattern in rare else FAR) if places else 0.0

    return added


def _is_label(words: str) -> bool:
    """Whether words tell one row from others: four letters or more, or letters and digits."""
    return not words.isdecimal() and (len(words) >= SHORTEST_LABEL or bool(re.search(r"[a-z]\d", words)))


def names_of(question: str) -> list[str]:
    """The words of an English question that are names by their capitals, also parts of names."""
    return _NAME.findall(question)


def codes_of(question: str) -> list[str]:
    """The codes that a question names, as `has_code` compares them: "cx400" for "CX-400"."""
    return [code.casefold().replace("-", "") for code in _CODE.findall(question)]


def has_code(codes: Sequence[str], text: str) -> bool:
    """Whether a text has one of these codes, however it is written: "CX 400"; not where that is part of another."""
    spaced = ("[- ]?".join(map(re.escape, code)) for code in codes)
    return any(re.search(rf"(?<![a-z0-9]){code}(?![a-z0-9])", text.casefold()) for code in spaced)


def numbered_part(question: str) -> re.Pattern[str] | None:
    """What a line begins with that is the clause or section whose number is asked for; None where none is.

    "8.2 The ...", "4. Pets", "Rule 4: no pets"; not "4 dogs".
    """
    asked = _NUMBER_OF_PART.search(question)
    if asked is None:
        return None
    number = re.escape(asked[1])
    alone = rf"{number}{'[.):]?' if '.' in asked[1] else '[.):]'}\s"
    return re.compile(rf"^(?:(?:{_PARTS}|art\.?|§)\s*{number}\b|{alone})", re.I | re.M)


_YES_OR_NO = re.compile(
    r"(?:(?:and|but|so|und|aber|et|mais|y|pero) )?(?:"
    r"(?!(?:can|could|will|would) you\b|do you know\b)(?:can|could|may|might|must|should|will|would|do|does|did|is|are"
    r"|was|were|am|has|had)(?:n['’]t)?\s(?!.*\bor\b)"
    r"|(?:ist|sind|war|waren|kann|k[oö]nnen|darf|d[uü]rfen|muss|m[uü]ssen|soll|sollte|hat|haben|gibt es|wird|werden)\s"
    r"(?!.*\boder\b)|(?:est-ce qu|peut-on|puis-je|y a-t-il|faut-il|dois-je|a-t-on)"
    r"|¿(?:se puede|puedo|hay|es|est[aá]n?|tiene|hace falta|debo)\s(?!qu[eé])"
    r")|.*吗[？?]?$",
    re.I,
)


def asks_yes_or_no(question: str) -> bool:
    """Whether a question can be answered with yes or no, in English, German, French, Spanish or Chinese."""
    return bool(_YES_OR_NO.match(question.strip()))


def contact_words(question: str, texts: Sequence[str]) -> str:
    """The words of a question that ask for an address or number to reach somebody by, where a text has one.

    No text says "email address" beside one.
    """
    found = ((re.search(asks, question, re.I), value) for asks, value in _CONTACTS.items())
    return " ".join(asks[0] for asks, value in found if asks and any(re.search(value, text, re.I) for text in texts))


def label_asked_for(question: str) -> Callable[[str], str]:
    """The words of the label of a row, given as its text, that the question says; "" where it says none."""
    asked = f" {' '.join(surfaces(question))} "

    def label(text: str) -> str:
        cells = text.split(SEPARATOR)[:LABELS] if SEPARATOR in text else ()
        labels = (" ".join(surfaces(cell.rpartition(": ")[2])) for cell in cells)
        return next((each for each in labels if _is_label(each) and f" {each} " in asked), "")

    return label
