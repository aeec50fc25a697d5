"""The library through its doors: the command line, the routes, the running app; adding, refreshing, removing."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rag.__main__ import main
from rag.answers.retriever import Retriever
from rag.assistant import Assistant
from rag.errors import EngineError, SourceError
from rag.page.library import show_work
from rag.sources.reader import PARSER
from tests.commands import MOON, RIVER, run, start
from tests.conftest import AppStarter, Pages, PaperEmbeddings, make_settings, wait_until
from tests.files import picture
from tests.ollama_server import OllamaServer, Record


class Gated(PaperEmbeddings):
    """Embeddings that wait at a gate where a text has the word."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.reached, self.word = threading.Event(), threading.Event(), "halt"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if any(self.word in text for text in texts):
            self.reached.set()
            assert self.gate.wait(30)
        return super().embed_documents(texts)


@pytest.fixture
def assistant(tmp_path: Path) -> Iterator[Assistant]:
    made = Assistant(make_settings(tmp_path, embeddings="openai:paper"), embeddings=Gated())
    made.start(chat=False)
    wait_until(lambda: made.library is not None, 60, lambda: str(made.status()))
    yield made
    made.close()


def states(assistant: Assistant) -> dict[str, str]:
    assert assistant.library
    return {Path(entry.source).name: entry.state for entry in assistant.library.entries()}


def embedder(assistant: Assistant) -> Gated:
    assert assistant.service.index and isinstance(assistant.service.index.embeddings, Gated)
    return assistant.service.index.embeddings


def found(assistant: Assistant, question: str) -> list[str]:
    """The beginnings of the nearest chunks."""
    assert assistant.service.index
    retriever = Retriever(index=assistant.service.index, k=9, dense=True)
    return [chunk.page_content[:9] for chunk in retriever.invoke(question)]


def idle(assistant: Assistant) -> None:
    wait_until(lambda: assistant.library and not assistant.library.busy, 60, lambda: str(assistant.status()))


def test_one_bad_source_does_not_stop_the_others_and_says_why(
    assistant: Assistant, pages: Pages, tmp_path: Path
) -> None:
    assert assistant.library
    pages.pages["/good"] = f"<title>Good</title><p>{MOON}</p>"
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.md").write_text(f"# Sea\n\n{RIVER}", encoding="utf-8")
    (folder / "x.pdf").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 99)
    assistant.library.add([f"{pages.url}/good", f"{pages.url}/gone", str(folder)], private=True)
    idle(assistant)
    assert states(assistant) == {"good": "ready", "gone": "failed", "a.md": "ready", "x.pdf": "failed"}
    entries = {Path(entry.source).name: entry for entry in assistant.library.entries()}
    assert "404" in entries["gone"].reason
    assert entries["x.pdf"].reason
    assert (entries["a.md"].title, entries["a.md"].kind) == ("Sea", "Markdown")
    assert entries["good"].size > 100
    assert entries["good"].indexed_at


def test_a_source_added_twice_is_one_and_two_people_may_add_at_once(assistant: Assistant, pages: Pages) -> None:
    library = assistant.library
    assert library
    for number in range(12):
        pages.pages[f"/{number}"] = f"<title>{number}</title><p>{MOON} {number}</p>"
    urls = [f"{pages.url}/{number}" for number in range(12)]
    people = [threading.Thread(target=lambda: library.add(urls, private=True)) for _ in range(4)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    library.add([f"{pages.url}/3#part", f"{pages.url.upper().replace('HTTP', 'http')}/3"], private=True)
    idle(assistant)
    assert len(library.entries()) == 12
    assert sum(entry.chunks for entry in library.entries()) == len(embedder(assistant).embedded)


def test_cancel_leaves_what_was_finished_and_what_was_there(assistant: Assistant, pages: Pages) -> None:
    library, embeddings = assistant.library, embedder(assistant)
    assert library
    pages.pages |= {"/a": f"<p>{MOON}</p>", "/b": f"<p>{MOON} halt</p>", "/c": f"<p>{RIVER}</p>"}
    library.add([f"{pages.url}/{name}" for name in "abc"], private=True)
    assert embeddings.reached.wait(30)  # which may be while "a" is still being written
    wait_until(lambda: (library.look()["progress"] or {"source": ""})["source"].endswith("/b"), 60)
    progress = library.look()["progress"]
    assert progress and progress["sources_left"] == 2
    library.cancel()
    embeddings.gate.set()
    idle(assistant)
    assert states(assistant)["a"] == "ready"
    assert "c" not in states(assistant)


def test_a_scan_shows_its_pages_and_is_cancelled(assistant: Assistant, tmp_path: Path) -> None:
    library = assistant.library
    assert library
    embedder(assistant).gate.set()
    path = tmp_path / "scan.pdf"
    path.write_bytes(picture("The lighthouse keeper counts", "forty-two ships a day.", kind="PDF", pages=60))
    library.add([str(path)], private=True)
    wait_until(lambda: (library.look()["progress"] or {"done": 0})["done"] == 2, 60)
    progress = library.look()["progress"]
    assert progress and (progress["state"], progress["total"]) == ("loading", 60)
    assert "page 2 of 60 is read by OCR" in show_work(library.entries(), progress, owner=True)
    library.cancel()
    idle(assistant)
    assert PARSER.pid is None  # a reader that came to the end of the file would wait for the next one
    assert states(assistant) == {}


def test_a_source_removed_while_it_is_indexed_is_gone(assistant: Assistant, pages: Pages) -> None:
    library, embeddings = assistant.library, embedder(assistant)
    assert library
    pages.pages["/b"] = f"<p>{MOON} halt</p>"
    library.add([f"{pages.url}/b"], private=True)
    assert embeddings.reached.wait(30)
    library.remove([f"{pages.url}/b"])
    embeddings.gate.set()
    idle(assistant)
    assert library.entries() == []
    assert assistant.service.index and assistant.service.index.records.revisions.count(assistant.service.index.id) == 0
    with pytest.raises(SourceError, match="not in the library"):
        library.remove([f"{pages.url}/b"])


def test_refresh_asks_politely_and_the_old_version_answers_until_the_new_one_is_whole(
    assistant: Assistant, pages: Pages
) -> None:
    library, embeddings = assistant.library, embedder(assistant)
    assert library
    url = f"{pages.url}/page"
    pages.pages["/page"] = (200, {"ETag": '"1"'}, f"<title>Page</title><p>{MOON}</p>")
    library.add([url], private=True)
    idle(assistant)
    embedded = len(embeddings.embedded)
    pages.pages["/page"] = (304, {"ETag": '"1"'}, "")
    library.refresh([url])
    idle(assistant)
    assert (len(embeddings.embedded), states(assistant)["page"]) == (embedded, "ready")
    pages.pages["/page"] = (200, {"ETag": '"2"'}, f"<title>Page</title><p>{RIVER} halt</p>")
    library.refresh()
    assert embeddings.reached.wait(30)
    assert found(assistant, "river") == ["The moon "]
    embeddings.gate.set()
    idle(assistant)
    assert found(assistant, "moon") == ["The river"]
    pages.pages.clear()
    library.refresh()
    idle(assistant)
    assert "answers come from the copy of" in library.entries()[0].reason
    assert found(assistant, "moon") == ["The river"]


def test_pages_of_a_site_and_nothing_of_the_private_network_for_strangers(assistant: Assistant, pages: Pages) -> None:
    library = assistant.library
    assert library
    pages.pages |= {
        "/": f"<title>Home</title><p>{MOON}</p><a href='/a'>a</a>",
        "/a": f"<title>A</title><p>{RIVER}</p><a href='/b'>b</a>",
        "/b": f"<title>B</title><p>{MOON}</p>",
    }
    library.add([f"{pages.url}/"], private=True, depth=1, limit=10)
    idle(assistant)
    assert sorted(entry.title for entry in library.entries()) == ["A", "Home"]
    hits = len(pages.hits)
    library.add([f"{pages.url}/b"], private=False)
    idle(assistant)
    assert "RAG_ALLOW_HOSTS" in next(entry.reason for entry in library.entries() if entry.state == "failed")
    assert len(pages.hits) == hits
    with pytest.raises(SourceError, match="python -m rag ingest"):
        library.add(["/etc/passwd"], private=False)


def test_what_waits_is_remembered_and_an_engine_that_fails_heals(tmp_path: Path, pages: Pages) -> None:
    pages.pages |= {"/a": f"<p>{MOON}</p>", "/b": f"<p>{RIVER} halt</p>", "/c": f"<p>{RIVER}</p>"}
    settings = make_settings(tmp_path, embeddings="openai:paper")
    first = Assistant(settings, embeddings=Gated())
    first.start(chat=False)
    wait_until(lambda: first.library is not None, 60)
    assert first.library
    first.library.add([f"{pages.url}/{name}" for name in ("a", "b", "gone", "c")], private=True)
    assert embedder(first).reached.wait(30)
    closing = threading.Thread(target=first.close)
    closing.start()
    wait_until(first.library.worker.ingest.cancelled.is_set, 60)
    embedder(first).gate.set()
    closing.join(30)

    class Failing(PaperEmbeddings):
        failures = 1

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            if Failing.failures:
                Failing.failures -= 1
                raise EngineError("gone for a moment")
            return super().embed_documents(texts)

    second = Assistant(settings, embeddings=Failing())
    second.start(chat=False)
    try:
        wait_until(
            lambda: (
                states(second) == {"a": "ready", "b": "ready", "c": "ready", "gone": "failed"} if second.library else 0
            ),
            30,
        )
        assert Failing.failures == 0
    finally:
        second.close()


def test_what_is_cancelled_does_not_come_back_with_a_restart(tmp_path: Path, pages: Pages) -> None:
    pages.pages |= {
        "/a": f"<p>{MOON}</p>",
        "/b": f"<p>{''.join(f'River {n} runs to a halt. ' for n in range(900))}</p>",
        "/c": f"<p>{RIVER}</p>",
    }
    settings = make_settings(tmp_path, embeddings="openai:paper", chunk_size=200)

    def opened() -> Assistant:
        made = Assistant(settings, embeddings=Gated())
        made.start(chat=False)
        wait_until(lambda: made.library is not None, 60)
        return made

    def ended(made: Assistant) -> None:
        closing = threading.Thread(target=made.close)
        closing.start()
        assert made.library
        wait_until(made.library.worker.ingest.cancelled.is_set, 60)
        embedder(made).gate.set()
        closing.join(30)

    first = opened()
    assert first.library
    first.library.add([f"{pages.url}/{name}" for name in "abc"], private=True)
    wait_until(lambda: states(first).get("b") == "indexing" and embedder(first).reached.is_set(), 60)
    ended(first)
    second = opened()
    assert second.library
    assert embedder(second).reached.wait(30)
    wait_until(
        lambda: states(second) == {"a": "ready", "b": "indexing", "c": "waiting"}, 60, lambda: str(states(second))
    )
    assert pages.hits.count("/b") == 1, "what was loaded before is not asked for again"
    second.library.cancel()
    embedder(second).gate.set()
    idle(second)
    assert states(second) == {"a": "ready"}
    second.close()
    third = opened()
    idle(third)
    assert states(third) == {"a": "ready"}
    third.close()


# -- the command line, here and handed to the running app ---------------------------------------------------------


@pytest.mark.parametrize("running", [False, True])
def test_the_commands_here_and_with_the_app_running(
    tmp_path: Path, pages: Pages, start_app: AppStarter, running: bool
) -> None:
    pages.pages["/moon"] = f"<title>Moon</title><h2 id='t'>Tides</h2><p>{MOON}</p>"
    (tmp_path / "river.md").write_text(f"# River\n\n{RIVER}", encoding="utf-8")
    if running:
        start_app(
            "--data-dir",
            str(tmp_path / "data"),
            "--source",
            "bundled:guide.md",
            "--host",
            "127.0.0.2",
            "--model",
            "none",
            environment={"RAG_PASSWORD": "open sesame", "RAG_ADMIN_PASSWORD": "boss"},
            ready=False,
        )
    (tmp_path / "sub").mkdir()
    for name in ("one", "two"):
        (tmp_path / "sub" / f"{name}.md").write_text(f"# {name}\n\n{RIVER} {name}", encoding="utf-8")
    done = run(tmp_path, "ingest", f"{pages.url}/moon", "river.md", "sub", f"{pages.url}/gone")
    assert done.returncode == 1
    assert "Moon, 1 chunk" in done.stdout
    assert "404" in done.stderr
    listed = {entry["title"]: entry for entry in json.loads(run(tmp_path, "sources", "--json").stdout)}
    assert listed["River"]["state"] == listed["Moon"]["state"] == "ready"
    assert listed["River"]["source"] == str(tmp_path / "river.md")
    pages.pages["/gone"] = f"<title>Back</title><p>{RIVER}</p>"
    again = run(tmp_path, "refresh", "/gone")
    assert (again.returncode, again.stdout.startswith("ready")) == (0, True), again.stderr
    gone = run(tmp_path, "remove", "river.md", "sub")
    assert gone.returncode == 0, gone.stderr
    removed = gone.stdout.splitlines()
    assert removed == [f"removed  {tmp_path / name}" for name in ("river.md", "sub/one.md", "sub/two.md")]
    unknown = run(tmp_path, "remove", "nothing.md")
    assert (unknown.returncode, unknown.stderr) == (1, "nothing.md: not in the library\n")
    left = run(tmp_path, "sources").stdout
    assert "River" not in left
    assert left.endswith("2 sources, 2 chunks, indexed with embedded:all-minilm-l6-v2\n") or running
    told = run(tmp_path, "doctor")
    assert told.returncode == 0, told.stdout
    assert "All is well." in told.stdout
    assert "damaged" not in run(tmp_path, "sources").stderr, "to look at the index has changed it"


def test_ctrl_c_stops_an_ingest_and_keeps_what_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number:02}.md").write_text(f"# Page {number}\n\n{MOON * 20} {number}", encoding="utf-8")
    with OllamaServer() as server:

        def late(record: Record) -> bool:
            return "Page 30" in str(record.body)

        with server.hold(path="/api/embed", match=late) as gate:
            environment = {"OLLAMA_HOST": server.url, "RAG_EMBEDDINGS": "ollama:mxbai-embed-large"}
            child = start("ingest", str(folder), "--data-dir", str(tmp_path / "data"), **environment)
            gate.wait(timeout=60)
            child.send_signal(signal.SIGINT)
            _, told = child.communicate(timeout=60)
        assert child.returncode == 130, told
        assert "Traceback" not in told
        listed, _ = start("sources", "--json", "--data-dir", str(tmp_path / "data"), **environment).communicate(60)
    states = Counter(entry["state"] for entry in json.loads(listed))
    assert 2 <= states["ready"] < 60, states


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert "exit codes: 0" in told
    for command in ("ingest", "sources", "refresh", "remove", "backup", "restore", "ask", "doctor", "mcp"):
        assert command in told
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert f"examples:\n  python -m rag {command}" in capsys.readouterr().out


# -- the routes ---------------------------------------------------------------------------------------------------


def test_visitors_may_look_and_only_the_admin_may_change(tmp_path: Path, start_app: AppStarter) -> None:
    secret: dict[str, Any] = {"RAG_PASSWORD": "open sesame", "RAG_ADMIN_PASSWORD": "boss"}
    flags = ("--data-dir", str(tmp_path / "data"), "--source", "bundled:guide.md", "--host", "127.0.0.2")
    app = start_app(*flags, "--model", "none", environment=secret, ready=False)
    visitor, admin = ({"Authorization": f"Bearer {word}"} for word in secret.values())
    wait_until(lambda: httpx.get(f"{app.url}library", headers=visitor).json().get("sources"), 60)
    for method, path, body in (
        ("POST", "library", {"sources": ["https://example.com"]}),
        ("POST", "library/refresh", {}),
        ("POST", "library/cancel", None),
        ("DELETE", "library?source=bundled:guide.md", None),
    ):
        assert httpx.request(method, app.url + path, json=body, timeout=30).status_code == 401
        assert httpx.request(method, app.url + path, json=body, headers=visitor, timeout=30).status_code == 403
    reply = httpx.post(f"{app.url}library", json={"sources": ["/etc/passwd"]}, headers=admin, timeout=30)
    assert reply.json()["code"] == "source_failed"
    gone = httpx.delete(f"{app.url}library?source=bundled:guide.md", headers=admin, timeout=30)
    assert gone.json()["sources"] == []
