"""How a child process of the app is called: a function of this package, in an interpreter of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def child_command(call: str, module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of a child that runs `call`, such as "serve()", of a module of this package.

    The child finds the package wherever the app was started from. `arguments` are its `sys.argv[1:]`.
    """
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    code = f"from {module} import {call.partition('(')[0]}; {call}"
    return [sys.executable, "-c", code, *arguments], {**os.environ, "PYTHONPATH": path}
