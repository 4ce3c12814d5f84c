"""The patient's voice, made another one: the words stay, the speaker is no longer recognised.

What stays of the patient: rhythm, loudness, the order of the sounds, choice of words, accent. Who knows the speaker well
may still guess; the disguise is against programs that compare voices and against ears that do not know this one.
"""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from config.errors import NotMedia
from processing.media import Progress, no_progress
from processing.pseudovoice import PseudoVoice, Recording, Span
from processing.vocoder import Floats

# Turns are found to about 50 ms; a gap too short for a breath is not worth hearing the true voice in.
MARGIN_S, FADE_S, JOIN_S = 0.1, 0.02, 0.3
_SAMPLE_BYTES = 2
_COPY_SAMPLES = 1 << 20


def disguise(samples: Floats, rate_hz: int, secret: bytes) -> Floats:
    """``samples`` (samples,) in another voice, as long and as loud; the same input and secret give the same output.

    The secret is at least 16 random bytes that belong to the case and are published nowhere: ValueError if shorter.
    Nothing above 8 kHz is kept.
    """
    sound = np.nan_to_num(np.asarray(samples, np.float32), posinf=0.0, neginf=0.0)[None]
    whole = [(0, len(samples))] if len(samples) else []
    voice = PseudoVoice(secret, Recording(rate_hz, whole, lambda first, last: sound[:, first:last]))
    sounds = [block for stretch in whole for block in voice.sounds(stretch)]
    return np.concatenate(sounds, axis=1)[0] if sounds else np.zeros(0, np.float32)


def disguise_spans(
    wav_in: Path,
    wav_out: Path,
    spans: Sequence[tuple[float, float]],
    secret: bytes,
    progress: Progress = no_progress,
) -> None:
    """Copy a 16-bit WAV of any rate and number of channels, with another voice in ``spans`` (seconds from, to).

    Every channel is changed alike, whoever speaks in it: a patient is heard in every microphone. Spans grow by 0.1 s
    on both sides, in which the change fades in and out; everything else stays bit for bit. The same secret disguises
    several microphones of one recording alike. Memory does not grow with length. Raises NotMedia.
    """
    try:
        with wave.open(str(wav_in), "rb") as source:
            if source.getsampwidth() != _SAMPLE_BYTES:
                raise NotMedia(name=wav_in.name, detail=f"{8 * source.getsampwidth()}-bit, 16-bit expected")
            with wave.open(str(wav_out), "wb") as sink:
                sink.setparams(source.getparams())
                _rewrite(source, sink, spans, secret, progress)
    except (wave.Error, EOFError) as error:
        raise NotMedia(name=wav_in.name, detail=str(error)) from error


def _rewrite(
    source: wave.Wave_read,
    sink: wave.Wave_write,
    spans: Sequence[tuple[float, float]],
    secret: bytes,
    progress: Progress,
) -> None:
    length, rate_hz = source.getnframes(), source.getframerate()
    stretches = _stretches(spans, rate_hz, length)
    total = 2 * sum(last - first for first, last in stretches) or 1
    heard = 0

    def read(first: int, last: int) -> Floats:
        source.setpos(first)
        raw = np.frombuffer(source.readframes(last - first), np.int16)
        if len(raw) < (last - first) * source.getnchannels():
            raise EOFError("it ends before its header says")
        return raw.reshape(-1, source.getnchannels()).T.astype(np.float32) / 32768.0

    def read_and_tell(first: int, last: int) -> Floats:
        nonlocal heard
        heard += last - first
        progress(min(1.0, heard / total))
        return read(first, last)

    voice = PseudoVoice(secret, Recording(rate_hz, stretches, read_and_tell))
    done = 0
    for first, last in stretches:
        _copy(source, sink, done, first)
        done = first
        for sound in voice.sounds((first, last)):
            here = np.arange(done, done + sound.shape[1])
            share = _share(here, first, last, length, max(1, round(FADE_S * rate_hz)))
            mixed = share * sound + (1 - share) * read(done, done + sound.shape[1])
            whole = np.clip(np.rint(mixed * 32768.0), -32768, 32767).astype(np.int16)
            sink.writeframes(np.ascontiguousarray(whole.T).tobytes())
            done += sound.shape[1]
    _copy(source, sink, done, length)
    progress(1.0)


def _stretches(spans: Sequence[tuple[float, float]], rate_hz: int, length: int) -> list[Span]:
    """Samples from, to: grown, in order, joined where hardly anything lies between, within the file."""
    joined: list[tuple[float, float]] = []
    for start_s, end_s in sorted(spans):
        if joined and start_s - joined[-1][1] <= JOIN_S:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end_s))
        elif end_s > start_s:
            joined.append((start_s, end_s))
    grown = [
        (max(0, round((start_s - MARGIN_S) * rate_hz)), min(length, round((end_s + MARGIN_S) * rate_hz)))
        for start_s, end_s in joined
    ]
    return [(first, last) for first, last in grown if first < last]


def _share(here: NDArray[np.int64], first: int, last: int, length: int, fade: int) -> Floats:
    """How much of each sample is the new voice; where the file itself begins or ends, all of it."""
    rising = (here - first + 1) / fade if first > 0 else np.ones(len(here))
    falling = (last - here) / fade if last < length else np.ones(len(here))
    return np.clip(np.minimum(rising, falling), 0.0, 1.0).astype(np.float32)


def _copy(source: wave.Wave_read, sink: wave.Wave_write, first: int, last: int) -> None:
    source.setpos(first)
    for at in range(first, last, _COPY_SAMPLES):
        sink.writeframes(source.readframes(min(_COPY_SAMPLES, last - at)))
