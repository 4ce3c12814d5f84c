"""What a file holds, and what is refused."""

from __future__ import annotations

import os
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from config.errors import (
    EmptyMedia,
    ImplausibleDuration,
    NoAudio,
    NotMedia,
    NoVideo,
    TooLong,
    Truncated,
    YianError,
)
from processing.probe import MediaInfo, compare_cameras, probe
from tests.processing.media_files import Movie, claim_hours, cut, tone, write_movie, write_sound

LATE_INDEX, EARLY_INDEX = Movie(), Movie(options={"movflags": "faststart"})


def look(path: Path, **needs: bool) -> MediaInfo:
    return probe(path, path.name, max_hours=6.0, **needs)


def test_a_good_file_is_measured(tmp_path: Path) -> None:
    info = look(write_movie(tmp_path / "a.mp4"), need_video=True, need_audio=True)
    assert (info.kind, info.width, info.height, info.frames, info.fps) == ("video", 320, 180, 100, 25.0)
    assert info.duration_s == pytest.approx(4.0, abs=0.03)
    assert (info.video_codec, info.audio_codec, info.audio_channels) == ("h264", "aac", 1)
    assert info.notes == ()


def test_what_is_no_media_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(60_000))
    (tmp_path / "text.mp4").write_text("望闻问切\n" * 1000, "utf-8")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:2,\n/etc/hostname\n#EXT-X-ENDLIST\n")
    for name in ("noise.mp4", "text.mp4", "list.mp4"):
        with pytest.raises(NotMedia) as caught:
            look(tmp_path / name)
        assert caught.value.data["name"] == name


@pytest.mark.parametrize("shape", [LATE_INDEX, EARLY_INDEX], ids=["index last", "index first"])
@pytest.mark.parametrize("share", [0.98, 0.5, 0.1])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_truncated_video_is_named_and_refused(
    tmp_path: Path, suffix: str, share: float, shape: Movie
) -> None:
    path = tmp_path / f"a.{suffix}"
    write_movie(path, shape if suffix == "mp4" else Movie())
    with pytest.raises(Truncated) as caught:
        look(cut(path, share))
    assert caught.value.data["name"] == path.name


@pytest.mark.parametrize("suffix", ["wav", "flac", "m4a"])
def test_a_truncated_sound_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 64_000).astype(np.float32)
    with pytest.raises(Truncated):
        look(cut(write_sound(tmp_path / f"a.{suffix}", noise), 0.6))


def test_a_file_without_the_stream_that_is_needed_is_refused(tmp_path: Path) -> None:
    silent = write_movie(tmp_path / "silent.mp4", Movie(seconds=1, tone_hz=0))
    sound = write_sound(tmp_path / "sound.wav", tone(1, 440))
    assert look(silent).audio_codec == ""
    assert look(sound).kind == "audio"
    with pytest.raises(NoAudio):
        look(silent, need_audio=True)
    with pytest.raises(NoVideo):
        look(sound, need_video=True)


def test_an_empty_file_and_a_header_without_content_are_refused(tmp_path: Path) -> None:
    (tmp_path / "zero.mp4").write_bytes(b"")
    with wave.open(str(tmp_path / "header.wav"), "wb") as header:
        header.setparams((1, 2, 16_000, 0, "NONE", ""))
    for name in ("zero.mp4", "header.wav"):
        with pytest.raises(EmptyMedia):
            look(tmp_path / name)


def test_a_header_of_eight_hours_over_seconds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImplausibleDuration) as caught:
        look(claim_hours(write_movie(tmp_path / "long.mp4", Movie(seconds=2)), 8))
    assert caught.value.data["claimed_s"] == pytest.approx(8 * 3600)
    assert caught.value.data["found_s"] == pytest.approx(2.0, abs=0.2)


def test_two_frames_eight_hours_apart_are_no_recording(tmp_path: Path) -> None:
    shape = Movie(frame_times_s=[0.0, 0.04, 0.08, 8 * 3600.0], tone_hz=0)
    with pytest.raises(ImplausibleDuration):
        look(write_movie(tmp_path / "gap.mkv", shape))


def test_a_recording_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", tone(40, 440))
    with pytest.raises(TooLong):
        probe(path, "a.wav", max_hours=0.01)


def test_variable_frame_rate_is_noted_and_averaged(tmp_path: Path) -> None:
    times = [round(index / 25 + (0.011 if index % 3 else 0.0), 3) for index in range(100)]
    info = look(write_movie(tmp_path / "phone.mkv", Movie(frame_times_s=times, tone_hz=0)))
    assert info.variable_frame_rate
    assert info.notes == ("variable-frame-rate",)
    assert info.fps == pytest.approx(25.0, abs=0.2)


def test_matroska_rounding_is_not_taken_for_a_variable_frame_rate(tmp_path: Path) -> None:
    info = look(write_movie(tmp_path / "a.mkv", Movie(fps=Fraction(30000, 1001), tone_hz=0)))
    assert not info.variable_frame_rate
    assert info.fps == pytest.approx(29.97, abs=0.01)


@pytest.mark.parametrize(("turned", "size"), [(90, (180, 320)), (180, (320, 180)), (270, (180, 320))])
def test_a_rotated_phone_video_has_its_displayed_size(
    tmp_path: Path, turned: int, size: tuple[int, int]
) -> None:
    info = look(write_movie(tmp_path / "phone.mp4", Movie(seconds=1, rotation_deg=turned)))
    assert (info.width, info.height) == size
    assert info.rotation_deg == turned
    assert "rotated" in info.notes


@pytest.mark.parametrize(
    "name",
    [
        "; rm -rf ~ ;.mp4",
        "-y.mp4",
        "line\nbreak.mp4",
        "医案 🎥.mp4",
        "concat:a|b.mp4",
        "%05d.mp4",
        "x" * 250 + ".mp4",
    ],
)
def test_hostile_file_names_are_only_names(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.rename(write_movie(tmp_path / "plain.mp4", Movie(seconds=1)), name)
    assert probe(Path(name), name, max_hours=6.0).frames == 25


def test_cameras_of_different_length_are_a_note() -> None:
    long, short = (MediaInfo("video", "matroska", length_s) for length_s in (60.0, 52.5))
    assert compare_cameras([long, long]) == ()
    (note,) = compare_cameras([long, short])
    assert (note.code, note.seconds) == ("cameras-differ-in-length", 7.5)


def test_no_damage_makes_probing_fail_in_an_unknown_way(tmp_path: Path) -> None:
    draw = np.random.default_rng(7)
    whole = write_movie(tmp_path / "a.mp4", Movie(seconds=1, options={"movflags": "faststart"})).read_bytes()
    for trial in range(60):
        broken = bytearray(whole)
        for at in draw.integers(0, min(3000, len(broken)), 8):
            broken[at] = draw.integers(256)
        (tmp_path / "b.mp4").write_bytes(broken[: draw.integers(1, len(broken) + 1)] if trial % 2 else broken)
        try:
            look(tmp_path / "b.mp4")
        except YianError:
            continue


def test_real_clips_are_measured(shared_media: Path) -> None:
    info = look(shared_media / "video" / "short_hamilton_clip.mp4", need_video=True, need_audio=True)
    assert (info.width, info.height, info.frames) == (640, 360, 275)
    assert info.fps == pytest.approx(29.97, abs=0.01)
    assert look(shared_media / "video" / "grid" / "bbaf2n.mpg").frames == 75
