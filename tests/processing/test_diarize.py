"""Who speaks when."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from processing.diarize import turns_per_microphone
from processing.transcript import Turn
from tests.processing.media_files import Samples, read_sound, tone, write_sound
from tests.processing.mixtures import RATE_HZ, Room, error_rate, mix

CLIPS = Path(__file__).parents[2] / "scripts" / "demo_speech"


@pytest.fixture(scope="module")
def voices() -> dict[str, list[Samples]]:
    return {
        role: [read_sound(path) for path in sorted(CLIPS.glob(f"*_{role}.flac"))]
        for role in ("expert", "patient")
    }


@pytest.mark.parametrize("crosstalk_db", [-6.0, -14.0, -20.0])
@pytest.mark.parametrize("gains_db", [{}, {"expert": 6.0, "patient": -6.0}], ids=["equal", "unequal"])
def test_each_voice_is_given_to_its_own_microphone(
    tmp_path: Path, voices: dict[str, list[Samples]], crosstalk_db: float, gains_db: dict[str, float]
) -> None:
    files, truth = mix(voices, Room(crosstalk_db, gains_db=gains_db, overlap_share=0.0), tmp_path)
    assert error_rate(truth, turns_per_microphone(files)) < 0.08


def test_a_delay_between_the_microphones_does_no_harm(
    tmp_path: Path, voices: dict[str, list[Samples]]
) -> None:
    files, truth = mix(voices, Room(delay_s=0.03, overlap_share=0.0), tmp_path)
    assert error_rate(truth, turns_per_microphone(files)) < 0.08


def test_two_people_at_once_are_both_kept(tmp_path: Path, voices: dict[str, list[Samples]]) -> None:
    both = {role: [np.concatenate(clips)] for role, clips in voices.items()}
    length = min(len(both["expert"][0]), len(both["patient"][0]))
    rng = np.random.default_rng(0)
    own = {role: clips[0][:length] for role, clips in both.items()}
    late = np.zeros(6 * RATE_HZ, np.float32)
    tracks = {
        "expert": np.concatenate([own["expert"], late, late]),
        "patient": np.concatenate([late, own["patient"], late]),
    }
    files = {}
    for role, other in (("expert", "patient"), ("patient", "expert")):
        sound = tracks[role] + 0.2 * tracks[other] + rng.normal(0, 5e-4, len(tracks[role])).astype(np.float32)
        files[role] = write_sound(tmp_path / f"{role}.wav", np.clip(sound, -1, 1).astype(np.float32))
    turns = turns_per_microphone(files)
    overlap_s = sum(
        max(0.0, min(a.end_s, b.end_s) - max(a.start_s, b.start_s))
        for a in turns
        for b in turns
        if (a.role, b.role) == ("expert", "patient")
    )
    assert overlap_s > 0.5 * (length / RATE_HZ - 6)


def test_a_microphone_whose_owner_is_silent_has_no_turns(
    tmp_path: Path, voices: dict[str, list[Samples]]
) -> None:
    alone = np.concatenate(voices["expert"][:4])
    noise = np.random.default_rng(0).normal(0, 5e-4, len(alone)).astype(np.float32)
    files = {
        "expert": write_sound(tmp_path / "e.wav", alone + noise),
        "patient": write_sound(tmp_path / "p.wav", 0.2 * alone + noise[::-1]),
    }
    assert {turn.role for turn in turns_per_microphone(files)} == {"expert"}


def test_one_microphone_gives_turns_under_its_role_or_unknown(
    tmp_path: Path, voices: dict[str, list[Samples]]
) -> None:
    pause = np.zeros(RATE_HZ, np.float32)
    path = write_sound(
        tmp_path / "a.wav", np.concatenate([pause, voices["expert"][0], pause, voices["patient"][0]])
    )
    for role, shown in (("expert", "expert"), ("room", "unknown")):
        turns = turns_per_microphone({role: path})
        assert [turn.role for turn in turns] == [shown, shown]
        assert turns[0].start_s == pytest.approx(1.0, abs=0.15)


def test_silence_noise_and_hum_hold_no_turns(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, 10 * RATE_HZ).astype(np.float32)
    sounds = {
        "zero": np.zeros(10 * RATE_HZ, np.float32),
        "noise": noise,
        "hum": tone(10, 100),
        "nothing": noise[:0],
    }
    for name, sound in sounds.items():
        path = tmp_path / f"{name}.wav"
        write_wave(path, sound)
        assert turns_per_microphone({"expert": path}) == []
        assert turns_per_microphone({"expert": path, "patient": path}) == []
    assert turns_per_microphone({}) == []


def write_wave(path: Path, sound: Samples) -> None:
    import wave

    with wave.open(str(path), "wb") as sink:
        sink.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        sink.writeframes((sound * 32767).astype(np.int16).tobytes())


def test_channels_of_different_length_are_taken_as_they_are(
    tmp_path: Path, voices: dict[str, list[Samples]]
) -> None:
    files, truth = mix(voices, Room(overlap_share=0.0), tmp_path)
    write_wave(files["patient"], read_sound(files["patient"])[: 12 * RATE_HZ])
    turns = turns_per_microphone(files)
    early = [turn for turn in truth if turn.end_s < 11]
    assert error_rate(early, [turn for turn in turns if turn.end_s < 11.2]) < 0.12


def test_memory_does_not_grow_with_length(tmp_path: Path, voices: dict[str, list[Samples]]) -> None:
    minute = np.tile(np.concatenate([voices["expert"][0], np.zeros(RATE_HZ, np.float32)]), 40)[: 60 * RATE_HZ]
    write_wave(tmp_path / "long.wav", np.tile(minute, 2))
    turns_per_microphone({"expert": tmp_path / "long.wav"})
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write_wave(tmp_path / "long.wav", np.tile(minute, 6))
    grown_by_writing_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    turns = turns_per_microphone({"expert": tmp_path / "long.wav"})
    assert turns[-1].end_s > 350
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - max(before_kb, grown_by_writing_kb) < 20_000


@pytest.mark.parametrize("crosstalk_db", [-6.0, -20.0])
def test_real_voices_are_told_apart(tmp_path: Path, shared_media: Path, crosstalk_db: float) -> None:
    folder = shared_media / "audio" / "spk"
    clips = {
        "expert": [read_sound(path) for path in sorted(folder.glob("1688*.flac"))],
        "patient": [read_sound(path) for path in sorted(folder.glob("1998*.flac"))],
    }
    files, truth = mix(clips, Room(crosstalk_db, delay_s=0.01), tmp_path)
    assert error_rate(truth, turns_per_microphone(files)) < 0.08


def test_the_error_rate_counts_misses_false_alarms_and_confusions() -> None:
    truth = [Turn("expert", 0.0, 1.0), Turn("patient", 1.0, 2.0)]
    assert error_rate(truth, truth) == 0.0
    assert error_rate(truth, [Turn("expert", 0.0, 2.0)]) == pytest.approx(0.5)
    assert error_rate(truth, []) == pytest.approx(1.0)
