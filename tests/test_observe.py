"""Logs, figures and traces: what is in them, what is never in them, and who may see them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.sync.client import connect
from werkzeug import Request, Response

from rag.errors import SettingsError
from rag.observe import check_tracing
from tests.conftest import AppStarter, RunningApp, start_server, wait_until
from tests.ollama_server import OllamaServer

SECRET = "Which cheese is on the moon"
KEY = {"Authorization": "Bearer open sesame"}
ANSWER = ["Stil", "ton, ", "says the note."]
NOTE = "The moon is of Stilton cheese, and only zebras know it."


class Collector:
    """What a trace would be sent to: notes the path and body of each request."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []
        self._server = start_server(self._answer)
        self.url = self._server.url_for("").rstrip("/")
        self.close = self._server.stop

    def _answer(self, request: Request) -> Response:
        self.got.append((request.path, request.get_data()))
        return Response()


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with OllamaServer(reply=lambda messages: ANSWER) as server:
        yield server


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def start(start_app: AppStarter, folder: Path, ollama: OllamaServer, **environment: str) -> RunningApp:
    note = folder / "note.md"
    note.write_text(NOTE, encoding="utf-8")
    flags = ["--data-dir", str(folder / "data"), "--source", str(note), "--model", "ollama:llama3"]
    app = start_app(
        *flags,
        "--embeddings",
        "embedded:all-minilm-l6-v2",
        environment={"OLLAMA_HOST": ollama.url, **environment},
        ready=False,
    )
    wait_until(lambda: httpx.get(f"{app.url}health", headers=KEY, timeout=10).json()["ready"], 120)
    return app


def lines_of(app: RunningApp) -> list[dict[str, Any]]:
    return [json.loads(line) for line in list(app.output) if line.startswith("{")]


def test_logs_figures_and_ids_of_one_start(
    start_app: AppStarter, tmp_path: Path, ollama: OllamaServer, collector: Collector
) -> None:
    """Nothing of question, answer or document is in the log; nothing is sent where no tracing is asked for."""
    app = start(
        start_app,
        tmp_path,
        ollama,
        RAG_LOG_FORMAT="json",
        LANGSMITH_ENDPOINT=collector.url,
        LANGSMITH_API_KEY="key",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
    )
    reply = httpx.get(f"{app.url}predict", params={"query": SECRET}, headers={"X-Request-ID": "mine-1"}, timeout=60)
    assert reply.json() == "".join(ANSWER)
    assert reply.headers["x-request-id"] == "mine-1"
    given = httpx.get(f"{app.url}health", headers={"X-Request-ID": "no {good} id"}).headers["x-request-id"]
    assert len(given) == 16
    with connect(app.url.replace("http", "ws") + "chat", additional_headers={"X-Request-ID": "ws-1"}) as socket:
        assert socket.response
        assert socket.response.headers["X-Request-ID"] == "ws-1"
        socket.send(SECRET)
        while not json.loads(socket.recv(timeout=60)).get("done"):
            pass
    ollama.fail("error", status=500, text="out of memory")
    assert httpx.get(f"{app.url}predict", params={"query": SECRET}, timeout=60).status_code >= 500
    wait_until(lambda: any(line.get("path") == "/chat" for line in lines_of(app)), 60)
    lines = lines_of(app)
    answered = [line for line in lines if line.get("outcome") == "answered"]
    assert {line["request_id"] for line in answered} == {"mine-1", "ws-1"}
    assert all(line["tokens"] == len(ANSWER) and line["passages"] >= 1 for line in answered)
    request = next(line for line in lines if line.get("request_id") == "mine-1" and line.get("path"))
    assert (request["method"], request["path"], request["status"]) == ("GET", "/predict", 200)
    log = "".join(app.output)
    for word in ("cheese", "Stil", "zebras"):
        assert word not in log

    families = {
        family.name: family
        for family in text_string_to_metric_families(httpx.get(f"{app.url}metrics", timeout=30).text)
    }

    def value(name: str, **labels: str) -> float:
        family = families[name.removesuffix("_total").removesuffix("_count").removesuffix("_sum")]
        return sum(each.value for each in family.samples if each.name == name and labels.items() <= each.labels.items())

    assert value("rag_questions_total", outcome="answered") == 2
    assert value("rag_errors_total") == value("rag_questions_total") - 2 == 1
    assert value("rag_tokens_total") == 2 * len(ANSWER)
    assert value("rag_first_token_seconds_count") == 2
    assert value("rag_answer_seconds_count") == 3
    assert families["rag_tokens_per_second"].type == "histogram"
    assert value("rag_retrieval_seconds_count") == 3
    assert value("rag_queue_length") == value("rag_questions_answering") == 0
    assert value("rag_http_requests_total", route="/predict", status="200") == 1
    assert value("rag_ingest_sources_total", outcome="indexed") == 1
    assert value("rag_ingest_chunks_total") == value("rag_chunks") == 1
    assert value("process_resident_memory_bytes") > 10**7
    assert collector.got == []


def test_traces_are_sent_where_they_are_asked_for(
    start_app: AppStarter, tmp_path: Path, ollama: OllamaServer, collector: Collector
) -> None:
    app = start(
        start_app,
        tmp_path,
        ollama,
        RAG_LOG_FORMAT="json",
        LANGSMITH_TRACING="true",
        LANGSMITH_TRACING_MODE="otel",
        LANGSMITH_HIDE_INPUTS="true",
        LANGSMITH_HIDE_OUTPUTS="true",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_BSP_SCHEDULE_DELAY="200",
        RAG_PASSWORD="open sesame",
    )
    assert httpx.get(f"{app.url}metrics").status_code == 401
    assert httpx.get(f"{app.url}metrics", headers=KEY, timeout=30).status_code == 200
    reply = httpx.get(f"{app.url}predict", params={"query": SECRET}, headers=KEY, timeout=60)
    assert reply.json() == "".join(ANSWER)
    wait_until(lambda: collector.got, 60)
    paths = {path for path, _ in collector.got}
    assert paths == {"/v1/traces"}
    sent = b"".join(body for _, body in collector.got)
    assert b"cheese" not in sent


def test_traces_without_their_package_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    check_tracing()
    monkeypatch.setenv("LANGSMITH_TRACING_MODE", "otel")
    check_tracing()
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(SettingsError, match="need the package opentelemetry-exporter"):
        check_tracing()
