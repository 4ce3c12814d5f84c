"""Media the tests make themselves: real files, small, made in a moment, and broken in known ways."""

from __future__ import annotations

import struct
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Movie:
    """What a test wants of a video file; ``tone_hz`` 0 means no sound."""

    seconds: float = 4.0
    fps: Fraction = Fraction(25)
    width: int = 320
    height: int = 180
    keyframe_s: float = 2.0
    tone_hz: float = 440.0
    audio_rate_hz: int = 48_000
    channels: int = 1
    rotation_deg: int = 0
    video_codec: str = "libx264"
    audio_codec: str = "aac"
    frame_times_s: Sequence[float] | None = None
    sound: Samples | None = None
    options: dict[str, str] = field(default_factory=dict)


def picture(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """An RGB frame (height, width, 3) in which a bright bar moves with ``index``."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 1] = np.linspace(20, 200, width, dtype=np.uint8)
    image[..., 2] = np.linspace(200, 20, height, dtype=np.uint8)[:, None]
    left = index * 4 % max(1, width - 16)
    image[:, left : left + 16] = 255
    return image


def write_movie(path: Path, movie: Movie = Movie()) -> Path:
    """Write ``movie`` to ``path``; the suffix chooses the container."""
    with av.open(str(path), "w", options=movie.options) as sink:
        video: Any = sink.add_stream(movie.video_codec, rate=movie.fps)
        video.width, video.height, video.pix_fmt = movie.width, movie.height, "yuv420p"
        video.codec_context.gop_size = round(movie.keyframe_s * movie.fps)
        if movie.video_codec == "libx264":
            video.options = {"preset": "ultrafast", "sc_threshold": "0", "bf": "2"}
        if movie.frame_times_s is not None:
            video.codec_context.time_base = Fraction(1, 1000)
        if movie.rotation_deg:
            video.set_display_rotation(movie.rotation_deg)
        audio = _audio_stream(sink, movie) if movie.tone_hz or movie.sound is not None else None
        for frame in _pictures(movie):
            sink.mux(video.encode(frame))
        sink.mux(video.encode(None))
        if audio is not None:
            sound = (
                tone(movie.seconds, movie.tone_hz, movie.audio_rate_hz)
                if movie.sound is None
                else movie.sound
            )
            _encode(sink, audio, sound, movie.channels)
    return path


def _pictures(movie: Movie) -> Iterator[av.VideoFrame]:
    times = movie.frame_times_s or [i / float(movie.fps) for i in range(round(movie.seconds * movie.fps))]
    for index, time_s in enumerate(times):
        frame = av.VideoFrame.from_ndarray(picture(index, movie.width, movie.height), "rgb24")
        base = Fraction(1, 1000) if movie.frame_times_s is not None else 1 / Fraction(movie.fps)
        frame.pts, frame.time_base = round(time_s / base), base
        yield frame


def _audio_stream(sink: Any, movie: Movie) -> Any:
    stream = sink.add_stream(movie.audio_codec, rate=movie.audio_rate_hz)
    stream.codec_context.layout = {1: "mono", 2: "stereo"}[movie.channels]
    return stream


def _encode(sink: Any, stream: Any, sound: Samples, channels: int) -> None:
    rate = stream.codec_context.sample_rate
    layout = {1: "mono", 2: "stereo"}[channels]
    target = stream.codec_context.format.name
    resampler = av.AudioResampler(format=target, layout=layout, rate=rate)
    block = rate // 10
    for start in range(0, len(sound), block):
        plane = np.repeat(sound[None, start : start + block], channels, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(plane), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        for ready in resampler.resample(frame):
            sink.mux(stream.encode(ready))
    for ready in resampler.resample(None):
        sink.mux(stream.encode(ready))
    sink.mux(stream.encode(None))


def tone(seconds: float, hz: float, rate_hz: int = 16_000, level: float = 0.3) -> Samples:
    """A sine; float32, (samples,)."""
    clock = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * hz * clock)).astype(np.float32)


def clicks(seconds: float, at_s: Sequence[float], rate_hz: int = 48_000) -> Samples:
    """Silence with a short 1 kHz burst at each time; float32, (samples,)."""
    sound = np.zeros(round(seconds * rate_hz), np.float32)
    burst = tone(0.02, 1000.0, rate_hz, 0.8)
    for time_s in at_s:
        start = round(time_s * rate_hz)
        sound[start : start + len(burst)] = burst[: len(sound) - start]
    return sound


def speech(seconds: float, seed: int = 1, rate_hz: int = 16_000) -> NDArray[np.float32]:
    """Loud noise: whatever is left of it correlates with itself."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, 0.2, round(seconds * rate_hz)).clip(-0.9, 0.9).astype(np.float32)


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    """The largest normalised correlation of ``a`` with ``b`` at any shift."""
    a, b = a - a.mean(), b - b.mean()
    size = 1 << (len(a) + len(b)).bit_length()
    across = np.fft.irfft(np.fft.rfft(a, size) * np.conj(np.fft.rfft(b, size)), size)
    return float(np.abs(across).max() / (np.linalg.norm(a) * np.linalg.norm(b)))


def write_sound(
    path: Path, sound: Samples, rate_hz: int = 16_000, codec: str = "", channels: int = 1
) -> Path:
    """Write mono ``sound`` (repeated on every channel) to ``path``; the suffix chooses container and codec."""
    codecs = {
        ".wav": "pcm_s16le",
        ".flac": "flac",
        ".m4a": "aac",
        ".aac": "aac",
        ".mp3": "libmp3lame",
        ".mka": "flac",
    }
    with av.open(str(path), "w") as sink:
        stream: Any = sink.add_stream(codec or codecs[path.suffix], rate=rate_hz)
        stream.codec_context.layout = {1: "mono", 2: "stereo"}[channels]
        _encode(sink, stream, sound, channels)
    return path


def write_planes(
    path: Path, planes: NDArray[np.float32], rate_hz: int = 48_000, codec: str = "pcm_s16le"
) -> Path:
    """Write (channels, samples), each channel its own; the suffix chooses the container."""
    layout = {1: "mono", 2: "stereo", 8: "7.1"}[len(planes)]
    with av.open(str(path), "w") as sink:
        stream: Any = sink.add_stream(codec, rate=rate_hz)
        stream.codec_context.layout = layout
        form = stream.codec_context.format.name
        resampler = av.AudioResampler(
            format=form, layout=layout, rate=rate_hz, frame_size=_frame_size(stream)
        )
        for start in range(0, planes.shape[1], rate_hz):
            part = np.ascontiguousarray(planes[:, start : start + rate_hz].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, "flt", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
            for ready in resampler.resample(frame):
                sink.mux(stream.encode(ready))
        for ready in resampler.resample(None):
            sink.mux(stream.encode(ready))
        sink.mux(stream.encode(None))
    return path


def _frame_size(stream: Any) -> int | None:
    if not stream.codec_context.is_open:
        stream.codec_context.open()
    return stream.codec_context.frame_size or None


def read_sound(path: Path, rate_hz: int = 16_000) -> Samples:
    """All of the first audio stream as float32 mono (samples,)."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
    blocks: list[NDArray[Any]] = []
    with av.open(str(path)) as source:
        for frame in source.decode(audio=0):
            blocks += [ready.to_ndarray()[0] for ready in resampler.resample(frame)]
    blocks += [ready.to_ndarray()[0] for ready in resampler.resample(None)]
    return np.concatenate(blocks).astype(np.float32)


def cut(path: Path, share: float) -> Path:
    """Keep only the first ``share`` of the file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def claim_hours(path: Path, hours: float) -> Path:
    """Make every duration in an MP4's header (mvhd, tkhd, mdhd, all version 0) say ``hours``."""
    data = bytearray(path.read_bytes())
    (scale,) = struct.unpack(">I", data[data.index(b"mvhd") + 16 : data.index(b"mvhd") + 20])
    for name, offset, own_scale in ((b"mvhd", 20, True), (b"tkhd", 24, False), (b"mdhd", 20, True)):
        _each(data, name, _duration_writer(data, hours, offset, own_scale, scale))
    path.write_bytes(data)
    return path


def _duration_writer(
    data: bytearray, hours: float, offset: int, own_scale: bool, movie_scale: int
) -> Callable[[int], None]:
    def write(at: int) -> None:
        scale = struct.unpack(">I", data[at + 16 : at + 20])[0] if own_scale else movie_scale
        data[at + offset : at + offset + 4] = struct.pack(">I", min(2**32 - 2, round(hours * 3600 * scale)))

    return write


def _each(data: bytearray, name: bytes, act: Callable[[int], None]) -> None:
    at = data.find(name)
    while at >= 0:
        act(at)
        at = data.find(name, at + 4)


def write_wav(path: Path, sound: Samples, rate_hz: int = 16_000) -> Path:
    """Write mono ``sound``, clipped at full scale, as 16-bit PCM; as fast as the disk."""
    with wave.open(str(path), "wb") as sink:
        sink.setparams((1, 2, rate_hz, 0, "NONE", ""))
        sink.writeframes((np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes())
    return path
