"""Progress bars in the terminal that the app was started from."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from rag.assistant import Assistant


@contextmanager
def progress_bars(assistant: Assistant) -> Iterator[None]:
    """Show a bar for each download and each source that is being indexed; none where there is no terminal."""
    stop = threading.Event()
    if sys.stderr.isatty():
        threading.Thread(target=_draw, args=(assistant, stop), daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def _draw(assistant: Assistant, stop: threading.Event) -> None:
    """Draw the bars until `stop` is set."""
    bars: dict[str, tqdm[Any]] = {}
    while not stop.wait(0.3):
        work = {key: item for key, item in list(assistant.under_way.items()) if item.total}
        for key in bars.keys() - work.keys():
            bars.pop(key).close()
        for key, item in work.items():
            if key not in bars or bars[key].total != item.total:
                if key in bars:
                    bars.pop(key).close()
                bars[key] = tqdm(
                    total=item.total,
                    unit=" B" if item.unit == "bytes" else f" {item.unit}",
                    unit_scale=True,
                    leave=False,
                )
            bars[key].set_description(item.label[:60], refresh=False)
            bars[key].n = item.done
            bars[key].refresh()
    for bar in bars.values():
        bar.close()
