"""Which of several names words stand for: all of a name, or a part of it, as in "the lease" for "Lease of 2025.pdf"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rag.answers.tables.words import key_of
from rag.text.language import stem

PARTS = {
    "chapter": ("chapters", "chapter", "kapitel", "chapitres", "chapitre", "capitulos", "capitulo", "章", "章节"),
    "section": (
        "sections", "section", "headings", "heading", "abschnitte", "abschnitt", "uberschriften", "titres", "secciones",
        "seccion", "节",
    ),
    "question": ("questions", "question", "fragen", "frage", "preguntas", "pregunta", "问题"),
    "page": ("pages", "page", "slides", "slide", "seiten", "folien", "paginas", "diapositivas", "页"),
    "word": ("words", "worter", "mots", "palabras"),
}  # fmt: skip
"""Parts of documents, as people call them, folded."""
PART_WORDS = frozenset(word for words in PARTS.values() for word in words)
THINGS = frozenset({
    "document", "file", "text", "book", "paper", "report", "manual", "guide", "letter", "handbook", "docs", "dokument",
    "datei", "buch", "bericht", "handbuch", "brief", "fichier", "texte", "livre", "rapport", "lettre", "documento",
    "archivo", "texto", "libro", "informe", "carta",
})  # fmt: skip
"""What people call a document beside its name, folded."""
SENTENCE_WORDS = {
    "sentence", "sentences", "bullet", "bullets", "points", "lines", "satz", "satze", "satzen", "punkte", "punkten",
    "stichpunkte", "stichpunkten", "zeilen", "phrase", "phrases", "lignes", "frase", "frases", "puntos",
    "lineas", "句", "点",
}  # fmt: skip
"""What is counted of a summary, folded (`summary.sentences_wanted`)."""
SHORTEST_PART = 5
"""Letters of a word that may stand for one that is put together with others: Anleitung for Bedienungsanleitung."""


def names_with(words: Sequence[str], names: Iterable[str]) -> list[str]:
    """Those of the names that have each of these words (as `key_of` gives them); none without a word."""
    return [name for name in names if has_words(words, name)] if words else []


def has_words(words: Sequence[str], name: str) -> bool:
    """Whether a name has each of these words, whatever its ending; signs of Chinese stand side by side in it."""
    key = key_of(name)
    if words and all(len(word) == 1 and word >= "\u3040" for word in words):
        return "".join(words) in "".join(key)
    return all(any(is_same(word, part) for part in key) for word in words)


def without_things(words: Sequence[str]) -> tuple[str, ...]:
    """The words but "manual" or "guide", where there are others."""
    return tuple(word for word in words if word not in THINGS) or tuple(words)


def is_same(word: str, part: str) -> bool:
    """Whether a word is another one but for its ending, or the first or last part of it."""
    longer = len(word) >= SHORTEST_PART and (part.startswith(word) or part.endswith(word))
    return longer or word == part or stem(word) == stem(part)
