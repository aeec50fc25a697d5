"""The body of a response: read up to a limit, and decompressed up to the same limit."""

from __future__ import annotations

import contextlib
import tempfile
import zlib
from typing import Any

import httpcore

from rag.sources.web.address import FetchError

NO_ROOM = "there is no room for it in the folder for temporary files"
HELD_BYTES = 4 * 2**20
"""Bytes of a page that are held in memory; a larger page is read into a temporary file, since most are refused."""
MOST_GZIP_MEMBERS = 64
_PIECE = 2**18
"""Bytes that are decompressed at once."""
_CUT_OFF = "the page was cut off before its end; try again"


def read_body(response: httpcore.Response, headers: dict[str, str], limit: int) -> bytes:
    """The decompressed body.

    Args:
        response: to read to its end.
        headers: its headers, by lower-case names.
        limit: bytes that the body may have, compressed and decompressed.

    Raises:
        FetchError: too large, cut off, damaged, or no room on disk.
    """
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    with _Buffer(limit) as body:
        try:
            for piece in response.iter_stream():
                body.add(piece)
        except (httpcore.ProtocolError, httpcore.ReadError):
            raise FetchError(_CUT_OFF) from None
        data = body.whole()
    return _decompressed(data, headers.get("content-encoding", "").strip().lower(), limit)


class _Buffer:
    """Bytes that come in pieces, `limit` at most; more than `HELD_BYTES` are kept on disk."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit
        self._file = tempfile.SpooledTemporaryFile(HELD_BYTES)

    def __enter__(self) -> _Buffer:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # closing writes the bytes that are left
            self._file.close()

    def add(self, piece: bytes) -> None:
        """Raises FetchError if there are more than `limit` bytes, or no room on disk."""
        self.size += len(piece)
        if self.size > self._limit:
            raise _too_large(self._limit)
        try:
            self._file.write(piece)
        except OSError as error:
            raise FetchError(NO_ROOM) from error

    def whole(self) -> bytes:
        """All bytes. Raises FetchError if the file on disk cannot be read."""
        try:
            self._file.seek(0)
            return self._file.read()
        except OSError as error:
            raise FetchError(NO_ROOM) from error


def _decompressed(body: bytes, coding: str, limit: int) -> bytes:
    """A body without its Content-Encoding; never decompresses more than `limit` + 1 bytes."""
    if coding in ("", "identity"):
        return body
    if coding in ("gzip", "x-gzip"):
        window = 16 + zlib.MAX_WBITS
    elif coding == "deflate":
        # Some servers send raw deflate. The first two bytes of a zlib stream tell (RFC 1950, 2.2).
        wrapped = len(body) >= 2 and body[0] & 15 == 8 and (body[0] * 256 + body[1]) % 31 == 0
        window = zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS
    else:
        raise FetchError("the server used a compression that was not asked for, so the page cannot be read")
    with _Buffer(limit) as decoded:
        for _ in range(MOST_GZIP_MEMBERS):
            decoder = zlib.decompressobj(window)
            try:
                body = _inflate(decoder, body, decoded, limit)
            except zlib.error:
                raise FetchError("the page is damaged: its compressed data cannot be read") from None
            if not decoder.eof:
                raise FetchError(_CUT_OFF)
            if not body.startswith(b"\x1f\x8b"):  # padding, which browsers ignore too; gzip members begin like this
                return decoded.whole()
    raise FetchError("the page is damaged: its compressed data is in too many pieces")


def _inflate(decoder: Any, body: bytes, decoded: _Buffer, limit: int) -> bytes:
    """Decompress one stream into `decoded`, piece by piece to spare memory. Returns the bytes after its end."""
    for start in range(0, len(body), _PIECE):
        data = body[start : start + _PIECE]
        while True:
            room = min(_PIECE, limit + 1 - decoded.size)
            piece = decoder.decompress(data, room)
            decoded.add(piece)
            if decoder.eof:
                return bytes(decoder.unused_data) + body[start + _PIECE :]
            data = decoder.unconsumed_tail
            if not data and len(piece) < room:
                break
    return b""


def _too_large(limit: int) -> FetchError:
    return FetchError(f"larger than {f'{limit / 2**20:g} MiB' if limit >= 2**20 else f'{limit} bytes'}")
