"""Fetch what the embedded models need before it is asked for: `python -m rag.models.fetch qwen2.5-coder-0.5b-instruct`.

Building an image does so, and whoever prepares a machine that will be offline. The folder is `RAG_CACHE_DIR`'s.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rag.errors import RagError
from rag.models.e5 import E5_NAME
from rag.models.embedded import WIDENED
from rag.models.gguf_file import widen
from rag.models.model_files import fetch_model
from rag.models.weights import E5, MINILM, MINILM_TOKENIZER, fetch_weights
from rag.settings import load_settings


def main(models: Sequence[str]) -> int:
    """Fetch the default embedding model and the models named; returns the exit code."""
    folder = load_settings().cache_dir
    try:
        for each in (MINILM, MINILM_TOKENIZER):
            fetch_weights(each, folder)
        for model in models:
            if model == E5_NAME.partition(":")[2]:
                fetch_weights(E5, folder)
                continue
            path = fetch_model(model, folder)
            if model in WIDENED:
                widen(path)
    except RagError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
