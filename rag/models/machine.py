"""What this machine has for models: cores and memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MOST_CONTEXT = 16_384
"""Tokens of context window that a model is used with at most, whatever it could: memory grows with them."""


def cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not tell
        return os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory in this machine, or of what its container may use."""
    import psutil

    total = psutil.virtual_memory().total
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            return int(min(total, int(Path(limit).read_text(encoding="ascii"))))
    return int(total)


def free_memory() -> int:
    """Bytes of memory that programs could have now, as far as the machine tells; a container may allow fewer."""
    import psutil

    return int(min(psutil.virtual_memory().available, memory()))
