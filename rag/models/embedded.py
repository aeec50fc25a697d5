"""Embedded chat models, which need nothing but this Python environment.

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
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from rag.child import child_command
from rag.errors import EngineError
from rag.models.gguf_file import ModelFile, read_model_file, wide_file
from rag.models.hub import Progress
from rag.models.machine import MOST_CONTEXT, cores, memory
from rag.models.model_files import CHAT_WEIGHTS, fetch_model, is_here, model_path
from rag.models.weights import is_whole

log = logging.getLogger(__name__)

CONTEXT_WINDOW = 4096
"""Tokens that a prompt and its answer may have together, for `CHAT_WEIGHTS`; all slots share twice as many."""
WIDENED = ("smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct")
"""Models whose files are rewritten (`widen`): half or more of each is in a form that reads prompts slowly."""
CACHE_SHARE = 8
"""The engine's cache of two windows may take one in this many parts of the memory; a larger window is made smaller."""
SLOTS = 4
BATCH, WIDE_BATCH = 48, 64
"""Prompt tokens evaluated between two looks at the connection, also for widened weights: a client that is gone is
noticed after one or two of them, within .9 s on two cores. With 64 a prompt is read 12 % faster."""
SPINS = "1000"
"""Turns (some 50 microseconds) that one thread of the chat engine waits for another before it sleeps. By itself OpenMP
waits thousands of times longer, on a core that the other one needs where a browser has the rest: beside a page that
draws, a token then takes .3 s in place of .02, and whoever leaves is noticed that much later. Alone on the machine, a
prompt is read 5 % and an answer written 15 % faster without."""
START_SECONDS = 60.0


class ChatEngine:
    """The child process that runs an embedded chat model, started at need and again after a crash."""

    def __init__(self, model: str, cache_dir: Path) -> None:
        """`model` is a name of `CHAT_WEIGHTS`, a path, or `hf:OWNER/REPO/FILE.gguf`."""
        self.model = model
        self.window = CONTEXT_WINDOW
        """Tokens that a prompt and its answer may have; known once it runs."""
        self.file: ModelFile | None = None
        """What the file says; None before it is there."""
        self.key = secrets.token_urlsafe(24)
        self.url = ""
        self.process: subprocess.Popen[str] | None = None
        self._cache_dir = cache_dir
        self._log = cache_dir / "chat-engine.log"
        self._port = 0
        self._widening: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()

    @property
    def running(self) -> bool:
        """Whether the child is up and has its model loaded."""
        return bool(self.url) and self.process is not None and self.process.poll() is None

    def begin(self) -> None:
        """Start the child without waiting for it, if the weights are here: it loads while the caller does other things.

        The child looks whether the weights are whole, as that takes time, and tells its parent.

        Raises:
            EngineError: the weights are no model; says why.
        """
        with self._starting:
            if self.process is None and is_here(self.model, self._cache_dir):
                self._begin(None)

    def start(self, progress: Progress | None = None) -> None:
        """Fetch the weights if need be and start the child, unless it runs. Blocks until the model is loaded.

        Raises:
            EngineError: the weights cannot be had, or the child did not come up; says why.
        """
        with self._starting:
            if self.running:
                return
            if self.process is None or self.process.poll() is not None or self.url:
                self._begin(progress)
            if self._is_damaged():
                fetch_model(self.model, self._cache_dir, progress)
                self._begin(progress)
                if self._is_damaged():
                    raise EngineError(f"The weights of {self.model} in {self._cache_dir} change while they are read.")

    def _begin(self, progress: Progress | None) -> None:
        here = is_here(self.model, self._cache_dir)
        weights = (
            model_path(self.model, self._cache_dir) if here else fetch_model(self.model, self._cache_dir, progress)
        )
        if self.model not in CHAT_WEIGHTS:
            self.window = self._window_of(read_model_file(weights))
        self.url = ""
        self._launch(weights)

    def _window_of(self, file: ModelFile) -> int:
        """The file's own window, as far as memory allows."""
        fits = memory() // CACHE_SHARE // (2 * file.bytes_per_token)
        return max(min(file.window, MOST_CONTEXT, fits), 1024)

    def _launch(self, weights: Path) -> None:
        command, environment = child_command("serve()", "rag.models.embedded")
        wide = wide_file(weights) if self.model in WIDENED else weights
        given = {"model": str(weights), "alias": self.model, "key": self.key, "port": self._port}
        given |= {"wide": str(wide if wide.exists() else weights), "window": self.window}
        with self._log.open("w", encoding="utf-8", errors="replace") as noise:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=noise,
                text=True,
                env={"GOMP_SPINCOUNT": SPINS, **environment},
            )
        assert self.process.stdin
        with suppress(OSError):  # it has ended: whoever waits for its address is told
            self.process.stdin.write(json.dumps(given) + "\n")
            self.process.stdin.flush()

    def _is_damaged(self) -> bool:
        """Wait until the child serves, and note its address. True: it has ended, as its weights are not whole.

        Raises:
            EngineError: it ended for another reason.
        """
        process = self.process  # which `close` forgets, at any moment
        assert process and process.stdout
        watchdog = threading.Timer(START_SECONDS, process.kill)
        watchdog.start()
        try:
            line = process.stdout.readline()
        except (OSError, ValueError):  # `close` has closed it
            line = ""
        finally:
            watchdog.cancel()
        if not line:
            code = process.wait()
            raise EngineError(
                f"The embedded chat model did not start (its process ended with {code}; see {self._log}). "
                "Ask again to start it anew, or choose another with --model."
            )
        told = json.loads(line)
        if not told:
            process.wait()
            return True
        self.file = ModelFile(**told["file"])
        self.url = told["url"]
        self._port = int(self.url.rsplit(":", 1)[1])
        log.info("embedded chat model %s is up (process %s)", self.model, process.pid)
        return False

    def widen(self) -> None:
        """Rewrite the weights for faster prompts from the next start on, where that pays; once, in its own process."""
        if self._widening:
            self._widening.poll()  # lets go of it where it has ended
            return
        weights = model_path(self.model, self._cache_dir)
        if self.model not in WIDENED or wide_file(weights).exists():
            return
        command, environment = child_command("widen_in_child()", "rag.models.gguf_file", str(weights))
        self._widening = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)

    def close(self) -> None:
        """End the child."""
        if self._widening:
            self._widening.kill()
            self._widening.wait()
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
    """The child: load the model, print a line of JSON with its address and its file's header, serve until input ends.

    The line is empty ({}) where the weights are not those that belong to their name.
    """
    given = json.loads(sys.stdin.readline())
    weights, wide = Path(given["model"]), Path(given["wide"])
    if given["alias"] in CHAT_WEIGHTS and not is_whole(weights, CHAT_WEIGHTS[given["alias"]]):
        sys.stdout.write("{}\n")
        return
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model_alias = {given["alias"]}
    params.api_keys = [given["key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = given["port"]
    params.ui = False
    params.n_ctx = 2 * given["window"]
    params.n_parallel = SLOTS
    params.kv_unified = True
    params.n_batch = params.n_ubatch = BATCH if wide == weights else WIDE_BATCH
    params.cache_ram_mib = 256
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = cores()
    params.verbosity = 0
    params.model.path = str(wide)
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:
        if wide == weights:
            raise
        wide.unlink()  # whatever became of it: it is made anew
        params.model.path = str(weights)
        server = xllamacpp.Server(params)
    told = {"url": server.listening_address, "file": asdict(read_model_file(weights))}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    while sys.stdin.read(4096):
        pass
    os._exit(0)  # the parent is gone: nothing is worth a tidy end
