"""Numbers of things, sizes and times as people say them."""

from __future__ import annotations


def counted(number: int, word: str) -> str:
    """A number of things, with its word in the plural where it has one."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def told_size(size: int) -> str:
    """Bytes as people say them."""
    if size < 1e6:
        return f"{max(1, round(size / 1e3))} kB"
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def told_seconds(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
