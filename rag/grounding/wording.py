"""What two sentences say differently: their numbers, names, negations and opposites, word by word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import combinations

from rag.text.language import FUNCTION_WORDS, english_words, fold, stem

_CJK = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(
    rf"(?P<number>\d{{1,40}}(?:[.,:]\d{{1,40}})*)(?!(?![{_CJK}])\w)"
    rf"|(?P<unspaced>[{_CJK}]+)"
    rf"|(?P<word>(?:(?![{_CJK}])\w)+(?:['’+&](?:(?![{_CJK}])\w)+)*(?:[+#]+(?!\w))?)"
)
_MEASURED = re.compile(r"(\d{1,40}(?:[.,]\d{1,40})?)([^\W\d_]{1,3})")


def _in_order(given: str) -> list[str]:
    return given.split()


def _each(given: str) -> frozenset[str]:
    return frozenset(given.split())


_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_UNITS += " seventeen eighteen nineteen"
_NUMBERS: dict[str, float] = {word: float(value) for value, word in enumerate(_UNITS.split())}
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBERS |= {word: 10.0 * value for value, word in enumerate(_TENS.split(), start=2)}
_NUMBERS |= {"dozen": 12.0, "half": 0.5, "twice": 2.0}
_GERMAN = {
    "zwei": 2,
    "drei": 3,
    "vier": 4,
    "fünf": 5,
    "sechs": 6,
    "sieben": 7,
    "acht": 8,
    "neun": 9,
    "zehn": 10,
    "zwölf": 12,
}
_FRENCH = {
    "deux": 2,
    "trois": 3,
    "quatre": 4,
    "cinq": 5,
    "sept": 7,
    "huit": 8,
    "neuf": 9,
    "dix": 10,
    "onze": 11,
    "douze": 12,
}
_SPANISH = {"tres": 3, "cuatro": 4, "cinco": 5, "seis": 6, "siete": 7, "ocho": 8, "nueve": 9, "diez": 10, "doce": 12}
_NUMBERS |= {fold(word): float(value) for table in (_GERMAN, _FRENCH, _SPANISH) for word, value in table.items()}
_MAGNITUDES: dict[str, float] = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "millions": 1e6, "billion": 1e9}
_MAGNITUDES |= {"trillion": 1e12, "millionen": 1e6, "milliarden": 1e9, "hundert": 1e2, "tausend": 1e3, "mille": 1e3}
_ORDINALS = {
    word: value
    for value, word in enumerate(
        ["second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"], start=2
    )
}
_CURRENCIES = {"$": "$", "€": "€", "£": "£", "¥": "¥", "dollar": "$", "dollars": "$", "euro": "€", "euros": "€"}
_CURRENCIES |= {"pound": "£", "pounds": "£", "yen": "¥"}
_PERCENT = frozenset(("percent", "prozent", "percentage"))
_MEASURES = _each(
    """
    km m cm mm nm kg g mg t l ml ms s min h b kb mb gb tb hz khz mhz ghz w kw mw v a bar kilometer meter
    centimeter millimeter kilogram gram milligram ton litre liter second minut hour day week month year mile
    foot feet inch ounc degre celsius fahrenheit decad centuri byte token gramm stund tag woch monat jahr
    """
)
"""What a number may count: stems. A sentence that has another one after its number says something else."""

NEGATIONS = _each(
    """
    not no never none nobody nothing neither nor without cannot cant dont doesnt didnt isnt arent wasnt werent
    wont wouldnt shouldnt couldnt hasnt havent hadnt mustnt neednt nicht kein keine keinen keinem keiner ohne
    nie niemals pas jamais aucun aucune sans nunca
    """
)
_LACKING = _each(
    """
    lack lacks lacking missing unable absent instead rather fail fails unlike nor hardly
    """
)
_LACKING |= _each(
    """
    impossible unchanged avoid avoids prevent prevents
    """
)
"""Words that may stand where another sentence has a negation; alone they ask for none."""
_UNSPACED_NEGATIONS = frozenset("不没無无未非")
_STRONG = _each(
    """
    always never only guarantee guarantees guaranteed impossible exclusively immer nur toujours
    """
)
"""Words that claim so much that the other sentence has to have one of them, too."""

_OPPOSITES = """
large larger largest big bigger biggest huge much lot many great greater / small smaller smallest little tiny few fewer
more most / less least fewer fewest
increase increases increased increasing rise rises rose risen rising grow grows grew grown raise raises raised gain up
    / decrease decreases decreased decreasing reduce reduces reduced fall falls fell fallen falling shrink shrinks drop
    drops dropped lowers lowered loss down
before / after
previous last past / next
first / last
early earlier earliest / late later latest
fast faster fastest quick quicker quickly speed / slow slower slowest slowly slows
high higher highest / low lower lowest
long longer longest / short shorter shortest
internal inside inner / external outside outer
strong stronger strongest / weak weaker weakest
easy easier easiest simple simpler simplest / hard harder difficult complicated complex
top / bottom
sparse / dense
exact exactly precise / approximate approximately
near nearer nearest close closer closest / far farther farthest further
begin begins began start starts started starting / end ends ended ending stop stops stopped finish finishes finished
open opens opened opening / close closes closed closing
true right correct correctly / false wrong incorrect incorrectly
similar same alike / different dissimilar
old older oldest / new newer newest recent recently
best better / worst worse
good / bad
success succeed succeeds successful / failure fail fails failed
accept accepts accepted / reject rejects rejected refuse refuses refused
allow allows allowed permit permits permitted / forbid forbids forbidden prohibit prohibits prohibited
enable enables enabled / disable disables disabled
add adds added / remove removes removed delete deletes deleted subtract
keep keeps kept / drop drops dropped discard discards discarded
include includes included / exclude excludes excluded
improve improves improved / worsen worsens worsened
maximum maximal / minimum minimal
input inputs / output outputs
buy buys bought / sell sells sold
public / private
safe safer / unsafe risky dangerous
always / never sometimes
often usually / rarely seldom never
with / without
all every / some
single one / several multiple many
hot hotter warm warmer / cold colder cool cooler
cheap cheaper / expensive costly
north northern / south southern
east eastern / west western
left / right
day / night
coarse / fine
full / empty
rich richer / poor poorer
man men / woman women
win wins won / lose loses lost
profit profits / loss losses
advantage advantages / disadvantage disadvantages
positive / negative
deep deeper / shallow
thick thicker / thin thinner
wide wider broad / narrow narrower
heavy heavier / light lighter
young younger / old older
hire hires hired / fire fires fired dismissed
depth / breadth
"""


OPPOSITES: dict[str, frozenset[str]] = {}
"""For a word, those that say the opposite."""
ALIKE: dict[str, frozenset[str]] = {}
"""For one of these words, those on its side."""
for _line in _OPPOSITES.strip().replace("\n    ", " ").splitlines():
    _one, _other = map(_each, _line.split("/"))
    for _side, _against in ((_one, _other), (_other, _one)):
        for _word in _side:
            OPPOSITES[_word] = OPPOSITES.get(_word, frozenset()) | _against
            ALIKE[_word] = ALIKE.get(_word, frozenset()) | _side
_KINDS = """
red green blue yellow black white brown orange purple grey gray pink
monday tuesday wednesday thursday friday saturday sunday
january february march april may june july august september october november december
spring summer autumn winter
morning afternoon evening night
mother father brother sister son daughter uncle aunt
image images sound sounds video videos audio text texts
second seconds minute minutes hour hours day days week weeks month months year years decade decades century centuries
gold silver copper iron
cat cats dog dogs horse horses
coffee tea beer wine milk juice
"""
"""Words of one kind: where one stands for another, something else is said, however near their vectors are."""
for _line in _KINDS.strip().splitlines():
    _kind = _each(_line)
    for _word in _kind:
        _same = frozenset((_word, _word + "s", _word.removesuffix("s"), _word.removesuffix("ies") + "y"))
        OPPOSITES[_word] = OPPOSITES.get(_word, frozenset()) | (_kind - _same)
        ALIKE[_word] = ALIKE.get(_word, frozenset()) | (_kind & _same)
_PREFIX = re.compile(r"(?:un|in|im|ir|il|dis|non|mis)(?=\w{4})")
_CLAUSE = re.compile(r"[;:,]\s|\s[—–]\s|\b(?:while|whereas|but|because|although|though|since|and|which|so that)\b")


@dataclass(frozen=True)
class Word:
    """A word of a text. `values` are what it may count, where it is a number; `unit` is "%" or a currency's sign."""

    start: int
    end: int
    text: str
    folded: str
    stem: str
    name: bool = False
    initial: bool = False
    values: frozenset[str] = frozenset()
    unit: str = ""

    @property
    def content(self) -> bool:
        """Whether it says something of the sentence's subject."""
        return bool(self.values) or self.name or (self.folded not in _SILENT and self.stem not in _SILENT)


_SILENT = FUNCTION_WORDS | _each(
    """
    upon toward towards whose whereas although though however therefore thus hence since during within without
    across cannot never neither nor none via per called like also too even still just one ones himself herself
    itself themselves first then s t kind sort thing things way another other others each every both either same
    whether der die das den dem des ein eine einen einem einer und oder ist sind war ihn ihm ihr ihre ihren sein
    seine seinen an am im in zu zum zur von vom mit bei auf aus nach für als auch nicht le la les un une des de
    du et ou est sont a dans à en par pour sur il elle que qui ne pas d l n qu el los las una y o es son que del
    al
    """
)
_COPULA = _each(
    """
    is are was were be been being am ist sind est sont
    """
)


def _values(text: str) -> frozenset[str]:
    """What the digits may mean: `1,400` is a number of thousands, `1.400` also in other countries."""
    text = unicodedata.normalize("NFKC", text)
    found = set()
    if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", text) and len(set(re.findall("[.,]", text))) == 1:
        found.add(_number(float(re.sub("[.,]", "", text))))
        if "," in text:
            return frozenset(found)
    plain = re.sub(r",(?=\d{3}(?:\D|$))", "", text) if "." in text else text.replace(",", ".")
    try:
        found.add(_number(float(plain)))
    except ValueError:
        found.add(text)  # a version, a time of day
    return frozenset(found)


def _number(value: float) -> str:
    return f"{value:.12g}"


@lru_cache(maxsize=20_000)
def _stem(folded: str) -> str:
    return stem(folded)


def words(text: str) -> list[Word]:
    """The words of a text; scripts that do not part words give pairs of characters."""
    found: list[Word] = []
    for match in _TOKEN.finditer(text):
        start, end, written = match.start(), match.end(), match[0]
        if match["unspaced"]:
            for place in range(start, max(start + 1, end - 1)):
                pair = text[place : min(place + 2, end)]
                found.append(Word(place, place + len(pair), pair, pair, pair))
            continue
        folded = fold(unicodedata.normalize("NFKC", written))
        if match["number"]:
            sign = text[start - 1 : start]
            unit = _CURRENCIES.get(sign, "") or ("%" if text[end : end + 2].lstrip()[:1] == "%" else "")
            found.append(Word(start, end, written, folded, folded, values=_values(written), unit=unit))
        elif measured := _MEASURED.fullmatch(written):
            middle = start + len(measured[1])
            suffix = measured[2].casefold()
            if suffix in ("st", "nd", "rd", "th"):
                found.append(Word(start, end, written, folded, folded, values=frozenset((f"#{int(measured[1])}",))))
                continue
            found.append(Word(start, middle, measured[1], measured[1], measured[1], values=_values(measured[1])))
            if suffix != "s":
                found.append(Word(middle, end, measured[2], suffix, suffix))
        else:
            found.append(Word(start, end, written, folded, _stem(folded), initial=_is_initial(text, start)))
    return _counted(found, text)


def _is_initial(text: str, start: int) -> bool:
    before = text[max(0, start - 12) : start].rstrip(" \t\"'“”‘’«»(*_`[")
    return not before or before[-1] in ".!?:;\n|#>-•"


def _counted(found: list[Word], text: str) -> list[Word]:
    """The same with number words as numbers: `twenty-five`, `two hundred and six`, `2.4 million`, `5 percent`."""
    result: list[Word] = []
    index = 0
    while index < len(found):
        word = found[index]
        if word.folded in _ORDINALS and not word.values:
            result.append(replace(word, values=frozenset((f"#{_ORDINALS[word.folded]}",))))
            index += 1
            continue
        if not word.values and word.folded not in _NUMBERS:
            result.append(word)
            index += 1
            continue
        values, end, last = word.values, word.end, index
        if not values:
            total, last = _spelt(found, index, text)
            values, end = frozenset((_number(total),)), found[last].end
        following = found[last + 1] if last + 1 < len(found) else None
        while following and following.folded in _MAGNITUDES and text[end : following.start].strip(" -\u00a0") == "":
            values = frozenset(_scaled(value, _MAGNITUDES[following.folded]) for value in values)
            last, end = last + 1, following.end
            following = found[last + 1] if last + 1 < len(found) else None
        unit = word.unit
        if following and (following.folded in _PERCENT or following.folded in _CURRENCIES):
            unit = "%" if following.folded in _PERCENT else _CURRENCIES[following.folded]
            last += 1
        result.append(replace(word, end=end, text=text[word.start : end], values=values, unit=unit))
        index = last + 1
    return result


def _spelt(found: Sequence[Word], index: int, text: str) -> tuple[float, int]:
    """The number that the words from `index` spell, and the last of them."""
    total = _NUMBERS[found[index].folded]
    last = index
    while last + 1 < len(found):
        word, gap = found[last + 1], text[found[last].end : found[last + 1].start]
        value = _NUMBERS.get(word.folded)
        if gap.strip(" -\u00a0"):
            break
        if value is not None and 20 <= total % 100 <= 90 and total % 10 == 0 and 0 < value < 10:
            total += value
        elif word.folded == "hundred" and total < 100:
            total *= 100
        elif (
            word.folded == "and"
            and total >= 100
            and total % 100 == 0
            and last + 2 < len(found)
            and found[last + 2].folded in _NUMBERS
        ):
            last += 1
            total += _NUMBERS[found[last + 1].folded]
        else:
            break
        last += 1
    return total, last


def _scaled(value: str, by: float) -> str:
    try:
        return _number(float(value) * by)
    except ValueError:
        return value


@lru_cache(maxsize=20_000)
def _is_english(folded: str) -> bool:
    known = english_words()
    return folded in known


def with_names(found: Sequence[Word], capitalised: Collection[str]) -> list[Word]:
    """The same words, those marked that are names: written like one, and not for standing first in the sentence.

    `capitalised` are the folded words that the texts at hand have with a capital within a sentence.
    """
    return [replace(word, name=True) if _is_name(word, capitalised) else word for word in found]


def _is_name(word: Word, capitalised: Collection[str]) -> bool:
    text = word.text
    if word.values or not any(each.isupper() for each in text) or word.folded in _SILENT:
        return False
    if any(each.isupper() for each in text[1:]) or any(each.isdigit() or each in "+#" for each in text):
        return True
    return not word.initial or word.folded in capitalised or not _is_english(word.folded)


def capitalised(found: Sequence[Word]) -> set[str]:
    """The folded words that have a capital although no sentence begins there."""
    return {word.folded for word in found if not word.initial and word.text[:1].isupper()}


def same(one: Word, other: Word) -> bool:
    """Whether two words are forms of one: the same number, name or stem, or two that only end differently."""
    if one.values or other.values:
        return bool(one.values & other.values) and (one.unit == other.unit)
    if one.stem == other.stem or one.folded == other.folded:
        return True
    if one.name and other.name:
        return _plural(one) == _plural(other)
    return one.stem[:5] == other.stem[:5] and _akin(one.stem, other.stem)


@lru_cache(maxsize=50_000)
def _akin(one: str, other: str) -> bool:
    """Whether two stems only end differently, as `extens` and `extend` do."""
    shorter, longer = sorted((one, other), key=len)
    if len(shorter) < 5 or not shorter.isalpha():
        return False
    common = next((index for index, letter in enumerate(shorter) if letter != longer[index]), len(shorter))
    return common >= 5 and common >= 0.75 * len(longer)


def _plural(word: Word) -> str:
    return word.folded[:-1] if word.text.endswith("s") and word.text[:-1].isupper() else word.folded


FEWEST_IN_CLAUSE = 3
"""Content words of a clause; what is shorter, such as an item of a list, belongs to the one before."""


@dataclass(frozen=True)
class Statement:
    """The words of a sentence and its clauses, as runs of them; of two sentences, `parts` are each."""

    words: tuple[Word, ...]
    clauses: tuple[tuple[Word, ...], ...]
    parts: tuple[Statement, ...] = ()

    @cached_property
    def content(self) -> tuple[Word, ...]:
        """Its words that say something."""
        return tuple(word for word in self.words if word.content)


def statement(text: str, names: Collection[str], found: Sequence[Word], offset: int = 0) -> Statement:
    """A sentence, taken apart. `found` are its words, `offset` is where it begins in the text that they count from."""
    known = with_names(found, names)
    borders = [match.start() + offset for match in _CLAUSE.finditer(text)]
    clauses: list[list[Word]] = [[]]
    for word in known:
        while borders and word.start >= borders[0]:
            borders.pop(0)
            clauses.append([])
        clauses[-1].append(word)
    long: list[list[Word]] = []
    for clause in clauses:
        if long and min(_says(clause), _says(long[-1])) < FEWEST_IN_CLAUSE:
            long[-1] += clause
        else:
            long.append(clause)
    return Statement(tuple(known), tuple(map(tuple, long)))


def together(one: Statement, other: Statement) -> Statement:
    """Two neighbouring sentences as one."""
    return Statement(one.words + other.words, one.clauses + other.clauses, (one, other))


def _says(clause: Sequence[Word]) -> int:
    return sum(word.content for word in clause)


def has(word: Word, among: Sequence[Word]) -> bool:
    """Whether a form of it is among them."""
    return any(same(word, other) for other in among)


Sightings = dict[str, list[tuple[int, Word]]]
"""Where each form of a word stands: (number of the sentence, word), in order."""


def _forms(word: Word) -> list[str]:
    """Two words that are the `same` have one of these in common."""
    if word.values:
        return [f"={value}" for value in word.values]
    return [word.stem[:5], f"+{_plural(word)}"] if word.name else [word.stem[:5]]


def sightings(sentences: Sequence[Statement]) -> Sightings:
    """The words of sentences, to be looked up by `matches`."""
    found: Sightings = {}
    for number, sentence in enumerate(sentences):
        for word in sentence.words:
            for form in _forms(word):
                found.setdefault(form, []).append((number, word))
    return found


def matches(claim: Statement, seen: Sightings) -> dict[int, list[tuple[Word, Word | None]]]:
    """Of each sentence with words of the claim: each content word with the first that is the same there, if any."""
    found: dict[int, list[Word | None]] = {}
    for place, word in enumerate(claim.content):
        for form in _forms(word):
            for number, other in seen.get(form, ()):
                if same(word, other):
                    row = found.setdefault(number, [None] * len(claim.content))
                    known = row[place]
                    if known is None or other.start < known.start:
                        row[place] = other
    return {number: list(zip(claim.content, row, strict=True)) for number, row in sorted(found.items())}


def differences(claim: Statement, source: Statement) -> Iterator[str]:
    """What the claim says that the source does not, or says otherwise, in words for people."""
    aligned = [(clause, _nearest(clause, source)) for clause in claim.clauses]
    yield from _numbers(claim, source)
    yield from _negations(claim, source)
    for ours, theirs in aligned:
        yield from _opposed(ours, theirs, source)
    yield from _prefixed(claim, source)
    yield from _given_to_another(claim, source)
    yield from _swapped(claim, source, [theirs for _, theirs in aligned])


def _nearest(clause: Sequence[Word], source: Statement) -> tuple[Word, ...]:
    """The clause of the source that says most of this one, and least the opposite of it."""
    return max(source.clauses, key=lambda other: _fit(clause, other), default=())


def _fit(clause: Sequence[Word], other: Sequence[Word]) -> int:
    there = {word.folded for word in other}
    fit = 0
    for word in clause:
        if (word.content and has(word, other)) or ALIKE.get(word.folded, frozenset()) & there:
            fit += 1
        elif OPPOSITES.get(word.folded, frozenset()) & there:
            fit -= 1
    return fit


def _numbers(claim: Statement, source: Statement) -> Iterator[str]:
    counted = [word for word in source.words if word.values]
    for index, word in enumerate(claim.words):
        if not word.values:
            continue
        following = claim.words[index + 1] if index + 1 < len(claim.words) else None
        if word.folded == "one":
            if following and _counts_otherwise(following, source):
                yield 'the number "one"'
            continue
        if not has(word, counted):
            yield f"the number {word.text}{'%' if word.unit == '%' and '%' not in word.text else ''}"
        elif following and following.stem in _MEASURES and not has(following, source.words):
            yield f'"{word.text} {following.text}"'


def _counts_otherwise(noun: Word, source: Statement) -> bool:
    """Whether the source has another number than one in front of the noun."""
    for place, word in enumerate(source.words):
        if noun.content and same(noun, word):
            before = source.words[max(0, place - 2) : place]
            if any(each.values and each.folded != "one" for each in before):
                return True
    return False


def _scopes(given: Statement) -> list[list[Word]]:
    """For each negation, the content words it bears on: up to four after it, within its clause."""
    found = []
    for clause in given.clauses:
        for index, word in enumerate(clause):
            if word.folded in NEGATIONS or word.text.endswith(("n't", "n’t")):
                scope = [each for each in clause[index + 1 :] if each.content][:4]
                found.append(scope or [each for each in clause[:index] if each.content][-2:])
    return found


def _negations(claim: Statement, source: Statement) -> Iterator[str]:
    ours, theirs = _scopes(claim), _scopes(source)
    here, there = ({word.folded for word in each.words} for each in (claim, source))
    for scope in ours:
        if any(has(word, other) for word in scope for other in theirs) or (theirs and not scope):
            continue
        # "Not large" may be said of what is small, and "does not have" of what is missing.
        opposite = any(OPPOSITES.get(word.folded, frozenset()) & (there - here) for word in scope)
        if theirs or not (opposite or _LACKING & (there - here)):
            yield "the negation"
    for scope in theirs:
        answered = any(has(word, other) for word in scope for other in ours)
        if not scope or answered or _LACKING & (here - there):
            continue
        # The claim speaks of what is denied, and does not deny it.
        if has(scope[0], claim.words) and sum(has(word, claim.words) for word in scope) >= min(2, len(scope)):
            yield "a negation is left out"
    for sign in _UNSPACED_NEGATIONS:
        denied_there = any(sign in word.text for word in source.words)
        denied_here = any(sign in word.text for word in claim.words)
        if denied_here and not denied_there:
            yield "the negation"
        elif denied_there and not denied_here:
            denied = [word for word in source.words if sign in word.text[:1]]
            if any(has(after, claim.words) for word in denied for after in _next(word, source)):
                yield "a negation is left out"
    strong = [word for word in claim.words if word.folded in _STRONG]
    if strong and not any(word.folded in _STRONG for word in source.words):
        yield f'the word "{strong[0].text}"'


def _next(word: Word, given: Statement) -> list[Word]:
    place = given.words.index(word)
    return list(given.words[place + 1 : place + 2])


def _opposed(clause: Sequence[Word], nearest: Sequence[Word], source: Statement) -> Iterator[str]:
    """Words whose opposite stands in the clause that says the same otherwise."""
    here = {word.folded for word in clause}
    near = {word.folded for word in nearest}
    anywhere = {word.folded for word in source.words}
    denied = any(word.folded in NEGATIONS for word in (*clause, *nearest))
    for word in clause:
        if word.folded not in OPPOSITES or denied:
            continue
        alike = ALIKE[word.folded]
        if _sized(word, clause, nearest):
            yield f'the word "{word.text}"'
        if alike & near:
            continue
        against = OPPOSITES[word.folded] - alike
        if against & near - here or (not alike & anywhere and against & anywhere - here):
            yield f'the word "{word.text}"'


def _sized(word: Word, clause: Sequence[Word], nearest: Sequence[Word]) -> bool:
    """Whether what follows the word is called the opposite in the other clause: a small gain, and a large one."""
    after = next((each for each in clause[clause.index(word) + 1 :] if each.content), None)
    if after is None or after.folded in OPPOSITES:
        return False
    before = [
        {each.folded for each in nearest[max(0, place - 2) : place]}
        for place, other in enumerate(nearest)
        if same(after, other)
    ]
    alike = ALIKE[word.folded]
    return any(each & (OPPOSITES[word.folded] - alike) for each in before) and not any(each & alike for each in before)


def _prefixed(claim: Statement, source: Statement) -> Iterator[str]:
    """Words that only differ by `un-` or the like."""
    for one, other in ((claim, source), (source, claim)):
        known, there = {word.stem for word in one.words}, {word.stem for word in other.words}
        for word in one.words:
            bare = _PREFIX.sub("", word.folded, count=1)
            if bare == word.folded or word.stem in there:
                continue
            denied = any(each.folded in NEGATIONS for each in (*claim.words, *source.words))
            if _stem(bare) in there and _stem(bare) not in known and not denied:
                yield f'the word "{word.text}"'


def _given_to_another(claim: Statement, source: Statement) -> Iterator[str]:
    """Whether a sentence or clause of the source says of something else what the claim says of its own subject."""
    parts = [part.words for part in source.parts] or source.clauses
    for clause in claim.clauses:
        content = [word for word in clause if word.content]
        if len(content) < 2 or len(parts) < 2:
            continue
        fits = [_fit(content[1:], part) for part in parts]
        said = parts[fits.index(max(fits))]
        others = [word for word in said if word.name and not has(word, claim.words)]
        for word in content:
            if word.name and others and not has(word, said):
                yield f'the name "{word.text}"'
        own = max((fit for fit, part in zip(fits, parts, strict=True) if has(content[0], part)), default=0)
        if max(fits) < max(own + 1, min(2, len(content) - 1)):
            continue
        subject = next((word for word in said if word.content), None)
        turned = source.parts or (has(content[0], source.words) and subject and has(subject, claim.words))
        if subject and turned and not has(subject, content):
            yield f'"{content[0].text}"'


def common_order(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest common subsequence of two short lists."""
    row = [0] * (len(other) + 1)
    for left in one:
        diagonal = 0
        for index, right in enumerate(other, start=1):
            kept = row[index]
            row[index] = diagonal + 1 if left == right else max(row[index], row[index - 1])
            diagonal = kept
    return row[-1]


MOST_WORDS = 80
"""Words up to which a sentence's order is looked at: the work grows with the fourth power of their number."""


def _passive(given: Statement) -> bool:
    forms = [word.folded for word in given.words]
    return "by" in forms and any(form in _COPULA for form in forms[: forms.index("by")])


def _weighty(given: Sequence[Word]) -> list[Word]:
    return [word for word in given if word.content or word.folded in OPPOSITES]


def _swapped(claim: Statement, source: Statement, nearest: Sequence[tuple[Word, ...]]) -> Iterator[str]:
    """Whether two things have changed places: with them changed back, the order would fit better.

    The source's clauses are taken in the order in which the claim has them.
    """
    if len(claim.words) > MOST_WORDS or len(source.words) > 2 * MOST_WORDS or _passive(claim) != _passive(source):
        return
    ours = _weighty(claim.words)
    if len(ours) < 4:
        return
    told = ""
    for clauses in (source.clauses, dict.fromkeys([*nearest, *source.clauses])):
        found = _turned(ours, _weighty([word for clause in clauses for word in clause]), claim)
        if not found:
            return
        told = told or found
    yield told


def _turned(ours: Sequence[Word], theirs: Sequence[Word], claim: Statement) -> str:
    """What has changed places between two orders; empty where nothing has."""
    first = [next(number for number, other in enumerate(theirs) if same(word, other)) for word in theirs]
    places = [next((number for number, other in enumerate(theirs) if same(word, other)), -1) for word in ours]
    left = [first[place] for place in places if place >= 0]
    numbers = [number for number, clause in enumerate(claim.clauses) for word in _weighty(clause)]
    clauses = [number for number, place in zip(numbers, places, strict=True) if place >= 0]
    right = [key for key in first if key in set(left)]
    now = common_order(left, right)
    if now == len(left):
        return ""
    once = sorted({key for key in left if left.count(key) == 1})
    for one, other in combinations(once, 2):
        turned = [{one: other, other: one}.get(key, key) for key in left]
        better = common_order(turned, right)
        here, there = left.index(one), left.index(other)
        apart = abs(here - there) > 1 or clauses[here] != clauses[there]  # else: two items of a list
        if (better >= now + 2 and len(left) >= 0.8 * len(ours)) or (
            apart and better == len(left) and _of_a_kind(theirs[one], theirs[other], claim)
        ):
            return f'"{theirs[one].text}" and "{theirs[other].text}" have changed places'
    return ""


def _of_a_kind(one: Word, other: Word, claim: Statement) -> bool:
    """Whether one could stand for the other: two names, two numbers, two opposites, the subjects of two clauses."""
    if other.folded in OPPOSITES.get(one.folded, frozenset()):
        return True
    if (one.name and other.name) or (one.values and other.values):
        return True
    subjects = [word for clause in claim.clauses for word in [each for each in clause if each.content][:1]]
    return has(one, subjects) and has(other, subjects)
