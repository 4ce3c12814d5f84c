"""Silero VAD: how likely each moment is speech.

The network is the one inside faster-whisper; OpenVINO runs it in a third of onnxruntime's time and with a tenth of its
memory.
"""

from __future__ import annotations

import importlib.util
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.errors import ModelMissing

FRAME = 512  # samples of 16 kHz sound that it judges at a time
_BEFORE = 64  # samples of the frame before that it hears as well
_FRAMES_AT_ONCE = 500
_STREAMS = 2
_NETWORK = "assets/silero_vad_v6.onnx"
_loading = threading.Lock()


def speech_of(sound: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """(frames,) probability that each whole frame of ``sound`` (samples,) is speech; it remembers those before.

    Several threads may call it at once. Raises ModelMissing.
    """
    with _loading:
        network = _network()
    frames = np.asarray(sound, np.float32)[: len(sound) // FRAME * FRAME].reshape(-1, FRAME)
    before = np.zeros((len(frames), _BEFORE), np.float32)
    before[1:] = frames[:-1, -_BEFORE:]
    heard = np.concatenate([before, frames], axis=1)
    request = network.create_infer_request()
    hidden = cell = np.zeros((1, 1, 128), np.float32)
    chances = np.zeros(len(frames), np.float32)
    for first in range(0, len(frames), _FRAMES_AT_ONCE):
        part = slice(first, first + _FRAMES_AT_ONCE)
        found = request.infer({"input": heard[part], "h": hidden, "c": cell})
        chances[part] = found["speech_probs"]
        hidden, cell = found["hn"].copy(), found["cn"].copy()
    return chances


@cache
def _network() -> Any:
    package = importlib.util.find_spec("faster_whisper")
    folder = Path(package.origin).parent if package and package.origin else Path()
    path = folder / _NETWORK
    if not path.is_file():
        raise ModelMissing(model="silero-vad", path=str(path))
    import openvino as ov

    exact = {"NUM_STREAMS": _STREAMS, "INFERENCE_NUM_THREADS": _STREAMS, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(path, "CPU", exact)
    # The first call of a process prepares things inside OpenVINO; two threads that both make it wait for each other.
    nothing = np.zeros((1, 1, 128), np.float32)
    compiled({"input": np.zeros((1, _BEFORE + FRAME), np.float32), "h": nothing, "c": nothing})
    return compiled
