"""Sound for the speech steps and for publishing."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from config.errors import NoAudio, NotMedia
from processing.audio import Source, mixdown, read_wav, speech_wav, wav_seconds
from processing.media import run_ffmpeg
from tests.processing.media_files import Movie, Samples, clicks, read_sound, tone, write_movie, write_sound

CLICKS_S = [1.0, 2.5, 3.5]


def heard_s(sound: Samples, rate_hz: int = 16_000) -> list[float]:
    """When each click begins."""
    loud = np.flatnonzero(np.abs(sound) > 0.2) / rate_hz
    return [float(t) for before, t in zip([-1.0, *loud], loud, strict=False) if t - before > 0.3]


def speech(source: Path, folder: Path) -> Samples:
    speech_wav([Source(source)], folder / "speech.wav")
    return read_wav(folder / "speech.wav")


@pytest.mark.parametrize("suffix", ["wav", "flac", "m4a", "mp3"])
@pytest.mark.parametrize(("rate_hz", "channels"), [(44_100, 2), (48_000, 1)])
def test_any_sound_becomes_16_khz_mono_in_its_time(
    tmp_path: Path, suffix: str, rate_hz: int, channels: int
) -> None:
    source = write_sound(tmp_path / f"a.{suffix}", clicks(4, CLICKS_S, rate_hz), rate_hz, channels=channels)
    sound = speech(source, tmp_path)
    assert len(sound) / 16_000 == pytest.approx(4.0, abs=0.03)
    assert heard_s(sound) == pytest.approx(CLICKS_S, abs=0.005)


@pytest.mark.parametrize("suffix", ["mp4", "ts", "mkv"])
def test_sound_that_starts_late_stays_on_the_clock_of_the_picture(tmp_path: Path, suffix: str) -> None:
    movie = write_movie(tmp_path / "a.mp4", Movie(sound=clicks(4, CLICKS_S)))
    late = tmp_path / f"late.{suffix}"
    twice = [
        "-i",
        str(movie),
        "-itsoffset",
        "0.7",
        "-i",
        str(movie),
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c",
        "copy",
    ]
    run_ffmpeg([*twice, str(late)])
    expected = pytest.approx([time_s + 0.7 for time_s in CLICKS_S], abs=0.02)
    assert heard_s(speech(late, tmp_path)) == expected
    mixdown([Source(late)], tmp_path / "mix.m4a", 128)
    assert heard_s(speech(tmp_path / "mix.m4a", tmp_path)) == expected


@pytest.mark.parametrize("start_s", [0.4, -0.4])
def test_a_microphone_that_began_before_or_after_the_camera_is_lined_up(
    tmp_path: Path, start_s: float
) -> None:
    late = Source(write_sound(tmp_path / "a.m4a", clicks(4, CLICKS_S), 48_000), start_s)
    expected = pytest.approx([time_s + start_s for time_s in CLICKS_S], abs=0.005)
    speech_wav([late], tmp_path / "a.wav")
    assert heard_s(read_wav(tmp_path / "a.wav")) == expected
    mixdown([late], tmp_path / "mix.m4a", 128)
    assert heard_s(speech(tmp_path / "mix.m4a", tmp_path)) == expected


def test_two_microphones_of_one_role_are_added_up(tmp_path: Path) -> None:
    one = Source(write_sound(tmp_path / "1.wav", clicks(2, [0.5], 16_000)))
    two = Source(write_sound(tmp_path / "2.wav", clicks(3, [0.5], 16_000)), 1.0)
    speech_wav([one, two], tmp_path / "a.wav")
    assert wav_seconds(tmp_path / "a.wav") == 4.0
    assert heard_s(read_wav(tmp_path / "a.wav")) == pytest.approx([0.5, 1.5], abs=0.002)


def test_part_of_a_wav_is_read_alone(tmp_path: Path) -> None:
    speech_wav([Source(write_sound(tmp_path / "a.wav", clicks(4, CLICKS_S, 16_000)))], tmp_path / "b.wav")
    assert wav_seconds(tmp_path / "b.wav") == 4.0
    assert heard_s(read_wav(tmp_path / "b.wav", 2.0, 3.0)) == pytest.approx([0.5], abs=0.002)
    assert len(read_wav(tmp_path / "b.wav", 3.5, 99.0)) == 8_000
    assert len(read_wav(tmp_path / "b.wav", 5.0, 6.0)) == 0


def test_one_aac_track_is_published_bit_for_bit(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "a.mp4")
    mixdown([Source(movie)], tmp_path / "mix.m4a", 128)

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as source:
            return [bytes(packet) for packet in source.demux(audio=0) if packet.size]

    assert packets(tmp_path / "mix.m4a") == packets(movie)


def test_loud_microphones_are_mixed_without_clipping_and_in_time(tmp_path: Path) -> None:
    sounds = [
        clicks(4, CLICKS_S) + tone(4, hz, 48_000, 0.9) * (np.arange(192_000) > 180_000) for hz in (300, 470)
    ]
    tracks = [
        Source(write_sound(tmp_path / f"{index}.flac", sound, 48_000)) for index, sound in enumerate(sounds)
    ]
    mixdown(tracks, tmp_path / "mix.m4a", 128)
    mixed = read_sound(tmp_path / "mix.m4a", 48_000)
    assert np.mean(np.abs(mixed) >= 0.999) < 1e-3
    assert heard_s(mixed, 48_000)[:3] == pytest.approx(CLICKS_S, abs=0.005)


def test_the_same_sound_gives_the_same_bytes(tmp_path: Path) -> None:
    tracks = [Source(write_sound(tmp_path / f"{hz}.wav", tone(2, hz))) for hz in (200, 330)]
    for name in ("1.m4a", "2.m4a"):
        mixdown(tracks, tmp_path / name, 96)
    assert (tmp_path / "1.m4a").read_bytes() == (tmp_path / "2.m4a").read_bytes()


def test_what_holds_no_sound_is_refused(tmp_path: Path) -> None:
    silent = write_movie(tmp_path / "silent.mp4", Movie(seconds=1, tone_hz=0))
    (tmp_path / "text.wav").write_text("no sound at all")
    with pytest.raises(NoAudio):
        speech_wav([Source(silent)], tmp_path / "a.wav")
    with pytest.raises(NoAudio):
        mixdown([Source(silent)], tmp_path / "a.m4a", 128)
    with pytest.raises(NotMedia):
        speech_wav([Source(tmp_path / "text.wav")], tmp_path / "a.wav")
