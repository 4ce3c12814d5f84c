"""One clock for all microphones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from processing.audio import Source, read_wav
from processing.clock import ClockFit, correct_clock
from tests.processing.media_files import Samples, read_sound, write_wav

RATE_HZ = 16_000
CLIPS = Path(__file__).parents[2] / "scripts" / "demo_speech"
NOISE = 0.002


@pytest.fixture(scope="module")
def talk() -> dict[str, Samples]:
    """Twenty minutes in which two people take turns; what each one's microphone hears, before noise."""
    draw = np.random.default_rng(1)
    clips = {role: [read_sound(path) for path in sorted(CLIPS.glob(f"*_{role}.flac"))] for role in ROLES}
    voices = {role: np.zeros(20 * 60 * RATE_HZ, np.float32) for role in ROLES}
    at, turn = RATE_HZ, 0
    while at < 19.8 * 60 * RATE_HZ:
        role = ROLES[turn % 2]
        clip = clips[role][int(draw.integers(len(clips[role])))]
        voices[role][at : at + len(clip)] += clip[: len(voices[role]) - at]
        at += len(clip) + round(draw.uniform(0.2, 1.5) * RATE_HZ)
        turn += 1
    way = round(0.004 * RATE_HZ)
    return {
        "expert": voices["expert"] + 0.2 * np.roll(voices["patient"], way),
        "patient": voices["patient"] + 0.2 * np.roll(voices["expert"], way),
    }


ROLES = ("expert", "patient")


def recorded(
    sound: Samples, path: Path, offset_s: float = 0.0, drift_ppm: float = 0.0, seed: int = 0
) -> Path:
    """``sound`` as a device with its own noise, start stamp and clock writes it down."""
    true_s = (np.arange(len(sound)) / RATE_HZ - offset_s) / (1 + drift_ppm * 1e-6)
    own = np.interp(true_s * RATE_HZ, np.arange(len(sound)), sound, left=0.0, right=0.0)
    return write_wav(path, own + np.random.default_rng(seed).normal(0, NOISE, len(sound)))


def late_s(heard: Samples, true: Samples, at_s: float) -> float:
    """How much later ``heard`` is than ``true`` in the eight seconds from ``at_s`` on."""
    part = slice(round(at_s * RATE_HZ), round((at_s + 8) * RATE_HZ))
    size = 1 << 18
    match = np.fft.irfft(np.fft.rfft(heard[part], size) * np.conj(np.fft.rfft(true[part], size)), size)
    peak = int(match.argmax())
    return (peak if peak < size // 2 else peak - size) / RATE_HZ


@pytest.mark.parametrize(("offset_s", "drift_ppm"), [(0.0, 100.0), (-1.9, -50.0)])
def test_drift_and_a_wrong_start_stamp_are_evened_out_to_ten_milliseconds(
    tmp_path: Path, talk: dict[str, Samples], offset_s: float, drift_ppm: float
) -> None:
    files = {
        "expert": recorded(talk["expert"], tmp_path / "e.wav", seed=1),
        "patient": recorded(talk["patient"], tmp_path / "p.wav", offset_s, drift_ppm, seed=2),
    }
    fit = correct_clock(files)["patient"]
    assert fit.corrected
    assert fit.drift_ppm == pytest.approx(drift_ppm, abs=8.0)
    assert fit.offset_s == pytest.approx(offset_s, abs=0.005)
    heard = read_wav(files["patient"])
    for at_s in (10.0, 300.0, 600.0, 900.0, 1170.0):
        assert abs(late_s(heard, talk["patient"], at_s)) < 0.01


def test_channels_on_one_clock_are_left_alone_bit_for_bit(tmp_path: Path, talk: dict[str, Samples]) -> None:
    files = {
        role: recorded(talk[role][: 180 * RATE_HZ], tmp_path / f"{role}.wav", seed=len(role))
        for role in ROLES
    }
    before = {role: path.read_bytes() for role, path in files.items()}
    fits = correct_clock(files)
    assert not any(fit.corrected for fit in fits.values())
    assert {role: path.read_bytes() for role, path in files.items()} == before


def test_what_has_nothing_in_common_is_left_alone(tmp_path: Path, talk: dict[str, Samples]) -> None:
    minute = 60 * RATE_HZ
    draw = np.random.default_rng(3)
    strangers = {
        "other talk": talk["expert"][5 * minute : 7 * minute],
        "noise": draw.normal(0, 0.05, 2 * minute).astype(np.float32),
        "silence": np.zeros(2 * minute, np.float32),
        "nothing": np.zeros(0, np.float32),
    }
    for name, sound in strangers.items():
        files = {
            "expert": write_wav(tmp_path / "e.wav", talk["expert"][: 2 * minute]),
            "patient": write_wav(tmp_path / f"{name}.wav", sound),
        }
        before = files["patient"].read_bytes()
        assert correct_clock(files)["patient"] == ClockFit()
        assert files["patient"].read_bytes() == before


def test_a_channel_that_starts_late_and_stops_early_is_found(
    tmp_path: Path, talk: dict[str, Samples]
) -> None:
    whole = talk["expert"][: 120 * RATE_HZ], talk["patient"][: 120 * RATE_HZ]
    part = whole[1][round(3.2 * RATE_HZ) : 80 * RATE_HZ]
    files = {
        "expert": write_wav(tmp_path / "e.wav", whole[0]),
        "patient": write_wav(tmp_path / "p.wav", part),
    }
    fit = correct_clock(files)["patient"]
    assert fit.offset_s == pytest.approx(-3.2, abs=0.005)
    heard = read_wav(files["patient"])
    assert abs(late_s(heard, whole[1], 20.0)) < 0.01
    assert len(heard) == pytest.approx(80 * RATE_HZ, abs=200)


def test_sound_that_is_slow_both_ways_is_no_wrong_clock(tmp_path: Path, talk: dict[str, Samples]) -> None:
    way = round(0.05 * RATE_HZ)
    expert, patient = talk["expert"][: 120 * RATE_HZ], talk["patient"][: 120 * RATE_HZ]
    files = {
        "expert": recorded(expert + np.roll(patient, way), tmp_path / "e.wav", seed=1),
        "patient": recorded(patient + np.roll(expert, way), tmp_path / "p.wav", seed=2),
    }
    assert abs(correct_clock(files)["patient"].offset_s) < 0.015


def test_resampling_keeps_the_sound(tmp_path: Path, talk: dict[str, Samples]) -> None:
    clean = talk["expert"][: 90 * RATE_HZ]
    files = {
        "a": write_wav(tmp_path / "a.wav", clean),
        "b": write_wav(tmp_path / "b.wav", np.roll(clean, 8000)),
    }
    correct_clock(files)
    heard = read_wav(files["b"])[RATE_HZ : 80 * RATE_HZ]
    left = heard - clean[RATE_HZ : 80 * RATE_HZ]
    assert np.sum(left**2) < 1e-4 * np.sum(heard**2)


def test_a_fit_tells_where_the_file_lies_on_the_reference(tmp_path: Path) -> None:
    source = Source(tmp_path / "a.wav", 2.0)
    fit = ClockFit(0.5, 100.0, 20, 0.001, corrected=True)
    placed = fit.on_reference(source)
    for file_s in (0.0, 1000.0):
        true_s = placed.start_s + file_s / (1 + placed.drift_ppm * 1e-6)
        assert fit.at(true_s) == pytest.approx(2.0 + file_s, abs=1e-9)
    assert ClockFit(0.5, 100.0).on_reference(source) is source
