"""What a line of a list begins with: a bullet, or a number or letter of an outline."""

from __future__ import annotations

OUTLINE = r"(?:\d{1,3}\.)+|\d{1,3}\)|\(\d{1,3}\)|\(?[a-zA-Z]\)|\(?[ivxl]{2,5}\)|[a-z]\.|[ivxl]{2,5}\."
"""`1.`, `4.2.`, `1)`, `(1)`, `a)`, `(A)`, `iv)`, `a.`, `iv.`; not `A.`, which may be a name, and not `1.5`."""
MARKER = rf"(?:[-*+•–]|{OUTLINE})"
"""Either of them."""
