"""The encoding of text that declares none and is no UTF-8: by the letters and words that its language would have.

charset-normalizer alone takes Western text for Central European and the other way round in two of five short texts.
Here each encoding is tried with the languages that it was made for, by the letters that charset-normalizer counts.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from charset_normalizer.constant import FREQUENCIES

SAMPLE = 64 * 1024
"""Bytes that are looked at; those with the most characters outside of ASCII in a longer text."""
ENOUGH = 0.45
"""Score (-1 to 1) from which a reading makes sense. Of samples in 34 languages, 40 characters long and up, the right
reading had less in one of 500."""
LEAD = 0.1
"""Score by which the best reading must be ahead of a different one to be taken as it is; twice that for few letters."""
FEW = 8
FEWEST = 3
"""Characters outside of ASCII that tell any encoding but the commonest, at least."""
EVIDENCE = 1.2
"""Lead times characters outside of ASCII that is enough in longer texts, where encodings differ in few letters."""
COMMONEST = 0.04
"""Added to the score of Windows-1252, which most of such files are in."""
RARE = 0.06
"""Taken off the score of encodings that few files are in: those of DOS and old Macintosh."""
UNLIKELY = 0.1
"""Taken off the score of a language that few texts are in, where none of its common words is there."""
_UNLIKELY = ("Icelandic", "Estonian", "Catalan", "Slovene", "Croatian", "Lithuanian", "Latvian")
_RARE_ENCODINGS = "mac_roman mac_cyrillic cp737 cp850 cp852 cp866 iso8859_5 iso8859_6 iso8859_8 iso8859_13 iso8859_15"
_RARE = frozenset(_RARE_ENCODINGS.split())

_WESTERN, _CENTRAL, _BALTIC = "cp1252 iso8859_15 mac_roman cp850", "cp1250 iso8859_2 cp852", "cp1257 iso8859_13"
_CYRILLIC = "cp1251 koi8_u koi8_r iso8859_5 cp866 mac_cyrillic"
_LANGUAGES = {
    "English": (
        _WESTERN,
        "éèêëàáâäãåæçíîïñóôöòøúûüßœ",  # of names and loan words of all of Western Europe
        "the of and to in is that for it with as was on be by this are or an from at not have has its you your",
    ),
    "German": (
        _WESTERN,
        "äöüß",
        "der die das und ist nicht ein eine zu den von mit für auf dem im des sich auch es an",
    ),
    "French": (
        _WESTERN,
        "éèàùâêîôûëïüçœæÿ",
        "le la les de des et un une est que à pour dans en du au qui ne pas sur il a l d",
    ),
    "Spanish": (_WESTERN, "áéíóúñü", "el la los las de que y en un una es por con para se del al no su lo como"),
    "Portuguese": (
        _WESTERN,
        "áâãàçéêíóôõúü",
        "o a os as de que e em um uma é por com para se do da no na não ao à dos",
    ),
    "Italian": (_WESTERN, "àèéìíîòóùú", "il la lo gli le di che e in un una è per con non si del della al i da sono"),
    "Swedish": (_WESTERN, "åäöé", "och i att det som en på är av för med till den har de inte ett om skall var"),
    "Danish": (_WESTERN, "åæøé", "og i at det som en på er af for med til den har de ikke et om skal enhver eller"),
    "Norwegian": (_WESTERN, "åæøéòóôê", "og i å det som en på er av for med til den har de ikke et om skal eller"),
    "Finnish": (_WESTERN, "äöå", "ja on ei se että ovat tai hän oli kun mutta joka niin jokaisella oikeus sen"),
    "Dutch": (_WESTERN, "éëïèüóöáíú", "de het een en van in is dat op te zijn voor met niet aan die er om ook"),
    "Icelandic": (_WESTERN, "áéíóúýðþæö", "og að í á er sem til um það við eða en ekki hver skal með af"),
    "Catalan": (_WESTERN, "àçèéíïòóúü·", "el la els les de que i en un una és per amb no del al o a tota"),
    "Estonian": (f"{_BALTIC} cp1252", "äöõüšž", "ja on ei et see kui ta oma või mis igal ka tema inimesel õigus"),
    "Polish": (_CENTRAL, "ąćęłńóśźż", "i w na z do nie się jest to że o jak po od za przez do prawo lub oraz"),
    "Czech": (_CENTRAL, "áčďéěíňóřšťúůýž", "a je v na se že to s z do o jako ve pro by jeho má na nebo být"),
    "Slovak": (_CENTRAL, "áäčďéíĺľňóôŕšťúýž", "a je v na sa že to s z do o ako vo pre by jeho má na alebo právo byť"),
    "Hungarian": (_CENTRAL, "áéíóöőúüű", "a az és hogy nem is egy van meg minden joga vagy azt ez mint de"),
    "Slovene": (_CENTRAL, "čšžć", "in je v na se da za z so ne ki do s kot ima vsakdo pravico ali biti"),
    "Croatian": (_CENTRAL, "čćđšž", "i je u na se da za s su ne koji do kao ima svatko pravo ili biti od"),
    "Romanian": (_CENTRAL, "ăâîşţșț", "și şi de în a la cu o nu este că pe pentru un din să al sau orice"),
    "Lithuanian": (_BALTIC, "ąčęėįšųūž", "ir yra kad tai į su iš ne kaip o jo kiekvienas turi teisę ar bei apie"),
    "Latvian": (_BALTIC, "āčēģīķļņšūž", "un ir ar no uz par kas ka tiesības katram cilvēkam vai lai nav viņa"),
    "Turkish": ("cp1254 iso8859_9", "çğıöşüâîû", "ve bir bu da de için ile her olan hakkı veya çok ne olarak daha"),
    "Russian": (_CYRILLIC, "абвгдежзийклмнопрстуфхцчшщъыьэюяё", ""),
    "Bulgarian": (_CYRILLIC, "абвгдежзийклмнопрстуфхцчшщъьюяѝ", ""),
    "Ukrainian": (_CYRILLIC, "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", ""),
    "Serbian": (_CYRILLIC, "абвгдђежзијклљмнњопрстћуфхцчџш", ""),
    "Greek": ("cp1253 iso8859_7 cp737", "αάβγδεέζηήθιίϊΐκλμνξοόπρσςτυύϋΰφχψωώ", ""),
    "Hebrew": ("cp1255 iso8859_8", "אבגדהוזחטיךכלםמןנסעףפץצקרשת", ""),
    "Arabic": ("cp1256 iso8859_6", "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهوىيًٌٍَُِّْـ", ""),
    "Farsi": ("cp1256", "آابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهيیءأؤئةكى\u200c", ""),
    "Thai": (
        "cp874",
        "กขฃคฅฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรฤลฦวศษสหฬอฮฯะัาำิีึืฺุูเแโใไๅๆ็่้๊๋์ํ",
        "",
    ),
}
"""Encodings, letters outside of ASCII, and common words of languages."""
_EAST_ASIAN = {
    "gb18030": ("Chinese",),
    "big5hkscs": ("Chinese",),
    "cp932": ("Japanese",),
    "euc_jp": ("Japanese",),
    "cp949": ("Korean",),
    "utf_16_le": ("Chinese", "Japanese", "Korean"),
    "utf_16_be": ("Chinese", "Japanese", "Korean"),
}
_NAMES = {
    **{f"cp125{number}": f"Windows-125{number}" for number in range(10)},
    "gb18030": "GBK",
    "big5hkscs": "Big5",
    "cp932": "Shift-JIS",
    "euc_jp": "EUC-JP",
    "cp949": "EUC-KR",
    "utf_16_le": "UTF-16LE",
    "utf_16_be": "UTF-16BE",
    "mac_roman": "Mac Roman",
    "mac_cyrillic": "Mac Cyrillic",
    "koi8_r": "KOI8-R",
    "koi8_u": "KOI8-U",
}
_LIKELY_MARKS = frozenset("’‘“”„«»–—…•·°§€£©®™±²³½¼¾×´¡¿ªº‚‹›\u00a0№،؛؟־¦¬†‡")
_IN_PLACE = re.compile(
    r"""(?<=[^\W\d_])’(?=[^\W\d_])|(?<=\w)’(?!\w)|(?<!\w)[‘“„«‹‚](?=[\w\s])|(?<=[\w.,!?%)\s])[”“»›](?!\w)
    |(?<=[\w\s.,;:)])[–—](?=[\w\s(])|(?<![^\W\d_])€(?![^\W\d_])|(?<![^\W\d_])£(?=\s?\d|[\s;,)]|$)
    |(?<=\d)°|(?<=\d\s)°|(?<![^\W\d_])°(?=[CF]\b)|^[ \t]*[•·](?=\s)|(?<=\s)[•·](?=\s)|(?<!\w)[§№]+(?=\s?\d|\s)
    |[©®™](?=\W|\d|$)|(?<![^\d\s])[±×½¼¾](?=[\d\s])|(?<=\s)’(?=\w’\s)|(?<=\w)[²³]|(?<=\d)[ºª½¼¾]|(?<=\w)…|…(?=\w)|(?<!\w)[¿¡](?=\w)
    |[،؛؟־\xa0]""",
    re.M | re.X,
)
"""A sign where it stands in texts: a currency beside no letter, a dash between words, an apostrophe within one."""
_SIGN, _SIGN_ASTRAY = 0.8, 0.2
"""What a sign says that stands where it should, and one that does not."""
_SHORTEST_RUN = 2
"""Letters of the longest word outside of Latin letters, at least, where a text is in another script."""
_LONE = 0.3
"""What letters of another script say of what they said, where there is no such word."""
_ODD_INSIDE = re.compile(
    r"(?<=[^\W\d_])(?!–[A-Z])[^\w\s!-~’·\u00ad\u200c\u0300-\u036f\u064b-\u0652\u0e30-\u0e4e](?=[^\W\d_])"
)
"""A sign between two letters, as wrong readings have."""
_AFTER_SMALL = re.compile(r"(?<=[a-zß-öø-ÿα-ωа-я])[^\W\d_]")
_BESIDE_DIGITS = re.compile(r"[^\W\d_\x00-\x7fªº](?=\d)|(?<=\d)[^\W\d_\x00-\x7fªº]|[^\W\d_\x00-\x7f](?=[A-Z][a-z])")
"""A letter outside of ASCII right beside digits, or before a capital and small letters."""
_TWO_SCRIPTS = re.compile(r"(?<=[A-Za-z])[\u0370-\uffff]|[\u0370-\uffff](?=[A-Za-z])")
"""Latin letters beside those of another script."""
_FEW_LETTERS = 0.65
"""What a letter says for English, which has none of its own."""


@dataclass(frozen=True)
class Guess:
    """A reading of some bytes.

    Attributes:
        encoding: Python's name of it.
        language: that the text seems to have.
        sure: whether no other reading that differs comes near.
        rival: the reading that comes next, for people; "" if there is none.
    """

    encoding: str
    language: str
    sure: bool
    rival: str = ""

    @property
    def name(self) -> str:
        """The encoding and the language for people."""
        return _spoken(self.encoding, self.language)


def _spoken(encoding: str, language: str) -> str:
    name = _NAMES.get(encoding, encoding.upper().replace("ISO8859_", "ISO 8859-").replace("_", "-"))
    return f"{name} ({language})"


def guess_encoding(data: bytes) -> Guess | None:
    """The encoding of text in no declared one, or None where no reading makes sense."""
    sample = _telling_part(data)
    readings: dict[str, tuple[float, str, str]] = {}  # one for each text: encodings often differ in no byte of it
    for encoding in _encodings():
        if (text := _read(data[:SAMPLE] if encoding.startswith("utf_16") else sample, encoding)) is None:
            continue
        score, language = _score(text, encoding)
        score += COMMONEST if encoding == "cp1252" else -RARE if encoding in _RARE else 0
        if text not in readings or score > readings[text][0]:
            readings[text] = (score, encoding, language)
    signs = _read(sample, "cp1252")  # currencies and dashes are the same in most of Windows' encodings
    are_signs = signs in readings and not any(map(str.isalpha, filter(lambda one: not one.isascii(), signs)))
    if signs is not None and are_signs:
        readings[signs] = (readings[signs][0], "cp1252", "English")
    ranked = sorted((reading for reading in readings.values() if reading[0] > ENOUGH - LEAD), reverse=True)
    while ranked and not _decodes(data, ranked[0][1]):
        del ranked[0]
    if not ranked or ranked[0][0] < ENOUGH:
        return None
    score, encoding, language = ranked[0]
    lead = score - ranked[1][0] if len(ranked) > 1 else 1.0
    count = sum(byte > 127 for byte in sample)
    few = count < FEW and not are_signs
    sure = lead >= (2 * LEAD if few else LEAD) or lead * count >= EVIDENCE
    sure = sure and (count >= FEWEST or encoding == "cp1252")
    sure = sure and (count >= FEW or encoding not in _EAST_ASIAN)  # two bytes a letter: nearly any three would do
    return Guess(encoding, language, sure, _spoken(*ranked[1][1:]) if len(ranked) > 1 else "")


@cache
def _encodings() -> tuple[str, ...]:
    single = [name for encodings, _, _ in _LANGUAGES.values() for name in encodings.split()]
    return tuple(dict.fromkeys([*_EAST_ASIAN, *single]))


def _telling_part(data: bytes) -> bytes:
    """The lines with bytes outside of ASCII, as many as fit."""
    if len(data) <= SAMPLE:
        return data
    taken, size = [], 0
    for line in data.splitlines(keepends=True):
        if not line.isascii():
            taken.append(line)
            size += len(line)
        if size > SAMPLE:
            break
    return b"".join(taken)[:SAMPLE]


def _read(sample: bytes, encoding: str) -> str | None:
    for cut in range(4):  # a character may be cut at the end of the sample
        try:
            return sample[: len(sample) - cut].decode(encoding)
        except UnicodeDecodeError as error:
            if error.start < len(sample) - 4:
                return None
    return None


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _score(text: str, encoding: str) -> tuple[float, str]:
    """How well a reading fits, and the language that it fits best."""
    if encoding in _EAST_ASIAN:
        return max((_score_east_asian(text, language), language) for language in _EAST_ASIAN[encoding])
    words = re.findall(r"[^\W\d_]+", text.lower())
    in_place = len(_IN_PLACE.findall(text))
    scored = (
        (_score_letters(text, language, words, in_place), language)
        for language, (encodings, _, _) in _LANGUAGES.items()
        if encoding in encodings.split()
    )
    return max(scored)


def _has_script(language: str) -> bool:
    """Whether it is not written with Latin letters: wrong readings of it give its rare letters."""
    return not _LANGUAGES[language][2]


@cache
def _weights(language: str) -> dict[str, float]:
    """What each letter outside of ASCII says for a language: the commoner, the more."""
    _, letters, _ = _LANGUAGES[language]
    common = [letter for letter in FREQUENCIES.get(language, ()) if not letter.isascii()]
    if language == "English":
        return dict.fromkeys(letters, _FEW_LETTERS)
    if not _has_script(language):
        return {**dict.fromkeys(letters, 0.8), **dict.fromkeys(common, 1.0)}
    return {**dict.fromkeys(letters, 0.4), **{letter: 1.0 - 0.02 * rank for rank, letter in enumerate(common)}}


def _score_letters(text: str, language: str, words: list[str], in_place: int) -> float:
    """How well a text fits a language: its letters, its `words`, and how many of its signs are `in_place`."""
    weights = _weights(language)
    own_script = _has_script(language)
    total, count, signs = 0.0, 0, 0
    for letter, times in Counter(filter(lambda one: not one.isascii(), text)).items():
        count += times
        if letter in _LIKELY_MARKS:
            signs += times
        else:
            total += times * weights.get(letter.lower(), -1.0)
    if own_script and _longest_run(text) < _SHORTEST_RUN:
        total *= _LONE
    total += in_place * _SIGN + (signs - in_place) * _SIGN_ASTRAY
    odd: int = len(_ODD_INSIDE.findall(text)) + sum(
        found.isupper() and not found.isascii() for found in _AFTER_SMALL.findall(text)
    )
    odd += len(_TWO_SCRIPTS.findall(text)) if own_script else len(_BESIDE_DIGITS.findall(text))
    letters = (total - 1.5 * odd) / max(1.0, count)
    if own_script:
        return letters
    common = frozenset(_LANGUAGES[language][2].split())
    unlikely = UNLIKELY if language in _UNLIKELY and not any(word in common for word in words) else 0.0
    told = min(1.0, 3 * sum(word in common for word in words) / max(1, len(words)))
    return 0.7 * letters + 0.3 * told - unlikely


def _longest_run(text: str) -> int:
    """Letters of the longest word of none but letters outside of ASCII."""
    return max(map(len, re.findall(r"[^\W\d_\x00-\x7f]+", text)), default=0)


def _score_east_asian(text: str, language: str) -> float:
    common = frozenset(FREQUENCIES["Chinese"])
    total, count = 0.0, 0
    for letter, times in Counter(filter(lambda one: not one.isascii(), text)).items():
        count += times
        total += times * _east_asian_weight(letter, language, common)
    mixed = len(_TWO_SCRIPTS.findall(text))  # it does occur: "USB线"
    return (total - 0.5 * mixed) / max(1.0, count)


def _east_asian_weight(letter: str, language: str, common: frozenset[str]) -> float:
    place = ord(letter)
    if 0x3000 <= place <= 0x301F or 0xFF00 <= place <= 0xFF60 or letter in _LIKELY_MARKS:
        return 0.6
    if 0xAC00 <= place <= 0xD7A3:
        if language != "Korean":
            return -1.0
        return 1.0 if letter in FREQUENCIES["Korean"] else 0.8 if _is_usual_syllable(letter) else -0.5
    if 0x3040 <= place <= 0x30FF:
        return 1.0 if language == "Japanese" else -0.5
    if 0x4E00 <= place <= 0x9FFF:
        if language == "Korean":
            return -0.6
        if letter in common:
            return 1.0
        frequent = _in_first_level(letter)
        return (0.7 if frequent else -0.2) if language == "Chinese" else (0.6 if frequent else 0.1)
    return -1.0


@cache
def _in_first_level(letter: str) -> bool:
    """Whether a Chinese character is among the common ones of GB 2312, Big5 or JIS X 0208, which have two levels."""
    for encoding, first, last in (("gb2312", 0xB0, 0xD7), ("big5", 0xA4, 0xC6), ("euc_jp", 0xB0, 0xCF)):
        try:
            if first <= letter.encode(encoding)[0] <= last:
                return True
        except UnicodeEncodeError:
            continue
    return False


@cache
def _is_usual_syllable(letter: str) -> bool:
    """Whether a Korean syllable is among the 2,350 of KS X 1001; Python composes the others of eight bytes."""
    return len(letter.encode("euc_kr", "ignore")) == 2
