"""Nothing leaves unasked: every connection and every look-up of a name, of the app and its children, from start to stop.

An audit hook, which Python runs in each process of the app, notes what is connected to and which names are asked for.
What native code does by itself, it does not see: where there is strace, that notes the system calls of all processes
of the app with the embedded engine, from a new interpreter's first one.
"""

# ruff: noqa: E501
from __future__ import annotations

import ipaddress
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import gradio_client
import httpx
import pytest
from websockets.sync.client import connect

from tests.conftest import NO_OLLAMA, ROOT, AppStarter, Pages, RunningApp, wait_until
from tests.ollama_server import OllamaServer

HOOK = """
import json, os, sys

def note(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen"):
        if event == "subprocess.Popen":
            told = [str(part) for part in arguments[1]]
        elif event in ("socket.connect", "socket.sendto"):
            told = arguments[1]
        else:
            told = arguments[0]
        line = json.dumps([event, told if isinstance(told, (str, list)) or told is None else list(told)], default=str)
        with open(os.environ["NOTED"], "a") as file:
            file.write(line + "\\n")

sys.addaudithook(note)
"""

HOOKED = f"""{HOOK}
import runpy
runpy.run_path({str(ROOT / "app.py")!r}, run_name="__main__")
"""
"""The app where what it imports is imported already; its children run the hook by themselves."""
STRACE = ("strace", "-D", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o")
"""Notes what is sent where, of a program and its children, which is started as without it."""
ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')


def strace_works(folder: Path) -> bool:
    """Whether system calls can be watched here."""
    if not shutil.which("strace"):
        return False
    return subprocess.run([*STRACE, str(folder / "tried"), "true"], capture_output=True).returncode == 0


def called(path: Path) -> set[str]:
    """The addresses that system calls named."""
    return {first or second for first, second in ADDRESS.findall(path.read_text(errors="replace"))}


def noted(path: Path) -> list[tuple[str, Any]]:
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def fonts_and_scripts_are_its_own(app: RunningApp) -> None:
    """No file that the page is built of names another host to fetch fonts or scripts from."""
    for path in ("", "theme.css", "docs"):
        text = httpx.get(app.url + path, timeout=30).text
        fetched = re.findall(
            r"""(?:src|href)=["']?(https?://[^"'\s>]+)|url\(["']?(https?://[^"')]+)|@import\s+["'](https?://[^"']+)""",
            text,
        )
        foreign = {url for urls in fetched for url in urls if url and not url.startswith(app.url)}
        links = {url for url in foreign if re.search(r"preconnect|fonts\.|cdn", url)}
        assert not links, links


@pytest.mark.parametrize("engine", ["ollama", "embedded"])
def test_start_ingest_chat_and_stop_contact_the_engine_and_the_sources_alone(
    start_app: AppStarter, pages: Pages, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_DISABLE_TELEMETRY"):  # some are silent there alone
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    pages.pages["/moon"] = "<title>Moon</title><p>The moon pulls the sea twice a day on every shore.</p>"
    log = tmp_path / "noted"
    with OllamaServer() as server:
        ollama = server.url if engine == "ollama" else NO_OLLAMA
        environment = {"PYTHONPATH": str(tmp_path / "hook"), "NOTED": str(log), "OLLAMA_HOST": ollama}
        environment |= {"RAG_MCP": "true"}
        flags = ("--data-dir", str(tmp_path / "data"), "--source", f"{pages.url}/moon")
        watched = engine == "embedded" and strace_works(tmp_path)
        under = (*STRACE, str(tmp_path / "calls")) if watched else ()
        how: dict[str, Any] = {"program": ("-c", HOOKED)} if engine == "ollama" else {"under": under, "fresh": True}
        app = start_app(*flags, environment=environment, **how)
        assert httpx.get(f"{app.url}predict?query=What+pulls+the+sea", timeout=120).status_code == 200
        if engine == "ollama":  # the doors are the same to the embedded engine, which takes seconds for an answer
            client = gradio_client.Client(app.url, verbose=False, analytics_enabled=False)
            assert client.predict("What pulls the sea?", api_name="/chat")
            client.close()
            with connect(app.url.replace("http", "ws") + "chat") as ws:
                ws.send("What pulls the sea?")
                while not json.loads(ws.recv(timeout=60)).get("done"):
                    pass
        fonts_and_scripts_are_its_own(app)
        (tmp_path / "river.md").write_text("# River\n\nA river runs to the sea.")
        token = json.loads((tmp_path / "data" / "holder.json").read_text())["token"]
        headers = {"Authorization": f"Bearer {token}"}
        added = httpx.post(
            f"{app.url}library", json={"sources": [str(tmp_path / "river.md")]}, headers=headers, timeout=30
        )
        assert added.status_code == 202
        wait_until(lambda: app.health()["sources"] == 2 and not app.health()["awaiting"], 60)
        assert start_app.stop(app) == 0
    seen = noted(log)
    allowed = {httpx.URL(ollama).port, httpx.URL(app.url).port, httpx.URL(pages.url).port}
    children = [told for event, told in seen if event == "subprocess.Popen"]
    contacted = {
        tuple(told[:2]) if isinstance(told, list) else told
        for event, told in seen
        if event in ("socket.connect", "socket.sendto")
    }
    names = {told for event, told in seen if event in ("socket.getaddrinfo", "socket.gethostbyname") and told}
    print(json.dumps({"contacted": sorted(map(str, contacted)), "names": sorted(names), "children": len(children)}))
    assert children, "the hook saw no child: it was not there"
    assert any(address[1] == httpx.URL(pages.url).port for address in contacted), "the hook saw no connection"
    assert {address[0] for address in contacted if isinstance(address, tuple)} <= {"127.0.0.1", "::1"}
    assert all(re.fullmatch(r"127\.0\.0\.1|::1|localhost|0\.0\.0\.0", name) for name in names), names
    if watched:
        calls = called(tmp_path / "calls")
        assert "htons(53)" not in (tmp_path / "calls").read_text(errors="replace"), "a name was looked up"
        print(json.dumps({"system calls name": sorted(calls)}))
        assert calls and all(ipaddress.ip_address(address).is_loopback for address in calls - {"0.0.0.0", "::"}), calls
    if engine == "ollama":  # the embedded engine listens on a port of its own
        assert {address[1] for address in contacted if isinstance(address, tuple)} <= allowed
    unix = [address for address in contacted if not isinstance(address, tuple)]
    assert not [address for address in unix if not str(address).startswith(("/", "\0", "b"))], unix


def test_the_libraries_that_report_home_are_told_not_to() -> None:
    """What was found in them: Gradio's by its variable, Chroma's by its setting; tests/test_encoder.py has the rest."""
    text = (ROOT / "app.py").read_text(encoding="utf-8")
    assert text.index('"GRADIO_ANALYTICS_ENABLED", "False"') < text.index("import gradio")
    from rag.library.chroma import chroma_settings

    assert chroma_settings().anonymized_telemetry is False
