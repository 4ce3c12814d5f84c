"""A soft tone in the place of what must not be heard, in sound of any length and form."""

from __future__ import annotations

import contextlib
import wave
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

MARGIN_S = 0.08
_FADE_S = 0.005
_TONE_HZ, _TONE_DBFS = 440.0, -30.0
_PEAK = 10 ** (_TONE_DBFS / 20) * 2**0.5  # of a sine with that power
_BLOCK_FRAMES = 1 << 20

Sound = TypeVar("Sound", NDArray[np.int16], NDArray[np.float32])


class Stretch(Protocol):
    """Anything with a beginning and an end in seconds."""

    @property
    def start_s(self) -> float: ...
    @property
    def end_s(self) -> float: ...


def hidden_stretches(spans: Iterable[Stretch], margin_s: float = MARGIN_S) -> list[tuple[float, float]]:
    """Seconds (start, end) in which nothing of the original may be heard, in order, neighbours joined."""
    wider = sorted((max(0.0, span.start_s - margin_s), span.end_s + margin_s) for span in spans)
    out: list[tuple[float, float]] = []
    for start_s, end_s in wider:
        # What lies between two fades would be a click of speech.
        if out and start_s - out[-1][1] <= 2 * _FADE_S:
            out[-1] = (out[-1][0], max(out[-1][1], end_s))
        else:
            out.append((start_s, end_s))
    return out


def hide(sound: Sound, rate_hz: int, stretches: Sequence[tuple[float, float]], first: int = 0) -> Sound:
    """A copy of ``sound``, (frames,) or (frames, channels), with a tone in ``stretches`` on every channel.

    ``sound`` may be a block: ``first`` is the number of its first frame in the whole, and the blocks joined are the
    same, sample for sample, as the whole at once. Fades of 5 ms lie outside the stretches.
    """
    out = sound.copy()
    scale = 32768.0 if np.issubdtype(sound.dtype, np.integer) else 1.0
    for start_s, end_s in stretches:
        # Rounded outwards: a sample that the stretch only touches is hidden.
        begin, end = int(np.floor(start_s * rate_hz)), int(np.ceil(end_s * rate_hz))
        fade = max(1, round(_FADE_S * rate_hz))
        low, high = max(first, begin - fade), min(first + len(sound), end + fade)
        if low >= high:
            continue
        at = np.arange(low, high)
        share = np.clip(np.minimum(at - (begin - fade), end + fade - 1 - at) / fade, 0.0, 1.0)
        tone = scale * _PEAK * np.sin(2 * np.pi * _TONE_HZ * (at - begin) / rate_hz)
        if sound.ndim == 2:
            share, tone = share[:, None], tone[:, None]
        part = slice(low - first, high - first)
        # Chosen, not multiplied by zero: a NaN or an infinity would come through.
        kept = np.where(share < 1.0, out[part], 0) * (1.0 - share)
        mixed = kept + tone * share
        out[part] = np.round(mixed) if scale > 1.0 else mixed
    return out


def hide_in_wav(source: Path, out: Path, spans: Iterable[Stretch], margin_s: float = MARGIN_S) -> None:
    """Write the 16-bit WAV ``source`` to ``out`` with ``spans`` hidden; as long to the sample, in flat memory."""
    stretches = hidden_stretches(spans, margin_s)
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(wave.open(str(source), "rb"))
        if reader.getsampwidth() != 2:
            raise ValueError(f"{8 * reader.getsampwidth()} bits a sample, not 16")
        writer = stack.enter_context(wave.open(str(out), "wb"))
        writer.setparams(reader.getparams())
        first = 0
        while data := reader.readframes(_BLOCK_FRAMES):
            block = np.frombuffer(data, "<i2").reshape(-1, reader.getnchannels())
            writer.writeframes(hide(block, reader.getframerate(), stretches, first).tobytes())
            first += len(block)
