"""Runs all tests in two phases: `python -m tests WORKERS ARGUMENTS-OF-PYTEST`; `make test` does.

First many tests at once, then those marked `alone`, two at a time, as they wait more than they work; all in forks of
one process that has imported what they need.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence

from tests.warm import ROOT, begin_server

FILES = ("--dist", "loadfile", "--no-loadscope-reorder")
MANY = (*FILES, "-m", "not soak and not alone")
ALONE = (*FILES, "-m", "alone and not soak")
PASSED, NO_TEST = 0, 5
"""Exit codes of pytest. The second one says that a phase had no test to run, as with one file; 2 to 4 that it was
interrupted or could not run: the second phase is not tried then."""


def alone() -> list[str]:
    """The files with tests that run alone: to collect the others takes two seconds more."""
    return [str(path) for path in sorted((ROOT / "tests").glob("test_*.py")) if "mark.alone" in path.read_text("utf-8")]


def main(workers: str, arguments: Sequence[str]) -> int:
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is pytest's, which says so by its exit code
    begin_server()
    many = subprocess.call([sys.executable, "-m", "pytest", "-n", workers, *MANY, *arguments])
    if many not in (PASSED, 1, NO_TEST):
        return many
    two = subprocess.call([sys.executable, "-m", "pytest", "-n", "2", *ALONE, *(arguments or alone())])
    codes = {many, two}
    return 0 if PASSED in codes and codes <= {PASSED, NO_TEST} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
