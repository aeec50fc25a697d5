"""What `app.py` does before it imports Gradio, which takes seconds: the embedded model begins to load."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from typing import Any, NamedTuple

from rag.assistant import Assistant
from rag.doors.flags import parse_flags
from rag.errors import RagError
from rag.observe import check_tracing, set_up_logs
from rag.settings import load_settings


class Started(NamedTuple):
    """An assistant that has not taken its data folder yet, and whether a browser is to be opened."""

    assistant: Assistant
    open_browser: bool


def begin(arguments: Sequence[str] | None = None) -> Started | None:
    """The assistant of the flags and settings; None where they are wrong, which is told on standard error.

    An embedded chat model that is on this machine begins to load, in a process of its own. No thread is started: on
    Python 3.11, Gradio cannot be imported beside any.
    """
    flags = parse_flags(arguments)
    open_browser = flags.pop("open")
    set_up_logs("text")
    try:
        settings = load_settings(**flags)
        set_up_logs(settings.log_format)
        check_tracing()
        assistant = Assistant(settings)
    except RagError as error:
        sys.stderr.write(f"{error}\n")
        return None
    if assistant.models.engine:
        with suppress(RagError):  # whoever starts it for good is told
            assistant.models.engine.begin()
    return Started(assistant, open_browser)


class _WhenUsed(MetaPathFinder):
    """Finds pandas so that importing it loads nothing yet."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        """As `MetaPathFinder` has it."""
        spec = PathFinder.find_spec(name, path) if name == "pandas" else None
        if spec and spec.loader:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def lean_gradio() -> Iterator[None]:
    """Import Gradio in here: it then leaves out what this app has no use for.

    It does not write the stubs (.pyi) of its components for editors anew. Those are in its wheel, and looking whether
    they still hold takes a third of the import; it leaves classes alone of which Python finds no file. Nor does it
    import the package mcp where that is installed: the app's own MCP server is not Gradio's. pandas, 0.3 s and 50 MB,
    which the page has no table or plot for, is loaded by the first that uses something of it.
    """
    pandas = _WhenUsed()
    sys.meta_path.insert(0, pandas)
    find_file = inspect.getfile

    def find_no_class(of: Any) -> str:
        if isinstance(of, type):
            raise OSError
        return find_file(of)

    inspect.getfile = find_no_class  # type: ignore[assignment]
    hidden = "mcp" not in sys.modules
    if hidden:
        sys.modules["mcp"] = None  # type: ignore[assignment]  # not there, as Python has it
    try:
        yield
    finally:
        sys.meta_path.remove(pandas)
        inspect.getfile = find_file
        if hidden:
            del sys.modules["mcp"]
