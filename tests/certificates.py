"""The machine's certificates: httpx reads them anew for each client, in 20 to 30 ms of processor time."""

from __future__ import annotations

import functools
import os
import ssl
from typing import Any

import certifi

READ = ssl.create_default_context


@functools.cache
def _read_of(cafile: str) -> ssl.SSLContext:
    return READ(cafile=cafile)


def read_certificates_once() -> None:
    """Let this process, and what it forks, read those that httpx takes of itself once, and a test's own as ever."""
    ssl.create_default_context = _certificates  # type: ignore[assignment]
    _certificates(cafile=_usual())


def _usual() -> str:
    return os.environ.get("SSL_CERT_FILE") or certifi.where()


def _certificates(*arguments: Any, **given: Any) -> ssl.SSLContext:
    if not arguments and given == {"cafile": _usual()}:
        return _read_of(given["cafile"])
    return READ(*arguments, **given)
