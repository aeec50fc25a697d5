"""The library in one file: `python -m rag backup FILE` writes it, `restore FILE` brings its sources back.

    manifest.json         format, version, when, and the SHA-256 of every other member
    texts/000000.json     one source each, as in the data folder
    files/HASH/NAME       copies of files that were given on the page
    library.json          addresses that were asked for and are not there (yet)

The index is not in it: it is derived from the texts, by whatever embedding model is in use where they are restored.
A backup may come from anybody, so all of it is looked at before anything is written: names, sizes unpacked, digests.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rag import __version__
from rag.errors import StoreError, store_error
from rag.library.store import KEPT, LEAST_FREE_DISK, DataFolder, Record
from rag.sources.loader import is_url

FORMAT = 1
MOST_MEMBERS = 200_000
MOST_UNFOLDED = 100
"""Times its own size that a backup may have unpacked; text shrinks to a tenth, a bomb to a thousandth."""
LARGEST_TEXT = 512 * 2**20
BLOCK = 2**20

_NAME = re.compile(r"texts/\d{6,}\.json|files/[0-9a-f]{16}/[^/\\\0:]{1,200}|library\.json")


class _Archive:
    """A zip that is being written, and the digests of its members."""

    def __init__(self, path: Path) -> None:
        self.zip = zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED, strict_timestamps=False)
        self.digests: dict[str, str] = {}

    def add(self, name: str, data: Any) -> None:
        text = json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass")
        self.zip.writestr(name, text)
        self.digests[name] = hashlib.sha256(text).hexdigest()

    def add_file(self, name: str, path: Path) -> None:
        digest = hashlib.sha256()
        with path.open("rb") as file, self.zip.open(name, "w", force_zip64=True) as member:
            while block := file.read(BLOCK):
                digest.update(block)
                member.write(block)
        self.digests[name] = digest.hexdigest()


def write_backup(folder: DataFolder, target: Path) -> int:
    """Write the library to a new file, also while an app uses the folder. Returns the number of sources.

    Each text is replaced whole on disk, so that what is read here is a version that was whole, too.

    Raises:
        StoreError: there is no library, the file is there already, or it cannot be written.
    """
    if not folder.path.is_dir():
        raise StoreError(f"There is no library in {folder.path}. Name its folder with --data-dir.")
    if target.exists():
        raise StoreError(f"{target} is there already. Choose another name; a backup is never written over.")
    part = target.with_name(f"{target.name}.part")
    count = 0
    try:
        part.unlink(missing_ok=True)
        archive = _Archive(part)
        part.chmod(0o600)  # texts may be private
        with archive.zip:
            for record in folder.records():
                if folder.keeps(record.source):
                    kept = Path(record.source)
                    with suppress(FileNotFoundError):  # it was removed meanwhile
                        archive.add_file(f"{KEPT}/{kept.parent.name}/{kept.name}", kept)
                    record = _renamed(record, f"{KEPT}/{kept.parent.name}/{kept.name}")
                archive.add(f"texts/{count:06}.json", asdict(record))
                count += 1
            wanted = folder.remembered("library").get("wanted", {})
            archive.add("library.json", {"wanted": [source for source in wanted if is_url(source)]})
            manifest = {"format": FORMAT, "app": __version__, "made": time.time(), "members": archive.digests}
            archive.zip.writestr("manifest.json", json.dumps(manifest))
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise store_error(error) from error
    return count


def _renamed(record: Record, source: str) -> Record:
    documents = [(text, {**metadata, "source": source}) for text, metadata in record.documents]
    return replace(record, source=source, documents=documents)


class Backup:
    """A backup that was looked through: `records` gives its sources, once their files are in the data folder."""

    def __init__(self, path: Path) -> None:
        """Look through all of it.

        Raises:
            StoreError: it is no backup, is damaged, or is made to harm; says which.
        """
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                self._names = self._check_names(archive)
                self._check_digests(archive)
                library = json.loads(archive.read("library.json")) if "library.json" in self._names else {}
                self.wanted = [str(name) for name in library.get("wanted", []) if is_url(str(name))]
        except FileNotFoundError:
            raise StoreError(f"There is no file {path}.") from None
        except OSError as error:
            raise StoreError(f"{path} cannot be read ({error.strerror or error}).") from error
        except _UNREADABLE as error:
            raise StoreError(f"{path} is not a backup, or it is damaged ({_said(error)}).") from error

    def _check_names(self, archive: zipfile.ZipFile) -> list[str]:
        members = archive.infolist()
        names = [item.filename for item in members]
        size = sum(item.file_size for item in members)
        packed = self.path.stat().st_size
        if len(names) > MOST_MEMBERS or size > MOST_UNFOLDED * packed + LEAST_FREE_DISK:
            raise StoreError(f"{self.path} would have {size >> 20} MiB unpacked, from {packed >> 20} (a zip bomb?).")
        manifest = next((item for item in members if item.filename == "manifest.json"), None)
        if manifest is None or manifest.file_size > LARGEST_TEXT:
            raise StoreError(f"{self.path} is not a backup of a library: it has no manifest.")
        others = [name for name in names if name != "manifest.json"]
        odd = [name for name in others if not _NAME.fullmatch(name) or name.rpartition("/")[2] in (".", "..")]
        if odd or len(set(names)) != len(names) or any(item.flag_bits & 1 for item in members):
            raise StoreError(
                f"{self.path} is not a backup of a library: {odd[0]!r} is in it."
                if odd
                else f"{self.path} is not a backup of a library: a member is there twice, or encrypted."
            )
        return others

    def _check_digests(self, archive: zipfile.ZipFile) -> None:
        manifest = json.loads(archive.read("manifest.json"))
        if manifest["format"] != FORMAT:
            raise StoreError(f"{self.path} is of format {manifest['format']}; this version reads {FORMAT}. Update it.")
        if set(manifest["members"]) != set(self._names):
            raise StoreError(f"{self.path} is damaged: its members are not those of its manifest.")
        for name in self._names:
            digest = hashlib.sha256()
            left = archive.getinfo(name).file_size if not name.endswith(".json") else LARGEST_TEXT
            with archive.open(name) as member:
                while block := member.read(BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise StoreError(f"{self.path}: {name} is larger than it may be.")
                    digest.update(block)
            if digest.hexdigest() != manifest["members"][name]:
                raise StoreError(f"{self.path} is damaged: {name} is not as it was written.")
            if name.startswith("texts/"):
                _record(json.loads(archive.read(name)))

    def records(self, folder: DataFolder) -> Iterator[Record]:
        """The sources; copies of files are put into the folder first.

        Whoever named a source has named it elsewhere: pages of a private network are not trusted again.

        Raises:
            StoreError: the disk has no room, or refuses a write.
        """
        try:
            with zipfile.ZipFile(self.path) as archive:
                size = sum(item.file_size for item in archive.infolist())
                if shutil.disk_usage(folder.path).free < 2 * size + LEAST_FREE_DISK:
                    raise StoreError(f"There is no room for the {size >> 20} MiB of {self.path}. Free some space.")
                for name in self._names:
                    if name.startswith("texts/"):
                        record = replace(_record(json.loads(archive.read(name))), private=False)
                        if _NAME.fullmatch(record.source) and record.source.startswith(f"{KEPT}/"):
                            record = _renamed(record, self._put_back(archive, folder, record.source))
                        yield record
        except OSError as error:
            raise store_error(error) from error
        except _UNREADABLE as error:  # it was written over since it was looked through
            raise StoreError(f"{self.path} is damaged ({_said(error)}).") from error

    def _put_back(self, archive: zipfile.ZipFile, folder: DataFolder, source: str) -> str:
        target = folder.path / source
        if source in self._names and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f"{target.name[:180]}.part")
            with archive.open(source) as member, part.open("wb") as file:
                shutil.copyfileobj(member, file, BLOCK)
            os.replace(part, target)
        return str(target)


_UNREADABLE = (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, zlib.error, RuntimeError)
_UNREADABLE += (ValueError, KeyError, TypeError, AttributeError, RecursionError)  # type: ignore[assignment]


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _record(data: dict[str, Any]) -> Record:
    """A record from what a file says of it.

    Raises:
        ValueError, TypeError, KeyError: it is none.
    """
    documents = [(text, dict(metadata)) for text, metadata in data["documents"]]
    texts = [data["source"], data["title"], *(text for text, _ in documents)]
    if not documents or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError("a source without text")
    known = Record.__dataclass_fields__.keys()
    return Record(
        **{key: value for key, value in data.items() if key in known and key != "documents"}, documents=documents
    )
