from __future__ import annotations

import itertools
import tracemalloc
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.audio import Source, mixdown, read_wav, speech_wav, wav_seconds
from processing.published_sound import publish_sound
from processing.tone import MARGIN_S, hidden_stretches, hide, hide_in_wav
from tests.processing.media_files import (
    Movie,
    clicks,
    correlation,
    read_sound,
    speech,
    tone,
    write_movie,
    write_sound,
)

RATE_HZ = 16_000


@dataclass(frozen=True)
class Span:
    start_s: float
    end_s: float


def test_nothing_of_the_original_is_left_in_a_span_and_its_margins() -> None:
    original = speech(4)
    out = hide(original, RATE_HZ, hidden_stretches([Span(1.0, 2.0)]))
    inside = slice(round((1.0 - MARGIN_S) * RATE_HZ), round((2.0 + MARGIN_S) * RATE_HZ))
    other = hide(speech(4, seed=2), RATE_HZ, hidden_stretches([Span(1.0, 2.0)]))
    assert np.array_equal(out[inside], other[inside])
    assert correlation(out[inside], original[inside]) < 0.06
    untouched = slice(round((2.0 + MARGIN_S + 0.006) * RATE_HZ), None)
    assert np.array_equal(out[untouched], original[untouched])


def test_the_tone_is_soft_and_begins_and_ends_without_a_click() -> None:
    silence = np.zeros(3 * RATE_HZ, np.float32)
    out = hide(silence, RATE_HZ, hidden_stretches([Span(1.0, 2.0)]))
    level = 20 * np.log10(np.sqrt(np.mean(np.square(out[RATE_HZ : 2 * RATE_HZ]))))
    assert level == pytest.approx(-30.0, abs=0.1)
    assert np.abs(np.diff(out)).max() < 0.012


def test_spans_that_touch_with_their_margins_become_one_tone() -> None:
    assert hidden_stretches([Span(1.2, 1.4), Span(0.5, 1.0), Span(3.0, 3.1)], 0.1) == [
        (pytest.approx(0.4), pytest.approx(1.5)),
        (pytest.approx(2.9), pytest.approx(3.2)),
    ]
    assert hidden_stretches([Span(0.01, 0.1)])[0][0] == 0.0


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 15_999), max_size=6),
    spans=st.lists(st.tuples(st.floats(0, 1.2), st.floats(0.001, 0.6)), max_size=4),
    channels=st.integers(1, 3),
    whole_numbers=st.booleans(),
)
def test_blocks_of_any_size_give_what_the_whole_gives(
    cuts: list[int], spans: list[tuple[float, float]], channels: int, whole_numbers: bool
) -> None:
    sound: Any = np.repeat(speech(1)[:, None], channels, axis=1)
    if whole_numbers:
        sound = (sound * 30_000).astype(np.int16)
    stretches = hidden_stretches([Span(start_s, start_s + length_s) for start_s, length_s in spans])
    edges = [0, *sorted(set(cuts)), len(sound)]
    joined = np.concatenate([hide(sound[a:b], RATE_HZ, stretches, a) for a, b in itertools.pairwise(edges)])
    assert np.array_equal(joined, hide(sound, RATE_HZ, stretches))
    assert joined.dtype == sound.dtype


def test_what_is_no_number_in_a_span_does_not_come_through() -> None:
    sound = speech(1)
    sound[7_000:9_000] = np.nan
    out = hide(sound, RATE_HZ, hidden_stretches([Span(0.4, 0.6)]))
    assert np.isfinite(out).all()


def test_a_wav_is_hidden_in_flat_memory_and_keeps_its_length(tmp_path: Path) -> None:
    source, out = tmp_path / "a.wav", tmp_path / "b.wav"
    block = (speech(60) * 32_767).astype("<i2").tobytes()
    with wave.open(str(source), "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(RATE_HZ)
        for _ in range(30):
            sink.writeframes(block)
    tracemalloc.start()
    hide_in_wav(source, out, [Span(10.0, 11.0), Span(1799.5, 1801.0)])
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert out.stat().st_size == source.stat().st_size
    assert peak_bytes < 20e6
    assert correlation(read_wav(out, 10.0, 11.0), read_wav(source, 10.0, 11.0)) < 0.06
    assert np.array_equal(read_wav(out, 11.2, 20.0), read_wav(source, 11.2, 20.0))


def test_real_speech_in_a_span_is_gone(tmp_path: Path, shared_media: Path) -> None:
    speech_wav([Source(shared_media / "audio/zh/BAC009S0724W0121.wav")], tmp_path / "a.wav")
    hide_in_wav(tmp_path / "a.wav", tmp_path / "b.wav", [Span(1.0, 2.0)])
    original, out = (read_wav(tmp_path / name, 0.92, 2.08) for name in ("a.wav", "b.wav"))
    assert np.abs(original).max() > 0.02
    assert np.abs(out).max() < 0.05
    assert np.allclose(np.abs(np.fft.rfft(out)).argmax() / 1.16, 440, atol=1)
    assert wav_seconds(tmp_path / "b.wav") == wav_seconds(tmp_path / "a.wav")


def test_only_sixteen_bit_wavs_are_taken(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as sink:
        sink.setparams((1, 1, 8_000, 0, "NONE", ""))
        sink.writeframes(b"\x80" * 80)
    with pytest.raises(ValueError, match="8 bits"):
        hide_in_wav(tmp_path / "a.wav", tmp_path / "b.wav", [])


@pytest.mark.parametrize("channels", [1, 2])
def test_the_published_mix_is_as_long_and_in_step_and_holds_nothing_of_a_span(
    tmp_path: Path, channels: int
) -> None:
    voice = speech(6, 3, 48_000) * 0.3 + clicks(6, [1.0, 5.0])
    one = Source(write_sound(tmp_path / "1.flac", voice, 48_000, channels=channels))
    two = Source(write_sound(tmp_path / "2.wav", tone(5, 300, 48_000, 0.05), 48_000), 0.5)
    spans = [Span(2.0, 3.0)]
    mixdown([one, two], tmp_path / "plain.m4a", 128)
    publish_sound([one, two], tmp_path / "hidden.m4a", 128, hidden=spans)
    plain, hidden = (read_sound(tmp_path / f"{name}.m4a", 48_000) for name in ("plain", "hidden"))
    assert len(plain) == len(hidden)
    for from_s, to_s in ((0.5, 1.8), (3.3, 5.9)):
        part = slice(round(from_s * 48_000), round(to_s * 48_000))
        assert correlation(hidden[part], plain[part]) > 0.9
        assert np.dot(hidden[part], plain[part]) > 0.9 * np.dot(plain[part], plain[part])
    inside = slice(round(1.92 * 48_000), round(3.08 * 48_000))
    assert correlation(hidden[inside], voice[inside]) < 0.05
    assert not list(tmp_path.glob(".mix-*"))


def test_sound_stays_in_step_with_the_picture_where_one_aac_track_would_have_been_copied(
    tmp_path: Path,
) -> None:
    movie = write_movie(tmp_path / "a.mp4", Movie(seconds=5, sound=clicks(5, [0.5, 2.5, 4.5])))
    mixdown([Source(movie)], tmp_path / "plain.m4a", 128)
    publish_sound([Source(movie)], tmp_path / "hidden.m4a", 128, hidden=[Span(2.3, 2.8)])
    plain, hidden = (read_sound(tmp_path / f"{name}.m4a", 48_000) for name in ("plain", "hidden"))
    assert abs(len(plain) - len(hidden)) <= 1024
    for click_s in (0.5, 4.5):
        around = slice(round((click_s - 0.1) * 48_000), round((click_s + 0.1) * 48_000))
        begins = [int(np.argmax(np.abs(sound[around]) > 0.3)) for sound in (plain, hidden)]
        assert abs(begins[0] - begins[1]) <= 48
    middle = hidden[round(2.25 * 48_000) : round(2.85 * 48_000)]
    assert np.abs(middle).max() < 0.1


def test_without_spans_the_mix_is_the_plain_one(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "a.mp4")
    mixdown([Source(movie)], tmp_path / "plain.m4a", 128)
    publish_sound([Source(movie)], tmp_path / "hidden.m4a", 128, hidden=[])
    assert (tmp_path / "plain.m4a").read_bytes() == (tmp_path / "hidden.m4a").read_bytes()
