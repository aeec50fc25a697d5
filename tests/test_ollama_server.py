"""The stand-in Ollama server against the real clients: what the tests of the app rest on."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest

from tests.ollama_server import (
    LLAMA3,
    LOADING,
    MXBAI,
    ModelSpec,
    OllamaServer,
    Pullable,
    Record,
    estimate_tokens,
    extractive_reply,
    fit_prompt,
    full_name,
)

TOKENS = ["The", " sky", " is", " blue", "."]
ASK = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer(reply=lambda messages: TOKENS) as running:
        yield running


@pytest.fixture
def client(server: OllamaServer) -> Iterator[ollama.Client]:
    with ollama.Client(server.url, timeout=10) as one:
        yield one


def post(server: OllamaServer, body: Any, path: str = "/api/chat") -> socket.socket:
    """A raw connection with the request sent and nothing read."""
    data = json.dumps(body).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    connection.sendall(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(data)) + data)
    return connection


def ended(record: Record) -> bool:
    return record.finished is not None


# The protocol.


def test_says_what_it_is(server: OllamaServer) -> None:
    with httpx.Client(base_url=server.url) as http:
        assert http.get("/").text == "Ollama is running"
        assert (http.head("/").status_code, http.head("/api/tags").content) == (200, b"")
        assert "version" in http.get("/api/version").json()
        assert http.get("/api/nothing").text == "404 page not found"
        assert http.get("/api/chat").status_code == 405


def test_a_stream_is_one_json_line_per_chunk_and_its_head_waits_for_the_first_token(
    server: OllamaServer,
) -> None:
    with server.hold() as gate, post(server, {"model": "llama3", "messages": ASK}) as connection:
        gate.wait()
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.setblocking(True)
        gate.release()
        read = b""
        while not read.endswith(b"\r\n0\r\n\r\n"):
            read += connection.recv(65536)
    head, _, chunks = read.decode().partition("\r\n\r\n")
    assert "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked" in head
    sizes, lines = chunks.split("\r\n")[:-3:2], chunks.split("\r\n")[1:-3:2]
    assert [int(size, 16) for size in sizes[: len(lines)]] == [len(line) for line in lines]
    assert [json.loads(line)["message"]["content"] for line in lines] == [*TOKENS, ""]


def test_streams_in_exact_order_and_ends_with_the_figures(server: OllamaServer, client: ollama.Client) -> None:
    parts = list(client.chat("llama3", ASK, stream=True))
    assert [part.message.content for part in parts] == [*TOKENS, ""]
    assert [part.done for part in parts] == [False] * 5 + [True]
    last = parts[-1]
    assert (last.done_reason, last.eval_count, last.model) == ("stop", 5, "llama3")
    assert last.prompt_eval_count == estimate_tokens("Why is the sky blue?") + 4 == server.requests[0].prompt_tokens
    assert last.total_duration and last.total_duration >= (last.load_duration or 0) > 0
    record = server.wait_for(ended)
    assert (record.finished, record.tokens, record.status, server.open_streams) == ("complete", 5, 200, 0)


@pytest.mark.parametrize(("think", "thought"), [(None, True), (True, True), ("low", True), (False, False)])
def test_a_model_that_thinks_does_so_unless_it_is_told_not_to(
    server: OllamaServer, client: ollama.Client, think: Any, thought: bool
) -> None:
    server.models["llama3"] = ModelSpec(8192, thinks="unless told not to")
    message = client.chat("llama3", ASK, think=think).message
    assert message.content == "".join(TOKENS)
    assert (message.thinking or "") == ("".join(server.thoughts) if thought else "")


def test_answers_whole_without_stream_and_stops_at_num_predict(client: ollama.Client) -> None:
    whole = client.chat("llama3:latest", ASK)
    assert (whole.message.content, whole.done_reason) == ("The sky is blue.", "stop")
    short = client.chat("llama3", ASK, options={"num_predict": 2})
    assert (short.message.content, short.done_reason, short.eval_count) == ("The sky", "length", 2)


def test_names_of_models() -> None:
    same = ["llama3", "llama3:latest", "library/llama3", "registry.ollama.ai/library/llama3:latest"]
    assert {full_name(name) for name in same} == {"llama3:latest"}
    assert full_name("hf.co/some/Model:Q4") == "hf.co/some/Model:Q4"
    assert [full_name(name) for name in ("", "a b", "/x", "x:")] == ["", "", "", ""]


def test_tags_and_show(client: ollama.Client) -> None:
    assert sorted(str(model.model) for model in client.list().models) == [
        "llama3:latest",
        "mxbai-embed-large:latest",
    ]
    shown = client.show("MXBAI-embed-large")
    assert shown.modelinfo is not None and shown.details is not None
    assert shown.modelinfo["general.architecture"] == shown.details.family == "bert"
    assert (shown.modelinfo["bert.context_length"], shown.modelinfo["bert.embedding_length"]) == (512, 1024)
    assert (shown.capabilities, client.show("llama3").capabilities) == (["embedding"], ["completion"])


def test_a_model_that_is_not_pulled_is_a_404_in_its_own_words(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match=r"^model 'nope' not found \(status code: 404\)"):
        client.chat("nope", ASK)
    with pytest.raises(ollama.ResponseError, match=r"^model 'nope:latest' not found \(status code: 404\)"):
        client.show("nope")
    with pytest.raises(ollama.ResponseError, match=r'^model "nope" not found, try pulling it first'):
        client.embed("nope", "text")


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/api/chat", b"", 400, "missing request body"),
        ("/api/chat", b"{", 400, "unexpected EOF"),
        ("/api/chat", b"what", 400, "invalid character 'w' looking for beginning of value"),
        ("/api/chat", b"[]", 400, "json: cannot unmarshal array into Go value of type api.ChatRequest"),
        ("/api/chat", b"{}", 400, "model is required"),
        ("/api/chat", b'{"model":"a b"}', 400, "invalid model name"),
        ("/api/chat", b'{"messages":"x"}', 400, "field ChatRequest.messages of type []api.Message"),
        (
            "/api/chat",
            b'{"messages":[{"content":3}]}',
            400,
            "unmarshal number into Go struct field ChatRequest.me",
        ),
        ("/api/chat", b'{"model":"llama3","keep_alive":"5"}', 400, 'time: missing unit in duration "5"'),
        (
            "/api/chat",
            b'{"model":"llama3","options":{"num_ctx":"8"}}',
            500,
            'option "num_ctx" must be of type',
        ),
        ("/api/chat", b'{"model":"llama3","keep_alive":"5x"}', 400, 'time: unknown unit "x" in duration "5x"'),
        ("/api/chat", b'{"model":"llama3","think":"deep"}', 400, 'invalid think value: "deep"'),
        ("/api/chat", b'{"model":"llama3","think":true}', 400, '"llama3" does not support thinking'),
        ("/api/chat", b'{"model":"mxbai-embed-large"}', 400, '"mxbai-embed-large" does not support chat'),
        ("/api/embed", b'{"model":"mxbai-embed-large","input":[1]}', 400, "invalid input type"),
        ("/api/embed", b'{"model":"llama3","input":"x"}', 501, "This server does not support embeddings"),
        ("/api/pull", b'{"model":""}', 400, "invalid model name"),
    ],
)
def test_refuses_what_the_real_one_refuses(
    server: OllamaServer, path: str, body: bytes, status: int, text: str
) -> None:
    answer = httpx.post(server.url + path, content=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json; charset=utf-8")
    assert text in answer.json()["error"]


def test_ps_shows_a_model_once_it_is_loaded_and_until_it_is_unloaded(
    server: OllamaServer, client: ollama.Client
) -> None:
    with server.hold(after=LOADING) as gate:
        loading = threading.Thread(target=client.chat, args=("llama3",))
        loading.start()
        gate.wait()
        with ollama.Client(server.url) as other:
            assert other.ps().models == []
        gate.release()
        loading.join()
    assert [(m.model, m.context_length) for m in client.ps().models] == [("llama3:latest", 4096)]
    assert client.chat("llama3", options={"num_ctx": 99999}).done_reason == "load"
    assert client.ps().models[0].context_length == 8192  # another window: loaded again, at most its own
    assert client.chat("llama3", keep_alive=0).done_reason == "unload"
    assert client.ps().models == []


def test_a_prompt_over_num_ctx_is_cut_in_silence(server: OllamaServer, client: ollama.Client) -> None:
    seen: list[Any] = []
    server.reply = lambda messages: seen.extend(messages) or "ok"
    old = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "old " * 50}, *ASK]
    client.chat("llama3", old, options={"num_ctx": 40})
    assert [m["content"] for m in seen] == ["Be brief.", "Why is the sky blue?"]
    last = client.chat("llama3", [{"role": "user", "content": "a " * 5000 + "end"}])
    first, second = server.requests
    assert (first.truncated, first.num_ctx, second.truncated, second.num_ctx) == (True, 40, True, 4096)
    assert last.prompt_eval_count == 4096 - (4096 - 5) // 2  # half of the window, as ollama#17427 measured
    assert fit_prompt(ASK, 4096) == (ASK, 10, False)


# Hanging up.


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("after", [LOADING, 0, 3])
def test_notices_at_once_that_the_client_is_gone(server: OllamaServer, after: int, stream: bool, how: str) -> None:
    with server.hold(after=after) as gate:
        connection = post(server, {"model": "llama3", "messages": ASK, "stream": stream})
        gate.wait()
        assert server.open_streams == 1
        if how == "RST":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        record = server.wait_for(ended)  # the gate is still shut
    assert (record.finished, record.tokens, server.open_streams) == ("client_gone", max(after, 0), 0)


def test_gates_can_tell_requests_apart_and_parallel_makes_them_wait(server: OllamaServer) -> None:
    def says(record: Record) -> bool:
        return bool(record.body["messages"][0]["content"] == "hold me")

    body = {"model": "llama3", "messages": [{"role": "user", "content": "hold me"}], "stream": False}
    with server.hold(match=says) as gate:
        held = post(server, body)
        gate.wait()
        assert httpx.post(f"{server.url}/api/chat", json={**body, "messages": ASK}).status_code == 200
        assert server.open_streams == 1
    assert held.recv(15) == b"HTTP/1.1 200 OK"
    held.close()
    with OllamaServer(parallel=1) as single, single.hold(match=says) as gate:
        first = post(single, body)
        gate.wait()
        second = post(single, {**body, "messages": ASK})
        single.wait_until(lambda: single.open_streams == 2)
        assert [r.prompt_tokens > 0 for r in single.requests] == [True, False]
        first.close()  # frees the place
        assert second.recv(15) == b"HTTP/1.1 200 OK"
        second.close()


# Embeddings and the default answer.


def test_embed_cuts_a_long_text_or_refuses_it(server: OllamaServer, client: ollama.Client) -> None:
    fits, long = "word " * 510, "word " * 511
    assert client.embed("mxbai-embed-large", fits, truncate=False)["prompt_eval_count"] == 512
    with pytest.raises(ollama.ResponseError, match=r"^the input length exceeds the context length \(status code: 400"):
        client.embed("mxbai-embed-large", ["short", long], truncate=False)
    cut = client.embed("mxbai-embed-large", [long, long])
    assert (cut["prompt_eval_count"], server.requests[2].truncated) == (1024, True)
    assert cut["total_duration"] >= cut["load_duration"] > 0
    assert client.embed("mxbai-embed-large", "")["embeddings"] == []


def test_the_default_answer_is_taken_from_the_context() -> None:
    context = "Paris has cafes. The tower was built in 1889 by Eiffel. Bread is cheap."
    ask = [
        {"role": "system", "content": f"Use this:\n{context}"},
        {"role": "user", "content": "Who built the tower?"},
    ]
    assert extractive_reply(ask) == "The tower was built in 1889 by Eiffel."
    one = [{"role": "user", "content": f"{context}\nQuestion: is bread cheap?\nAnswer:"}]
    assert extractive_reply(one) == "Bread is cheap."
    assert extractive_reply([{"role": "user", "content": "Hello?"}]) == "I do not know."


# Pulling, starting and stopping.


def test_pull_reports_its_progress_and_brings_the_model(client: ollama.Client, server: OllamaServer) -> None:
    server.models.clear()
    server.pullable = {"tiny": Pullable(ModelSpec(2048, size=1000), steps=4)}
    lines = list(client.pull("tiny", stream=True))
    texts = [str(line.status) for line in lines]
    assert (texts[0], texts[-3:]) == (
        "pulling manifest",
        ["verifying sha256 digest", "writing manifest", "success"],
    )
    model = [line for line in lines if line.total == 1000]
    assert [line.completed for line in model] == [None, 250, 500, 750, 1000]
    assert {(line.status, len(str(line.digest))) for line in model} == {(f"pulling {str(model[0].digest)[7:19]}", 71)}
    assert [m.model for m in client.list().models] == ["tiny:latest"]
    assert client.pull("tiny:latest").status == "success"
    with pytest.raises(ollama.ResponseError, match=r"^pull model manifest: file does not exist \(status code: -1\)"):
        list(client.pull("nope", stream=True))
    assert server.requests[-1].status == 200
    with pytest.raises(ollama.ResponseError, match=r"file does not exist \(status code: 500\)"):
        client.pull("nope")


def test_a_pull_without_a_network_is_a_line_with_an_error(server: OllamaServer) -> None:
    server.offline = True
    with httpx.Client(base_url=server.url) as http:
        reply = http.post("/api/pull", json={"model": "llama3"})
    assert reply.status_code == 200
    assert "no such host" in json.loads(reply.text.splitlines()[-1])["error"]


def test_the_list_tells_what_a_model_can_do(server: OllamaServer) -> None:
    with httpx.Client(base_url=server.url) as http:
        told = {model["name"]: model for model in http.get("/api/tags").json()["models"]}
    assert told["llama3:latest"]["capabilities"] == ["completion"]
    assert told["mxbai-embed-large:latest"]["capabilities"] == ["embedding"]
    assert told["mxbai-embed-large:latest"]["details"]["context_length"] == 512
    with httpx.Client(base_url=server.url) as http:
        shown = http.post("/api/show", json={"model": "mxbai-embed-large"}).json()
    assert "context_length" not in shown["details"]
    assert shown["model_info"]["general.parameter_count"] == 334_000_000


def test_a_pull_can_be_held_and_left(server: OllamaServer) -> None:
    with server.hold(after=3, path="/api/pull") as gate, ollama.Client(server.url) as client:
        lines = client.pull("llama3", stream=True)
        assert [next(lines).total for _ in range(3)] == [None, LLAMA3.size, LLAMA3.size]
        gate.wait()
        lines.close()
        assert server.wait_for(ended).finished == "client_gone"


def test_starts_again_on_its_port(server: OllamaServer) -> None:
    port = server.port
    with server.hold(after=1), ollama.Client(server.url) as client:
        stream = client.chat("llama3", ASK, stream=True)
        assert next(stream).message.content == "The"
        server.stop()
        with pytest.raises(httpx.TransportError):
            next(stream)
        assert (server.requests[0].finished, server.requests[0].fault) == ("fault", "stopped")
        with pytest.raises(ConnectionError, match="Failed to connect to Ollama"):
            client.chat("llama3", ASK)
    server.start()
    assert server.port == port
    with ollama.Client(server.url) as client:
        assert client.chat("llama3", ASK).message.content == "The sky is blue."
    with pytest.raises(OSError, match=r"address already in use|Only one usage"):
        OllamaServer(port=port).start()


def test_a_broken_reply_is_told(server: OllamaServer, client: ollama.Client, caplog: pytest.LogCaptureFixture) -> None:
    server.reply = lambda messages: str(1 / 0)
    with pytest.raises(ollama.ResponseError, match=r"ZeroDivisionError.*\(status code: 500\)"):
        client.chat("llama3", ASK)
    assert "bug" in str(server.wait_for(ended).fault)
    assert (LLAMA3.embedding_length, MXBAI.embedding_length) == (None, 1024)
