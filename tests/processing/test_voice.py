"""A patient's voice is hidden: programs no longer recognise it, the words are still understood."""

from __future__ import annotations

import tracemalloc
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.audio import decode_audio
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import NotMedia
from processing.voice import FADE_S, MARGIN_S, disguise, disguise_spans
from scripts.demo_asr_check import load_model
from scripts.judge_voice import Verification, demo_voices, disguise_together, error_rate
from tests.processing.media_files import Samples, tone

pytestmark = pytest.mark.lengthy
RATE_HZ = 16_000
SECRETS = [b"0123456789abcdef", b"fedcba9876543210", b"another secret 16"]
SECRET = SECRETS[0]


def vowel(seconds: float, pitch_hz: float, rate_hz: int = RATE_HZ, vibrato: float = 0.0) -> Samples:
    """Harmonics under three formants (500, 1500, 2500 Hz), 0.3 at most; ``vibrato`` is a share of the pitch."""
    clock = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + vibrato * np.sin(2 * np.pi * 2 * clock))) / rate_hz
    sound = np.zeros(len(clock))
    for number in range(1, int(min(4000, rate_hz / 2) / pitch_hz)):
        height = sum(1 / (1 + ((number * pitch_hz - formant) / 80) ** 2) for formant in (500, 1500, 2500))
        sound += (0.02 + height) * np.cos(number * phase + number**2)
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def pitch_hz(sound: Samples, rate_hz: int = RATE_HZ) -> np.ndarray:
    """The lag at which 40 ms resemble themselves best, every 20 ms; nothing of the product in it."""
    width, found = round(0.04 * rate_hz), []
    lags = np.arange(round(rate_hz / 400), round(rate_hz / 75))
    for start in range(0, len(sound) - width - int(lags[-1]), width // 2):
        here = sound[start : start + width]
        there = np.stack([sound[start + lag : start + lag + width] for lag in lags])
        likeness = there @ here / (np.linalg.norm(there, axis=1) * np.linalg.norm(here) + 1e-9)
        best = int(np.flatnonzero(likeness > 0.97 * likeness.max())[0])
        while best + 1 < len(lags) and likeness[best + 1] > likeness[best]:
            best += 1
        found.append(rate_hz / lags[best])
    return np.array(found)


def level_db(sound: Samples) -> float:
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64))))


def write_wav(path: Path, sound: Samples, rate_hz: int = RATE_HZ, width: int = 2) -> Path:
    """(samples,) or (samples, channels) as PCM."""
    with wave.open(str(path), "wb") as sink:
        sink.setnchannels(1 if sound.ndim == 1 else sound.shape[1])
        sink.setsampwidth(width)
        sink.setframerate(rate_hz)
        whole = np.rint(sound * 32767).astype("<i2")
        sink.writeframes(whole.tobytes() if width == 2 else b"\0" * width * whole.size)
    return path


def read_pcm(path: Path) -> np.ndarray:
    with wave.open(str(path), "rb") as source:
        raw = np.frombuffer(source.readframes(source.getnframes()), np.int16)
        return raw.reshape(-1, source.getnchannels())


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000, 96_000])
def test_the_new_voice_is_as_long_and_as_loud_at_every_rate(rate_hz: int) -> None:
    sound = vowel(1.5, 140.0, rate_hz)
    changed = disguise(sound, rate_hz, SECRET)
    assert len(changed) == len(sound)
    assert level_db(changed) == pytest.approx(level_db(sound), abs=1.0)


@settings(max_examples=30, deadline=None)
@given(
    length=st.integers(0, 6000), loudness=st.floats(0, 4), clipped=st.booleans(), seed=st.integers(0, 2**32)
)
def test_any_sound_comes_out_as_long_and_finite(
    length: int, loudness: float, clipped: bool, seed: int
) -> None:
    noise = loudness * np.random.default_rng(seed).standard_normal(length).astype(np.float32)
    sound = np.clip(noise, -1, 1) if clipped else noise
    changed = disguise(sound, RATE_HZ, SECRET)
    assert len(changed) == length
    assert np.isfinite(changed).all()


def test_samples_that_are_no_numbers_do_not_spread() -> None:
    sound = vowel(1.0, 140.0)
    sound[4000:4010] = np.nan
    sound[5000] = np.inf
    assert np.isfinite(disguise(sound, RATE_HZ, SECRET)).all()


def test_silence_stays_silent() -> None:
    assert not disguise(np.zeros(RATE_HZ, np.float32), RATE_HZ, SECRET).any()
    half = np.concatenate([vowel(1.0, 140.0), np.zeros(RATE_HZ, np.float32)])
    assert np.abs(disguise(half, RATE_HZ, SECRET)[RATE_HZ + 1000 :]).max() < 1e-4


def test_the_same_secret_gives_the_same_voice_and_another_secret_another() -> None:
    sound = vowel(1.0, 140.0)
    assert np.array_equal(disguise(sound, RATE_HZ, SECRET), disguise(sound, RATE_HZ, SECRET))
    pitches = {float(np.median(pitch_hz(disguise(sound, RATE_HZ, secret))).round()) for secret in SECRETS}
    assert len(pitches) == len(SECRETS)


def test_a_secret_that_could_be_tried_out_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        disguise(vowel(0.5, 140.0), RATE_HZ, b"case-17")


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(("spoken_hz", "heard_hz"), [(110.0, (170, 260)), (230.0, (85, 135))])
def test_a_low_voice_becomes_high_and_a_high_one_low(
    spoken_hz: float, heard_hz: tuple[float, float], secret: bytes
) -> None:
    changed = disguise(vowel(2.0, spoken_hz), RATE_HZ, secret)
    assert heard_hz[0] < np.median(pitch_hz(changed)) < heard_hz[1]


def test_how_high_a_voice_was_does_not_show_in_the_new_one() -> None:
    heard = [np.median(pitch_hz(disguise(vowel(2.0, spoken), RATE_HZ, SECRET))) for spoken in (95, 110, 135)]
    assert max(heard) / min(heard) < 1.05


def test_a_lively_melody_is_flattened() -> None:
    lively = vowel(4.0, 120.0, vibrato=0.25)
    before, after = (np.log(pitch_hz(sound)) for sound in (lively, disguise(lively, RATE_HZ, SECRET)))
    spread_before, spread_after = (np.diff(np.percentile(one, [16, 84]))[0] for one in (before, after))
    assert spread_after < 0.75 * spread_before


@pytest.mark.parametrize("secret", SECRETS)
def test_formants_move_and_not_all_by_one_factor(secret: bytes) -> None:
    factors = []
    changed = disguise(vowel(4.0, 110.0), RATE_HZ, secret)
    spectrum = np.abs(np.fft.rfft(changed)) ** 2
    hz = np.fft.rfftfreq(len(changed), 1 / RATE_HZ)
    for formant in (500.0, 1500.0, 2500.0):
        near = (hz > 0.8 * formant) & (hz < 1.45 * formant)
        factors.append(float(np.sum(hz[near] * spectrum[near]) / np.sum(spectrum[near]) / formant))
    assert all(factor > 1.04 for factor in factors)
    assert max(factors) / min(factors) > 1.005


def test_nothing_above_8_khz_is_kept() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(96_000).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(disguise(noise, 48_000, SECRET))) ** 2
    above = np.fft.rfftfreq(96_000, 1 / 48_000) > 8300
    assert spectrum[above].sum() < 1e-4 * spectrum.sum()


def test_blocks_join_without_a_seam() -> None:
    changed = disguise(vowel(12.0, 140.0), RATE_HZ, SECRET)
    jumps = np.abs(np.diff(changed))
    seam = slice(10 * RATE_HZ - 1600, 10 * RATE_HZ + 1600)
    assert jumps[seam].max() <= 1.2 * jumps[RATE_HZ : 9 * RATE_HZ].max()
    levels = np.square(changed[: 12 * RATE_HZ]).reshape(-1, 800).mean(axis=1)[2:-2]
    assert levels.min() > 0.3 * np.median(levels)


@pytest.mark.parametrize("secret", SECRETS)
def test_the_words_are_still_understood(secret: bytes) -> None:
    clips = demo_voices()["patient"]
    changed = disguise_together([sound for _text, sound in clips], secret)
    model = load_model()
    after = [(text, sound) for (text, _sound), sound in zip(clips, changed, strict=True)]
    assert error_rate(model, after) - error_rate(model, clips) < 0.05


def back_by_resampling(sound: Samples, factor: float) -> Samples:
    """What an attacker tries first: play it slower or faster."""
    places = np.arange(0, len(sound) - 1, factor)
    return np.interp(places, np.arange(len(sound)), sound).astype(np.float32)


def mean_accepted(
    voices: dict[str, list[Samples]], secret: bytes, factors: Sequence[float] = (1.0,)
) -> float:
    verification = Verification.fit(voices)
    shares = []
    for sounds in voices.values():
        hidden = disguise_together(sounds, secret)
        for factor in factors:
            tried = [back_by_resampling(sound, factor) for sound in hidden] if factor != 1.0 else hidden
            shares.append(verification.accepted(sounds, tried))
    return float(np.mean(shares))


@pytest.fixture(scope="module")
def demo() -> dict[str, list[Samples]]:
    return {role: [sound for _text, sound in clips] for role, clips in demo_voices().items()}


@pytest.fixture
def speakers(shared_media: Path) -> dict[str, list[Samples]]:
    folder = shared_media / "audio" / "spk"
    names = ("1688", "1998", "sb_spk1", "sb_spk2")
    return {
        name: [decode_audio(str(file), sampling_rate=RATE_HZ) for file in sorted(folder.glob(f"{name}*"))]
        for name in names
    }


def test_verification_accepts_the_undisguised(demo: dict[str, list[Samples]]) -> None:
    verification = Verification.fit(demo)
    assert all(verification.accepted(sounds, sounds) > 0.9 for sounds in demo.values())


@pytest.mark.parametrize("secret", SECRETS)
def test_the_demo_s_speakers_are_no_longer_recognised(demo: dict[str, list[Samples]], secret: bytes) -> None:
    assert mean_accepted(demo, secret) < 0.1


@pytest.mark.parametrize("secret", SECRETS)
def test_real_speakers_are_no_longer_recognised(speakers: dict[str, list[Samples]], secret: bytes) -> None:
    assert mean_accepted(speakers, secret) < 0.15


def test_resampling_does_not_bring_the_speaker_back(speakers: dict[str, list[Samples]]) -> None:
    assert mean_accepted(speakers, SECRET, np.geomspace(0.6, 1.7, 5).tolist()) < 0.15


@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_only_the_spans_and_their_margins_change(tmp_path: Path, rate_hz: int) -> None:
    left = vowel(6.0, 140.0, rate_hz)
    source = write_wav(tmp_path / "in.wav", np.stack([left, 0.5 * left], axis=1), rate_hz)
    told: list[float] = []
    disguise_spans(source, tmp_path / "out.wav", [(4.0, 4.5), (1.0, 2.0)], SECRET, told.append)
    before, after = read_pcm(source), read_pcm(tmp_path / "out.wav")
    assert before.shape == after.shape
    clock = np.arange(len(before)) / rate_hz
    inside = [(clock > a - MARGIN_S - 1e-6) & (clock < b + MARGIN_S) for a, b in ((1.0, 2.0), (4.0, 4.5))]
    untouched = ~np.logical_or(*inside)
    assert np.array_equal(before[untouched], after[untouched])
    assert np.mean(before[inside[0]] == after[inside[0]]) < 0.05
    assert told == sorted(told) and told[-1] == 1.0


def test_both_channels_keep_their_balance(tmp_path: Path) -> None:
    left = vowel(3.0, 140.0)
    source = write_wav(tmp_path / "in.wav", np.stack([left, 0.25 * left], axis=1))
    disguise_spans(source, tmp_path / "out.wav", [(0.0, 3.0)], SECRET)
    after = read_pcm(tmp_path / "out.wav").astype(np.float32)
    assert level_db(after[:, 0]) - level_db(after[:, 1]) == pytest.approx(12.04, abs=0.5)
    assert np.corrcoef(after.T)[0, 1] > 0.99


def test_the_edges_do_not_click(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", vowel(4.0, 140.0))
    disguise_spans(source, tmp_path / "out.wav", [(1.0, 3.0)], SECRET)
    jumps = np.abs(np.diff(read_pcm(tmp_path / "out.wav")[:, 0].astype(np.int32)))
    inner = jumps[round(1.2 * RATE_HZ) : round(2.8 * RATE_HZ)].max()
    outer = jumps[: round(0.8 * RATE_HZ)].max()
    for edge_s in (1.0 - MARGIN_S, 3.0 + MARGIN_S):
        near = slice(round((edge_s - 2 * FADE_S) * RATE_HZ), round((edge_s + 2 * FADE_S) * RATE_HZ))
        assert jumps[near].max() <= 1.1 * max(inner, outer)


def test_what_lies_beside_a_span_does_not_leak_into_it(tmp_path: Path) -> None:
    quiet = np.zeros(4 * RATE_HZ, np.float32)
    quiet[: RATE_HZ - round(MARGIN_S * RATE_HZ) - 1] = vowel(4.0, 140.0)[
        : RATE_HZ - round(MARGIN_S * RATE_HZ) - 1
    ]
    source = write_wav(tmp_path / "in.wav", quiet)
    disguise_spans(source, tmp_path / "out.wav", [(1.0, 3.0)], SECRET)
    assert not read_pcm(tmp_path / "out.wav")[round(0.95 * RATE_HZ) :].any()


def test_a_voice_at_the_very_start_and_end_of_a_file_is_hidden_too(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", vowel(1.0, 140.0))
    disguise_spans(source, tmp_path / "out.wav", [(-1.0, 9.0)], SECRET)
    before, after = (read_pcm(path)[:, 0] / 32768 for path in (source, tmp_path / "out.wav"))
    for part in (slice(0, 800), slice(-800, None)):
        assert abs(np.corrcoef(before[part], after[part])[0, 1]) < 0.9


def test_two_microphones_get_the_same_voice(tmp_path: Path) -> None:
    heard = []
    for name, loudness in (("expert", 0.1), ("patient", 1.0)):
        noise = 0.001 * np.random.default_rng(len(name)).standard_normal(4 * RATE_HZ).astype(np.float32)
        source = write_wav(tmp_path / f"{name}.wav", loudness * vowel(4.0, 120.0) + noise)
        disguise_spans(source, tmp_path / f"{name}-out.wav", [(0.5, 3.5)], SECRET)
        sound = read_pcm(tmp_path / f"{name}-out.wav")[RATE_HZ : 3 * RATE_HZ, 0].astype(np.float32)
        heard.append(np.median(pitch_hz(sound)))
    assert heard[0] == pytest.approx(heard[1], rel=0.03)


def test_without_spans_the_file_is_copied(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "in.wav", tone(1.0, 300.0))
    disguise_spans(source, tmp_path / "out.wav", [(0.5, 0.5), (7.0, 9.0)], SECRET)
    assert source.read_bytes() == (tmp_path / "out.wav").read_bytes()


def test_what_is_no_16_bit_wav_is_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "deep.wav", tone(0.1, 300.0), width=3)
    (tmp_path / "text.wav").write_text("no sound at all")
    short = write_wav(tmp_path / "short.wav", tone(1.0, 300.0))
    short.write_bytes(short.read_bytes()[:9000])
    for name in ("deep", "text", "short"):
        with pytest.raises(NotMedia, match=name):
            disguise_spans(tmp_path / f"{name}.wav", tmp_path / "out.wav", [(0.0, 1.0)], SECRET)


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    peaks = []
    for minutes in (1, 3):
        noise = 0.1 * np.random.default_rng(0).standard_normal(minutes * 60 * 8000).astype(np.float32)
        source = write_wav(tmp_path / f"{minutes}.wav", noise, 8000)
        tracemalloc.start()
        disguise_spans(source, tmp_path / "out.wav", [(0.0, 60.0 * minutes)], SECRET)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
