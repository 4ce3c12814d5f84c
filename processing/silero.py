"""Silero VAD: how likely each moment is speech.

The network is the one inside faster-whisper; OpenVINO runs it in a third of onnxruntime's time and with a tenth of its
memory. Its first layer is a Fourier transform written as a convolution, which takes half of the time: here it is a
Fourier transform, and the rest of the network hears several sounds at once.
"""

from __future__ import annotations

import importlib.util
import threading
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from config.errors import ModelMissing

FRAME = 512  # samples of 16 kHz sound that it judges at a time
_BEFORE = 64  # samples of the frame before that it hears as well
_WINDOW, _HOP = 256, 128  # of its Fourier transform, samples
_PARTS, _PITCHES = FRAME // _HOP, _WINDOW // 2 + 1
_MEMORY = 128
_STRIDES = (1, 2, 2, 1)  # of its four convolutions
# A third of a block of processing.hearing: for a number of frames that is new to it, OpenVINO prepares itself anew.
_FRAMES_AT_ONCE = 334
_TRANSFORMED_AT_ONCE = 48  # frames: they fit into the processor's cache
_STREAMS = 2
_NETWORK = "assets/silero_vad_v6.onnx"
_HANN = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
_loading = threading.Lock()


def speech_of(sounds: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """(sounds, frames) probability that each whole frame of ``sounds`` (sounds, samples) is speech; it remembers those
    before.

    Several threads may call it at once. Raises ModelMissing.
    """
    with _loading:
        network = _network()
    count, frames = len(sounds), sounds.shape[1] // FRAME
    request = network.create_infer_request()
    hidden = cell = np.zeros((1, count, _MEMORY), np.float32)
    chances = np.zeros((count, frames), np.float32)
    for first in range(0, frames if count else 0, _FRAMES_AT_ONCE):
        last = min(first + _FRAMES_AT_ONCE, frames)
        heard = np.asarray(sounds[:, max(0, first * FRAME - _BEFORE) : last * FRAME], np.float32)
        padded = heard if first else np.pad(heard, ((0, 0), (_BEFORE, 0)))
        given = {"pitches": _pitches(padded), "h": hidden, "c": cell}
        found = request.infer(given, share_inputs=True)
        chances[:, first:last] = found["speech_probs"].reshape(count, -1)
        hidden, cell = found["hn"].copy(), found["cn"].copy()
    return chances


def _pitches(padded: NDArray[np.float32]) -> NDArray[np.float32]:
    """(sounds * frames, 4, 129) how strong each pitch is in the quarters of every frame of ``padded`` (sounds, 64 + samples)."""
    heard = np.lib.stride_tricks.sliding_window_view(padded, _BEFORE + FRAME, axis=1)[:, ::FRAME]
    pitches = np.empty((*heard.shape[:2], _PARTS, _PITCHES), np.float32)
    for frames, found in zip(heard, pitches, strict=True):
        for first in range(0, len(frames), _TRANSFORMED_AT_ONCE):
            part = slice(first, first + _TRANSFORMED_AT_ONCE)
            found[part] = _transformed(frames[part])
    return pitches.reshape(-1, _PARTS, _PITCHES)


def _transformed(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """(frames, 4, 129) of ``frames`` (frames, 576): the last quarter hears the end a second time, backwards."""
    mirrored = np.concatenate([frames, frames[:, -2 : -2 - _BEFORE : -1]], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(mirrored, _WINDOW, axis=1)[:, ::_HOP] * _HANN
    waves = cv2.dft(windows.reshape(-1, _WINDOW), flags=cv2.DFT_ROWS)
    np.square(waves, out=waves)
    # OpenCV leaves out the imaginary parts of the first and the last pitch, which are 0.
    pitches = np.empty((len(waves), _PITCHES), np.float32)
    pitches[:, 0], pitches[:, -1] = waves[:, 0], waves[:, -1]
    np.add(waves[:, 1:-1:2], waves[:, 2:-1:2], out=pitches[:, 1:-1])
    np.sqrt(pitches, out=pitches)
    return pitches.reshape(-1, _PARTS, _PITCHES)


@cache
def _network() -> Any:
    """Takes ``pitches`` of all sounds, one sound after the other, and of its memory ``h`` and ``c`` (1, sounds, 128)."""
    package = importlib.util.find_spec("faster_whisper")
    folder = Path(package.origin).parent if package and package.origin else Path()
    path = folder / _NETWORK
    if not path.is_file():
        raise ModelMissing(model="silero-vad", path=str(path))
    import openvino as ov

    core = ov.Core()
    exact = {"NUM_STREAMS": _STREAMS, "INFERENCE_NUM_THREADS": _STREAMS, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(_of_pitches(core.read_model(path)), "CPU", exact)
    # The first call of a process prepares things inside OpenVINO; two threads that both make it wait for each other.
    nothing = np.zeros((1, 1, _MEMORY), np.float32)
    compiled({"pitches": np.zeros((1, _PARTS, _PITCHES), np.float32), "h": nothing, "c": nothing})
    return compiled


def _of_pitches(network: Any) -> Any:
    """``network`` (an OpenVINO model) from behind its Fourier transform on, for several sounds at once."""
    import openvino as ov
    from openvino import opset13 as ops

    (memory,) = (node for node in network.get_ops() if node.get_type_name() == "LSTMSequence")
    states = [node for node in network.get_parameters() if node.get_friendly_name() in ("h", "c")]
    for state in states:
        state.set_partial_shape(ov.PartialShape([1, -1, _MEMORY]))
    pitches = ops.parameter([-1, _PARTS, _PITCHES], np.float32, "pitches")
    pitches.output(0).set_names({"pitches"})
    by_frame = ops.reshape(pitches, ops.constant(np.array([-1, _PARTS * _PITCHES])), False).output(0)
    parts = _PARTS
    for number, stride in enumerate(_STRIDES):
        weight, bias = (
            _constant(network, f"encoder.conv_layers.{number}.{name}") for name in ("weight", "bias")
        )
        matrix = _as_matrix(weight, parts, stride)
        parts = matrix.shape[1] // len(bias)
        product = ops.matmul(by_frame, ops.constant(matrix), False, False)
        by_frame = ops.relu(ops.add(product, ops.constant(np.tile(bias, parts)))).output(0)
    sounds = ops.gather(ops.shape_of(states[0]), ops.constant(np.array([1])), ops.constant(0))
    shape = ops.concat([sounds, ops.constant(np.array([-1, _MEMORY]))], 0)
    by_sound = ops.reshape(by_frame, shape, False)
    frames = ops.gather(ops.shape_of(by_sound), ops.constant(np.array([1])), ops.constant(0))
    memory.input(0).replace_source_output(by_sound.output(0))
    memory.input(3).replace_source_output(ops.broadcast(frames, sounds).output(0))
    rest = ov.Model(network.get_results(), [pitches, *states])
    rest.validate_nodes_and_infer_types()
    return rest


def _constant(network: Any, name: str) -> NDArray[np.float32]:
    (node,) = (node for node in network.get_ops() if node.get_friendly_name() == name)
    return np.asarray(node.data, np.float32)


def _as_matrix(weight: NDArray[np.float32], parts: int, stride: int) -> NDArray[np.float32]:
    """A convolution of 3 taps over ``parts``, one of padding on both sides, as the matrix that a row of all parts is
    multiplied by: the few parts need more sums then, but nothing has to be put into another order."""
    outputs, inputs, taps = weight.shape
    after = (parts - 1) // stride + 1
    matrix = np.zeros((parts, inputs, after, outputs), np.float32)
    for to, tap in np.ndindex(after, taps):
        if 0 <= (part := to * stride + tap - taps // 2) < parts:
            matrix[part, :, to] = weight[:, :, tap].T
    return matrix.reshape(parts * inputs, after * outputs)
