"""Settings: where a value comes from, what is refused and how it is said, and every form of OLLAMA_HOST."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rag.errors import SettingsError
from rag.settings import DEFAULT_SOURCE, Settings, load_settings, parse_ollama_host

LOCAL = "http://127.0.0.1:11434"
ALIASES = [("OLLAMA_HOST", "ollama_host"), ("GRADIO_SERVER_NAME", "host"), ("GRADIO_SERVER_PORT", "port")]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_SERVER_PORT", raising=False)  # the one that conftest leaves


def refusal(**given: Any) -> str:
    """What is said of wrong settings: one line for a person."""
    with pytest.raises(SettingsError) as caught:
        load_settings(**given)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# What the ollama package's client reads in the same way.
SAME = {
    "": LOCAL,
    "box": "http://box:11434",
    "1.2.3.4": "http://1.2.3.4:11434",
    "1.2.3.4:": "http://1.2.3.4:11434",
    ":56789": "http://127.0.0.1:56789",
    "box:56789": "http://box:56789",
    "box:00080": "http://box:80",
    "http://box": "http://box:80",
    "https://box": "https://box:443",
    "https://box:8443": "https://box:8443",
    "https://ollama.example.com/api/": "https://ollama.example.com:443/api",
    "box/": "http://box:11434",
    "box/ollama": "http://box:11434/ollama",
    "box:80/a/b//": "http://box:80/a/b",
    "/ollama": "http://127.0.0.1:11434/ollama",
    "[::1]": "http://[::1]:11434",
    "[::1]:80/x/": "http://[::1]:80/x",
    "http://[::1]": "http://[::1]:80",
    "https://[fd00::5]:8443/x": "https://[fd00::5]:8443/x",
    "[0001:002:003:0004::1]": "http://[0001:002:003:0004::1]:11434",
}
# What it reads in another way, or not at all: addresses to listen on, bare IPv6, quotes and blanks as in Ollama itself.
OURS = {
    "0.0.0.0": LOCAL,
    "0.0.0.0:80": "http://127.0.0.1:80",
    "https://0.0.0.0/x": "https://127.0.0.1:443/x",
    "::": "http://[::1]:11434",
    "[::]": "http://[::1]:11434",
    "http://[::]:80": "http://[::1]:80",
    "[0:0:0:0:0:0:0:0]:80": "http://[::1]:80",
    "0::0": "http://[::1]:11434",
    "::1": "http://[::1]:11434",
    "fd00::5": "http://[fd00::5]:11434",
    "http://": "http://127.0.0.1:80",
    '"box:80"': "http://box:80",
    "' box '": "http://box:11434",
    " box\n": "http://box:11434",
    '""': LOCAL,
}


@pytest.mark.parametrize("form", SAME)
def test_ollama_host_is_read_as_its_own_client_reads_it(form: str) -> None:
    theirs = importlib.import_module("ollama._client")._parse_host
    assert parse_ollama_host(form) == theirs(form) == SAME[form]


@pytest.mark.parametrize("form", OURS)
def test_ollama_host_that_only_the_server_understands(form: str) -> None:
    assert parse_ollama_host(form) == OURS[form]
    assert parse_ollama_host(parse_ollama_host(form)) == OURS[form]


@pytest.mark.parametrize(
    "form",
    [
        *("ftp://box", "unix:///run/ollama", "://box", "box:abc", "box:-1", "box:0", "box:65536", "box:8０", "me@box"),
        *("http://u:p@box", "a box", "box/a b", "[::1", "[box]", "box:80:80", "1:2:3", "::1:114345", "http://[::g]"),
    ],
)
def test_ollama_host_refused(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_ollama_host(form)
    monkeypatch.setenv("RAG_OLLAMA_HOST", form)
    assert refusal().startswith("RAG_OLLAMA_HOST: ")


def test_defaults() -> None:
    settings = load_settings()
    assert settings.ollama_host == LOCAL and settings.sources == (DEFAULT_SOURCE,)
    assert settings.data_dir.is_absolute() and settings.cache_dir.is_absolute() and settings.on_loopback


def test_frozen() -> None:
    settings = load_settings(k=3)
    with pytest.raises(ValidationError, match="frozen"):
        settings.k = 5  # type: ignore[misc]
    assert settings.k == 3


def test_flags_beat_the_environment_and_that_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("RAG_K=7\nRAG_PASSWORD='a b'\n# RAG_PORT=1\nSOMEONE_ELSES=x\nexport RAG_SHARE=true\n")
    assert (load_settings().k, load_settings().password, load_settings().share) == (7, "a b", True)
    monkeypatch.setenv("RAG_K", "8")
    assert load_settings().k == 8
    assert load_settings(k=None).k == 8  # a flag that was not given
    assert load_settings(k=9).k == 9
    assert load_settings(share=False).share is False


@pytest.mark.parametrize(("theirs", "field"), ALIASES)
def test_flags_beat_the_environment_for_names_of_other_programs(
    theirs: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def value(**given: Any) -> str:
        found = str(getattr(load_settings(**given), field))
        return found.removeprefix("http://").removesuffix(":11434")

    Path(".env").write_text(f"{theirs}=1001\n")
    assert value() == "1001"
    monkeypatch.setenv(theirs, "1002")
    assert value() == "1002"
    monkeypatch.setenv(f"RAG_{field.upper()}", "1003")
    assert value() == "1003"  # the name that is ours says more
    assert value(**{field: 1004 if field == "port" else "1004"}) == "1004"


def test_file_with_a_mark_of_its_encoding() -> None:
    Path(".env").write_bytes(b"\xef\xbb\xbfRAG_K=7\r\nRAG_PASSWORD=J\xc3\xb6rg\r\n")  # as Notepad writes it
    assert (load_settings().k, load_settings().password) == (7, "Jörg")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_file_in_another_encoding_is_named(encoding: str) -> None:
    Path(".env").write_bytes("RAG_PASSWORD=Jörg\r\n".encode(encoding))  # PowerShell's `>` writes UTF-16
    assert ".env" in refusal()


@pytest.mark.parametrize(
    ("unknown", "near"),
    [
        *(("RAG_MODLE", "RAG_MODEL"), ("RAG_CHUNKSIZE", "RAG_CHUNK_SIZE"), ("RAG_SOURCE", "RAG_SOURCES")),
        *(("RAG_EMBEDDING", "RAG_EMBEDDINGS"), ("RAG_TOP_K", None), ("RAG_ZZZZ", None), ("RAG_", None)),
    ],
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_unknown_variable_names_the_near_one(
    unknown: str, near: str | None, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == ".env":
        Path(".env").write_text(f"{unknown}=x\n")
    else:
        monkeypatch.setenv(unknown, "x")
    said = refusal()
    assert said.startswith(f"{unknown} ")
    assert (f"did you mean {near}?" in said) if near else ("did you mean" not in said)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("RAG_MODEL", "llama3", "provider:model"),
        ("RAG_MODEL", "ollama:", "provider:model"),
        ("RAG_MODEL", " ollama:x", "provider:model"),
        ("RAG_MODEL", "a\nb", "provider:model"),
        ("RAG_EMBEDDINGS", ":x", "provider:model"),
        ("RAG_BASE_URL", "box:8000", "http"),
        ("RAG_BASE_URL", "http://", "http"),
        ("RAG_BASE_URL", "http://[box", "http"),
        ("RAG_BASE_URL", "http://box:x", "http"),
        ("RAG_BASE_URL", "http://box:70000", "http"),
        ("RAG_PULL", "perhaps", "boolean"),
        ("RAG_SOURCES", '["a"', "JSON"),
        ("RAG_SOURCES", '["a", 1]', "string"),
        ("RAG_CHUNK_SIZE", "99", "100"),
        ("RAG_CHUNK_SIZE", "1e3", "integer"),
        ("RAG_K", "0", "1"),
        ("RAG_K", "four", "integer"),
        ("RAG_RETRIEVER", "all\nof it", "hybrid"),
        ("RAG_PROMPT_FILE", "not\nthere", "read"),
        ("RAG_TEMPERATURE", "nan", "2"),
        ("RAG_TEMPERATURE", "2,0", "number"),
        ("RAG_MAX_TOKENS", "15", "16"),
        ("RAG_DATA_DIR", "~no-such-user/x", "user"),
        ("RAG_CACHE_DIR", "~no-such-user/x", "user"),
        ("RAG_PORT", "65536", "65535"),
        ("RAG_SHARE", "", "boolean"),
        ("RAG_CONCURRENCY", "0", "1"),
        ("RAG_FIRST_TOKEN_TIMEOUT", "0", "0"),
        ("RAG_FIRST_TOKEN_TIMEOUT", "nan", "0"),
        ("OLLAMA_HOST", "ftp://box", "http"),
        ("GRADIO_SERVER_PORT", "http", "integer"),
    ],
)
def test_bad_value_gives_one_line_that_names_its_variable(
    variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    said = refusal()
    assert said.startswith(f"{variable}: ") and words in said


def test_bad_flag_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7000")
    monkeypatch.setenv("OLLAMA_HOST", "box")
    assert refusal(port=-1).startswith("RAG_PORT: ")
    assert refusal(ollama_host="ftp://x").startswith("RAG_OLLAMA_HOST: ")
    assert refusal(data_dir="~no-such-user/x").startswith("RAG_DATA_DIR: ")


def test_folders_are_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    settings = load_settings(data_dir="here", cache_dir="~/there")
    assert (settings.data_dir, settings.cache_dir) == (tmp_path / "here", tmp_path / "home" / "there")


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("", ()),
        ("a", ("a",)),
        (" a , ,b,, c d ", ("a", "b", "c d")),
        ("[]", ()),
        ('["a,b", "c"]', ("a,b", "c")),
        (' ["a"] ', ("a",)),
        ("https://x.example/?q=[1]", ("https://x.example/?q=[1]",)),
    ],
)
def test_lists(value: str, items: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"RAG_SOURCES={value}\n")
    assert load_settings().sources == items
    monkeypatch.setenv("RAG_SOURCES", value)
    assert load_settings().sources == items
    assert load_settings(sources=["x", "y, z"]).sources == ("x", "y, z")


@pytest.mark.parametrize(
    "entry",
    [
        *(
            "box",
            "localhost",
            "box.example.",
            "my_box-2.example",
            "grüße.example",
            "10.0.0.1",
            "10.0.0.0/8",
            "10.1.2.3/8",
        ),
        *("::1", "[::1]", "fd00::/8"),
    ],
)
def test_allow_hosts(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_ALLOW_HOSTS", f"{entry}, 192.168.0.0/16")
    assert load_settings().allow_hosts == (entry, "192.168.0.0/16")


@pytest.mark.parametrize(
    "entry",
    [
        *("http://box", "a box", "me@box", "box?x", "box#x", "box:8080", "127.0.0.1:80", "10.0.0.0/33", "box/path"),
        *("*.example.com", "a..b", "fd00::/129"),
    ],
)
def test_allow_hosts_refuses_what_could_never_match(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAG_ALLOW_HOSTS", f"10.0.0.0/8,{entry}")
    assert refusal().startswith("RAG_ALLOW_HOSTS: ")


def test_prompt_file(tmp_path: Path) -> None:
    path = tmp_path / "my prompt.txt"
    path.write_text('Réponds {{"so": 1}}.\n---\n{context}\n\n{question}', encoding="utf-8")
    assert load_settings(prompt_file=str(path)).prompt_file == path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{context} only", "{question}"),
        (b"", "{context} and {question}"),
        (b"{context} {question} Gr\xfc\xdfe", "read"),
        (b"{context} {question} {history}", "{history}"),
        (b"{context} {question} {", "brace"),
        (b'{context} {question} {"so": 1}', "brace"),
        (b"{{context}} {{question}}", "{context}"),
        (b"{context.__class__} {context} {question}", "__class__"),
    ],
)
def test_prompt_file_refused(text: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes(text)
    said = refusal(prompt_file=path)
    assert said.startswith("RAG_PROMPT_FILE: ") and str(path) in said and words in said


def test_prompt_file_that_is_a_folder(tmp_path: Path) -> None:
    assert refusal(prompt_file=tmp_path).startswith("RAG_PROMPT_FILE: cannot read")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_on_loopback(host: str) -> None:
    assert load_settings(host=host).on_loopback
    assert not load_settings(host=host, share=True).on_loopback


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.5", "8.8.8.8", "", "box", "localhost.example.com", "128.0.0.1"]
)
def test_not_on_loopback(host: str) -> None:
    assert not load_settings(host=host).on_loopback


def test_reading_leaves_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("RAG_K=7\nOPENAI_API_KEY=x\n")
    before = dict(os.environ)
    assert Settings().k == load_settings().k == 7
    assert dict(os.environ) == before


def test_addresses() -> None:
    for name, value in (("ollama_host", "box, :11435"), ("base_url", "http://a/v1,http://b/v1")):
        assert refusal(**{name: value}) == (
            f"RAG_{name.upper()}: is one address; put several engines behind a proxy, as docs/scale.md shows"
        )
    assert refusal(base_url="ftp://b").startswith("RAG_BASE_URL: ")
    assert refusal(chroma_url="chroma:8000").startswith("RAG_CHROMA_URL: ")
    assert refusal(database_url="mysql://db/x").startswith("RAG_DATABASE_URL: is not an address such as postgresql://")
