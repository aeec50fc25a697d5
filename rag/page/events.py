"""What the page's event listeners share: their options, their errors, and who may change anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr

from rag.doors.library import REFUSED
from rag.errors import RagError

QUIET: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "show_progress_on": (),
    "api_visibility": "private",
}
"""Options of a listener that answers at once and is no part of the page's API.

Without `show_progress_on`, Gradio's page copies all that each of its outputs holds whenever any event begins, goes on
or ends, as a question's does many times a second.
"""
MayChange = Callable[[gr.Request], bool]
"""Whether the visitor who sent a request may change sources and models."""


def check_may_change(may_change: MayChange, request: gr.Request) -> None:
    """Refuse a visitor who may not change anything.

    Raises:
        gr.Error: the page shows it.
    """
    if not may_change(request):
        raise gr.Error(REFUSED, print_exception=False)


@contextmanager
def errors_on_the_page() -> Iterator[None]:
    """Show a `RagError` on the page."""
    try:
        yield
    except RagError as error:
        raise gr.Error(str(error), print_exception=False) from error
