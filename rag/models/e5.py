"""The embedded embedding model for many languages, multilingual-e5-small. It needs OpenVINO."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import EngineError, TextTooLong
from rag.models.e5_file import E5File
from rag.models.encoded import EncodedEmbeddings
from rag.models.encoder import Encoder, import_openvino, open_in_openvino
from rag.models.hub import Progress
from rag.models.machine import cores
from rag.models.weights import E5, fetch_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

E5_NAME = "embedded:multilingual-e5-small"
E5_WINDOW = 512
QUESTION, TEXT = "query: ", "passage: "
"""What the model's card asks for before a question and before a text."""
MEANS_FILE = Path(__file__).parents[1] / "e5_means.json"
"""The mean of the vectors of the questions in `everyday.jsonl`, and that of its passages. Stored vectors lack it,
so it does not change with that file."""


def runs_here() -> bool:
    """Whether OpenVINO is installed, for which there is a package on most systems."""
    return find_spec("openvino") is not None


class E5Embeddings(EncodedEmbeddings):
    """multilingual-e5-small (4 bits in the file, 8 in memory): 384 numbers a text.

    Any two of its vectors have a cosine of .7 or more, as all lie in one direction. The mean is taken off them, so that
    cosines spread as those of other models do; of 169 English questions three quotes have the answer to .83 then, and
    to .79 without.
    """

    window = E5_WINDOW

    def __init__(self, cache_dir: Path, progress: Progress | None = None) -> None:
        """Fetch the weights, if they are not in `cache_dir`, and load them.

        Raises:
            EngineError: they could not be fetched, or OpenVINO is not installed.
        """
        import numpy as np

        if not runs_here():
            raise EngineError(f"{E5_NAME} needs OpenVINO, for which there is no package on this system.")
        self._file = E5File(fetch_weights(E5, cache_dir, progress))
        super().__init__(_open(self._file, cores()), E5, cache_dir)
        means = json.loads(MEANS_FILE.read_text(encoding="utf-8"))
        self._mean_question, self._mean_text = (np.array(means[of], dtype=np.float32) for of in ("question", "text"))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text, in their order.

        Raises:
            TextTooLong: a text is longer than the window.
        """
        found: list[list[float]] = _centred(self._raw(TEXT, texts), self._mean_text).tolist()
        return found

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question.

        Raises:
            TextTooLong: it is longer than the window.
        """
        try:
            found: list[float] = _centred(self._raw(QUESTION, [text]), self._mean_question)[0].tolist()
        except TextTooLong as error:
            raise self.question_too_long(len(self._ids(QUESTION, [text])[0])) from error
        return found

    def _ids(self, before: str, texts: Sequence[str]) -> list[list[int]]:
        encoded = self._file.tokenizer.encode_batch([self._file.fold(before + text) for text in texts])
        return [[self._file.begin, *each.ids, self._file.end] for each in encoded]

    def _raw(self, before: str, texts: Sequence[str]) -> Vectors:
        """The vectors as the model gives them."""
        return self.vectors(self._ids(before, texts))


def _centred(vectors: Vectors, mean: Vectors) -> Vectors:
    """The vectors, a row each, without the mean, of length 1."""
    import numpy as np

    moved = vectors - mean
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _open(file: E5File, threads: int) -> Encoder:
    """What runs the model, from up to `threads` threads at once.

    The vectors of words are looked up here: as a part of the network, OpenVINO would unpack all 250,000 of them.
    """
    import numpy as np

    places = file.numbers("emb.pos").reshape(-1, file.size) + file.numbers("emb.type")[: file.size]

    def inputs(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        words = file.words(ids.ravel().tolist()).reshape(*ids.shape, file.size)
        return {"words": words + places[: ids.shape[1]], "mask": mask.astype(np.float32)}

    return open_in_openvino(_network(file), threads, inputs)


def _network(file: E5File) -> Any:
    """The layers as a model of OpenVINO: from the vectors of words, (texts, width, size), and the mask, (texts, width),
    to those of tokens in their text. Source: the model's config.json, a BERT of 12 layers.
    """
    import numpy as np

    import_openvino()
    from openvino import Model
    from openvino import opset13 as ops

    apart, together, swapped = (np.array(each) for each in ([0, 0, file.heads, -1], [0, 0, file.size], [0, 2, 1, 3]))

    def weights(name: str, rows: int) -> Any:
        """A matrix at 8 bits with a scale for each row, which multiplies twice as fast as one at 32."""
        matrix = file.matrix(name, rows)
        scale = np.maximum(np.abs(matrix).max(axis=1, keepdims=True) / 127, 1e-12).astype(np.float32)
        rounded = ops.convert(ops.constant(np.round(matrix / scale).astype(np.int8)), np.float32)
        return ops.multiply(rounded, ops.constant(scale))

    def linear(given: Any, name: str, rows: int) -> Any:
        product = ops.matmul(given, weights(f"{name}.w", rows), False, True)
        return ops.add(product, ops.constant(file.numbers(f"{name}.b")))

    def normalized(given: Any, name: str) -> Any:
        found = ops.mvn(given, np.array([-1]), True, file.epsilon, "inside_sqrt")
        scaled = ops.multiply(found, ops.constant(file.numbers(f"{name}.w")))
        return ops.add(scaled, ops.constant(file.numbers(f"{name}.b")))

    def headed(given: Any) -> Any:
        return ops.transpose(ops.reshape(given, apart, True), swapped)

    words = ops.parameter([-1, -1, file.size], np.float32)
    mask = ops.parameter([-1, -1], np.float32)
    for name, each in (("words", words), ("mask", mask)):
        each.output(0).set_names({name})
    hidden = ops.multiply(ops.subtract(mask, np.float32(1)), np.float32(1e9))  # 0 for what is read
    hidden = ops.unsqueeze(hidden, np.array([1, 2]))
    found = normalized(words, "emb.ln")
    for layer in (f"l{number}" for number in range(file.layers)):
        query, key, value = (headed(linear(found, f"{layer}.{part}", file.size)) for part in "qkv")
        attended = ops.transpose(ops.scaled_dot_product_attention(query, key, value, hidden), swapped)
        attended = linear(ops.reshape(attended, together, True), f"{layer}.ao", file.size)
        found = normalized(ops.add(found, attended), f"{layer}.aln")
        inner = ops.gelu(linear(found, f"{layer}.fi", file.inner), "erf")
        found = normalized(ops.add(found, linear(inner, f"{layer}.fo", file.size)), f"{layer}.oln")
    return Model([found], [words, mask], "e5")
