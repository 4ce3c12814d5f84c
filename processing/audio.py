"""Sound: 16 kHz mono for the speech steps, and the one published track mixed from every microphone."""

from __future__ import annotations

import contextlib
import itertools
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from config.errors import NoAudio, NotMedia
from processing.downmix import Downmix
from processing.media import Progress, input_args, no_progress, open_media, run_ffmpeg

Samples = NDArray[np.int16]

SPEECH_RATE_HZ = 16_000
_MIX_RATE_HZ = 48_000
_IN_SYNC_S = 0.01
_FOLLOWED_HZ = 48  # samples a second that the resampler may add or leave out: 1000 ppm
_GAP_S = 0.05  # stamps that jump further than this are silence that was not stored

# Nothing in the output may tell the machine or the moment: the package is compared byte for byte.
BITEXACT = ["-map_metadata", "-1", "-map_chapters", "-1", "-fflags", "+bitexact", "-flags:a", "+bitexact"]


@dataclass(frozen=True)
class Source:
    """A file with sound, and when it began on the clock of the recording (of the main camera).

    What lies ``t`` seconds into the file happened at ``start_s + t / (1 + drift_ppm * 1e-6)``: the device's own clock
    runs fast by ``drift_ppm``, which ``mixdown`` evens out. ``speech_wav`` does not: drift is heard from what it wrote.
    """

    path: Path
    start_s: float = 0.0
    drift_ppm: float = 0.0


def speech_wav(sources: Sequence[Source], out: Path) -> None:
    """Write the first sound tracks of ``sources``, added up, as a 16 kHz mono 16-bit WAV.

    Sound that starts late or pauses gets silence there, what came before the recording is dropped, so that times in
    the WAV are times in the picture. Memory does not grow with length. Raises NoAudio, NotMedia.
    """
    with contextlib.ExitStack() as stack:
        streams = [_even_blocks(_on_the_clock(stack, source)) for source in sources]
        blocks = (_add(parts) for parts in itertools.zip_longest(*streams))
        first = next(blocks, np.zeros(0, np.int16))
        with wave.open(str(out), "wb") as sink:
            sink.setnchannels(1)
            sink.setsampwidth(2)
            sink.setframerate(SPEECH_RATE_HZ)
            for block in itertools.chain([first], blocks):
                sink.writeframes(block.tobytes())


def _add(parts: Sequence[Samples | None]) -> Samples:
    present = [part.astype(np.int32) for part in parts if part is not None]
    total = np.zeros(max(map(len, present)), np.int32)
    for part in present:
        total[: len(part)] += part
    return np.clip(total, -32768, 32767).astype(np.int16)


def _even_blocks(blocks: Iterator[Samples]) -> Iterator[Samples]:
    """The same samples in blocks of one second, the last one shorter."""
    waiting: list[Samples] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= SPEECH_RATE_HZ:
            joined = np.concatenate(waiting)
            whole = len(joined) // SPEECH_RATE_HZ * SPEECH_RATE_HZ
            yield from joined[:whole].reshape(-1, SPEECH_RATE_HZ)
            waiting = [joined[whole:]]
    rest = np.concatenate(waiting) if waiting else np.zeros(0, np.int16)
    if len(rest):
        yield rest


def _on_the_clock(stack: contextlib.ExitStack, source: Source) -> Iterator[Samples]:
    """Blocks (samples,) at 16 kHz; the first sample is time 0 of the recording."""
    try:
        container = stack.enter_context(open_media(source.path))
        if not container.streams.audio:
            raise NoAudio(name=source.path.name, detail=container.format.name)
        drop = max(0, round(-source.start_s * SPEECH_RATE_HZ))
        yield from _silence(round(source.start_s * SPEECH_RATE_HZ))
        for block in _stored(container):
            yield block[drop:]
            drop = max(0, drop - len(block))
    except av.error.FFmpegError as error:
        raise NotMedia(name=source.path.name, detail=str(error.strerror)) from error


def _stored(container: av.container.InputContainer) -> Iterator[Samples]:
    """Blocks (samples,) at 16 kHz; the first sample is time 0 of the file."""
    origin_s = (container.start_time or 0) / av.time_base
    spout: _Spout | None = None
    heard_s, stored = 0.0, 0
    for frame in _decoded(container):
        time_s = heard_s if frame.time is None else frame.time - origin_s
        if spout and (time_s - heard_s > _GAP_S or not spout.takes(frame)):
            rest = spout.drained()
            stored += len(rest)
            yield rest
            spout = None
        if time_s - heard_s > _GAP_S:
            missing = round(time_s * SPEECH_RATE_HZ) - stored
            stored += max(0, missing)
            heard_s = time_s
            yield from _silence(missing)
        heard_s += frame.samples / frame.sample_rate
        spout = spout or _Spout(frame)
        block = spout.pour(frame)
        stored += len(block)
        yield block
    if spout:
        yield spout.drained()


class _Spout:
    """16 kHz mono out of frames of one kind; a file may change its kind half-way."""

    def __init__(self, frame: av.AudioFrame) -> None:
        self._kind = self._kind_of(frame)
        self._resampler = av.AudioResampler(format="flt", layout=frame.layout, rate=SPEECH_RATE_HZ)
        self._channels = frame.layout.nb_channels
        self._downmix = Downmix(self._channels)

    @staticmethod
    def _kind_of(frame: av.AudioFrame) -> tuple[str, str, int]:
        return frame.format.name, frame.layout.name, frame.sample_rate

    def takes(self, frame: av.AudioFrame) -> bool:
        return self._kind_of(frame) == self._kind

    def pour(self, frame: av.AudioFrame) -> Samples:
        frame.pts = None
        return self._mixed(self._resampler.resample(frame))

    def drained(self) -> Samples:
        return self._mixed(self._resampler.resample(None))

    def _mixed(self, frames: Sequence[av.AudioFrame]) -> Samples:
        blocks = [self._downmix(frame.to_ndarray().reshape(-1, self._channels).T) for frame in frames]
        return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)


def _silence(samples: int) -> Iterator[Samples]:
    for start in range(0, samples, SPEECH_RATE_HZ):
        yield np.zeros(min(SPEECH_RATE_HZ, samples - start), np.int16)


def _decoded(container: av.container.InputContainer) -> Iterator[av.AudioFrame]:
    """Every frame that can be decoded; a damaged packet costs its own frame and no more."""
    stream = container.streams.audio[0]
    for packet in container.demux(stream):
        try:
            frames = stream.decode(packet)
        except av.error.InvalidDataError:
            continue
        yield from (frame for frame in frames if isinstance(frame, av.AudioFrame))


def read_wav(path: Path, start_s: float = 0.0, end_s: float | None = None) -> NDArray[np.float32]:
    """Part of a WAV that ``speech_wav`` wrote; float32 (samples,) in -1..1."""
    with wave.open(str(path), "rb") as source:
        first = min(max(0, round(start_s * SPEECH_RATE_HZ)), source.getnframes())
        last = (
            source.getnframes() if end_s is None else min(round(end_s * SPEECH_RATE_HZ), source.getnframes())
        )
        source.setpos(first)
        data = source.readframes(max(0, last - first))
    return np.frombuffer(data, np.int16) * np.float32(1 / 32768)


def wav_seconds(path: Path) -> float:
    """Length of a WAV that ``speech_wav`` wrote."""
    with wave.open(str(path), "rb") as source:
        return source.getnframes() / source.getframerate()


def mixdown(
    sources: Sequence[Source],
    out: Path,
    kbps: int,
    *,
    duration_s: float | None = None,
    progress: Progress = no_progress,
) -> None:
    """Mix the first sound tracks of ``sources`` into one AAC ``.m4a`` on the clock of the recording.

    One AAC track alone is copied bit for bit; several are added up, with a limiter against clipping that does
    not shift time. The same input gives the same bytes. Raises NoAudio, NotMedia, ChildFailed.
    """
    sounds = [_sound_of(source) for source in sources]
    inputs = [arg for source in sources for arg in input_args(source.path)]
    if len(sounds) == 1 and sounds[0].is_ready:
        coding = ["-map", "0:a:0", "-c:a", "copy"]
    else:
        coding = ["-filter_complex", _mix_graph(sounds), "-map", "[mix]", "-c:a", "aac", "-b:a", f"{kbps}k"]
    ending = ["-vn", "-sn", "-dn", *BITEXACT, "-movflags", "+faststart", "-f", "ipod", str(out.resolve())]
    run_ffmpeg([*inputs, *coding, *ending], duration_s=duration_s, progress=progress)


def mix_wav(
    sources: Sequence[Source],
    out: Path,
    *,
    duration_s: float | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write the mix of ``mixdown`` before coding: a 16-bit WAV at 48 kHz. Raises NoAudio, NotMedia, ChildFailed."""
    sounds = [_sound_of(source) for source in sources]
    inputs = [arg for source in sources for arg in input_args(source.path)]
    graph = ["-filter_complex", _mix_graph(sounds), "-map", "[mix]", "-c:a", "pcm_s16le", *BITEXACT]
    run_ffmpeg([*inputs, *graph, "-f", "wav", str(out.resolve())], duration_s=duration_s, progress=progress)


def encode_wav(
    wav: Path,
    out: Path,
    kbps: int,
    *,
    duration_s: float | None = None,
    progress: Progress = no_progress,
) -> None:
    """Code what ``mix_wav`` wrote as ``mixdown`` would have. Raises ChildFailed."""
    ending = ["-c:a", "aac", "-b:a", f"{kbps}k", *BITEXACT, "-movflags", "+faststart", "-f", "ipod"]
    run_ffmpeg([*input_args(wav), *ending, str(out.resolve())], duration_s=duration_s, progress=progress)


@dataclass(frozen=True)
class _Sound:
    """The first sound track of a file; ``start_s`` on the clock of the recording."""

    codec: str
    channels: int
    start_s: float
    drift_ppm: float

    @property
    def is_ready(self) -> bool:
        return self.codec == "aac" and abs(self.start_s) < _IN_SYNC_S and not self.drift_ppm


def _sound_of(source: Source) -> _Sound:
    try:
        with open_media(source.path) as container:
            if not container.streams.audio:
                raise NoAudio(name=source.path.name, detail=container.format.name)
            stream = container.streams.audio[0]
            first = next(_decoded(container), None)
            late_s = (first.time or 0.0) - (container.start_time or 0) / av.time_base if first else 0.0
            return _Sound(
                stream.codec_context.name,
                stream.channels,
                max(0.0, late_s) + source.start_s,
                source.drift_ppm,
            )
    except av.error.FFmpegError as error:
        raise NotMedia(name=source.path.name, detail=str(error.strerror)) from error


def _mix_graph(sounds: Sequence[_Sound]) -> str:
    """An ffmpeg filter graph: late starts padded, all added at full level, peaks held under -1.4 dBFS.

    AAC overshoots what it codes by a decibel or so: hence the head room.
    """
    layout = {1: "mono", 2: "stereo"}[_channels(sounds)]
    form = f"aformat=sample_fmts=fltp:sample_rates={_MIX_RATE_HZ}:channel_layouts={layout}"
    legs = [
        f"[{i}:a:0]asetpts=PTS-STARTPTS,aresample=async=1,{_evened(sound.drift_ppm)}{form},"
        f"{_shift(sound.start_s)}[m{i}]"
        for i, sound in enumerate(sounds)
    ]
    names = "".join(f"[m{i}]" for i in range(len(sounds)))
    add = f"amix=inputs={len(sounds)}:normalize=0:duration=longest" if len(sounds) > 1 else "anull"
    return ";".join([*legs, f"{names}{add},alimiter=limit=0.85:level=disabled:latency=1[mix]"])


def _channels(sounds: Sequence[_Sound]) -> int:
    return 2 if any(sound.channels > 1 for sound in sounds) else 1


def _evened(drift_ppm: float) -> str:
    """Stamps on the true clock, and a resampler that follows them by a few samples a second."""
    if not drift_ppm:
        return ""
    stamps = f"aresample={_MIX_RATE_HZ},asetpts=PTS/{1 + drift_ppm * 1e-6:.9f}"
    return f"{stamps},aresample=async={_FOLLOWED_HZ}:min_comp=0.0005:min_hard_comp=1.0,"


def _shift(start_s: float) -> str:
    if start_s < 0:
        return f"atrim=start={-start_s:.6f},asetpts=PTS-STARTPTS"
    return f"adelay={start_s * 1000:.3f}:all=1"
