"""Several replicas on one real Chroma server: they see one library, take turns, and finish what a killed one began."""

from __future__ import annotations

import asyncio
import hashlib
import random
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from langchain_core.documents import Document

from rag.__main__ import main as command_line
from rag.answers.retriever import build_retriever
from rag.assistant import Assistant
from rag.errors import StoreError, StoreUnreachable
from rag.library.indexes import Made
from rag.library.ingest import Ingest
from rag.library.server_words import KEY, ServerWords
from rag.library.shared import GRACE_SECONDS, SharedFolder, key_of
from rag.library.shared_store import SharedStore
from rag.library.words import LexicalIndex
from rag.settings import Settings
from tests.chroma_server import ChromaServer, Cloud, Quotas
from tests.conftest import Pages, PaperEmbeddings, Script, ScriptedChat, free_port, make_settings, wait_until
from tests.nginx import find_nginx

ENGINE = ("openai:paper", "nowhere")
MOON = "The moon " + "pulls the sea " * 5
RIVER = "The river " + "runs to the sea " * 5
CHEESE = "The cheese " + "is of goats " * 5


@pytest.fixture(scope="module")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    server = ChromaServer(tmp_path_factory.mktemp("chroma")).start()
    yield server
    server.stop()


@pytest.fixture
def database(chroma: ChromaServer, request: pytest.FixtureRequest) -> str:
    """A database of the test's own on the server."""
    name = f"db-{hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}"
    httpx.post(f"{chroma.url}/api/v2/tenants/default_tenant/databases", json={"name": name}).raise_for_status()
    return name


class Replica:
    """The library as one replica opens it, without the app around it."""

    def __init__(self, settings: Settings) -> None:
        self.embeddings = PaperEmbeddings()
        self.folder = SharedFolder(settings)
        self.folder.acquire()
        splitter = (settings.chunk_size, settings.chunk_overlap)
        self.store = SharedStore(self.folder, self.embeddings, ENGINE, splitter)
        self.ingest = Ingest(self.store, self.embeddings, settings)

    def add(self, path: Path) -> int:
        assert self.folder.take(str(path), waiting=False)
        record = self.ingest.load(str(path), named_at_start=True)
        assert record
        embedded = self.ingest.index(record, lambda *_: None)
        self.folder.give_back(str(path))
        return embedded

    def find(self, question: str, k: int = 4) -> list[str]:
        return [item.page_content for item in self.store.vector_store().similarity_search(question, k)]

    def close(self) -> None:
        self.store.close()
        self.folder.release()


@pytest.fixture
def replicas(tmp_path: Path, chroma: ChromaServer, database: str) -> Iterator[list[Replica]]:
    made = [
        Replica(
            make_settings(
                tmp_path / name, chunk_size=100, chunk_overlap=20, chroma_url=chroma.url, chroma_database=database
            )
        )
        for name in "ab"
    ]
    yield made
    for replica in made:
        replica.close()


def write(path: Path, *paragraphs: str) -> Path:
    path.write_text("\n\n".join(paragraphs), encoding="utf-8")
    return path


def test_what_one_replica_adds_changes_and_removes_the_other_sees(replicas: list[Replica], tmp_path: Path) -> None:
    one, two = replicas
    page = write(tmp_path / "page.md", MOON, RIVER)
    assert two.store.words().search("moon", 5) == []
    assert one.add(page) == 2
    two.store.follow()
    assert [item.source for item in two.store.sources] == [str(page)]
    assert "moon" in two.find("the moon", 1)[0]
    assert len(two.store.words().search("moon", 5)) == 1

    write(page, CHEESE, RIVER)
    assert one.add(page) == 1  # the other chunk is as it was
    before = two.find("river", 4)  # has not heard of it yet: the old version, whole
    assert sorted(before) == sorted([MOON.strip(), RIVER.strip()])
    two.store.follow()
    assert sorted(two.find("river", 4)) == sorted([CHEESE.strip(), RIVER.strip()])
    assert two.store.words().search("moon", 5) == []
    assert len(two.store.words().search("cheese", 5)) == 1

    one.store.remove(str(page))
    two.store.follow()
    assert two.store.sources == []
    assert two.find("river", 4) == []
    assert two.store.words().search("river", 5) == []


def test_rows_that_another_replica_is_writing_are_not_seen(replicas: list[Replica], tmp_path: Path) -> None:
    one, two = replicas
    one.add(write(tmp_path / "page.md", MOON))
    two.store.follow()
    record = one.ingest.load(str(write(tmp_path / "new.md", "The moon is of cheese.", RIVER)), named_at_start=True)
    assert record
    one.folder.write_unfinished(record)
    seen: list[list[str]] = []
    one.ingest.resume(record.source, lambda source, done, total: seen.append(two.find("moon cheese river", 9)))
    assert seen
    assert all(found == [MOON.strip()] for found in seen)  # also when all its rows were written
    assert two.find("moon cheese river", 9) == [MOON.strip()]
    two.store.follow()
    assert len(two.find("moon cheese river", 9)) == 3


def test_rows_that_do_not_answer_are_deleted(
    replicas: list[Replica], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = replicas
    page = write(tmp_path / "page.md", MOON, RIVER)
    one.add(page)
    write(page, CHEESE, RIVER)
    one.add(page)
    record = one.ingest.load(str(write(tmp_path / "half.md", MOON)), named_at_start=True)
    assert record
    revision = one.store.begin(record)  # and never comes to an end
    chunk = Document(MOON, metadata={"source": record.source, "number": 0, "digest": "d"})
    one.store.add(revision, [chunk], [one.embeddings.embed_query(MOON)])
    two.store.follow()
    two.store.clean()
    assert two.store._collection.count() == 5  # others may not have heard of the change yet
    monkeypatch.setattr("rag.library.shared.GRACE_SECONDS", -1.0)
    two.store.clean()
    assert two.store._collection.count() == 2
    assert two.folder.attempts(two.store._name) == ([], set())
    assert GRACE_SECONDS > 0


def test_one_turn_at_a_time(replicas: list[Replica], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = replicas
    assert one.folder.take("x", waiting=False)
    assert not two.folder.take("x", waiting=False)
    one.folder.give_back("x")
    assert two.folder.take("x", waiting=False)
    two.folder.give_back("x")
    for number in range(20):
        taken: list[str] = []

        def take(replica: Replica, name: str, taken: list[str] = taken) -> None:
            if replica.folder.take(name, waiting=False):
                taken.append(replica.folder.me)

        threads = [threading.Thread(target=take, args=(replica, f"race {number}")) for replica in replicas]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) <= 1, number
        assert taken or one.folder.take(f"race {number}", waiting=False)


def test_a_turn_that_ended_is_taken_over_and_the_late_one_spoils_nothing(
    replicas: list[Replica], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = replicas
    page = write(tmp_path / "page.md", MOON, RIVER)
    monkeypatch.setattr("rag.library.shared.LEASE_SECONDS", 0.0)  # as if it had been frozen for long
    assert one.folder.take(str(page), waiting=False)
    record = one.ingest.load(str(page), named_at_start=True)
    assert record
    one.folder.write_unfinished(record)
    monkeypatch.setattr("rag.library.shared.LEASE_SECONDS", 15.0)
    assert two.folder.take(str(page), waiting=False)
    assert two.ingest.resume(str(page), lambda *_: None) == 2  # from the text that the other one loaded
    with pytest.raises(StoreUnreachable, match="another replica"):
        one.ingest.index(record, lambda *_: None)
    two.store.follow()
    assert sorted(two.find("river", 4)) == sorted([MOON.strip(), RIVER.strip()])


def test_a_source_that_is_removed_while_another_replica_indexes_it_stays_removed(
    replicas: list[Replica], tmp_path: Path
) -> None:
    one, two = replicas
    page = write(tmp_path / "page.md", MOON, RIVER)
    record = one.ingest.load(str(page), named_at_start=True)
    assert record
    one.folder.write_unfinished(record)

    def remove(source: str, done: int, total: int) -> None:
        if done == total:
            two.folder.note_ended(source, removed=True)
            two.store.remove(source)

    one.ingest.resume(str(page), remove)
    for replica in replicas:
        replica.store.follow()
        assert replica.store.sources == []
        assert replica.find("moon") == []


def test_files_given_on_the_page_are_kept_on_the_server(replicas: list[Replica], tmp_path: Path) -> None:
    one, two = replicas
    words = random.Random(1)
    text = " ".join(f"river{words.getrandbits(40):x}" for _ in range(2500))  # several rows, though compressed
    source = one.folder.keep_file(write(tmp_path / "upload", text), "notes.md")
    assert one.folder._get(where={"kind": "file"})[f"file-{key_of(source)}"]["pieces"] > 1
    one.add(Path(source))
    Path(source).unlink()
    two.folder.at_hand(source)
    assert Path(source).read_text() == text
    two.store.follow()
    two.store.remove(source)
    assert not Path(source).exists()
    one.folder.at_hand(source)
    assert not Path(source).exists()


class App:
    """A replica with its threads, on a scripted chat model."""

    def __init__(self, settings: Settings) -> None:
        self.embeddings = PaperEmbeddings()
        self.settings = settings.model_copy(update={"model": "openai:scripted", "embeddings": "openai:paper"})
        self.assistant = Assistant(self.settings, chat_model=ScriptedChat(script=Script()), embeddings=self.embeddings)
        self.assistant.start()

    @property
    def names(self) -> list[str]:
        return sorted(item.source.rpartition("/")[2] for item in self.assistant.sources)

    def ask(self, question: str) -> str:
        async def read() -> str:
            text = ""
            async for update in self.assistant.chain.astream({"question": question}):
                text = update.text
            return text

        return asyncio.run(read())


@pytest.fixture
def apps(tmp_path: Path, chroma: ChromaServer, database: str) -> Iterator[list[App]]:
    made: list[App] = []
    for name in "ab":
        settings = make_settings(
            tmp_path / name, sources=(), chroma_url=chroma.url, chroma_database=database, allow_hosts="127.0.0.1"
        )
        made.append(App(settings))
    for app in made:
        wait_until(lambda app=app: app.assistant.library is not None, 30)  # type: ignore[misc]
    yield made
    for app in made:
        app.assistant.close()


def test_two_replicas_adding_the_same_source_give_it_once(apps: list[App], pages: Pages) -> None:
    one, two = apps
    pages.pages["/a"] = f"<title>A</title><div class=post-content><p>{MOON}</p></div>"
    for app in apps:
        assert app.assistant.library
        app.assistant.library.add([f"{pages.url}/a"], private=True)
    for app in apps:
        wait_until(lambda app=app: app.names == ["a"] and not app.assistant.library.busy, 20)  # type: ignore[misc]
    embedded = one.embeddings.embedded + two.embeddings.embedded
    assert len(embedded) == 1
    assert one.ask("moon?") == two.ask("moon?") == "An agent plans."


def test_an_index_that_one_replica_has_built_answers_on_all(apps: list[App], pages: Pages) -> None:
    one = apps[0]
    pages.pages["/a"] = f"<title>A</title><div class=post-content><p>{MOON * 9}</p></div>"
    assert one.assistant.library
    one.assistant.library.add([f"{pages.url}/a"], private=True)
    for app in apps:
        wait_until(lambda app=app: app.names == ["a"], 20)  # type: ignore[misc]
    made = Made("openai:paper", 200, 20)
    one.assistant.indexes.want(made)
    one.assistant._wake["index"].set()
    for app in apps:
        wait_until(lambda app=app: app.assistant.indexes.active.made == made, 20)  # type: ignore[misc]
        assert app.names == ["a"]
        assert app.assistant.sources[0].chunks > 1
        assert app.ask("moon?") == "An agent plans."


def test_an_index_that_is_opened_beside_takes_no_news_from_the_one_that_answers(
    replicas: list[Replica], tmp_path: Path
) -> None:
    one, two = replicas
    one.add(write(tmp_path / "page.md", MOON))
    beside = SharedStore(two.folder, two.embeddings, ENGINE, (200, 20))  # it reads the changes, too
    assert beside.missing() == [str(tmp_path / "page.md")]
    two.store.follow()
    assert [item.title for item in two.store.sources] == ["page.md"]


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
            wait_until(lambda: httpx.get(url, timeout=2).status_code == 401, 20)
            good = SharedFolder(make_settings(tmp_path, chroma_url=url, chroma_token="secret"))
            good.poll()
            good.release()
            with pytest.raises(StoreError, match=r"refuses the token\. Set RAG_CHROMA_TOKEN") as raised:
                SharedFolder(make_settings(tmp_path, chroma_url=url, chroma_token="wrong")).poll()
            assert "wrong" not in str(raised.value)
            with pytest.raises(StoreError, match="RAG_CHROMA_TENANT and RAG_CHROMA_DATABASE"):
                SharedFolder(make_settings(tmp_path, chroma_url=chroma.url, chroma_database="nowhere")).poll()
        finally:
            nginx.terminate()


def test_the_command_line_works_on_the_server(
    chroma: ChromaServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    page = write(tmp_path / "page.md", MOON)
    given = {"CHROMA_URL": chroma.url, "CHROMA_DATABASE": database, "EMBEDDINGS": "embedded:all-minilm-l6-v2"}
    for name, value in {**given, "DATA_DIR": str(tmp_path / "one"), "OLLAMA_HOST": "127.0.0.1:9"}.items():
        monkeypatch.setenv(f"RAG_{name}", value)
    assert command_line(["ingest", str(page)]) == 0
    monkeypatch.setenv("RAG_DATA_DIR", str(tmp_path / "two"))
    assert command_line(["sources"]) == 0
    assert "ready    " + str(page) in capsys.readouterr().out
    assert command_line(["remove", "page.md"]) == 0
    assert command_line(["doctor"]) == 0
    assert f"ok  the Chroma server at {chroma.url} answers" in capsys.readouterr().out


def test_the_server_goes_away_and_comes_back(tmp_path: Path, pages: Pages) -> None:
    server = ChromaServer(tmp_path / "chroma").start()
    app = App(make_settings(tmp_path / "a", sources=(), chroma_url=server.url))
    pages.pages["/a"] = f"<title>A</title><div class=post-content><p>{MOON}</p></div>"
    pages.pages["/b"] = f"<title>B</title><div class=post-content><p>{RIVER}</p></div>"
    try:
        wait_until(lambda: app.assistant.library is not None, 30)
        assert app.assistant.library
        app.assistant.library.add([f"{pages.url}/a"], private=True)
        wait_until(lambda: app.names == ["a"], 20)
        server.stop()
        with pytest.raises(StoreError, match=r"The Chroma server at http://127.0.0.1:\d+ cannot be reached. Start it"):
            app.ask("moon?")
        wait_until(lambda: "store" in app.assistant.problems, 10)
        assert not app.assistant.ready
        with pytest.raises(StoreUnreachable):
            app.assistant.library.add([f"{pages.url}/b"], private=True)
        server.start()
        wait_until(lambda: app.assistant.ready, 20)
        app.assistant.library.add([f"{pages.url}/b"], private=True)
        wait_until(lambda: app.names == ["a", "b"], 20)
        assert app.ask("moon?") == "An agent plans."
    finally:
        app.assistant.close()
        server.stop()


def test_a_frozen_server_is_not_waited_for_without_end(
    tmp_path: Path, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag.library.shared.ANSWER_SECONDS", 1.5)
    server = ChromaServer(tmp_path / "chroma").start()
    app = App(make_settings(tmp_path / "a", sources=(), chroma_url=server.url))
    pages.pages["/a"] = f"<title>A</title><div class=post-content><p>{MOON}</p></div>"
    try:
        wait_until(lambda: app.assistant.library is not None, 30)
        assert app.assistant.library
        app.assistant.library.add([f"{pages.url}/a"], private=True)
        wait_until(lambda: app.names == ["a"], 20)
        server.freeze()
        with pytest.raises(StoreUnreachable, match="does not answer in time"):
            app.ask("moon?")
        server.thaw()
        wait_until(lambda: app.assistant.ready, 20)
        assert app.ask("moon?") == "An agent plans."
    finally:
        app.assistant.close()
        server.stop()


def test_chroma_clouds_limits_on_one_call_are_kept(
    tmp_path: Path, chroma: ChromaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source of more chunks than one call may have, a long text and a file, through all that a replica does."""
    monkeypatch.setattr("rag.library.shared.CLOUD", "127.0.0.1")  # where the limits are kept for this test
    cloud = Quotas(chroma.url, "key")
    given = {"chroma_url": cloud.url, "chroma_token": "key", "chunk_size": 100, "chunk_overlap": 0}
    settings = make_settings(tmp_path, **given, chroma_tenant="default_tenant", chroma_database="default_database")
    one, two = Replica(settings), Replica(settings)
    text = "\n\n".join(
        f"Of the moon, paragraph {number}, which the river {number * 7} runs under." for number in range(700)
    )
    (tmp_path / "long.md").write_text(text, encoding="utf-8")
    source = one.folder.keep_file(tmp_path / "long.md", "long.md")
    two.store.words()
    assert one.add(Path(source)) > 2 * Quotas.rows
    two.store.follow()
    assert two.store.chunks == one.store.chunks
    assert two.find("moon river", 50)[0].startswith("Of the moon")
    assert len(two.store.words().rankings("paragraph 650", 10, ())[0]) == 10
    assert two.folder.read(source)
    two.store.remove(source)
    one.store.follow()
    assert one.store.chunks == 0
    assert cloud.calls > 20
    assert cloud.broken == []
    for replica in (one, two):
        replica.close()
    cloud.close()


@pytest.fixture
def cloud(chroma: ChromaServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    monkeypatch.setattr("rag.library.shared.CLOUD", "127.0.0.1")  # where Chroma Cloud's limits are kept for this test
    made = Cloud(chroma.url, "key")
    yield made
    made.close()


def test_a_server_that_ranks_by_words_is_asked_for_it(tmp_path: Path, cloud: Cloud) -> None:
    given = {"chroma_url": cloud.url, "chroma_token": "key", "chunk_size": 100, "chunk_overlap": 0}
    settings = make_settings(tmp_path, **given, chroma_tenant="default_tenant", chroma_database="default_database")
    one, two = Replica(settings), Replica(settings)
    moon = write(tmp_path / "moon.md", *(f"The moon pulls the sea, in part {number}." for number in range(30)))
    herd = write(tmp_path / "herd.md", "Zebras graze at night.", "A zebra has stripes, and a herd has many zebras.")
    one.add(moon)
    one.add(herd)
    two.store.follow()
    words = two.store.words()
    assert isinstance(words, ServerWords) and two.store._words is None

    first, by_part = words.rankings("Where do zebras graze?", 5)
    assert by_part == []
    assert two.store.rows(first[:1], ())[0].page_content.startswith("Zebras graze at night.")
    assert words.rankings("Where do zebras graze?", 5, [str(moon)]) == ([], [])
    assert len(words.rankings("What pulls the sea?", 5)[0]) == 5
    before = cloud.searches
    assert words.has("zebra") and words.has("grazing") and cloud.searches == before  # as the ranking asked for them
    assert not words.has("unicorn") and cloud.searches == before + 1

    found = build_retriever(two.store, settings, 3).invoke("Which animals have stripes?")
    assert "stripes" in found[0].page_content and found[0].metadata["source"] == str(herd)
    assert all(KEY not in item.metadata for item in found)

    one.add(write(tmp_path / "horn.md", "A unicorn has a horn, and no zebra has."))
    write(herd, "Zebras graze at night.", "Gnus have no stripes at all.")
    assert one.add(herd) == 1  # the other chunk is as it was
    two.store.follow()
    assert words.has("unicorn")
    assert len(two.store.rows(words.rankings("zebra", 9)[0], ())) == 2
    two.store.remove(str(herd))
    assert len(words.rankings("zebra", 9)[0]) == 1
    assert not words.has("gnu")  # whose row may still be there

    before = cloud.searches
    words.learn(" ".join(f"word{number}" for number in range(50)) + " unicorn")
    assert cloud.searches == before + 3
    assert words.has("unicorn") and not words.has("word49") and cloud.searches == before + 3
    with ThreadPoolExecutor(4) as pool:  # while the library changes
        asked = [pool.submit(words.has, ("unicorn", "moon", "gnu")[number % 3]) for number in range(60)]
        while not all(each.done() for each in asked):
            words.forget()
    assert [each.result() for each in asked] == [True, True, False] * 20
    assert cloud.broken == []
    for replica in (one, two):
        replica.close()


def test_chroma_run_has_the_words_counted_in_the_process(replicas: list[Replica]) -> None:
    assert isinstance(replicas[0].store.words(), LexicalIndex)
