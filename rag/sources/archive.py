"""A ZIP archive of documents is read as a folder of them."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from langchain_core.documents import Document

from rag.sources.formats import LARGEST_CONTAINER, MIB, Job, Unreadable, ending_of
from rag.sources.inside import Inside
from rag.sources.zipped import MOST_MEMBERS

_UTF8_NAME = 0x800


def read_archive(job: Job) -> Iterator[Document]:
    """Each readable file of an archive as documents of its own; the others are named in the notes.

    Raises:
        Unreadable: damaged, or with too many members, or with none that can be read.
    """
    inside = Inside(job)
    count = 0
    try:
        with zipfile.ZipFile(job.path) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise Unreadable(f"the archive has more than {MOST_MEMBERS:,} members; split it")
            for member in sorted(members, key=lambda item: item.filename):
                name = _name(member)
                if member.is_dir() or _is_hidden(name):
                    continue
                if not ending_of(PurePosixPath(name).name):
                    inside.leave_out(name, "its type cannot be read")
                elif inside.full:
                    inside.leave_out(name, "the archive has too many files")
                else:
                    try:
                        data = _content(archive, member, job.room["bytes"])
                    except Unreadable as error:
                        inside.leave_out(name, str(error))
                        continue
                    for document in inside.read(name, data):
                        count += 1
                        yield document
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError) as error:
        raise Unreadable("the archive is damaged") from error
    inside.finish()
    if not count:
        said = "; ".join(job.notes)[:150] or "it is empty"
        raise Unreadable(f"the archive has no file that can be read ({said})")


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """A member, unpacked.

    Raises:
        Unreadable: protected, a link, damaged, or of more than `most` bytes.
    """
    if member.flag_bits & 1:
        raise Unreadable("protected by a password")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise Unreadable("a link")
    held = bytearray()
    try:
        with archive.open(member) as file:
            while piece := file.read(MIB):  # the size in the archive's directory may be wrong
                held += piece
                if len(held) > min(most, LARGEST_CONTAINER):
                    raise Unreadable("too large unpacked")
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError, ValueError) as error:
        raise Unreadable("damaged") from error
    return bytes(held)


def _is_hidden(name: str) -> bool:
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".", "..")]
    return "__MACOSX" in parts or any(part.startswith(".") for part in parts) or parts[-1:] == ["Thumbs.db"]


def _name(member: zipfile.ZipInfo) -> str:
    """The name of a member; in archives of older programs its encoding is not said, and zipfile takes it for DOS's."""
    name = member.filename
    if not member.flag_bits & _UTF8_NAME and not name.isascii():
        raw = name.encode("cp437", "ignore")
        try:
            name = raw.decode("utf-8")
        except UnicodeDecodeError:
            from rag.sources.plain.legacy import guess_encoding

            found = guess_encoding(raw)
            name = raw.decode(found.encoding, "replace") if found and found.sure else name
    return name.replace("\\", "/")
