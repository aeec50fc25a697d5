"""A real nginx for the tests, with the configuration that is shipped."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROOT, free_port

PORTS = ("7861", "7862")
"""Of the two replicas in deploy/nginx.conf."""


def find_nginx() -> str:
    """The path of nginx.

    Raises:
        FileNotFoundError: there is none; says how to get one.
    """
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise FileNotFoundError("no nginx: run `make nginx`, or install your system's package `nginx-light`")
    return found


class Nginx:
    """nginx with deploy/nginx.conf, its ports replaced."""

    def __init__(self, folder: Path, replicas: Sequence[int]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/rag/"
        text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
        for old, new in zip(PORTS, replicas, strict=True):
            assert text.count(f":{old}") == 5
            text = text.replace(f":{old}", f":{new}")
        text, found = re.subn(r"listen 127\.0\.0\.1:8080;", f"listen 127.0.0.1:{port};", text)
        assert found == 1
        told = "log_format told '$id $upstream_addr'; access_log told.log told;"
        text, found = re.subn(r"access_log off;", told, text)
        assert found == 1
        folder.mkdir(exist_ok=True)
        self._told = folder / "told.log"
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        command = [find_nginx(), "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True, timeout=30)
        assert checked.returncode == 0, checked.stderr
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def asked(self) -> dict[str, list[int]]:
        """The ports of the replicas that each request which has ended was given to in turn, by its X-Request-ID."""
        lines = self._told.read_text(encoding="utf-8").splitlines()
        return {
            line.split()[0]: [int(port) for port in re.findall(r":(\d+)", line.partition(" ")[2])] for line in lines
        }

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
