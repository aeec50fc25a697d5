"""What runs a transformer's ONNX file: OpenVINO where its wheel is installed, else onnxruntime.

OpenVINO takes about .6 of onnxruntime's processor time for the same int8 file, for one question and for whole chunks;
the vectors differ in the fourth digit (cosine .9998), and with OpenVINO a text's vector does not depend on the texts it
is run with.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Encoder(NamedTuple):
    """An opened model.

    Attributes:
        run: from token ids and their mask, both (texts, width), to the vectors of the tokens, (texts, width, size).
        tokens: how many in one run are fastest; more need more memory.
    """

    run: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
    tokens: int


WIDTHS = 16
"""OpenVINO runs texts in widths that are multiples of this many tokens, as it makes its kernels anew for each width."""
KEPT_SHAPES = 16
"""Compiled kernels that OpenVINO keeps. By itself it keeps one for each length of text that came: after 400 texts the
process had 670 MB in place of 370, for no processor time that could be measured."""
OPENING = threading.Lock()
"""Held until OpenVINO has run once. Two first runs at once can wait for each other for ever: one holds the interpreter
and waits for what the other makes (2 of 25 processes with four threads; 0 of 100 where one run came first)."""


def open_encoder(model: Path, threads: int) -> Encoder:
    """What runs `model`, from up to `threads` threads at once, each run on one core.

    More threads within a run are slower: they wait for each other at every step of it, the more the busier the machine.
    """
    try:
        return open_in_openvino(str(model), threads, _inputs)
    except ImportError:
        return _in_onnxruntime(model)


def open_in_openvino(
    model: Any, threads: int, inputs: Callable[[NDArray[np.int64], NDArray[np.int64]], dict[str, NDArray[Any]]]
) -> Encoder:
    """What runs `model`, a file's name or a network of OpenVINO's, as `open_encoder` does.

    `inputs` are what ids and mask become, by name; those that the model does not have are left out.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    import numpy as np

    options = {"NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads, "CPU_RUNTIME_CACHE_CAPACITY": str(KEPT_SHAPES)}
    # A request is for one run at a time, and for the stream it was made for: of requests made anew for each run, two
    # may share a stream while another has nothing to do (1.65 cores of two were used, where it is 1.97 now).
    requests: SimpleQueue[Any] = SimpleQueue()
    with OPENING:
        compiled = import_openvino().Core().compile_model(model, "CPU", options)
        names = {name for item in compiled.inputs for name in item.names}
        for _ in range(threads):
            requests.put(compiled.create_infer_request())

        def run(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
            width = ids.shape[1]
            ids, mask = (np.pad(each, ((0, 0), (0, -width % WIDTHS))) for each in (ids, mask))
            given = inputs(ids, mask)
            request = requests.get()
            try:
                found: NDArray[np.float32] = request.infer({name: given[name] for name in names})[0][:, :width].copy()
            finally:
                requests.put(request)
            return found

        run(np.zeros((1, 1), dtype=np.int64), np.ones((1, 1), dtype=np.int64))  # see `OPENING`
    return Encoder(run, 512)


def _inputs(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}


def import_openvino() -> Any:
    """OpenVINO.

    Raises:
        ImportError: it is not installed.
    """
    # Its import would tell Google Analytics of it, and write into the home folder. Without that package it does not.
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino


def _in_onnxruntime(model: Path) -> Encoder:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported; from 1.29 it reports home
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows looks at this alone
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    names = {item.name for item in session.get_inputs()}

    def run(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        given = _inputs(ids, mask)
        found: NDArray[np.float32] = session.run(None, {name: given[name] for name in names})[0]
        return found

    return Encoder(run, 256)  # what is computed for more no longer lies in the processor's own memory
