"""Neural networks over pictures of any size: on the processor by OpenVINO, on a GPU by onnxruntime."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from archive.store import sha256_of
from processing.eight_bits import Ranges, in_eight_bits, ranges_of

# Pictures looked at at once. One picture a core is quicker than every picture on all cores: at 320 px 6.0 instead of
# 7.1 ms of a core; more streams than this cost memory and the decoder cannot feed them.
WORKERS = min(8, len(os.sched_getaffinity(0)))


class Network(Protocol):
    """Takes (1, H, W, 3) uint8, gives its maps. Several threads may call it at once."""

    def __call__(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]: ...


class OpenVinoNetwork:
    """The network on the processor, compiled once for pictures of any size. ``outputs``: names of its maps.

    With ``exact`` it finds the same on every machine. Without, it works in the numbers that the processor is quickest
    in, bfloat16 where there is that, and with ``ranges`` in whole ones of eight bits: either takes half the time, and
    scores move by about a hundredth, a tenth at most.
    """

    def __init__(
        self, path: Path, outputs: Sequence[str], exact: bool = True, ranges: Ranges | None = None
    ) -> None:
        import openvino as ov

        core = ov.Core()
        model = core.read_model(path)
        model.reshape([1, 3, -1, -1])
        if ranges is not None:
            in_eight_bits(model, ranges)
        prepared = ov.preprocess.PrePostProcessor(model)
        prepared.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        prepared.input().model().set_layout(ov.Layout("NCHW"))
        precision = {"INFERENCE_PRECISION_HINT": "f32"} if exact else {}
        self._compiled = core.compile_model(
            prepared.build(),
            "CPU",
            {"NUM_STREAMS": WORKERS, "INFERENCE_NUM_THREADS": WORKERS, **precision},
        )
        self._outputs = [self._compiled.output(name) for name in outputs]
        self._mine = threading.local()
        # The first call of a process prepares things inside OpenVINO; two threads that both make it wait for each
        # other for ever.
        self(np.zeros((1, 32, 32, 3), np.uint8))

    def __call__(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        if not hasattr(self._mine, "request"):
            self._mine.request = self._compiled.create_infer_request()
        found = self._mine.request.infer([pixels])
        return [np.asarray(found[output], np.float32) for output in self._outputs]


class OnnxRuntimeNetwork:
    """The network through onnxruntime, for its GPU providers; needs the ``gpu`` extra (onnx, to free the sizes)."""

    def __init__(self, path: Path, outputs: Sequence[str], providers: Sequence[str]) -> None:
        import onnx
        import onnxruntime

        model = onnx.load(path)
        for value in (*model.graph.input, *model.graph.output):
            for axis, size in enumerate(value.type.tensor_type.shape.dim):
                if axis != 1:
                    size.dim_param = f"{value.name}-{axis}"
        quiet = onnxruntime.SessionOptions()
        quiet.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), quiet, providers=list(providers)
        )
        self._input = self._session.get_inputs()[0].name
        self._outputs = list(outputs)

    def __call__(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        planes = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
        return [np.asarray(found) for found in self._session.run(self._outputs, {self._input: planes})]


def open_network(path: Path, outputs: Sequence[str], exact: bool) -> Network:
    """The network on a GPU where onnxruntime has one, else on the processor; ``exact`` as there."""
    if "CUDAExecutionProvider" in _gpu_providers():
        return OnnxRuntimeNetwork(path, outputs, ["CUDAExecutionProvider"])
    ranges = None if exact or _has_bfloat16() else ranges_of(sha256_of(path))
    return OpenVinoNetwork(path, outputs, exact, ranges)


def _has_bfloat16() -> bool:
    import openvino as ov

    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _gpu_providers() -> list[str]:
    """What onnxruntime can use here; nothing when it could not read the model anyway."""
    if importlib.util.find_spec("onnx") is None:
        return []
    import onnxruntime

    return list(onnxruntime.get_available_providers())
