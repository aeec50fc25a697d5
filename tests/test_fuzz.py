"""Thousands of odd requests and frames: none is a 500, none a traceback, and the next question is answered.

`make test` sends some hundreds, the long run ten thousand. Both are drawn anew from the same seed each time.
"""

# ruff: noqa: E501
from __future__ import annotations

import contextlib
import json
import os
import random
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.doors import by_predict
from tests.serving import ANSWER, Served, serve

pytestmark = pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
"""It warns of draws that use `random` themselves, and takes the app's other threads for them."""
LONG = 10_000
SHORT = 100
ODD_TEXT = st.one_of(
    st.text(max_size=200),
    st.sampled_from(["", " ", "\0", "\ud800", "{}", "[]", "null", "{", '{"question": ', "💬" * 50, "x" * 9000, "../../etc/passwd"]),
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ODD_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4),
    max_leaves=12,
)
TURN = st.fixed_dictionaries(
    {}, optional={"role": st.sampled_from(["user", "assistant", "system", 5]), "content": JSON}
)
QUESTION = st.fixed_dictionaries(
    {},
    optional={
        "question": ODD_TEXT | JSON,
        "history": st.lists(TURN, max_size=3) | JSON,
        "scope": JSON,
        "more": JSON,
        "messages": st.lists(TURN, max_size=3) | JSON,
        "stream": st.booleans() | JSON,
    },
)
NAMED = [
    ("POST", "stream"), ("POST", "library"), ("POST", "library/refresh"), ("POST", "library/restore"),
    ("POST", "library/index"), ("POST", "mcp"), ("POST", "gradio_api/call/chat"), ("POST", "gradio_api/queue/join"),
    ("POST", "gradio_api/upload"), ("POST", "login"), ("PUT", "predict"), ("DELETE", "library"), ("PATCH", "x/y"),
    ("POST", "v1/chat/completions"), ("POST", "v1/models"),
]  # fmt: skip
OURS = ("stream", "library", "predict", "login", "x/y", "health", "models", "metrics", "v1")


def some(count: int) -> Any:
    """Settings of a run without deadlines, which a loaded machine would break."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=[*slow, HealthCheck.function_scoped_fixture],
        phases=[Phase.generate],
    )  # fmt: skip


LENGTHS = pytest.mark.parametrize(
    "count", [SHORT, pytest.param(LONG, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve(tmp_path_factory.mktemp("fuzzed"), mcp=True)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _nothing_unhandled(served: Served, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record.getMessage() for record in caplog.records if record.exc_info], "a traceback is in the log"
    assert by_predict(served, "What is a plan?")["answer"] == "".join(ANSWER)
    assert served.assistant.line.inside == 0


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


@LENGTHS
def test_frames_on_the_socket(served: Served, count: int) -> None:
    """Each frame gets an answer or an error in words, on a socket that stays open."""
    seen: Counter[str] = Counter()
    with connect(served.socket_url, max_size=None) as ws:

        @seed(7)
        @some(count)
        @given(
            st.one_of(
                ODD_TEXT, QUESTION.map(lambda value: encoded(value).decode("utf-8", "replace")), st.binary(max_size=300)
            )
        )
        def frame(data: str | bytes) -> None:
            if isinstance(data, str):
                data = data.encode("utf-8", "ignore").decode()
            ws.send(data)
            while not (told := json.loads(ws.recv(timeout=60))).get("done"):
                pass
            assert ("error" in told and len(told["error"]) > 10) or told["timings"]
            seen[told.get("code", "answered")] += 1

        frame()
    print(f"\n{dict(seen)}")
    assert seen["bad_question"] and set(seen) <= {"bad_question", "answered"}


@pytest.mark.parametrize(
    "count", [SHORT // 3, pytest.param(LONG // 5, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
)
def test_broken_frames_on_the_wire(served: Served, count: int) -> None:
    """Bytes that are no frames, masks and lengths that lie, bad UTF-8, half frames: each ends its own socket at most."""
    rng = random.Random(11)
    address = httpx.URL(served.url)
    for _ in range(count):
        with (
            contextlib.suppress(WebSocketException, OSError, TimeoutError),
            connect(served.socket_url, close_timeout=0.2) as ws,
        ):
            head = bytes(
                [rng.choice([0x81, 0x82, 0x80, 0x00, 0x88, 0x89, 0x8A, 0xC1, 0xF1, 0x83, 0x01, rng.randrange(256)])]
            )
            size = rng.choice([0, 1, 5, 125, 126, 127, rng.randrange(128)])
            ws.socket.sendall(head + bytes([size | rng.choice([0x80, 0x80, 0])]) + os.urandom(rng.randrange(40)))
    with socket.create_connection((address.host, address.port or 80), 10) as line:
        line.sendall(rng.randbytes(2000) + b"\r\n\r\n")


@LENGTHS
def test_requests_of_every_shape(served: Served, count: int) -> None:
    seen: Counter[int] = Counter()
    kinds = [
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "",
        "nonsense",
    ]
    with httpx.Client(base_url=served.url, timeout=60) as client:

        @seed(8)
        @some(count)
        @given(
            st.sampled_from(NAMED),
            st.one_of(QUESTION.map(encoded), JSON.map(encoded), st.binary(max_size=500)),
            st.sampled_from(kinds),
            st.dictionaries(
                st.sampled_from(["query", "scope", "source", "sources", "embeddings"]), ODD_TEXT, max_size=3
            ),
        )
        def request(named: tuple[str, str], body: bytes, kind: str, params: dict[str, str]) -> None:
            sent = {name: value.encode("utf-8", "ignore").decode() for name, value in params.items()}
            headers = {"Content-Type": kind} if kind else {}
            reply = client.request(named[0], f"/{named[1]}", content=body, headers=headers, params=sent)
            seen[reply.status_code] += 1
            assert reply.status_code < 500 or (reply.status_code == 503 and "code" in reply.json()), (
                named,
                body,
                kind,
                reply.text,
            )
            assert "Traceback" not in reply.text

        request()
    print(f"\n{dict(seen)}")
    assert seen[422] and set(seen) - {422}


@pytest.mark.parametrize("count", [8, pytest.param(400, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_the_routes_keep_what_openapi_says(served: Served, count: int) -> None:
    """Schemathesis draws requests from `/openapi.json`, right and wrong ones: 0 server errors, replies of the shape told."""
    import schemathesis  # its import takes two seconds, which those who run other tests are spared
    from schemathesis.generation import GenerationMode

    conforms = schemathesis.checks.response_schema_conformance, schemathesis.checks.content_type_conformance
    shapes = [*conforms, schemathesis.checks.status_code_conformance]  # body, type and status are what it names
    schema: Any = schemathesis.openapi.from_url(f"{served.url}openapi.json")
    schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    asked: Counter[str] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.lstrip("/").partition("/")[0] not in OURS:
            continue

        @seed(9)
        @some(count)
        @given(case=operation.as_strategy())
        def sent(case: Any) -> None:
            reply = case.call(timeout=60)
            asked[f"{case.method} {case.path} {reply.status_code}"] += 1
            assert reply.status_code < 500 or (reply.status_code == 503 and case.path == "/health"), reply.text
            apart = "\n" in unquote((reply.request.url or "").partition("?")[0])  # the path of no route
            if not case.path.startswith("/login") and not apart:  # nor is the login ours
                case.validate_response(reply, checks=shapes)

        sent()
    print(json.dumps(asked, indent=1))
    assert len({name.rpartition(" ")[0] for name in asked}) >= 10


@pytest.mark.parametrize("name", ["x" * 300 + ".md", "../../x.md", "a\0b.md", "x.exe", "💬.md", ".env", "", "x.docx"])
@pytest.mark.parametrize("data", [b"", b"\0" * 1000, b"PK\x03\x04" + b"\0" * 100])
def test_odd_uploads(served: Served, name: str, data: bytes) -> None:
    reply = httpx.post(f"{served.url}gradio_api/upload", files={"files": (name or "x", data)}, timeout=60)
    assert reply.status_code < 500
    if reply.status_code == 200:
        (path,) = reply.json()
        assert os.path.realpath(path) == path and "/gradio/" in path
        assert httpx.get(f"{served.url}gradio_api/file=/etc/passwd", timeout=30).status_code in (403, 404)
