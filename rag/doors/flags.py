"""The flags of `app.py`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any


def parse_flags(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """The command line's flags, under the names of the settings; None where not given."""
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="A local RAG chat in the browser. Any setting can also be given as RAG_NAME, also in a file .env.",
    )
    parser.add_argument(
        "--source",
        action="append",
        dest="sources",
        metavar="URL_OR_PATH",
        help="a page, file or folder; may be repeated",
    )
    parser.add_argument("--model", metavar="PROVIDER:MODEL", help="chat model, such as ollama:llama3")
    parser.add_argument("--embeddings", metavar="PROVIDER:MODEL", help="embeddings, such as ollama:mxbai-embed-large")
    parser.add_argument("--data-dir", metavar="FOLDER", help="where the library is kept")
    parser.add_argument("--host", help="address to serve on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to serve on (7860; 0: any free one)")
    parser.add_argument("--pull", action="store_const", const=True, help="pull missing Ollama models at start")
    parser.add_argument("--share", action="store_const", const=True, help="make a public link, with a password")
    parser.add_argument("--mcp", action="store_const", const=True, help="serve other assistants over MCP at /mcp")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    return vars(parser.parse_args(arguments))
