"""Two replicas behind nginx on one PostgreSQL and one Chroma server, and what is asked of their library."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.chroma_server import ChromaServer
from tests.conftest import AppStarter, RunningApp, free_port, wait_until
from tests.nginx import Nginx
from tests.ollama_server import OllamaServer
from tests.postgres import running_postgres

ANSWER = [f"word{number} " for number in range(30)]
WHOLE = "".join(ANSWER)


@dataclass
class Team:
    """Two replicas with folders of their own, one PostgreSQL, one Chroma server, one Ollama, nginx in front."""

    folder: Path
    starter: AppStarter
    ollama: OllamaServer
    chroma: ChromaServer
    database: str
    ports: list[int]
    replicas: list[RunningApp] = field(default_factory=list)
    nginx: Nginx | None = None

    @property
    def url(self) -> str:
        assert self.nginx
        return self.nginx.url

    def start(self, number: int) -> RunningApp:
        environment = {
            "OLLAMA_HOST": self.ollama.url,
            "RAG_CHROMA_URL": self.chroma.url,
            "RAG_DATABASE_URL": self.database,
            "GRADIO_ROOT_PATH": "/rag",
            "RAG_CONCURRENCY": "100",
            "RAG_ALLOW_HOSTS": "127.0.0.1",
            "RAG_LOG_FORMAT": "json",
        }
        flags = ["--data-dir", str(self.folder / f"data{number}"), "--source", "bundled:guide.md"]
        flags += ["--model", "ollama:llama3", "--embeddings", "embedded:all-minilm-l6-v2"]
        return self.starter(*flags, "--port", str(self.ports[number]), environment=environment)

    def revive(self) -> None:
        """Start again what was killed."""
        for number, replica in enumerate(self.replicas):
            if replica.process.poll() is not None:
                self.replicas[number] = self.start(number)

    def close(self) -> None:
        if self.nginx:
            self.nginx.stop()
        self.starter.close()
        self.chroma.stop()
        self.ollama.stop()


@contextmanager
def running_team(folder: Path) -> Iterator[Team]:
    """A team with its servers, which end with it."""
    ollama = OllamaServer(reply=lambda messages: ANSWER, tokens_per_second=60)
    chroma, ports = ChromaServer(folder / "chroma"), [free_port(), free_port()]
    with running_postgres() as postgres:
        made = Team(folder, AppStarter(), ollama.start(), chroma, postgres.database(), ports)
        try:
            made.chroma.start()
            with ThreadPoolExecutor() as both:
                made.replicas = list(both.map(made.start, range(2)))
            made.nginx = Nginx(made.folder / "nginx", made.ports)
            wait_until(lambda: httpx.get(f"{made.url}health", timeout=10).status_code == 200, 60)
            yield made
        finally:
            made.close()


def sources_of(url: str) -> dict[str, str]:
    data = httpx.get(f"{url}library", timeout=20).json()
    return {entry["source"]: entry["state"] for entry in data["sources"]}


def add(url: str, *sources: str) -> None:
    httpx.post(f"{url}library", json={"sources": sources}, timeout=60).raise_for_status()


def html(title: str, *paragraphs: str) -> str:
    text = "".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    return f"<title>{title}</title><div class=post-content>{text}</div>"
