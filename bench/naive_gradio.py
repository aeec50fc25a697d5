"""The chat page as most tutorials write it: every token of `chain.astream()` is an output. Measured beside ours."""

from __future__ import annotations

import argparse
import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from collections.abc import AsyncIterator

import gradio as gr

from bench.article import build_chain


def main() -> None:
    """Serve it."""
    parser = argparse.ArgumentParser("python -m bench.naive_gradio", description=__doc__)
    parser.add_argument("--page", required=True, help="URL of the page")
    parser.add_argument("--ollama", required=True, help="URL of the engine")
    parser.add_argument("--port", type=int, required=True)
    flags = parser.parse_args()
    chain = build_chain(flags.page, flags.ollama)

    async def respond(message: str, history: list) -> AsyncIterator[str]:
        text = ""
        async for token in chain.astream(message):
            text += token
            yield text

    # Gradio's own limit is one answer at a time for all users, which would measure nothing but that.
    gr.ChatInterface(respond, concurrency_limit=128, api_name="chat").queue(max_size=None).launch(
        server_name="127.0.0.1", server_port=flags.port, quiet=True, ssr_mode=False, prevent_thread_lock=False
    )


if __name__ == "__main__":
    main()
