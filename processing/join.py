"""The segments of one track joined into one file: gaps kept, overlaps taken away, clocks that drift put right."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from processing.media import failure
from processing.parts import CUT_SHORT, opened
from processing.rejoin import are_alike, rejoin
from processing.stretch import Sound, stretched

_CLOCK_TOLERANCE_S = Fraction(1, 4)
_ROUNDING_S = Fraction(2, 1000)
# A seam that is off by less stays as it is. Sound may be stretched to meet its time up to the second figure; beyond it
# something is missing, or was recorded twice.
_SEAM_S = 0.005
_STRETCHED_S = 0.020
_LEAST_STRETCHABLE_S = 1.0
_PICTURE_SEAM_S = Fraction(20, 1000)
_LEAST_SQUEEZE = Fraction(1, 10)


def join_segments(
    parts: Sequence[Path],
    out: Path,
    starts_s: Sequence[float] | None = None,
    lasts_s: Sequence[float | None] | None = None,
) -> float:
    """Join the segments of one track, given in order, into ``out`` (whose suffix names the container).

    ``starts_s``: where each lies on the clock of the recording. What is missing between two becomes silence in sound
    and a step of the time stamps in pictures; what overlaps is cut off in sound, and in pictures, each of which
    is another moment, pushed together. Without it each follows the one before, whether they start at zero or
    carry on its clock. ``lasts_s``: how much of each is kept, from its beginning; None: all. Returns how long after
    ``starts_s[0]`` the file's time 0 lies: a camera's first picture may come late.

    One part alone is copied byte for byte. FLAC segments are decoded and coded again, which loses nothing and is
    the only way to number their frames through; everything else is copied packet by packet, but
    for a camera that came back with another size: see :mod:`processing.rejoin`. Raises Truncated for a
    segment that cannot be opened, ChildFailed when the container refuses the stream, DiskFull.
    """
    if not parts:
        raise ValueError("no segments to join")
    lasts_s = lasts_s or [None] * len(parts)
    is_whole = len(parts) == 1 and lasts_s[0] is None
    is_flac = _codec(parts[0]) == "flac" if starts_s is not None or not is_whole else False
    if is_whole:
        shutil.copyfile(parts[0], out)
        return _origin_s(parts[0]) if starts_s is not None and not is_flac else 0.0
    try:
        with av.open(str(out), "w", options={"fflags": "+bitexact"}) as sink:
            if is_flac:
                _join_flac(parts, starts_s, lasts_s, sink)
                return 0.0
            if not are_alike(parts):
                return rejoin(parts, starts_s, lasts_s, sink)
            return _join_packets(parts, starts_s, lasts_s, sink)
    except av.error.FFmpegError as error:
        raise failure("join", 1, str(error), out.parent) from error


def _codec(path: Path) -> str:
    with opened(path) as source:
        context = source.streams[0].codec_context
        return context.name if context else ""


def _origin_s(path: Path) -> float:
    with opened(path) as source:
        return (source.start_time or 0) / av.time_base


def _join_flac(
    parts: Sequence[Path],
    starts_s: Sequence[float] | None,
    lasts_s: Sequence[float | None],
    sink: av.container.OutputContainer,
) -> None:
    out: av.AudioStream | None = None
    written = 0
    for number, part in enumerate(parts):
        with opened(part) as source:
            stream = source.streams.audio[0]
            if out is None:
                out = sink.add_stream("flac", rate=stream.rate)
                out.codec_context.layout = stream.codec_context.layout
                out.codec_context.format = stream.codec_context.format
            sound = _decoded(source, out)
        if (kept_s := lasts_s[number]) is not None:
            sound = sound[: round(kept_s * out.rate)]
        if starts_s is not None:
            due = round((starts_s[number] - starts_s[0]) * out.rate)
            sound = _on_time(sound, due - written, out.rate)
        for frame in _frames(sound, out, written):
            sink.mux(out.encode(frame))
        written += len(sound)
    if out is not None:
        sink.mux(out.encode(None))


def _decoded(source: av.container.InputContainer, out: av.AudioStream) -> Sound:
    """(samples, channels) in the form of ``out``: a device that was plugged in again may have another."""
    stream, target = source.streams.audio[0], out.codec_context
    form, layout = target.format.name, target.layout.name
    same = (stream.rate, stream.codec_context.layout.name, stream.codec_context.format.name) == (
        out.rate,
        layout,
        form,
    )
    convert = None if same else av.AudioResampler(format=form, layout=layout, rate=out.rate)
    blocks: list[Sound] = []
    with contextlib.suppress(*CUT_SHORT):
        for frame in source.decode(stream):
            for ready in [frame] if convert is None else convert.resample(frame):
                blocks.append(ready.to_ndarray().reshape(-1, target.channels))
    for ready in [] if convert is None else convert.resample(None):
        blocks.append(ready.to_ndarray().reshape(-1, target.channels))
    if not blocks:
        return np.zeros((0, target.channels), np.int16 if form == "s16" else np.int32)
    return np.concatenate(blocks)


def _on_time(sound: Sound, late: int, rate_hz: int) -> Sound:
    """``sound`` as it continues what ended ``late`` samples before it was due to begin (negative: after)."""
    if abs(late) <= _SEAM_S * rate_hz:
        return sound
    if abs(late) <= _STRETCHED_S * rate_hz and len(sound) >= _LEAST_STRETCHABLE_S * rate_hz:
        return stretched(sound, len(sound) + late)
    if late > 0:
        return np.concatenate([np.zeros((late, sound.shape[1]), sound.dtype), sound])
    return sound[-late:]


def _frames(sound: Sound, out: av.AudioStream, first: int) -> Iterator[av.AudioFrame]:
    context = out.codec_context
    for begin in range(0, len(sound), out.rate):
        block = np.ascontiguousarray(sound[begin : begin + out.rate]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, context.format.name, context.layout.name)
        frame.sample_rate = out.rate
        frame.pts, frame.time_base = first + begin, Fraction(1, out.rate)
        yield frame


def _join_packets(
    parts: Sequence[Path],
    starts_s: Sequence[float] | None,
    lasts_s: Sequence[float | None],
    sink: av.container.OutputContainer,
) -> float:
    outs: list[av.stream.Stream] = []
    first_origin_s, end_s = Fraction(0), Fraction(0)
    decoded: dict[int, int] = {}
    for number, part in enumerate(parts):
        with opened(part) as source:
            origin_s = Fraction(source.start_time or 0, av.time_base)
            if not outs:
                outs = [sink.add_stream_from_template(stream) for stream in source.streams]
                first_origin_s = origin_s
            if starts_s is None:
                carries_on = abs(origin_s - first_origin_s - end_s) < _CLOCK_TOLERANCE_S
                shift_s = -first_origin_s if carries_on else end_s - origin_s
                squeeze = Fraction(1)
            else:
                since_s = Fraction(starts_s[number]).limit_denominator(10**6) - Fraction(
                    starts_s[0]
                ).limit_denominator(10**6)
                late_s = since_s - first_origin_s + origin_s - end_s
                seamless = not number or late_s <= _PICTURE_SEAM_S
                shift_s = (end_s if seamless else end_s + late_s) - origin_s
                squeeze = _squeeze(part, late_s) if number and late_s < -_PICTURE_SEAM_S else Fraction(1)
            end_s = _append(source, sink, outs, decoded, shift_s, squeeze, lasts_s[number]) or end_s
    return float(first_origin_s)


def _squeeze(part: Path, late_s: Fraction) -> Fraction:
    """By how much the pictures of ``part`` have to move together for its end to be on time."""
    with opened(part) as source:
        times = []
        with contextlib.suppress(*CUT_SHORT):
            times = [
                packet.pts * packet.time_base
                for packet in source.demux(0)
                if packet.pts is not None and packet.time_base is not None
            ]
    length_s = max(times) - min(times) if times else Fraction(0)
    return max(_LEAST_SQUEEZE, 1 + late_s / length_s) if length_s else Fraction(1)


def _append(
    source: av.container.InputContainer,
    sink: av.container.OutputContainer,
    outs: Sequence[av.stream.Stream],
    decoded: dict[int, int],
    shift_s: Fraction,
    squeeze: Fraction,
    lasts_s: float | None,
) -> Fraction | None:
    """Copy every packet of ``source`` in its first ``lasts_s``, ``shift_s`` later; returns where its first stream now ends, in seconds.

    The end is the number of frames over the frame rate where these agree with the time stamps: Matroska rounds
    stamps to milliseconds, and 900 roundings an hour would drift against the sound. ``squeeze`` below 1 moves the
    pictures together towards the first one. ``decoded``: the last decoding time by stream, which is kept up to date.

    A picture that is shown before the keyframe it follows (an open group of pictures) has no time in a segment that begins
    with that keyframe: Matroska writes none below 0. Such are left out; nothing else refers to them.
    """
    origin_s = Fraction(source.start_time or 0, av.time_base)
    count, first_s, last_s = 0, Fraction(0), Fraction(0)
    with contextlib.suppress(*CUT_SHORT):
        for packet in _decode_timed(source.demux()):
            if packet.pts is None or packet.time_base is None or packet.stream.index >= len(outs):
                continue
            start_s = packet.pts * packet.time_base
            if lasts_s is not None and start_s >= lasts_s:
                break  # what comes later to be decoded may need this one
            if packet.stream.index == 0:
                first_s = start_s if count == 0 else min(first_s, start_s)
                last_s = max(last_s, start_s + (packet.duration or 0) * packet.time_base)
                count += 1
            packet.pts = _moved(packet.pts, packet.time_base, origin_s, shift_s, squeeze)
            if packet.dts is not None:
                packet.dts = _moved(packet.dts, packet.time_base, origin_s, shift_s, squeeze)
                _decode_after(packet, decoded.get(packet.stream.index))
                decoded[packet.stream.index] = packet.dts
            packet.stream = outs[packet.stream.index]
            sink.mux(packet)
    if not count:
        return None
    length_s = last_s - first_s
    rate = getattr(source.streams[0], "average_rate", None)
    if rate and abs(count / rate - length_s) < _ROUNDING_S:
        length_s = count / rate
    return first_s + shift_s + length_s * squeeze


def _decode_after(packet: av.Packet[Any], last: int | None) -> None:
    """Times of decoding rise across the seam: those of a segment's first pictures are counted back, and may reach before it."""
    assert packet.dts is not None and packet.pts is not None
    if last is not None and packet.dts <= last:
        packet.dts = last + 1
        packet.pts = max(packet.pts, packet.dts)


def _moved(stamp: int, base: Fraction, origin_s: Fraction, shift_s: Fraction, squeeze: Fraction) -> int:
    if squeeze == 1:
        return stamp + round(shift_s / base)
    return round((origin_s + shift_s + (stamp * base - origin_s) * squeeze) / base)


def _decode_timed(packets: Iterable[av.Packet[Any]]) -> Iterator[av.Packet[Any]]:
    """``packets`` with the decoding times that Matroska does not store, counted back from the first one known; those that
    have no time at all are left out (the last one, empty, ends the stream)."""
    waiting: dict[int, list[av.Packet[Any]]] = {}
    for packet in packets:
        if packet.pts is None and packet.size:
            continue
        if packet.pts is not None and packet.dts is None:
            waiting.setdefault(packet.stream.index, []).append(packet)
            continue
        early = waiting.pop(packet.stream.index, [])
        for back, held in enumerate(reversed(early), 1):
            held.dts = None if packet.dts is None else packet.dts - back * (packet.duration or 1)
        yield from early
        yield packet
