"""The embedded default: a chat model and embeddings that need nothing but this Python environment.

The chat model runs in llama.cpp (xllamacpp) in a child process of ours: a crash in its C++ ends the child and not the
app, and the next question starts it again. The child speaks the OpenAI protocol on a loopback port behind a random key,
since any page in a browser could call that port otherwise. It ends with its parent, however that ends, because it reads
a pipe that the parent holds open.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings

from rag.child import child_command
from rag.errors import EngineError, TextTooLong
from rag.models.encoder import open_encoder
from rag.models.weights import MINILM, MINILM_TOKENIZER, SMOLLM2, Progress, Weights, fetch_weights, widened

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

CHAT_WEIGHTS: dict[str, Weights] = {"smollm2-135m-instruct": SMOLLM2}

CONTEXT_WINDOW = 4096
"""Tokens a prompt and its answer may have; all slots share twice as much."""
SLOTS = 4
BATCH = 48
"""Prompt tokens evaluated between two looks at the connection: a client that is gone is noticed after one or two of
them, within .6 s on two cores that a browser uses, too. With 64 it is .9 s, and a prompt is read 12 % faster."""
SPINS = "1000"
"""Turns (some 50 microseconds) that one thread of the chat engine waits for another before it sleeps. By itself OpenMP
waits thousands of times longer, on a core that the other one needs where a browser has the rest: beside a page that
draws, a token then takes .3 s in place of .02, and whoever leaves is noticed that much later. Alone on the machine, a
prompt is read 5 % and an answer written 15 % faster without."""
START_SECONDS = 60.0
EMBEDDING_WINDOW = 512
"""Tokens that the position embeddings of all-MiniLM-L6-v2 reach (config.json of the model)."""
EMBEDDING_BATCH_TOKENS = 256
"""Tokens in one run of the embedding model: bounds memory whatever the length of the texts. More are no faster: what is
computed for them no longer lies in the processor's own memory."""


def cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not tell
        return os.cpu_count() or 1


class ChatEngine:
    """The child process that runs an embedded chat model, started at need and again after a crash."""

    def __init__(self, model: str, cache_dir: Path) -> None:
        self.model = model
        self.key = secrets.token_urlsafe(24)
        self.url = ""
        self.process: subprocess.Popen[str] | None = None
        self._cache_dir = cache_dir
        self._port = 0
        self._starting = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether the child is up and has its model loaded."""
        return bool(self.url) and self.process is not None and self.process.poll() is None

    def start(self, progress: Progress | None = None) -> None:
        """Fetch the weights if need be and start the child, unless it runs. Blocks until the model is loaded.

        Raises:
            EngineError: the weights cannot be had, or the child did not come up; says why.
        """
        with self._starting:
            if self.running:
                return
            weights = fetch_weights(CHAT_WEIGHTS[self.model], self._cache_dir, progress)
            self.url = ""
            self._launch(weights)

    def _launch(self, weights: Path) -> None:
        command, environment = child_command("serve()", "rag.models.embedded")
        given = {"model": str(weights), "alias": self.model, "key": self.key, "port": self._port}
        noise = (self._cache_dir / "chat-engine.log").open("w", encoding="utf-8", errors="replace")
        with noise:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=noise,
                text=True,
                env={"GOMP_SPINCOUNT": SPINS, **environment},
            )
        process = self.process  # which `close` forgets, at any moment
        assert process.stdin and process.stdout
        watchdog = threading.Timer(START_SECONDS, process.kill)
        watchdog.start()
        try:
            process.stdin.write(json.dumps(given) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            code = process.wait()
            raise EngineError(
                f"The embedded chat model did not start (its process ended with {code}; see {noise.name}). "
                "Ask again to start it anew, or choose another with --model."
            )
        self.url = json.loads(line)["url"]
        self._port = int(self.url.rsplit(":", 1)[1])
        log.info("embedded chat model %s is up (process %s)", self.model, process.pid)

    def close(self) -> None:
        """End the child."""
        process, self.process, self.url = self.process, None, ""
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve() -> None:
    """The child: load the model, print the address as a line of JSON, serve until standard input ends."""
    given = json.loads(sys.stdin.readline())
    import xllamacpp

    params = xllamacpp.CommonParams()
    weights = Path(given["model"])
    wide = widened(weights)
    params.model_alias = {given["alias"]}
    params.api_keys = [given["key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = given["port"]
    params.ui = False
    params.n_ctx = 2 * CONTEXT_WINDOW
    params.n_parallel = SLOTS
    params.kv_unified = True
    params.n_batch = params.n_ubatch = BATCH
    params.cache_ram_mib = 256
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = cores()
    params.verbosity = 0
    params.model.path = str(wide)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:
        if wide == weights:
            raise
        wide.unlink()  # whatever became of it: the next start makes it anew
        params.model.path = str(weights)
        server = xllamacpp.Server(params)
    sys.stdout.write(json.dumps({"url": server.listening_address}) + "\n")
    sys.stdout.flush()
    while sys.stdin.read(4096):
        pass
    os._exit(0)  # the parent is gone: nothing is worth a tidy end


class MiniLMEmbeddings(Embeddings):
    """all-MiniLM-L6-v2 (int8): 384 numbers a text, of length 1.

    Mean of the token vectors, then normalised, as in the model's card. A text longer than `EMBEDDING_WINDOW` tokens is
    refused and never cut.
    """

    window = EMBEDDING_WINDOW

    def __init__(self, cache_dir: Path, progress: Progress | None = None) -> None:
        from tokenizers import Tokenizer

        model = fetch_weights(MINILM, cache_dir, progress)
        self._tokenizer = Tokenizer.from_file(str(fetch_weights(MINILM_TOKENIZER, cache_dir, progress)))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._helpers = ThreadPoolExecutor(max(1, cores() - 1), "rag-embedding")
        self._encode = open_encoder(model, cores())

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, the two special ones included."""
        return len(self._tokenizer.encode(text).ids)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text, in their order.

        Raises:
            TextTooLong: a text is longer than the window.
        """
        import numpy as np

        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        longest = max(map(len, encoded), default=0)
        if longest > EMBEDDING_WINDOW:
            raise TextTooLong(f"A text of {longest} tokens is longer than the embedding model's {EMBEDDING_WINDOW}.")
        vectors = np.empty((len(encoded), 384), dtype=np.float32)
        batches = _batches([len(ids) for ids in encoded])
        todo = iter(batches)

        def work() -> None:
            for batch in todo:
                vectors[batch] = self._run([encoded[index] for index in batch])

        helpers = [self._helpers.submit(work) for _ in batches[1 : cores()]]
        work()
        for helper in helpers:
            if not helper.cancel():  # one that has not begun is busy with another call: all is done without it
                helper.result()
        result: list[list[float]] = vectors.tolist()
        return result

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question; this model takes no instruction before it.

        Raises:
            TextTooLong: it is longer than the window.
        """
        try:
            return self.embed_documents([text])[0]
        except TextTooLong as error:
            raise TextTooLong(
                f"The question is too long to search with: it has {self.count_tokens(text)} tokens, and the embedding"
                f" model reads {EMBEDDING_WINDOW}. Ask in fewer words."
            ) from error

    def _run(self, batch: list[list[int]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        import numpy as np

        width = max(map(len, batch))
        ids = np.zeros((len(batch), width), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        hidden = self._encode(ids, mask)
        weight = mask[:, :, None].astype(np.float32)
        mean = (hidden * weight).sum(axis=1) / weight.sum(axis=1)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), dtype=np.float32)


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """The places of texts of so many tokens, in lists to be run together: like lengths, within the batch's bound."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batches and (len(batches[-1]) + 1) * lengths[place] <= EMBEDDING_BATCH_TOKENS:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches
