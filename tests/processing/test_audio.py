"""Sound for the speech steps and for publishing."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from config.errors import NoAudio, NotMedia
from processing.audio import Source, mixdown, read_wav, speech_wav, wav_seconds
from processing.media import run_ffmpeg
from tests.processing.media_files import (
    Movie,
    Samples,
    clicks,
    read_sound,
    tone,
    write_movie,
    write_planes,
    write_sound,
)

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


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 96_000])
@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_s24le"])
@pytest.mark.parametrize("channels", [1, 8])
def test_every_rate_depth_and_number_of_channels_is_read(
    tmp_path: Path, rate_hz: int, codec: str, channels: int
) -> None:
    planes = np.repeat(clicks(4, CLICKS_S, rate_hz)[None], channels, axis=0)
    sound = speech(write_planes(tmp_path / "a.wav", planes, rate_hz, codec), tmp_path)
    assert heard_s(sound) == pytest.approx(CLICKS_S, abs=0.005)
    assert np.abs(sound).max() == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "libopus"), ("mkv", "libmp3lame"), ("ogg", "libopus"), ("ts", "aac"), ("ts", "libmp3lame")]
    + [("wav", "libmp3lame"), ("mkv", "pcm_s24le"), ("webm", "libopus")],
)
def test_any_codec_in_any_container_keeps_its_time(tmp_path: Path, suffix: str, codec: str) -> None:
    planes = np.repeat(clicks(4, CLICKS_S, 48_000)[None], 2, axis=0)
    sound = speech(write_planes(tmp_path / f"a.{suffix}", planes, 48_000, codec), tmp_path)
    assert heard_s(sound) == pytest.approx(CLICKS_S, abs=0.025)  # MPEG-TS and WAV keep no encoder delay


def test_channels_wired_the_wrong_way_round_do_not_cancel_out(tmp_path: Path) -> None:
    sound = clicks(4, CLICKS_S, 48_000)
    for count in (2, 8):
        planes = np.repeat(sound[None], count, axis=0)
        planes[1::2] *= -1
        heard = speech(write_planes(tmp_path / "a.wav", planes, 48_000), tmp_path)
        assert heard_s(heard) == pytest.approx(CLICKS_S, abs=0.005)


@pytest.mark.parametrize("alone", [0, 3, 7])
def test_a_microphone_on_any_channel_is_heard_at_its_own_level(tmp_path: Path, alone: int) -> None:
    planes = np.zeros((8, 4 * 48_000), np.float32)
    planes[alone] = tone(4, 440, 48_000)
    heard = speech(write_planes(tmp_path / "a.wav", planes, 48_000), tmp_path)
    assert np.abs(heard).max() == pytest.approx(0.3, abs=0.02)


def test_a_file_that_turns_from_mono_to_stereo_is_read_to_its_end(tmp_path: Path) -> None:
    one, two = (
        write_planes(
            tmp_path / f"{count}.ts", np.repeat(clicks(2, [1.0])[None], count, axis=0), 48_000, "aac"
        )
        for count in (1, 2)
    )
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    sound = speech(both, tmp_path)
    assert len(heard_s(sound)) == 2
    assert len(sound) / 16_000 == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize("drift_ppm", [100.0, -50.0])
def test_a_clock_that_runs_fast_or_slow_is_evened_out_in_the_mix(tmp_path: Path, drift_ppm: float) -> None:
    true_s = [10.0, 120.0, 230.0, 295.0]
    own_s = [time_s * (1 + drift_ppm * 1e-6) for time_s in true_s]
    track = Source(write_sound(tmp_path / "a.flac", clicks(300, own_s), 48_000), 0.0, drift_ppm)
    mixdown([track], tmp_path / "mix.m4a", 128)
    assert heard_s(speech(tmp_path / "mix.m4a", tmp_path)) == pytest.approx(true_s, abs=0.003)


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
