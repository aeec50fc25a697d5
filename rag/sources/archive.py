"""An archive of documents (ZIP, tar, gzip, bzip2, xz) is read as a folder of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from langchain_core.documents import Document

from rag.sources.formats import LARGEST_CONTAINER, MIB, Job, Unreadable, ending_by_content, ending_of
from rag.sources.inside import Inside, Read
from rag.sources.plain.chats import PEOPLE, people_of
from rag.sources.plain.legacy import guess_encoding
from rag.sources.zipped import MOST_INFLATED, MOST_MEMBERS

_UTF8_NAME = 0x800
_PACKED: dict[str, Any] = {
    **dict.fromkeys((".gz", ".tgz"), gzip.open),
    **dict.fromkeys((".bz2", ".tbz2"), bz2.open),
    **dict.fromkeys((".xz", ".txz"), lzma.open),
}
"""What unpacks a single file, which may be a tar."""
_DAMAGES = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, lzma.LZMAError, zlib.error),
    *(NotImplementedError, RuntimeError, OSError, EOFError, ValueError),
)


class _Member(NamedTuple):
    """A file in an archive: its name with folders, the ending by which it is read ("": none), and what opens it.

    `refused` says why it may not be read.
    """

    name: str
    ending: str
    open: Callable[[], IO[bytes] | None]
    refused: str = ""


def read_archive(job: Job, read: Read) -> Iterator[Document]:
    """Each readable file of an archive as documents of its own; the others are named in the notes.

    Raises:
        Unreadable: damaged, or with too many members, or with none that can be read.
    """
    count = 0
    try:
        with _opened(job) as members:
            inside = Inside(replace(job, people=_people(members, job)), read)
            for member in sorted(members, key=lambda item: item.name):
                name = member.name
                if _is_hidden(name):
                    continue
                if not member.ending:
                    inside.leave_out(name, "its type cannot be read")
                elif inside.full:
                    inside.leave_out(name, "the archive has too many files")
                else:
                    try:
                        data = _content(member, job.room["bytes"])
                    except Unreadable as error:
                        inside.leave_out(name, str(error))
                        continue
                    for document in inside.read(name, data, ending=member.ending):
                        count += 1
                        yield document
    except _DAMAGES as error:
        raise Unreadable(f"it is {job.claimed} but no such archive, or it is damaged") from error
    inside.finish()
    if not count:
        said = "; ".join(job.notes)[:150] or "it is empty"
        raise Unreadable(f"the archive has no file that can be read ({said})")


def _people(members: list[_Member], job: Job) -> dict[str, str]:
    """The names of people by their ids, where the archive is a chat that Slack exported."""
    lists = (member for member in members if PurePosixPath(member.name).name == PEOPLE)
    try:
        return people_of(_content(found, job.room["bytes"])) if (found := next(lists, None)) else {}
    except Unreadable:
        return {}


@contextmanager
def _opened(job: Job) -> Iterator[list[_Member]]:
    """The files of an archive.

    Raises:
        Unreadable: it has too many members, or is too large unpacked.
    """
    if job.ending == ".zip":
        with zipfile.ZipFile(job.path) as archive:
            yield _bounded(_zip_members(archive))
    elif job.ending == ".tar":
        with tarfile.open(job.path, "r:") as tar:
            yield _bounded(_tar_members(tar))
    else:
        with tempfile.TemporaryDirectory(prefix="rag-") as folder:
            path = Path(folder) / "unpacked"
            _unpack(job, path)
            try:
                tar = tarfile.open(path, "r:")
            except tarfile.ReadError:
                yield [_Member(job.stem, ending_of(job.stem) or ending_by_content(path), partial(io.FileIO, path))]
                return
            with tar:
                yield _bounded(_tar_members(tar))


def _unpack(job: Job, path: Path) -> None:
    """Write the file that is packed in another; how large it becomes is told by no header that can be trusted.

    Raises:
        Unreadable: it is too large unpacked.
    """
    left = min(MOST_INFLATED, job.room["bytes"])
    with _PACKED[job.ending](job.path) as file, path.open("wb") as unpacked:
        while piece := file.read(MIB):
            left -= len(piece)
            if left < 0:
                raise Unreadable(f"unpacked it would have more than {MOST_INFLATED // MIB} MiB; split it")
            unpacked.write(piece)


def _bounded(members: Iterator[_Member]) -> list[_Member]:
    found: list[_Member] = []
    for member in members:
        found.append(member)
        if len(found) > MOST_MEMBERS:
            raise Unreadable(f"the archive has more than {MOST_MEMBERS:,} members; split it")
    return found


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for item in archive.infolist():
        raw = b"" if item.flag_bits & _UTF8_NAME or item.filename.isascii() else item.filename.encode("cp437", "ignore")
        name = _decoded(raw, item.filename).replace("\\", "/")
        refused = "protected by a password" if item.flag_bits & 1 else ""
        refused = "a link" if stat.S_ISLNK(item.external_attr >> 16) else refused
        if not item.is_dir():
            yield _Member(name, ending_of(PurePosixPath(name).name), partial(archive.open, item), refused)


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for item in tar:
        raw = b"" if item.name.isascii() else item.name.encode("utf-8", "surrogateescape")
        name = _decoded(raw, item.name)
        refused = "" if item.isreg() else "a link"
        if not item.isdir():
            yield _Member(name, ending_of(PurePosixPath(name).name), partial(tar.extractfile, item), refused)


def _content(member: _Member, most: int) -> bytes:
    """A member, unpacked.

    Raises:
        Unreadable: protected, a link, damaged, or of more than `most` bytes.
    """
    if member.refused:
        raise Unreadable(member.refused)
    held = bytearray()
    try:
        with member.open() or io.BytesIO() as file:
            while piece := file.read(MIB):  # the size in the archive's directory may be wrong
                held += piece
                if len(held) > min(most, LARGEST_CONTAINER):
                    raise Unreadable("too large unpacked")
    except _DAMAGES as error:
        raise Unreadable("damaged") from error
    return bytes(held)


def _is_hidden(name: str) -> bool:
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".", "..")]
    return "__MACOSX" in parts or any(part.startswith(".") for part in parts) or parts[-1:] == ["Thumbs.db"]


def _decoded(raw: bytes, otherwise: str) -> str:
    """The name of a member from its bytes, where the archive does not say their encoding."""
    try:
        return raw.decode("utf-8") or otherwise
    except UnicodeDecodeError:
        found = guess_encoding(raw)
        return raw.decode(found.encoding, "replace") if found and found.sure else otherwise
