"""Running FFmpeg, and joining the segments of a track."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from config.errors import ChildFailed, ChildTimedOut, FfmpegMissing, Truncated
from processing import media
from processing.join import join_segments
from tests.processing.media_files import Movie, read_sound, write_movie, write_sound

ENDLESS = ["-f", "lavfi", "-re", "-i", "testsrc=size=64x64", "-f", "null", "-"]


def video_times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as source:
        return sorted(p.pts * p.time_base for p in source.demux(video=0) if p.pts is not None and p.time_base)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mp4"])
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
def test_video_segments_join_without_losing_a_frame_or_drifting(
    tmp_path: Path, suffix: str, fps: Fraction
) -> None:
    shape = Movie(seconds=1.0, fps=fps, tone_hz=0)
    parts = [write_movie(tmp_path / f"{index}.{suffix}", shape) for index in range(8)]
    join_segments(parts, tmp_path / f"out.{suffix}")
    times = video_times(tmp_path / f"out.{suffix}")
    frames = sum(len(video_times(part)) for part in parts)
    assert len(times) == frames
    assert float(times[-1] - times[0]) == pytest.approx((frames - 1) / fps, abs=0.002)
    assert max(float(b - a) for a, b in itertools.pairwise(times)) < 1.1 / fps


def test_segments_that_carry_on_one_clock_keep_it(tmp_path: Path) -> None:
    whole = write_movie(tmp_path / "whole.mkv", Movie(seconds=4, keyframe_s=1.0, tone_hz=0))
    cut = [
        "-i",
        str(whole),
        "-c",
        "copy",
        "-f",
        "segment",
        "-segment_time",
        "1",
        str(tmp_path / "part%d.mkv"),
    ]
    media.run_ffmpeg(cut)
    parts = sorted(tmp_path.glob("part*.mkv"))
    join_segments(parts, tmp_path / "out.mkv")
    assert len(parts) == 4
    assert video_times(tmp_path / "out.mkv") == video_times(whole)


@pytest.mark.parametrize("suffix", ["flac", "wav"])
def test_sound_segments_join_sample_for_sample(tmp_path: Path, suffix: str) -> None:
    sound = np.random.default_rng(1).uniform(-0.5, 0.5, 40_000).astype(np.float32)
    bounds = [0, 9_999, 16_001, 30_000, 40_000]
    parts = [
        write_sound(tmp_path / f"{first}.{suffix}", sound[first:last])
        for first, last in itertools.pairwise(bounds)
    ]
    join_segments(parts, tmp_path / f"out.{suffix}")
    joined = read_sound(tmp_path / f"out.{suffix}")
    assert len(joined) == len(sound)
    assert np.abs(joined - sound).max() <= 2 / 32768


def test_one_whole_file_passes_byte_for_byte(tmp_path: Path) -> None:
    only = write_movie(tmp_path / "user.mp4")
    join_segments([only], tmp_path / "out.mkv")
    assert (tmp_path / "out.mkv").read_bytes() == only.read_bytes()


def test_a_cut_last_segment_gives_the_frames_it_still_holds(tmp_path: Path) -> None:
    shape = Movie(seconds=1.0, tone_hz=0)
    parts = [write_movie(tmp_path / f"{index}.mkv", shape) for index in range(2)]
    parts[1].write_bytes(parts[1].read_bytes()[:-2000])
    join_segments(parts, tmp_path / "out.mkv")
    assert 25 < len(video_times(tmp_path / "out.mkv")) < 50


def test_a_segment_that_is_no_media_is_named(tmp_path: Path) -> None:
    good = write_movie(tmp_path / "0.mkv", Movie(seconds=0.5))
    (tmp_path / "1.mkv").write_bytes(b"\0" * 500)
    with pytest.raises(Truncated) as caught:
        join_segments([good, tmp_path / "1.mkv"], tmp_path / "out.mkv")
    assert caught.value.data["name"] == "1.mkv"


def test_a_failing_ffmpeg_tells_the_end_of_its_messages() -> None:
    with pytest.raises(ChildFailed, match="nowhere"):
        media.run_ffmpeg(["-i", "file:/nowhere.mp4", "-f", "null", "-"])


def test_a_slow_ffmpeg_is_stopped_at_its_time_limit() -> None:
    with pytest.raises(ChildTimedOut):
        media.run_ffmpeg(ENDLESS, timeout_s=0.5)


def test_progress_rises_to_one_and_an_exception_in_it_ends_ffmpeg(tmp_path: Path) -> None:
    shares: list[float] = []
    source = ["-f", "lavfi", "-i", "testsrc=size=64x64:duration=3", "-f", "null", "-"]
    media.run_ffmpeg(source, duration_s=3.0, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0

    def stop(_share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        media.run_ffmpeg(ENDLESS, duration_s=1.0, progress=stop)


def test_a_playlist_cannot_make_ffmpeg_read_other_files(tmp_path: Path) -> None:
    secret = write_movie(tmp_path / "secret.ts", Movie(seconds=0.5))
    playlist = tmp_path / "innocent.mp4"
    playlist.write_text(f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n")
    with pytest.raises(ChildFailed):
        media.run_ffmpeg([*media.input_args(playlist), "-f", "null", "-"])


def test_a_machine_without_ffmpeg_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    with pytest.raises(FfmpegMissing):
        media.run_ffmpeg(["-version"])


def test_the_packaged_ffmpeg_goes_before_an_old_one_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "ffmpeg"
    old.write_text("#!/bin/sh\necho an old one >&2\nexit 1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert media.ffmpeg_path() != str(old)
