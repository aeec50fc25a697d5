"""A Chroma server in place of the folder: its token, its limits, and what happens while it is away."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag.__main__ import main as command_line
from rag.assistant import Assistant
from rag.errors import StoreError, StoreUnreachable
from rag.library.chroma import connect
from rag.settings import Settings
from tests.chroma_server import ChromaServer
from tests.conftest import (
    Pages,
    PaperEmbeddings,
    Script,
    ScriptedChat,
    free_port,
    make_settings,
    wait_until,
)
from tests.nginx import find_nginx
from tests.postgres import running_postgres
from tests.stores import MOON, RIVER, Library, write


@pytest.fixture(scope="module")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    server = ChromaServer(tmp_path_factory.mktemp("chroma")).start()
    yield server
    server.stop()


class App:
    """The app with its threads, on a scripted chat model."""

    def __init__(self, settings: Settings) -> None:
        given = {"model": "openai:scripted", "embeddings": "openai:paper"}
        self.assistant = Assistant(
            settings.model_copy(update=given), chat_model=ScriptedChat(script=Script()), embeddings=PaperEmbeddings()
        )
        self.assistant.start()
        wait_until(lambda: self.assistant.library is not None, 60, lambda: str(self.assistant.status()))

    @property
    def names(self) -> list[str]:
        return sorted(item.source.rpartition("/")[2] for item in self.assistant.sources)

    def add(self, url: str) -> None:
        assert self.assistant.library
        self.assistant.library.add([url], private=True)

    def ask(self, question: str) -> str:
        return asyncio.run(self.assistant.chain.ainvoke({"question": question})).text


def page(title: str, text: str) -> str:
    return f"<title>{title}</title><div class=post-content><p>{text}</p></div>"


def test_the_token_is_shown_to_the_server(chroma: ChromaServer, tmp_path: Path) -> None:
    """nginx stands before it, as one that asks for tokens."""
    port = free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(
        "daemon off; pid nginx.pid; events {} http { access_log off; client_body_temp_path b; proxy_temp_path p;"
        " fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;"
        f" server {{ listen 127.0.0.1:{port}; if ($http_x_chroma_token != secret) {{ return 401; }}"
        f" location / {{ proxy_pass {chroma.url}; }} }} }}"
    )
    command = [find_nginx(), "-e", "stderr", "-p", str(tmp_path), "-c", str(config)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as nginx:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: httpx.get(url, timeout=2).status_code == 401, 60)
            connect(make_settings(tmp_path, chroma_url=url, chroma_token="secret"))
            with pytest.raises(StoreError, match=r"refuses the token\. Set RAG_CHROMA_TOKEN") as raised:
                connect(make_settings(tmp_path, chroma_url=url, chroma_token="wrong"))
            assert "wrong" not in str(raised.value)
        finally:
            nginx.terminate()


def test_the_command_line_works_on_the_servers(
    chroma: ChromaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    path = write(tmp_path / "page.md", MOON)
    library = Library(make_settings(tmp_path / "file"))
    library.add(path)
    library.database.back_up(tmp_path / "library.backup")
    library.close()
    with running_postgres() as postgres:
        given = {"CHROMA_URL": chroma.url, "DATABASE_URL": postgres.database()}
        given |= {"EMBEDDINGS": "embedded:all-minilm-l6-v2", "OLLAMA_HOST": "127.0.0.1:9"}
        for name, value in {**given, "DATA_DIR": str(tmp_path / "one")}.items():
            monkeypatch.setenv(f"RAG_{name}", value)
        assert command_line(["ingest", str(path)]) == 0
        monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "two"))
        assert command_line(["sources"]) == 0
        assert "ready    " + str(path) in capsys.readouterr().out
        assert command_line(["remove", "page.md"]) == 0
        assert command_line(["doctor"]) == 0
        assert f"ok  the Chroma server at {chroma.url} answers" in capsys.readouterr().out
        assert command_line(["backup", str(tmp_path / "x")]) == 1
        assert "pg_dump" in capsys.readouterr().err
        assert command_line(["restore", str(tmp_path / "library.backup")]) == 0
        assert f"ready    {path}: page.md, 1 chunk" in capsys.readouterr().out


def test_a_server_that_lost_everything_is_filled_again(chroma: ChromaServer, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, chroma_url=chroma.url, chunk_size=100)
    library = Library(settings)
    library.add(write(tmp_path / "a.md", MOON, RIVER))
    name = library.index.vectors.name
    library.close()
    connect(settings).delete_collection(name)
    again = Library(settings)
    try:
        assert again.index.vectors.filling and again.find("moon", 1)[0].startswith("The moon")
        assert again.finish() == 0
        assert connect(settings).get_collection(name).count() == 2
        assert again.find("moon", 1)[0].startswith("The moon")
    finally:
        again.close()


def test_the_server_goes_away_and_comes_back(tmp_path: Path, pages: Pages) -> None:
    server = ChromaServer(tmp_path / "chroma").start()
    app = App(make_settings(tmp_path / "a", sources=(), chroma_url=server.url))
    pages.pages |= {"/a": page("A", MOON), "/b": page("B", RIVER)}
    try:
        app.add(f"{pages.url}/a")
        wait_until(lambda: app.names == ["a"], 60)
        server.stop()
        with pytest.raises(StoreError, match=r"The Chroma server at http://127.0.0.1:\d+ cannot be reached. Start it"):
            app.ask("moon?")
        app.add(f"{pages.url}/b")  # it waits
        wait_until(lambda: "index" in app.assistant.problems, 60)
        assert not app.assistant.ready
        server.start()
        wait_until(lambda: app.names == ["a", "b"], 60, lambda: str(app.assistant.status()))
        wait_until(lambda: app.assistant.ready, 60, lambda: str(app.assistant.status()))
        assert app.ask("moon?") == "An agent plans."
    finally:
        app.assistant.close()
        server.stop()


def test_a_frozen_server_is_not_waited_for_without_end(
    tmp_path: Path, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.library.chroma.ANSWER_SECONDS", 5.0)
    server = ChromaServer(tmp_path / "chroma").start()
    app = App(make_settings(tmp_path / "a", sources=(), chroma_url=server.url))
    pages.pages["/a"] = page("A", MOON)
    try:
        app.add(f"{pages.url}/a")
        wait_until(lambda: app.names == ["a"], 60)
        server.freeze()
        with pytest.raises(StoreUnreachable, match="does not answer in time"):
            app.ask("moon?")
        server.thaw()
        wait_until(lambda: app.assistant.ready, 60)
        assert app.ask("moon?") == "An agent plans."
    finally:
        app.assistant.close()
        server.stop()
