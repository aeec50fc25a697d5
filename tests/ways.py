"""A library with five small files, and the way in which a question to it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings

from rag.answers.chain import Course, retrieve
from rag.answers.retriever import Retriever
from rag.answers.whole.decide import Whole
from rag.library.index import SearchIndex
from tests.conftest import ROOT, make_settings
from tests.stores import Library

FILES = ROOT / "tests" / "data" / "whole"
SOURCES = sorted(path for path in FILES.iterdir() if path.suffix != ".yaml")


class Ways:
    """Decides for questions as the app does, without refusals."""

    def __init__(self, index: SearchIndex) -> None:
        self.index = index
        self.retriever = Retriever(index=index)
        self.whole = Whole(index, self.retriever, None)

    async def course(self, question: str, scope: list[str] | None = None) -> Course:
        given: dict[str, Any] = {"question": question, "complete": question, "asked": question, "scope": scope}
        given["passages"] = await retrieve(given, self.retriever)
        return await self.whole(given)

    async def answer(self, question: str, scope: list[str] | None = None, reader: Any = None) -> list[dict[str, Any]]:
        """The pieces of an answer that goes a way of its own."""
        course = await self.course(question, scope)
        assert course.answer is not None, question
        return [piece async for piece in course.answer(reader)]

    def told(self, question: str, scope: list[str] | None = None, reader: Any = None) -> dict[str, Any]:
        """An answer's pieces put together."""
        whole: dict[str, Any] = {"answer": ""}
        for piece in asyncio.run(self.answer(question, scope, reader)):
            whole |= {**piece, "answer": whole["answer"] + piece.get("answer", "")}
        return whole


@contextmanager
def library_of(folder: Path, embeddings: Embeddings, *paths: Path) -> Iterator[Ways]:
    """A library with files, opened as the app does it."""
    library = Library(make_settings(folder), embeddings)  # type: ignore[arg-type]
    for path in paths:
        library.add(path)
    try:
        yield Ways(library.index)
    finally:
        library.close()
