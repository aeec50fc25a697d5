"""Zipped formats are opened within bounds: how large they may become, and no entities in their XML."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from rag.sources.formats import MIB, Job, Unreadable

MOST_INFLATED = 400 * MIB
"""Bytes of all members of an archive together, decompressed."""
MOST_MEMBERS = 20_000


@contextmanager
def opened(job: Job) -> Iterator[zipfile.ZipFile]:
    """The archive, once its members are known to have a bounded size, and its XML no entities.

    Raises:
        Unreadable: damaged, protected, too large, or with entities; also for damage found while the archive is open.
    """
    try:
        with zipfile.ZipFile(job.path) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS or sum(item.file_size for item in members) > MOST_INFLATED:
                raise _too_large()
            if any(item.flag_bits & 1 for item in members):
                raise Unreadable("the file is damaged, or protected by a password")
            left = MOST_INFLATED
            for item in members:
                if item.filename.lower().endswith((".xml", ".rels")) and job.ending != ".epub":
                    left -= _check_xml(archive, item, left)
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise job.damaged() from error


def _check_xml(archive: zipfile.ZipFile, item: zipfile.ZipInfo, limit: int) -> int:
    """The size of a member in bytes, decompressed.

    Raises:
        Unreadable: larger than `limit`, or it defines entities, which can grow without end when they are expanded.
    """
    size, tail = 0, b""
    with archive.open(item) as member:
        while piece := member.read(MIB):
            size += len(piece)
            if size > limit:  # the archive's directory may be wrong
                raise _too_large()
            flat = (tail + piece).replace(b"\0", b"")  # UTF-16 too
            if b"<!ENTITY" in flat:  # a DOCTYPE alone is harmless, and OpenOffice wrote some
                raise Unreadable("it defines XML entities, as no office program does and some attacks do")
            tail = flat[-16:]
    return size


def _too_large() -> Unreadable:
    return Unreadable(
        f"unpacked it would have more than {MOST_INFLATED // MIB} MiB or {MOST_MEMBERS:,} members (a zip bomb?)"
    )
