"""The file that a source was read from, where it is at hand: on this machine, or kept in the database."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

from rag.library.uploads import Uploads, is_upload
from rag.sources.loader import GUIDE, is_url

MOST_FILES = 4
"""Files out of the database that are kept on the disk, those used last; a PDF is read anew for each of its pages."""

NAME = "file"


class Originals:
    """Gives the files. Every method may be called from any thread."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], tempfile.TemporaryDirectory[str]] = OrderedDict()

    def has(self, source: str) -> bool:
        """Whether the file is at hand. Of a page on the web nothing but its text is kept."""
        if is_upload(source):
            return self._uploads.has(source)
        return not is_url(source) and source != GUIDE and Path(source).is_file()

    def path(self, source: str, version: str) -> str:
        """The path of the file; `version` tells an uploaded file from the one that it took the place of.

        Raises:
            SourceError: it is not there.
        """
        if not is_upload(source):
            return source
        with self._lock:
            if (source, version) in self._kept:
                self._kept.move_to_end((source, version))
            else:
                self._kept[source, version] = self._write(source)
            while len(self._kept) > MOST_FILES:
                self._kept.popitem(last=False)[1].cleanup()
            return str(Path(self._kept[source, version].name) / NAME)

    def _write(self, source: str) -> tempfile.TemporaryDirectory[str]:
        folder = tempfile.TemporaryDirectory(prefix="rag-original-")  # goes with the process, if not before
        self._uploads.write(source, Path(folder.name) / NAME)
        return folder
