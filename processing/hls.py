"""The published stream: HLS of CMAF segments in a few sizes, one MP4 to fall back on, captions and a poster.

Sound and picture share each segment. One muxer then shifts both by the same amount (the picture's reordering
delay, the sound's priming), which keeps them in step to the sample; with separate sound playlists they
were measured 58 ms apart. It is also what browsers play natively.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from config.errors import NotMedia, NoVideo
from config.settings import MediaSettings
from processing.audio import BITEXACT
from processing.media import Progress, input_args, no_progress, open_media, run_ffmpeg

MASTER, FALLBACK, POSTER, CAPTIONS = "master.m3u8", "video.mp4", "poster.jpg", "captions.vtt"
_POSTER_AT = 0.1
_X264_THREADS = "4"  # x264's output depends on the number, so it must not follow the machine
_EXTINF = re.compile(r"#EXTINF:([\d.]+),\s*\n(\S+)")


@dataclass(frozen=True)
class Rendition:
    """One size of the picture; ``segments_s`` are the lengths of its segments."""

    name: str
    width: int
    height: int
    bandwidth_bps: int
    average_bps: int
    codecs: str
    segments_s: tuple[float, ...]


@dataclass(frozen=True)
class StreamInfo:
    duration_s: float
    frames: int
    fps: float
    renditions: tuple[Rendition, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Source:
    width: int
    height: int
    codec: str
    reordered: bool
    duration_s: float
    frames: int
    fps: float


def package_stream(
    video: Path,
    audio: Path | None,
    captions_vtt: str | None,
    out: Path,
    *,
    media: MediaSettings,
    start_s: float = 0.0,
    progress: Progress = no_progress,
    language: str = "zh",
) -> StreamInfo:
    """Write ``master.m3u8`` with its renditions, ``video.mp4``, ``poster.jpg`` and captions into ``out``.

    ``video`` is the blurred H.264, copied untouched into the largest rendition when that is not larger than
    ``media.heights_px`` asks; ``audio`` is AAC and copied. ``start_s`` is when the first frame stands on the
    clock of sound and captions: cameras often start a little after their own sound. The same input gives the
    same bytes.
    Raises NoVideo, NotMedia, ChildFailed.
    """
    source = _look_at(video)
    heights = _heights(source.height, media.heights_px)
    for height in heights:
        (out / f"{height}p").mkdir(parents=True, exist_ok=True)
    # ffmpeg moves the start of each input to zero; the offset puts the picture back where it was.
    inputs = ["-itsoffset", f"{start_s:.6f}", *input_args(video)]
    inputs += input_args(audio) if audio is not None else []
    outputs = [arg for height in heights for arg in _rendition_args(source, height, audio is not None, media)]
    graph = _scale_graph(source, heights)
    fallback = [*_copy_args(audio is not None), "-movflags", "+faststart", FALLBACK]
    run_ffmpeg(
        [*inputs, *graph, *outputs, *fallback],
        duration_s=source.duration_s,
        progress=lambda share: progress(0.95 * share),
        cwd=out,
    )
    _write_poster(video, source.duration_s, out)
    renditions = tuple(_describe(out, height) for height in heights)
    if captions_vtt is not None:
        _write_captions(captions_vtt, sum(renditions[0].segments_s), out, heights[0], start_s)
    _write_master(renditions, source.fps, language if captions_vtt is not None else "", out)
    progress(1.0)
    return StreamInfo(source.duration_s, source.frames, source.fps, renditions)


def _look_at(video: Path) -> _Source:
    try:
        with open_media(video) as container:
            if not container.streams.video:
                raise NoVideo(name=video.name, detail=container.format.name)
            stream = container.streams.video[0]
            stamps = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
            reordered = stamps != sorted(stamps)
            base = stream.time_base or Fraction(1, av.time_base)
            span_s = float((max(stamps) - min(stamps)) * base) if stamps else 0.0
            fps = float(stream.average_rate or 0) or (len(stamps) - 1) / (span_s or 1.0)
            codec = stream.codec_context.name
            return _Source(
                stream.width, stream.height, codec, reordered, span_s + 1 / fps, len(stamps), round(fps, 3)
            )
    except av.error.FFmpegError as error:
        raise NotMedia(name=video.name, detail=str(error.strerror)) from error


def _heights(source_px: int, wanted_px: Sequence[int]) -> list[int]:
    """Heights to publish, largest first: never above the source, and always one smaller than the first."""
    top = min(source_px, max(wanted_px))
    lower = sorted({height - height % 2 for height in wanted_px if height < top}, reverse=True)
    return [top, *(lower or [max(2, top // 4 * 2)])]


def _is_copied(source: _Source, height: int) -> bool:
    return height == source.height and source.codec == "h264"


def _scale_graph(source: _Source, heights: Sequence[int]) -> list[str]:
    made = [height for height in heights if not _is_copied(source, height)]
    names = "".join(f"[s{height}]" for height in made)
    scales = ";".join(f"[s{height}]scale=-2:{height}:flags=bicubic[v{height}]" for height in made)
    return ["-filter_complex", f"[0:v:0]split={len(made)}{names};{scales}"]


def _rendition_args(source: _Source, height: int, sound: bool, media: MediaSettings) -> list[str]:
    folder = f"{height}p"
    if _is_copied(source, height):
        coding = _copy_args(sound)
    else:
        coding = ["-map", f"[v{height}]", *_sound_args(sound), *_encode_args(source, media), *BITEXACT]
    return [
        *coding,
        *("-f", "hls", "-hls_time", f"{media.segment_s:g}", "-hls_playlist_type", "vod"),
        *("-hls_segment_type", "fmp4", "-hls_flags", "independent_segments"),
        *("-hls_fmp4_init_filename", "init.mp4", "-hls_segment_filename", f"{folder}/%05d.m4s"),
        f"{folder}/index.m3u8",
    ]


def _copy_args(sound: bool) -> list[str]:
    return ["-map", "0:v:0", "-c:v", "copy", *_sound_args(sound), *BITEXACT]


def _sound_args(sound: bool) -> list[str]:
    return ["-map", "1:a:0", "-c:a", "copy"] if sound else []


def _encode_args(source: _Source, media: MediaSettings) -> list[str]:
    """Keyframes where the source has them and the same reordering, so that players switch without a seam."""
    return [
        *("-c:v", "libx264", "-preset", media.preset, "-crf", str(media.crf), "-pix_fmt", "yuv420p"),
        *("-force_key_frames", "source", "-sc_threshold", "0", "-g", "100000"),
        *("-bf", "2" if source.reordered else "0", "-threads", _X264_THREADS, "-flags:v", "+bitexact"),
        *("-fps_mode", "passthrough", "-enc_time_base", "demux"),
    ]


def _write_poster(video: Path, duration_s: float, out: Path) -> None:
    at = ["-ss", f"{_POSTER_AT * duration_s:.3f}", *input_args(video)]
    run_ffmpeg(
        [*at, "-map", "0:v:0", "-frames:v", "1", "-q:v", "3", "-update", "1", *BITEXACT, POSTER], cwd=out
    )


def _describe(out: Path, height: int) -> Rendition:
    folder = out / f"{height}p"
    segments = [(float(length), folder / name) for length, name in _EXTINF.findall(_playlist(folder))]
    rates = [8 * path.stat().st_size / length_s for length_s, path in segments if length_s > 0]
    total_bits = 8 * sum(path.stat().st_size for _length_s, path in segments)
    with av.open(str(folder / "init.mp4")) as container:
        picture = container.streams.video[0]
        codecs = [_codec_string(stream) for stream in container.streams]
        return Rendition(
            name=folder.name,
            width=picture.width,
            height=picture.height,
            bandwidth_bps=round(max(rates)),
            average_bps=round(total_bits / sum(length_s for length_s, _path in segments)),
            codecs=",".join(codecs),
            segments_s=tuple(length_s for length_s, _path in segments),
        )


def _playlist(folder: Path) -> str:
    return (folder / "index.m3u8").read_text("utf-8")


def _codec_string(stream: av.stream.Stream) -> str:
    """RFC 6381 name from the decoder configuration: avcC (ISO 14496-15) or AudioSpecificConfig (14496-3)."""
    context = stream.codec_context
    config = (context.extradata if context else None) or b"\0\0\0\0"
    if stream.type == "video":
        return f"avc1.{config[1:4].hex()}"
    return f"mp4a.40.{config[0] >> 3}"


def _write_captions(vtt: str, duration_s: float, out: Path, height: int, start_s: float) -> None:
    """The plain file for a ``<track>``, and a playlist of one segment on the clock of the picture."""
    (out / CAPTIONS).write_text(vtt, "utf-8")
    folder = out / "captions"
    folder.mkdir(exist_ok=True)
    zero_s = _start_s(out / f"{height}p") - start_s
    clock = f"X-TIMESTAMP-MAP=MPEGTS:{round(90_000 * zero_s)},LOCAL:00:00:00.000"
    (folder / "captions.vtt").write_text(vtt.replace("WEBVTT\n", f"WEBVTT\n{clock}\n", 1), "utf-8")
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{int(duration_s) + 1}"]
    lines += ["#EXT-X-PLAYLIST-TYPE:VOD", f"#EXTINF:{duration_s:.3f},", "captions.vtt", "#EXT-X-ENDLIST", ""]
    (folder / "index.m3u8").write_text("\n".join(lines), "utf-8")


def _start_s(folder: Path) -> float:
    """Presentation time of the first frame, which the muxer moves to make room for reordering."""
    joined = folder / "start.mp4"
    joined.write_bytes((folder / "init.mp4").read_bytes() + (folder / "00000.m4s").read_bytes())
    try:
        with av.open(str(joined)) as container:
            stream = container.streams.video[0]
            return float((stream.start_time or 0) * (stream.time_base or 0))
    finally:
        joined.unlink()


def _write_master(renditions: Sequence[Rendition], fps: float, captions: str, out: Path) -> None:
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if captions:
        lines.append(
            f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="captions",NAME="{captions}",LANGUAGE="{captions}",'
            'DEFAULT=YES,AUTOSELECT=YES,FORCED=NO,URI="captions/index.m3u8"'
        )
    for one in renditions:
        lines.append(
            f"#EXT-X-STREAM-INF:BANDWIDTH={one.bandwidth_bps},AVERAGE-BANDWIDTH={one.average_bps},"
            f'RESOLUTION={one.width}x{one.height},FRAME-RATE={fps:.3f},CODECS="{one.codecs}"'
            + (',SUBTITLES="captions"' if captions else "")
        )
        lines.append(f"{one.name}/index.m3u8")
    (out / MASTER).write_text("\n".join([*lines, ""]), "utf-8")
