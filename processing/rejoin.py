"""The pictures of one camera joined anew, where its packets cannot stand in one file as they are.

A camera that was plugged in again, or set up anew in mid-session, may come back with another size or other parameters. A
container tells these once; the pictures after them would be decoded into rubbish, in which no face is found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from processing.parts import CUT_SHORT, opened

_TICKS_HZ = 90_000
_CRF = 18  # nearly as it was; it is coded again for those who watch anyway
_DEFAULT_FPS = 25


def are_alike(parts: Sequence[Path]) -> bool:
    """Whether one decoder, told once, understands the pictures of all ``parts``, and they have one size.

    Only a camera's own segments are asked: of sound, and of files with both, it is always so.

    A size that changes inside the stream is not in any header: the first picture of all and that of the last part tell.
    """
    told = set()
    for part in parts:
        with opened(part) as source:
            if [stream.type for stream in source.streams] != ["video"]:
                return True
            context = source.streams[0].codec_context
            told.add((context.name, context.extradata) if context else None)
    return len(told) < 2 and _size(parts[0]) == _size(parts[-1])


def _size(part: Path) -> tuple[int, int] | None:
    """None where there is no whole picture in it."""
    with opened(part) as source, contextlib.suppress(*CUT_SHORT):
        for frame in source.decode(video=0):
            return frame.width, frame.height
    return None


def rejoin(
    parts: Sequence[Path],
    starts_s: Sequence[float] | None,
    lasts_s: Sequence[float | None],
    sink: av.container.OutputContainer,
) -> float:
    """Decode ``parts`` and encode them with H.264 in the size of the first; the rest as join_segments says.

    ``starts_s`` None: each follows the one before.
    """
    out: av.VideoStream | None = None
    first_origin_s, end_s, last = 0.0, 0.0, -1
    for number, part in enumerate(parts):
        with opened(part) as source:
            stream = source.streams.video[0]
            origin_s = (source.start_time or 0) / av.time_base
            if out is None:
                first_origin_s = origin_s
                out = _encoder(stream, sink)
            shift_s = (
                end_s - origin_s if starts_s is None else starts_s[number] - starts_s[0] - first_origin_s
            )
            with contextlib.suppress(*CUT_SHORT):
                for frame in source.decode(stream):
                    limit_s = lasts_s[number]
                    if frame.time is None or (limit_s is not None and frame.time >= limit_s):
                        continue
                    picture = frame.reformat(width=out.width, height=out.height, format="yuv420p")
                    last = max(last + 1, round((frame.time + shift_s) * _TICKS_HZ))
                    picture.pts, picture.time_base = last, Fraction(1, _TICKS_HZ)
                    picture.pict_type = av.video.frame.PictureType.NONE
                    end_s = last / _TICKS_HZ + 1 / float(stream.average_rate or _DEFAULT_FPS)
                    sink.mux(out.encode(picture))
    if out is not None:
        sink.mux(out.encode(None))
    return first_origin_s


def _encoder(stream: av.VideoStream, sink: av.container.OutputContainer) -> av.VideoStream:
    out = sink.add_stream("libx264", rate=stream.average_rate or _DEFAULT_FPS)
    out.width, out.height, out.pix_fmt = (
        stream.width - stream.width % 2,
        stream.height - stream.height % 2,
        "yuv420p",
    )
    out.codec_context.time_base = Fraction(1, _TICKS_HZ)
    out.codec_context.options = {"preset": "veryfast", "crf": str(_CRF), "bf": "0"}
    return out
