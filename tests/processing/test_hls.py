"""The published stream, demuxed again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from config.errors import NoVideo
from config.settings import MediaSettings
from processing.audio import Source, mixdown
from processing.hls import StreamInfo, package_stream
from tests.processing.media_files import Movie, clicks, read_sound, write_movie, write_sound

CLICKS_S = [0.5, 5.0, 9.5]
MEDIA = MediaSettings(heights_px=(180, 90), segment_s=4.0)
VTT = "WEBVTT\n\n00:00:01.000 --> 00:00:03.000\n<v 带教专家>请问你哪里不舒服？</v>\n"


@dataclass(frozen=True)
class Published:
    folder: Path
    video: Path
    info: StreamInfo


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    folder = tmp_path_factory.mktemp("hls")
    video = write_movie(folder / "blurred.mp4", Movie(seconds=10, tone_hz=0))
    sound = write_sound(folder / "mic.wav", clicks(10, CLICKS_S), 48_000)
    mixdown([Source(sound)], folder / "sound.m4a", 128)
    info = package_stream(video, folder / "sound.m4a", VTT, folder / "out", media=MEDIA)
    return Published(folder / "out", video, info)


def joined(folder: Path) -> Path:
    """All segments of one rendition as one file, the way a player reads them."""
    names = re.findall(r"^(\d+\.m4s)$", (folder / "index.m3u8").read_text(), re.MULTILINE)
    path = folder.parent.parent / f"{folder.name}.mp4"
    path.write_bytes((folder / "init.mp4").read_bytes() + b"".join((folder / n).read_bytes() for n in names))
    return path


def packets(path: Path, kind: str) -> list[av.Packet]:
    with av.open(str(path)) as source:
        stream = next(stream for stream in source.streams if stream.type == kind)
        return [packet for packet in source.demux(stream) if packet.size]


def test_renditions_never_exceed_the_source_and_keep_every_frame(published: Published) -> None:
    assert [(r.width, r.height) for r in published.info.renditions] == [(320, 180), (160, 90)]
    assert published.info.frames == 250
    for rendition in published.info.renditions:
        assert len(packets(joined(published.folder / rendition.name), "video")) == 250
        assert rendition.segments_s == pytest.approx((4.0, 4.0, 2.0))


def test_the_largest_rendition_is_the_blurred_video_itself(published: Published) -> None:
    theirs = [bytes(packet) for packet in packets(joined(published.folder / "180p"), "video")]
    assert theirs == [bytes(packet) for packet in packets(published.video, "video")]


@pytest.mark.parametrize("name", ["180p", "90p"])
def test_every_segment_starts_with_a_keyframe_at_the_same_moment(published: Published, name: str) -> None:
    folder = published.folder / name
    for index, segment in enumerate(sorted(folder.glob("*.m4s"))):
        one = published.folder.parent / "one.mp4"
        one.write_bytes((folder / "init.mp4").read_bytes() + segment.read_bytes())
        first = packets(one, "video")[0]
        assert first.is_keyframe
        assert first.pts is not None
        assert first.pts * Fraction(first.time_base or 0) == pytest.approx(4.0 * index + 0.08, abs=0.001)


@pytest.mark.parametrize("name", ["180p", "90p", "video.mp4"])
def test_sound_and_picture_are_in_step(published: Published, name: str) -> None:
    path = published.folder / name
    path = path if path.is_file() else joined(path)
    with av.open(str(path)) as source:
        frame = next(source.decode(video=0))
        picture_s = frame.time or 0.0
    with av.open(str(path)) as source:
        first = next(source.decode(audio=0))
        sound_s = first.time or 0.0
    heard = np.flatnonzero(np.abs(read_sound(path, 48_000)) > 0.2)[0] / 48_000 + sound_s
    assert heard - picture_s == pytest.approx(CLICKS_S[0], abs=0.02)


def test_the_master_playlist_tells_size_codecs_and_captions(published: Published) -> None:
    master = (published.folder / "master.m3u8").read_text()
    assert re.findall(r"RESOLUTION=(\S+?),", master) == ["320x180", "160x90"]
    assert all(
        re.fullmatch(r"avc1\.[0-9a-f]{6},mp4a\.40\.2", c) for c in re.findall(r'CODECS="(.+?)"', master)
    )
    assert 'TYPE=SUBTITLES,GROUP-ID="captions"' in master
    for uri in re.findall(r"^(?!#)(\S+)$", master, re.MULTILINE):
        assert (published.folder / uri).is_file()
    for rendition in published.info.renditions:
        sizes = [
            path.stat().st_size * 8 for path in sorted((published.folder / rendition.name).glob("*.m4s"))
        ]
        rates = [bits / length_s for bits, length_s in zip(sizes, rendition.segments_s, strict=True)]
        assert rendition.bandwidth_bps == pytest.approx(max(rates), abs=1)


def test_captions_lie_beside_the_stream_and_in_it(published: Published) -> None:
    assert (published.folder / "captions.vtt").read_text() == VTT
    inside = (published.folder / "captions" / "captions.vtt").read_text()
    assert "X-TIMESTAMP-MAP=MPEGTS:7200,LOCAL:00:00:00.000" in inside
    assert inside.endswith(VTT.removeprefix("WEBVTT\n"))


def test_the_fallback_starts_at_once_and_the_poster_is_a_picture(published: Published) -> None:
    data = (published.folder / "video.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert len(packets(published.folder / "video.mp4", "video")) == 250
    with av.open(str(published.folder / "poster.jpg")) as poster:
        assert (poster.streams.video[0].width, poster.streams.video[0].height) == (320, 180)


def test_the_same_input_gives_the_same_bytes(published: Published, tmp_path: Path) -> None:
    again = tmp_path / "100% again"
    again.mkdir()
    package_stream(published.video, published.folder.parent / "sound.m4a", VTT, again, media=MEDIA)
    files = {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()}
    assert files == {
        path.relative_to(published.folder): path.read_bytes()
        for path in published.folder.rglob("*")
        if path.is_file()
    }


def test_a_small_silent_video_gets_one_smaller_rendition(tmp_path: Path) -> None:
    video = write_movie(tmp_path / "small.mp4", Movie(seconds=3, width=128, height=96, tone_hz=0))
    info = package_stream(video, None, None, tmp_path / "out", media=MediaSettings())
    assert [r.height for r in info.renditions] == [96, 48]
    assert all("mp4a" not in r.codecs for r in info.renditions)
    assert not (tmp_path / "out" / "captions.vtt").exists()
    assert "SUBTITLES" not in (tmp_path / "out" / "master.m3u8").read_text()


def test_a_large_video_is_reduced_to_what_is_published(tmp_path: Path) -> None:
    video = write_movie(tmp_path / "large.mp4", Movie(seconds=3, width=640, height=360, tone_hz=0))
    info = package_stream(video, None, None, tmp_path / "out", media=MEDIA)
    assert [(r.width, r.height) for r in info.renditions] == [(320, 180), (160, 90)]


def test_a_variable_frame_rate_is_kept_frame_for_frame(tmp_path: Path) -> None:
    times = [round(index / 25 + (0.011 if index % 3 else 0.0), 3) for index in range(100)]
    video = write_movie(tmp_path / "phone.mp4", Movie(frame_times_s=times, tone_hz=0))
    info = package_stream(video, None, None, tmp_path / "out", media=MEDIA)
    for rendition in info.renditions:
        assert len(packets(joined(tmp_path / "out" / rendition.name), "video")) == 100


def test_a_file_without_a_picture_is_refused(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.m4a", clicks(1, [0.5]), 48_000)
    with pytest.raises(NoVideo):
        package_stream(sound, None, None, tmp_path / "out", media=MEDIA)
