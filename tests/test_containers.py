"""Dockerfile and compose.yaml, as far as can be told without a container engine: linter, `compose config`, names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rag.models.weights import MINILM, MINILM_TOKENIZER, SMOLLM2, is_whole
from rag.settings import Settings
from tests.conftest import ROOT, environment_of, make_settings, wait_until
from tests.warm import WarmProcess


def compose() -> list[str]:
    """The command of Docker Compose, which needs no engine to read a file."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return ["docker", "compose"]
    pytest.skip("no Docker Compose: install your system's package `docker-compose`")


def config(password: str | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAG_")}
    environment |= {"RAG_PASSWORD": password} if password else {}
    command = [*compose(), "-f", str(ROOT / "compose.yaml"), "config"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def test_compose_takes_the_file_and_asks_for_a_password() -> None:
    good = config("open sesame")
    assert good.returncode == 0, good.stderr
    for service in ("app", "ollama", "chroma"):
        assert re.search(rf"^  {service}:$", good.stdout, re.M)
    without = config(None)
    assert without.returncode != 0
    assert "RAG_PASSWORD" in without.stderr


def test_the_linter_has_nothing_to_say_of_the_dockerfile() -> None:
    program = Path(sys.executable).parent / "hadolint"
    checked = subprocess.run([str(program), str(ROOT / "Dockerfile")], capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stdout) == (0, ""), checked.stdout + checked.stderr


def test_every_setting_that_they_name_is_one() -> None:
    names = {f"RAG_{name.upper()}" for name in Settings.model_fields}
    for file in ("Dockerfile", "compose.yaml"):
        found = set(re.findall(r"RAG_[A-Z_]+", (ROOT / file).read_text(encoding="utf-8")))
        assert found
        assert found <= names, file


def test_the_app_starts_in_a_folder_that_it_may_not_write_to(tmp_path: Path) -> None:
    """As in the image: the app's own files alone, an app that may write to none of them, and the health check."""
    folder = tmp_path / "app"
    folder.mkdir()
    shutil.copy(ROOT / "app.py", folder)
    shutil.copytree(ROOT / "rag", folder / "rag")
    for each in [folder, *folder.rglob("*")]:
        each.chmod(0o555 if each.is_dir() else 0o444)
    command = [sys.executable, "app.py", "--port", "0", "--source", "bundled:guide.md"]
    environment = environment_of(RAG_DATA_DIR=str(tmp_path / "data"), RAG_MODEL="none")
    environment.pop("PYTHONPATH", None)  # or what is not copied would be found
    if os.getuid() == 0:  # who may write anywhere, but for this
        caps = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", *command]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=log,
            stderr=log,
            env=environment,
        )
    found = re.compile(r"is at (http://127\.0\.0\.1:\d+)/")
    try:
        wait_until(lambda: found.search(told(tmp_path)) or process.poll() is not None, 60)
        match = found.search(told(tmp_path))
        assert match, told(tmp_path)
        check = re.search(r"CMD \[(\"python\".*)\]", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
        assert check
        _, *arguments = json.loads(f"[{check[1]}]")
        asked = [each.replace("http://127.0.0.1:7860", match[1]) for each in arguments]
        assert asked != arguments
        wait_until(lambda: not subprocess.run([sys.executable, *asked], capture_output=True).returncode, 60)
    finally:
        process.kill()
        process.wait(30)


def told(folder: Path) -> str:
    return (folder / "log").read_text(encoding="utf-8")


def test_the_step_that_bakes_the_weights_in(tmp_path: Path) -> None:
    cache = make_settings(tmp_path).cache_dir
    environment = {**os.environ, "RAG_CACHE_DIR": str(cache)}
    with WarmProcess(["-m", "rag.models.fetch", "smollm2-135m-instruct"], cwd=ROOT, env=environment) as process:
        out, err = process.communicate(timeout=200)
    assert process.wait() == 0, out + err
    assert all(is_whole(cache / item.file, item) for item in (SMOLLM2, MINILM, MINILM_TOKENIZER))
