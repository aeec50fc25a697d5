"""The app as a process with the real embedded models: gradio_client, curl's way, `/health`, flags, signals."""

from __future__ import annotations

import itertools
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import gradio_client
import httpx
import pytest

from app import main
from rag.doors.process import MAX_FILES
from rag.library.chroma import FOLDER, check_folder
from rag.page.sessions import ease_sessions
from tests.conftest import ROOT, AppStarter, RunningApp, environment_of
from tests.ollama_server import OllamaServer
from tests.warm import WarmProcess


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """One app with the embedded default and the bundled guide, for the tests that only ask."""
    starter = AppStarter()
    yield starter("--data-dir", str(tmp_path_factory.mktemp("data")), "--source", "bundled:guide.md")
    starter.close()


def connect(app: RunningApp) -> gradio_client.Client:
    return gradio_client.Client(app.url, verbose=False, analytics_enabled=False)


def test_gradio_client_streams_a_real_answer(embedded: RunningApp) -> None:
    client = connect(embedded)
    job = client.submit("What are the limits of LLM agents?", api_name="/chat")
    answer = job.result(timeout=120)
    updates = job.outputs()
    assert len(updates) >= 3, "it comes in pieces, of which a fast machine puts more into 40 ms"
    *growing, last = updates
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(growing))
    assert last == answer == updates[0], "the quote; what the small model adds is left out at the end"
    assert re.search(r"limit|context|planning|cost", answer, re.I), answer
    client.close()


def test_gradio_client_passes_a_history(embedded: RunningApp) -> None:
    client = connect(embedded)
    history = [{"role": "user", "content": "What is ReAct?"}, {"role": "assistant", "content": "A way to act."}]
    assert client.predict("Which steps does it repeat?", history, api_name="/chat")
    client.close()


def test_curl_starts_a_question_and_reads_its_events(embedded: RunningApp) -> None:
    call = httpx.post(f"{embedded.url}gradio_api/call/chat", json={"data": ["What is an LLM agent?"]}, timeout=60)
    events = httpx.get(f"{embedded.url}gradio_api/call/chat/{call.json()['event_id']}", timeout=120).text
    assert events.count("event: generating") >= 5
    last = [line for line in events.splitlines() if line.startswith("data: ")][-1]
    assert "agent" in json.loads(last.removeprefix("data: "))[0].lower()


def test_a_refused_question_reaches_the_client_as_words(embedded: RunningApp) -> None:
    client = connect(embedded)
    with pytest.raises(Exception, match="at most 8000"):
        client.predict("x" * 9000, api_name="/chat")
    client.close()


def test_health_tells_models_sources_and_chunks(embedded: RunningApp) -> None:
    health = embedded.health()
    assert health["ready"] is True
    assert health["models"] == {
        "chat": "embedded:smollm2-135m-instruct",
        "embeddings": "embedded:all-minilm-l6-v2",
    }
    assert health["sources"] == 1
    assert health["chunks"] >= 12


def test_the_page_and_its_api_name_only_what_is_meant(embedded: RunningApp) -> None:
    info = httpx.get(f"{embedded.url}gradio_api/info", timeout=30).json()
    assert list(info["named_endpoints"]) == ["/chat", "/predict", "/answer"]
    text = httpx.get(embedded.url, timeout=30)
    assert "Local RAG chat" in text.text
    assert "frame-ancestors 'self'" in text.headers["content-security-policy"]
    assert text.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:{port}"}, 421),
        ({"Content-Length": "999999999"}, 413),
    ],
)
def test_other_sites_cannot_use_the_routes(embedded: RunningApp, headers: dict[str, str], status: int) -> None:
    port = str(httpx.URL(embedded.url).port)
    sent = {name: value.replace("{port}", port) for name, value in headers.items()}
    url = f"{embedded.url}gradio_api/call/chat"
    if status == 413:
        with socket.create_connection(("127.0.0.1", int(port)), 10) as connection:
            connection.sendall(
                f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 999999999\r\n\r\n".encode()
            )
            assert b" 413 " in connection.recv(1000)
        return
    empty = {"data": [""]}  # who is let in is told so at once, and no model writes for nobody
    assert httpx.post(url, json=empty, headers=sent, timeout=60).status_code == status


def test_an_upload_from_another_site_is_refused(embedded: RunningApp) -> None:
    files = {"files": ("x.txt", b"x")}
    reply = httpx.post(f"{embedded.url}gradio_api/upload", files=files, headers={"Origin": "https://evil.example"})
    assert reply.status_code == 403


def test_a_second_start_embeds_nothing_and_a_signal_ends_it_tidily(start_app: AppStarter, tmp_path: Path) -> None:
    with OllamaServer() as server:
        flags = ("--data-dir", str(tmp_path / "data"), "--source", "bundled:guide.md")
        first = start_app(*flags, environment={"OLLAMA_HOST": server.url})
        assert first.health()["models"]["embeddings"] == "ollama:mxbai-embed-large"
        reply = httpx.get(f"{first.url}predict", params={"query": "What is an agent?"}, timeout=60)
        assert reply.status_code == 200, "by then, what questions are compared with is embedded, too"
        assert start_app.stop(first, signal.SIGTERM) == 0
        embeds = len([item for item in server.requests if item.path == "/api/embed"])
        assert embeds > 0
        asked = [item.body for item in server.requests if item.path == "/api/embed"]
        assert {body["keep_alive"] for body in asked} == {"30m"}
        second = start_app(*flags, environment={"OLLAMA_HOST": server.url})
        assert second.health()["chunks"] >= 12
        assert start_app.stop(second, signal.SIGINT) == 0
        assert len([item for item in server.requests if item.path == "/api/embed"]) == embeds
    assert "Traceback" not in "".join(first.output + second.output)


@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.soak)])
def test_two_processes_do_not_share_a_folder(tmp_path: Path, start_app: AppStarter, times: int) -> None:
    flags = ("--data-dir", str(tmp_path / "data"), "--source", "bundled:guide.md", "--model", "none")
    first = start_app(*flags)
    chunks = first.health()["chunks"]
    for _ in range(times):
        second = run_app(*flags)
        assert second.returncode == 1
        assert f"process {first.process.pid}" in second.stderr
        assert first.url in second.stderr
        assert len(second.stderr.strip().splitlines()) == 1
        assert first.health()["ready"] is True
        assert httpx.get(f"{first.url}predict?query=What%20is%20ReAct", timeout=60).status_code == 200
    assert first.health()["chunks"] == chunks
    assert start_app.stop(first) == 0
    assert check_folder(tmp_path / "data" / FOLDER) == ""


FEW_FILES = f"""
import resource, runpy
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
runpy.run_path({str(ROOT / "app.py")!r}, run_name="__main__")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_open_pages_are_not_bounded_by_the_usual_limit_on_files(tmp_path: Path, start_app: AppStarter) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard > 1024
    app = start_app("--data-dir", str(tmp_path / "data"), "--model", "none", ready=False, program=("-c", FEW_FILES))
    limits = Path(f"/proc/{app.process.pid}/limits").read_text(encoding="utf-8")
    found = re.search(r"Max open files +(\d+)", limits)
    assert found and int(found[1]) == min(hard, MAX_FILES)


def run_app(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "app.py"), "--port", "0", *flags]
    with WarmProcess(command, env=environment_of(**environment)) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(list(flags), process.wait(), out, err)


@pytest.mark.parametrize(
    ("flags", "environment", "named"),
    [
        (("--model", "llama3"), {}, "RAG_MODEL"),
        (("--model", "embedded:nosuch"), {}, "nosuch"),
        (("--model", "nosuchprovider:x"), {}, "RAG_MODEL"),
        (("--embeddings", "embedded:nosuch"), {}, "nosuch"),
        ((), {"RAG_CHUNK_SIZE": "many"}, "RAG_CHUNK_SIZE"),
        ((), {"RAG_CHUNKSIZE": "500"}, "did you mean RAG_CHUNK_SIZE"),
        ((), {"OLLAMA_HOST": "ftp://box"}, "OLLAMA_HOST"),
    ],
)
def test_a_bad_value_stops_the_start_with_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    environment: dict[str, str],
    named: str,
) -> None:
    for name, value in {"OLLAMA_HOST": "127.0.0.1:9", **environment}.items():
        monkeypatch.setenv(name, value)
    assert main(["--data-dir", str(tmp_path / "data"), *flags]) == 1
    told = capsys.readouterr().err
    assert named in told
    assert len(told.strip().splitlines()) == 1, told


def test_sessions_are_told_the_same_of_every_component_once_it_is_worked_out() -> None:
    with gr.Blocks() as page:
        gr.Textbox("text", label="A box"), gr.Dropdown(["a", "b"]), gr.Markdown("# Title")
        gr.File(file_count="multiple"), gr.File(), gr.UploadButton(file_count="directory"), gr.UploadButton()
    before = page.get_config_file()["components"]
    ease_sessions(page)
    assert [page.get_config_file()["components"] for _ in range(2)] == [before, before]


def test_pandas_is_loaded_by_who_uses_it_and_not_by_the_start() -> None:
    code = """import sys, app, gradio as gr
print("pandas.core" in sys.modules)
import pandas as pd
print(gr.Dataframe().postprocess(pd.DataFrame({"a": [1]})).data, "pandas.core" in sys.modules)"""
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert told.stdout.split("\n")[:2] == ["False", "[[1]] True"], told.stderr
