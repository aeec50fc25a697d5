"""Words -> chunks: BM25 over what the store shows, in memory, in step with every source that comes or goes.

tantivy counts and ranks; what a word is, is told here. It takes a change of any number of chunks as one, and a question
reads the state that it began with and waits for nobody. Texts stay in the vector store.
"""

from __future__ import annotations

import math
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import Stemmer
from rapidfuzz import process
from rapidfuzz.distance import OSA

if TYPE_CHECKING:
    from tantivy import Query, Searcher

WRITER_BYTES = 15_000_000
"""Of tantivy's buffer, the least it takes."""

WINDOW = 50
SHORTEST_CORRECTED = 4
LONG_WORD = 8
"""Letters of a word from which on two slips may be in it, not one."""

_WORD = re.compile(r"\w+(?:['’]\w+)*")
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
"""Scripts that do not part words: their characters are indexed in pairs."""
_BRITISH_IS = re.compile(r"(?<=\w{3})is(?=(?:e|ed|es|er|ers|ing|ation|ations)$)")
_BRITISH_OUR = re.compile(r"(?<=\w{3})our(?=(?:s|ed|ing|ful|al|hood|able|ite|ites)?$)")
_FUNCTION_WORDS = """
a about all also am an and any are as at be because been before being between both but by can could did do does
doing done for from get gets give given had has have having he her here him his how i if in into is it its just
let me might more most much must my no nor not of on one or other our out over own say says shall she should so
some such tell than that the their them then there these they this those through to too under until up us very
was we were what when where which while who whom whose why will with within without would you your please
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words of a question that say nothing of its subject; in a small library they would count as rare ones."""


def surfaces(text: str) -> Iterator[str]:
    """The words of a text, folded but not stemmed: names of code also by their parts, unspaced scripts in pairs."""
    for match in _WORD.finditer(unicodedata.normalize("NFKC", text)):
        word = match[0]
        if not word.isascii() and _UNSPACED.search(word):
            for run in _UNSPACED.findall(word):
                yield from (run[start : start + 2] for start in range(max(1, len(run) - 1)))
            yield from (fold(rest) for rest in _UNSPACED.split(word) if rest)
            continue
        yield fold(word)
        if "_" in word or not (word.islower() or word.istitle() or word.isupper() or word.isdigit()):
            parts = _PARTS.findall(word)
            if len(parts) > 1:
                yield from (part.lower() for part in parts if len(part) > 1)


def fold(word: str) -> str:
    """Without case, accents and a possessive's ending."""
    word = word.casefold().replace("’", "'").removesuffix("'s").replace("'", "")
    if not word.isascii():
        word = "".join(each for each in unicodedata.normalize("NFD", word) if not unicodedata.combining(each))
    return word


_stemmers = threading.local()


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The word without its English ending, in American spelling: `planning` and `plans` are `plan`."""
    word = _BRITISH_OUR.sub(
        "or", _BRITISH_IS.sub("iz", word)
    )  # the same for any word, so that a wrong one does no harm
    if not hasattr(_stemmers, "english"):
        _stemmers.english = Stemmer.Stemmer("english", 0)  # its objects are not for two threads at once
    stemmed: str = _stemmers.english.stemWord(word)
    return stemmed


@cache
def _english() -> Collection[str]:
    """Words that are no slips: who asks for bread in a library without it does not mean `read`."""
    from spellchecker import SpellChecker  # 16 MB in memory

    known: Collection[str] = SpellChecker(language="en").word_frequency.dictionary
    return known


class LexicalIndex:
    """BM25 over the chunks of all sources. Every method may be called from any thread."""

    def __init__(self) -> None:
        import tantivy

        _english()  # now, and not at the first question
        self._schema = (
            tantivy.SchemaBuilder()
            .add_text_field("row", stored=True, tokenizer_name="raw", index_option="basic")
            .add_text_field("source", tokenizer_name="raw", index_option="basic")
            .add_text_field("stems", tokenizer_name="whitespace", index_option="freq")
            .add_text_field("spellings", tokenizer_name="whitespace", index_option="basic")
            .build()
        )
        self._index = tantivy.Index(self._schema)
        self._writer = self._index.writer(WRITER_BYTES, 1)
        self._changing = threading.Lock()

    def __len__(self) -> int:
        """Chunks that can be found."""
        return self._index.searcher().num_docs

    def replace(self, source: str, rows: Iterable[tuple[str, str]]) -> None:
        """A source is now these (row id, text), and what it was before is not found any more."""
        self.fill([(row, source, text) for row, text in rows], gone=[source])

    def remove(self, source: str) -> None:
        """A source is not found any more."""
        self.fill([], gone=[source])

    def fill(self, rows: Iterable[tuple[str, str, str]], gone: Collection[str] = ()) -> None:
        """Add (row id, source, text), of many sources at once; at the same moment, those `gone` are gone."""
        import tantivy

        with self._changing:
            try:
                for source in gone:
                    self._writer.delete_documents_by_term("source", source)
                for row, source, text in rows:
                    words = list(surfaces(text))
                    document = tantivy.Document()
                    document.add_text("row", row)
                    document.add_text("source", source)
                    document.add_text("stems", " ".join(map(stem, words)))
                    document.add_text("spellings", " ".join(dict.fromkeys(words)))
                    self._writer.add_document(document)
                self._writer.commit()
            except BaseException:
                self._writer.rollback()
                raise
            self._index.reload()

    def search(self, question: str, most: int, scope: Collection[str] = ()) -> list[tuple[str, float]]:
        """The `most` row ids that match best, with their scores, best first; of the sources in `scope`, if any."""
        from tantivy import Occur, Query

        searcher = self._index.searcher()
        told = self._told(question)
        if not told or most < 1:
            return []
        words = [(Occur.Should, Query.boost_query(self._is(word), float(times))) for word, times in told.items()]
        query = Query.boolean_query(words)
        if scope:
            among = Query.const_score_query(Query.term_set_query(self._schema, "source", list(scope)), 0.0)
            query = Query.boolean_query([(Occur.Must, query), (Occur.Must, among)])
        hits = searcher.search(query, most, count=False).hits
        return [(searcher.doc(place)["row"][0], score) for score, place in hits]

    def closeness(self, question: str, texts: Mapping[str, str]) -> dict[str, float]:
        """For each text, by name, how much of the question stands within `WINDOW` words of it, rare words first."""
        searcher = self._index.searcher()
        weights = {word: times * self._rarity(word, searcher) for word, times in self._told(question).items()}
        return {name: _most_within(text, weights) for name, text in texts.items()}

    def _told(self, question: str) -> Counter[str]:
        """The stems that tell what a question is about, and how often each is asked for."""
        asked = list(surfaces(question))
        return Counter(stem(word) for word in asked if word not in FUNCTION_WORDS) or Counter(map(stem, asked))

    def _rarity(self, word: str, searcher: Searcher) -> float:
        """BM25's inverse document frequency of a stem; 0 of one that no chunk has."""
        many = self._chunks_with(word, searcher)
        return math.log1p((searcher.num_docs - many + 0.5) / (many + 0.5)) if many else 0.0

    def _chunks_with(self, word: str, searcher: Searcher) -> int:
        """In how many chunks a stem occurs; tantivy's `doc_freq` would count those that are gone, too."""
        return int(searcher.search(self._is(word), 1).count)  # type: ignore[attr-defined]  # not in its stubs

    def _is(self, word: str) -> Query:
        from tantivy import Query

        return Query.term_query(self._schema, "stems", word, "freq")

    def corrected(self, question: str) -> str:
        """The question with words that no chunk has replaced by the likeliest that some chunk has."""
        searcher = self._index.searcher()
        return _WORD.sub(lambda found: self._nearest(found[0], searcher) or found[0], question)

    def _nearest(self, given: str, searcher: Searcher) -> str:
        """The word that `given` may be a slip of; empty where it is known, or nothing is near."""
        word = fold(given)
        if len(word) < SHORTEST_CORRECTED or not word.isalpha() or word in _english():
            return ""
        if self._chunks_with(stem(word), searcher):
            return ""
        slips = 1 if len(word) < LONG_WORD else 2
        letters = dict.fromkeys(word[:2])  # slips in the first letter are rare, but for two letters that changed places
        near = [term for letter in letters for term, _ in searcher.terms_with_prefix("spellings", letter)]
        found = process.extract(word, near, scorer=OSA.distance, score_cutoff=slips, limit=50)
        likely = [(distance, -self._chunks_with(stem(one), searcher), one) for one, distance, _ in found]
        return next((one for _, many, one in sorted(likely) if many), "")


def _most_within(text: str, weights: Mapping[str, float]) -> float:
    """The greatest weight of different words that stand within `WINDOW` words of the text."""
    places = [(place, word) for place, word in enumerate(map(stem, surfaces(text))) if word in weights]
    inside: Counter[str] = Counter()
    most = weight = 0.0
    first = 0
    for place, word in places:
        inside[word] += 1
        weight += weights[word] if inside[word] == 1 else 0.0
        while place - places[first][0] > WINDOW:
            gone = places[first][1]
            inside[gone] -= 1
            weight -= weights[gone] if not inside[gone] else 0.0
            first += 1
        most = max(most, weight)
    return most
