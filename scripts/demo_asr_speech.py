"""Mandarin speech from the espeak-ng library, with the time of every character.

The library is called directly because only its events tell when a character is spoken; they are the free frame
labels the recogniser learns from. The voice is `cmn-latn-pinyin`: plain `cmn` spells unknown characters in English.
"""

import ctypes
import ctypes.util
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.demo_asr_text import PUNCTUATION

RATE_HZ = 16_000
_LANGUAGE = "cmn-latn-pinyin"
_SYNCHRONOUS, _CHARACTER_POSITION, _UTF8, _WORD_EVENT = 2, 1, 1, 1
_RATE_PARAMETER, _PITCH_PARAMETER = 1, 3
_SILENCE_OF_PEAK = 0.02


@dataclass(frozen=True)
class Voice:
    """A speaker. `size` shifts the formants as a smaller (>1) or larger throat would: cheap new speakers."""

    variant: str
    words_per_minute: int
    pitch: int
    size: float = 1.0


@dataclass(frozen=True)
class Clip:
    """One spoken sentence, cut close, peak 0.9, with start and end in seconds of every character."""

    text: str
    voice: Voice
    samples: NDArray[np.int16]
    times_s: tuple[tuple[float, float], ...]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / RATE_HZ

    @property
    def signal(self) -> NDArray[np.float32]:
        return self.samples.astype(np.float32) / np.float32(32768)


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Espeak:
    """The one espeak-ng of this process (the library keeps its state in globals)."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1")
        self.rate_hz: int = self._library.espeak_Initialize(_SYNCHRONOUS, 500, None, 0)
        self._chunks: list[NDArray[np.int16]] = []
        self._word_starts: dict[int, int] = {}
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, wave: Any, count: int, events: Any) -> int:
        if count > 0:
            self._chunks.append(np.ctypeslib.as_array(wave, shape=(count,)).copy())
        i = 0
        while events[i].type != 0:
            if events[i].type == _WORD_EVENT:
                self._word_starts.setdefault(events[i].text_position - 1, events[i].sample)
            i += 1
        return 0

    def say(self, text: str, voice: Voice) -> tuple[NDArray[np.float32], dict[int, int]]:
        """The samples, and the first sample of each word by the index of its character."""
        self._chunks.clear()
        self._word_starts.clear()
        name = f"{_LANGUAGE}+{voice.variant}" if voice.variant else _LANGUAGE
        if self._library.espeak_SetVoiceByName(name.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {name}")
        self._library.espeak_SetParameter(_RATE_PARAMETER, voice.words_per_minute, 0)
        self._library.espeak_SetParameter(_PITCH_PARAMETER, voice.pitch, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, _CHARACTER_POSITION, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        return np.concatenate(self._chunks).astype(np.float32) / np.float32(32768), dict(self._word_starts)


@cache
def _espeak() -> _Espeak:
    return _Espeak()


def _resample(signal: NDArray[np.float32], ratio: float) -> NDArray[np.float32]:
    """Band-limited resampling of a whole clip to `ratio` times its length."""
    count = round(len(signal) * ratio)
    spectrum = np.fft.rfft(signal)[: count // 2 + 1]
    return (np.fft.irfft(spectrum, n=count) * (count / len(signal))).astype(np.float32)


def render(text: str, voice: Voice) -> Clip:
    """Speak a sentence."""
    espeak = _espeak()
    spoken, word_starts = espeak.say(text, voice)
    signal = _resample(spoken, RATE_HZ / (espeak.rate_hz * voice.size))
    loud = np.flatnonzero(np.abs(signal) > np.abs(signal).max() * _SILENCE_OF_PEAK)
    first = max(0, int(loud[0]) - int(0.02 * RATE_HZ))
    last = int(loud[-1]) + int(0.03 * RATE_HZ)
    starts_s = {
        i: (sample / espeak.rate_hz / voice.size) - first / RATE_HZ for i, sample in word_starts.items()
    }
    starts_s[0] = (loud[0] - first) / RATE_HZ
    signal = signal[first:last]
    samples = (signal / np.abs(signal).max() * 0.9 * 32767).astype(np.int16)
    return Clip(text, voice, samples, _times(text, starts_s, (loud[-1] - first) / RATE_HZ))


def _times(text: str, starts_s: dict[int, float], end_s: float) -> tuple[tuple[float, float], ...]:
    """Start and end of every character; punctuation takes no time, at the start of what follows it."""
    times: list[tuple[float, float]] = []
    following_s = end_s
    for i in reversed(range(len(text))):
        if text[i] in PUNCTUATION or i not in starts_s:
            times.append((following_s, following_s))
        else:
            start_s = max(0.0, starts_s[i])
            times.append((start_s, max(following_s, start_s + 0.02)))
            following_s = start_s
    return tuple(reversed(times))
