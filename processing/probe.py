"""What a file really holds, measured from its packets, before anybody spends an hour on it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.frame import Frame
from numpy.typing import NDArray

from config.errors import (
    EmptyMedia,
    ImplausibleDuration,
    NoAudio,
    NotMedia,
    NoVideo,
    TooLong,
    Truncated,
)
from processing.boxes import Claim, read_claim
from processing.media import open_media

Times = NDArray[np.float64]
_LONGEST_PAUSE_S = 60.0  # between two packets; a longer one is no content
_NO_STEP_S = 1.0  # between two pictures; a longer one is a pause of the recording
_FAR_MORE = 4.0  # a header that promises this many times what is there was never true
_SEEK_BACK_S = 2.0  # MPEG program and transport streams seek by guess
_ROTATED, _VARIABLE = "rotated", "variable-frame-rate"


@dataclass(frozen=True)
class MediaInfo:
    """One file. Sizes are those of the displayed picture, after rotation; fps is an average.

    ``picture_start_s`` is when the first frame stands on the file's own clock, which sound often starts first.
    """

    kind: Literal["video", "audio"]
    container: str
    duration_s: float
    video_codec: str = ""
    width: int = 0
    height: int = 0
    rotation_deg: int = 0
    fps: float = 0.0
    variable_frame_rate: bool = False
    frames: int = 0
    picture_start_s: float = 0.0
    audio_codec: str = ""
    audio_channels: int = 0
    audio_rate_hz: int = 0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Track:
    """The packets of one stream: presentation times, sorted (packets,); time of the last keyframe."""

    times_s: Times
    last_key_s: float
    last_duration_s: float
    origin_s: float

    @property
    def length_s(self) -> float:
        """To the end of the last packet, whose own length is believed only if it is like the others'."""
        if not len(self.times_s):
            return 0.0
        usual_s = float(np.median(np.diff(self.times_s))) if len(self.times_s) > 1 else 0.0
        plausible = 0 < self.last_duration_s <= 10 * usual_s or not usual_s
        last_s = min(self.last_duration_s, 1.0) if plausible else usual_s
        return float(self.times_s[-1]) + last_s - max(self.origin_s, float(self.times_s[0]))

    def content_s(self, longest_pause_s: float) -> float:
        return min(self.length_s, float(np.minimum(np.diff(self.times_s), longest_pause_s).sum()) + 1.0)


@dataclass(frozen=True)
class Note:
    """Something worth knowing that stops nothing; ``code`` names its message."""

    code: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def probe(
    path: Path,
    name: str,
    *,
    max_hours: float,
    need_video: bool = False,
    need_audio: bool = False,
    longest_pause_s: float = 0.0,
) -> MediaInfo:
    """Demux the whole of ``path``, decode its first and last group of pictures, and say what it holds.

    ``name`` is what the user called the file; it is only repeated in errors. ``longest_pause_s``: how long a pause of
    the recording is known to have been. Raises NotMedia, Truncated,
    NoVideo, NoAudio, EmptyMedia, ImplausibleDuration, and MediaRejected for a recording over ``max_hours``.
    """
    if path.stat().st_size == 0:
        raise EmptyMedia(name=name, detail="0 bytes")
    claim = read_claim(path)
    try:
        with open_media(path) as source:
            pause_s = max(_LONGEST_PAUSE_S, longest_pause_s + 1.0)
            return _measure(source, claim, name, max_hours, need_video, need_audio, pause_s)
    except av.error.FFmpegError as error:
        kind = Truncated if claim.known else NotMedia
        raise kind(name=name, detail=str(error.strerror)) from error


def compare_cameras(infos: Sequence[MediaInfo]) -> tuple[Note, ...]:
    """Cameras of one recording that do not run equally long: a note with the difference, no refusal."""
    lengths = [info.duration_s for info in infos if info.kind == "video"]
    if len(lengths) < 2 or max(lengths) - min(lengths) < 1.0:
        return ()
    return (Note("cameras-differ-in-length", round(max(lengths) - min(lengths), 3)),)


def _measure(
    source: av.container.InputContainer,
    claim: Claim,
    name: str,
    max_hours: float,
    need_video: bool,
    need_audio: bool,
    pause_s: float,
) -> MediaInfo:
    video = next(
        (stream for stream in source.streams.video if stream.codec_context and not _is_cover(stream)), None
    )
    audio = next((stream for stream in source.streams.audio if stream.codec_context), None)
    if video is None and audio is None:
        raise NotMedia(name=name, detail="neither picture nor sound")
    if need_video and video is None:
        raise NoVideo(name=name, detail=source.format.name)
    if need_audio and audio is None:
        raise NoAudio(name=name, detail=source.format.name)
    tracks = _read_packets(source, [stream for stream in (video, audio) if stream is not None])
    longest = max(tracks.values(), key=lambda track: track.length_s)
    if longest.length_s <= 0:
        raise (Truncated if claim.cut else EmptyMedia)(name=name, detail="no packets")
    _check_claims(source, claim, longest.content_s(pause_s), longest.length_s, name, max_hours)
    main = video or audio
    assert main is not None
    rotation_deg = _decode_ends(source, main, tracks[main.index], name)
    sound = _describe_sound(source.format.name, longest.length_s, audio)
    return sound if video is None else _add_picture(sound, video, tracks[video.index], rotation_deg)


def _is_cover(stream: av.VideoStream) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _read_packets(
    source: av.container.InputContainer, streams: Sequence[av.VideoStream | av.AudioStream]
) -> dict[int, _Track]:
    stamps = {stream.index: array("d") for stream in streams}
    last: dict[int, tuple[float, float]] = {}
    keys = dict.fromkeys(stamps, 0.0)
    for packet in source.demux(streams):
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None or packet.time_base is None or not packet.size:
            continue
        index, time_s = packet.stream.index, float(stamp * packet.time_base)
        stamps[index].append(time_s)
        last[index] = max(
            last.get(index, (0.0, 0.0)), (time_s, float((packet.duration or 0) * packet.time_base))
        )
        if packet.is_keyframe:
            keys[index] = max(keys[index], time_s)
    origin_s = (source.start_time or 0) / av.time_base
    return {
        index: _Track(np.sort(np.frombuffer(times)), keys[index], last.get(index, (0.0, 0.0))[1], origin_s)
        for index, times in stamps.items()
    }


def _check_claims(
    source: av.container.InputContainer,
    claim: Claim,
    found_s: float,
    measured_s: float,
    name: str,
    max_hours: float,
) -> None:
    claimed_s = max(claim.duration_s, (source.duration or 0) / av.time_base, measured_s)
    far_more = claimed_s > _FAR_MORE * found_s + _LONGEST_PAUSE_S
    if far_more and (not claim.cut or claimed_s > max_hours * 3600):
        raise ImplausibleDuration(name=name, claimed_s=round(claimed_s, 1), found_s=round(found_s, 1))
    if claim.cut or claimed_s > 1.02 * measured_s + 0.75:
        raise Truncated(name=name, detail=f"{found_s:.1f} s")
    if measured_s > max_hours * 3600:
        raise TooLong(name=name, hours=round(measured_s / 3600, 1), max_hours=max_hours)


def _decode_ends(
    source: av.container.InputContainer, stream: av.VideoStream | av.AudioStream, track: _Track, name: str
) -> int:
    """Decode at the beginning and at the end; returns the rotation of the display matrix, degrees."""
    source.seek(0)
    first = next(iter(source.decode(stream)), None)
    if first is None:
        raise EmptyMedia(name=name, detail="nothing can be decoded")
    last_key_s = track.last_key_s if isinstance(stream, av.VideoStream) else float(track.times_s[-1])
    source.seek(int(max(0.0, last_key_s - _SEEK_BACK_S) * av.time_base))
    frames = (frame for frame in source.decode(stream) if isinstance(frame, Frame))
    if sum(not frame.is_corrupt for frame in frames) == 0:
        raise Truncated(name=name, detail="the end cannot be decoded")
    return first.rotation % 360 if isinstance(first, av.VideoFrame) else 0


def _describe_sound(container: str, duration_s: float, audio: av.AudioStream | None) -> MediaInfo:
    info = MediaInfo("audio", container, round(duration_s, 3))
    if audio is None:
        return info
    return replace(
        info,
        audio_codec=audio.codec_context.name,
        audio_channels=audio.channels,
        audio_rate_hz=audio.rate or 0,
    )


def _add_picture(sound: MediaInfo, video: av.VideoStream, track: _Track, rotation_deg: int) -> MediaInfo:
    stamps_s = track.times_s
    variable = _is_variable(stamps_s)
    upright = (video.height, video.width) if rotation_deg % 180 else (video.width, video.height)
    return replace(
        sound,
        kind="video",
        video_codec=video.codec_context.name,
        width=upright[0],
        height=upright[1],
        rotation_deg=rotation_deg,
        fps=round(_frame_rate(video, stamps_s), 3),
        variable_frame_rate=variable,
        frames=len(stamps_s),
        picture_start_s=round(float(stamps_s[0]) - track.origin_s, 6) if len(stamps_s) else 0.0,
        notes=tuple(code for code, holds in ((_VARIABLE, variable), (_ROTATED, rotation_deg != 0)) if holds),
    )


def _frame_rate(video: av.VideoStream, stamps_s: Times) -> float:
    """Measured, pauses left out; the stated rate where it agrees, for Matroska's rounded stamps hide 29.97 from 30."""
    steps_s = np.diff(stamps_s)
    steps_s = steps_s[steps_s < _NO_STEP_S] if (steps_s < _NO_STEP_S).any() else steps_s
    measured = float(len(steps_s) / steps_s.sum()) if steps_s.sum() else 0.0
    stated = float(video.average_rate or 0)
    return stated if abs(stated - measured) < 0.001 * measured else measured


def _is_variable(stamps: Times) -> bool:
    """More than 2 % of the frames come over a tenth (and over 2 ms: Matroska rounds) off the usual distance."""
    if len(stamps) < 3:
        return False
    gaps = np.diff(stamps)
    usual = float(np.median(gaps))
    return bool(np.mean(np.abs(gaps - usual) > max(0.002, 0.1 * usual)) > 0.02)
