"""Segments joined by their places on the recording's clock: gaps, overlaps, drift, late pictures."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.rig import ffmpeg_binary
from processing.join import join_segments
from processing.probe import probe
from processing.stretch import stretched
from tests.processing.media_files import Movie, read_sound, tone, write_movie, write_sound

RATE_HZ = 16_000


def times_s(path: Path) -> list[float]:
    with av.open(str(path)) as source:
        return sorted(
            float(p.pts * p.time_base) for p in source.demux(video=0) if p.pts is not None and p.time_base
        )


def sounds(folder: Path, *seconds: float) -> list[Path]:
    """Segments of different notes, so that their order can be heard."""
    return [
        write_sound(folder / f"{number}.flac", tone(each, 300.0 * (number + 1)), RATE_HZ)
        for number, each in enumerate(seconds)
    ]


def test_a_gap_in_sound_becomes_silence_of_exactly_its_length(tmp_path: Path) -> None:
    parts = sounds(tmp_path, 2.0, 2.0, 2.0)
    join_segments(parts, tmp_path / "out.flac", [1.0, 3.0, 8.25])
    joined = read_sound(tmp_path / "out.flac")
    assert len(joined) == round(9.25 * RATE_HZ)
    silent = joined[4 * RATE_HZ : round(7.25 * RATE_HZ)]
    assert not silent.any()
    assert np.array_equal(joined[round(7.25 * RATE_HZ) :], read_sound(parts[2]))
    assert np.array_equal(joined[: 2 * RATE_HZ], read_sound(parts[0]))


def test_sound_that_overlaps_is_cut_and_never_heard_twice(tmp_path: Path) -> None:
    whole = tone(4.0, 300.0)
    parts = [
        write_sound(tmp_path / "0.flac", whole[: 2 * RATE_HZ], RATE_HZ),
        write_sound(tmp_path / "1.flac", whole[round(1.9 * RATE_HZ) :], RATE_HZ),
    ]
    join_segments(parts, tmp_path / "out.flac", [0.0, 1.9])
    joined = read_sound(tmp_path / "out.flac")
    assert len(joined) == 4 * RATE_HZ
    assert np.abs(joined - whole).max() < 2 / 32768


@pytest.mark.parametrize("drift_ppm", [-100.0, 60.0])
def test_a_drifting_microphone_stays_within_ten_milliseconds_for_an_hour_s_worth_of_drift(
    tmp_path: Path, drift_ppm: float
) -> None:
    segment_s, count = 4.0, 60
    step = 15 * drift_ppm * 1e-6  # an hour's drift in four minutes
    (part,) = sounds(tmp_path, segment_s)
    starts = [number * segment_s * (1 - step) for number in range(count)]
    join_segments([part] * count, tmp_path / "out.flac", starts)
    joined = read_sound(tmp_path / "out.flac")
    assert len(joined) / RATE_HZ == pytest.approx(starts[-1] + segment_s, abs=0.01)


def test_a_small_correction_is_spread_and_leaves_no_click(tmp_path: Path) -> None:
    sound = (tone(4.0, 440.0)[:, None] * 32767).astype(np.int16)
    longer = stretched(sound, len(sound) + 100)
    ideal = (
        tone(4.0 * (len(sound) + 100) / len(sound), 440.0 * len(sound) / (len(sound) + 100))[:, None] * 32767
    )
    assert np.abs(longer[50:-50] - ideal[50 : len(longer) - 50]).max() < 40  # -58 dB of full scale
    assert stretched(sound, len(sound)) is sound


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_gaps_every_sample_lies_at_its_time(
    tmp_path: Path, shape: list[tuple[int, int]]
) -> None:
    """``shape``: per segment the gap before it and its length, in tenths of a second."""
    at, parts, starts, expected = 0.0, [], [], []
    for number, (gap, length) in enumerate(shape):
        at += gap / 10
        sound = np.full(round(length / 10 * RATE_HZ), (number + 1) / 16, np.float32)
        parts.append(write_sound(tmp_path / f"{number}.flac", sound, RATE_HZ))
        starts.append(at)
        at += length / 10
        expected += [np.zeros(round(gap / 10 * RATE_HZ) if number else 0, np.float32), sound]
    join_segments(parts, tmp_path / "out.flac", starts)
    joined, wanted = read_sound(tmp_path / "out.flac"), np.concatenate(expected)
    assert len(joined) == pytest.approx(len(wanted), abs=len(parts))
    assert np.mean(np.abs(joined[: len(wanted)] - wanted[: len(joined)]) > 1e-3) < 0.01


def test_pictures_after_a_gap_come_at_their_time(tmp_path: Path) -> None:
    parts = [write_movie(tmp_path / f"{n}.mkv", Movie(seconds=2.0, tone_hz=0)) for n in range(3)]
    assert join_segments(parts, tmp_path / "out.mkv", [5.0, 7.001, 12.5]) == pytest.approx(0.0, abs=0.001)
    found = times_s(tmp_path / "out.mkv")
    wanted = [n / 25 for n in range(100)] + [7.5 + n / 25 for n in range(50)]
    assert found == pytest.approx(wanted, abs=0.003)


def test_pictures_that_overlap_are_pushed_together_and_none_is_lost(tmp_path: Path) -> None:
    parts = [write_movie(tmp_path / f"{n}.mkv", Movie(seconds=2.0, tone_hz=0)) for n in range(3)]
    join_segments(parts, tmp_path / "out.mkv", [0.0, 1.9, 3.9])
    found = times_s(tmp_path / "out.mkv")
    assert len(found) == 150
    assert (np.diff(found) > 0).all()
    assert found[100] == pytest.approx(3.9, abs=0.045)


def test_how_late_a_camera_s_first_picture_came_is_told(tmp_path: Path) -> None:
    late = Movie(seconds=2.0, tone_hz=0, frame_times_s=[0.8 + n / 25 for n in range(30)])
    parts = [
        write_movie(tmp_path / "0.mkv", late),
        write_movie(tmp_path / "1.mkv", Movie(seconds=2.0, tone_hz=0)),
    ]
    late_s = join_segments(parts, tmp_path / "out.mkv", [0.0, 2.0])
    assert late_s == pytest.approx(0.8, abs=0.002)
    assert times_s(tmp_path / "out.mkv")[30] == pytest.approx(2.0 - late_s, abs=0.003)
    assert join_segments(parts[:1], tmp_path / "one.mkv", [0.0]) == pytest.approx(0.8, abs=0.002)


def test_a_microphone_that_came_back_with_another_rate_is_brought_to_the_first(tmp_path: Path) -> None:
    parts = [
        write_sound(tmp_path / "0.flac", tone(2.0, 440.0), RATE_HZ),
        write_sound(tmp_path / "1.flac", tone(2.0, 440.0, 48_000), 48_000),
    ]
    join_segments(parts, tmp_path / "out.flac", [0.0, 3.0])
    joined = read_sound(tmp_path / "out.flac")
    assert len(joined) / RATE_HZ == pytest.approx(5.0, abs=0.01)
    spectrum = np.abs(np.fft.rfft(joined[3 * RATE_HZ + 800 : 3 * RATE_HZ + 16_800]))
    assert int(spectrum.argmax()) == 440


def test_a_camera_that_came_back_with_another_size_is_brought_to_the_first(tmp_path: Path) -> None:
    sizes = ((192, 108), (320, 180), (192, 108))
    parts = [
        write_movie(tmp_path / f"{number}.mkv", Movie(seconds=1.0, width=width, height=height, tone_hz=0))
        for number, (width, height) in enumerate(sizes)
    ]
    join_segments(parts, tmp_path / "out.mkv", [0.5, 2.0, 4.0], [None, 0.5, None])
    with av.open(str(tmp_path / "out.mkv")) as joined:
        seen = [(float(each.time), each.to_ndarray(format="gray")) for each in joined.decode(video=0)]
    assert {each.shape for _, each in seen} == {(108, 192)}
    for begin, end in ((0.0, 1.0), (1.5, 2.0), (3.5, 4.5)):
        within = [at_s for at_s, _ in seen if begin - 0.01 <= at_s < end + 0.01]
        assert within[0] == pytest.approx(begin, abs=0.01)
        assert within[-1] == pytest.approx(end, abs=0.1)
    with av.open(str(parts[1])) as source:
        wanted = next(source.decode(video=0)).reformat(width=192, height=108).to_ndarray(format="gray")
    got = next(picture for at_s, picture in seen if at_s >= 1.49)
    assert np.abs(got.astype(int) - wanted.astype(int)).mean() < 6, "a picture and no rubbish"


def test_two_files_of_sound_alone_are_joined_whatever_they_are_coded_with(tmp_path: Path) -> None:
    parts = [write_sound(tmp_path / f"{number}.wav", tone(1.0, 300.0), RATE_HZ) for number in range(2)]
    join_segments(parts, tmp_path / "out.wav")
    assert len(read_sound(tmp_path / "out.wav")) == 2 * RATE_HZ


def test_a_visit_with_a_long_pause_is_no_implausible_file(tmp_path: Path) -> None:
    parts = [write_movie(tmp_path / f"{n}.mkv", Movie(seconds=2.0, tone_hz=0)) for n in range(2)]
    join_segments(parts, tmp_path / "out.mkv", [0.0, 1800.0])
    info = probe(tmp_path / "out.mkv", "desk", max_hours=4, need_video=True, longest_pause_s=1798.0)
    assert info.duration_s == pytest.approx(1802.0, abs=0.1)
    assert info.fps == pytest.approx(Fraction(25), abs=0.1)


def test_pictures_of_open_groups_are_joined_though_some_have_no_time_in_their_segment(tmp_path: Path) -> None:
    """As many H.265 cameras send them: shown before the keyframe that they follow."""
    film = tmp_path / "film.mp4"
    quiet = [ffmpeg_binary(), "-loglevel", "error"]
    coded = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=20:bframes=2"]
    subprocess.run(
        [*quiet, "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=10:duration=8", *coded, str(film)], check=True
    )
    cut = ["-f", "segment", "-segment_time", "2", "-segment_format", "matroska", "-reset_timestamps", "1"]
    cut += ["-avoid_negative_ts", "disabled", str(tmp_path / "%d.mkv")]
    subprocess.run([*quiet, "-i", str(film), "-c:v", "copy", *cut], check=True)
    parts = sorted(tmp_path.glob("[0-9].mkv"))
    assert len(parts) == 4
    join_segments(parts, tmp_path / "out.mkv", [0.0, 2.0, 4.0, 6.0])
    with av.open(str(tmp_path / "out.mkv")) as joined:
        seen = [float(frame.time) for frame in joined.decode(video=0)]
    assert seen == sorted(seen)
    assert len(seen) >= 80 - 3 * 2
    assert max(abs(each * 10 - round(each * 10)) for each in seen) < 0.05, "each at its time"
