"""Vectors of sentences and questions, remembered: who searches, judges, packs and grounds an answer shares them."""

from __future__ import annotations

import logging
import os
import threading
import time
import zipfile
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings

from rag.text.pace import Pace

if TYPE_CHECKING:
    import numpy as np

    Vectors = np.ndarray[Any, np.dtype[np.float32]]

log = logging.getLogger(__name__)

KEPT_VECTORS = 4096
"""Sentences whose vectors are kept, for each embedding model in use: 6 MB for 384 numbers each."""

remembered: deque[tuple[Embeddings, OrderedDict[str, Vectors]]] = deque(maxlen=2)
"""Vectors by text, for each of the two embedding models that were used last."""
_keeping = threading.Lock()
_QUESTION = "\0"
"""Before a question among the sentences: models may have an instruction for it, and so another vector."""


def _cache_of(embeddings: Embeddings) -> OrderedDict[str, Vectors]:
    """The vectors of one model; to be called, read and written while `_keeping` is held."""
    cache = next((cache for known, cache in remembered if known is embeddings), None)
    if cache is None:
        cache = OrderedDict()
        remembered.append((embeddings, cache))
    return cache


def _known(embeddings: Embeddings, texts: Iterable[str]) -> dict[str, Vectors]:
    """The vectors that are remembered of these texts."""
    with _keeping:
        cache = _cache_of(embeddings)
        return {text: cache[text] for text in texts if text in cache}


def _keep(embeddings: Embeddings, vectors: Mapping[str, Vectors]) -> None:
    with _keeping:
        cache = _cache_of(embeddings)
        for text, vector in vectors.items():
            cache[text] = vector
            cache.move_to_end(text)
        while len(cache) > KEPT_VECTORS:
            cache.popitem(last=False)


def at_length_one(vectors: Any) -> Vectors:
    """A vector, or one a row, scaled to length 1."""
    import numpy as np

    array = np.asarray(vectors, dtype=np.float32)
    scaled: Vectors = array / np.maximum(np.linalg.norm(array, axis=-1, keepdims=True), 1e-12)
    return scaled


def sentence_vectors(embeddings: Embeddings, sentences: Sequence[str]) -> Vectors:
    """One vector of length 1 a sentence; those of the last `KEPT_VECTORS` are remembered, as answers follow passages.

    Raises:
        RagError: what the embeddings raise.
    """
    import numpy as np

    vectors = _known(embeddings, sentences)
    missing, pace = [sentence for sentence in dict.fromkeys(sentences) if sentence not in vectors], Pace()
    while missing:
        some = missing[: pace.next(missing)]
        began = time.monotonic()
        made = dict(zip(some, at_length_one(embeddings.embed_documents(some)), strict=True))
        pace.took(some, time.monotonic() - began)
        _keep(embeddings, made)  # whatever becomes of the rest, this is not embedded again
        vectors |= made
        missing = missing[len(some) :]
    _keep(embeddings, vectors)
    return np.stack([vectors[sentence] for sentence in sentences])


def question_vector(embeddings: Embeddings, question: str) -> Vectors:
    """The vector of a question as the embeddings give it, remembered: who searches, judges and packs shares it.

    Raises:
        RagError: what the embeddings raise.
    """
    import numpy as np

    key = _QUESTION + question
    vector = _known(embeddings, [key]).get(key)
    if vector is None:
        vector = np.asarray(embeddings.embed_query(question), dtype=np.float32)
        _keep(embeddings, {key: vector})
    return vector


async def have_vectors(embeddings: Embeddings, question: str, sentences: Sequence[str] = ()) -> Vectors:
    """The question's vector, when those of the sentences, too, are remembered.

    Nothing that needs them waits for the model then, and who is cancelled meanwhile hangs up on it.

    Raises:
        RagError: what the embeddings raise.
    """
    import numpy as np

    key = _QUESTION + question
    known = _known(embeddings, [key, *sentences])
    if key not in known:
        known[key] = np.asarray(await embeddings.aembed_query(question), dtype=np.float32)
        _keep(embeddings, {key: known[key]})
    missing, pace = [sentence for sentence in dict.fromkeys(sentences) if sentence not in known], Pace()
    while missing:
        some = missing[: pace.next(missing)]
        began = time.monotonic()
        made = dict(zip(some, at_length_one(await embeddings.aembed_documents(some)), strict=True))
        pace.took(some, time.monotonic() - began)
        _keep(embeddings, made)
        known |= made
        missing = missing[len(some) :]
    _keep(embeddings, known)
    return known[key]


def load_vectors(file: Path) -> dict[str, Vectors]:
    """What `save_vectors` wrote; nothing, and a warning, if the file cannot be read."""
    import numpy as np

    if not file.exists():
        return {}
    try:
        with np.load(file) as found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s cannot be read (%s); it is made again", file, error)
        return {}


def save_vectors(file: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays by their names; a warning, if the file cannot be written."""
    import numpy as np

    unfinished = file.with_suffix(f".{os.getpid()}.npz")  # other processes may write theirs
    try:
        np.savez(unfinished, **arrays)
        unfinished.replace(file)
    except OSError as error:
        log.warning("%s cannot be written (%s)", file, error)
