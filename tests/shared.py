"""A folder that all processes of one run of the tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

FOLDER = "LOCAL_RAG_TESTS"
"""The variable with the folder's path."""


def shared_folder() -> Path:
    """The folder. The first process that asks makes it and takes it away at its end; what it starts has the same."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="rag-tests-")
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)
    return Path(os.environ[FOLDER])
