"""Who speaks when."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.der import diarization_error
from processing.diarize import turns_per_microphone
from processing.transcript import Turn
from scripts.mixtures import RATE_HZ, Fault, Room, mix
from tests.processing.media_files import Samples, read_sound, tone, write_sound, write_wav

pytestmark = pytest.mark.lengthy
CLIPS = Path(__file__).parents[2] / "scripts" / "demo_speech"


@pytest.fixture(scope="module")
def voices() -> dict[str, list[Samples]]:
    return {
        role: [read_sound(path) for path in sorted(CLIPS.glob(f"*_{role}.flac"))]
        for role in ("expert", "patient")
    }


LIMIT = 0.05
ROOMS = {
    "loud cross-talk in noise": Room(crosstalk_db=-6, snr_db=10, overlap=0.15),
    "loud cross-talk": Room(crosstalk_db=-6, snr_db=30),
    "much overlap": Room(crosstalk_db=-10, snr_db=20, overlap=0.3),
    "little cross-talk in noise": Room(crosstalk_db=-20, snr_db=10, overlap=0.15),
    "ventilation": Room(crosstalk_db=-10, snr_db=10, noise="room", overlap=0.15),
    "people in the corridor": Room(crosstalk_db=-14, snr_db=10, noise="babble", overlap=0.15),
    "far voice late": Room(crosstalk_db=-10, snr_db=20, far_late_s=0.0503, overlap=0.15),
    "channel late": Room(crosstalk_db=-10, snr_db=20, late_s={"patient": 0.05}, overlap=0.15),
    "first channel late": Room(crosstalk_db=-10, snr_db=20, late_s={"expert": 0.0203}, overlap=0.15),
    "unequal gains": Room(crosstalk_db=-10, snr_db=20, gains_db={"patient": 20.0}, overlap=0.15),
    "reverberation": Room(crosstalk_db=-10, snr_db=20, rt60_s=0.3, overlap=0.15),
    "room microphone": Room(crosstalk_db=-10, snr_db=20, room_microphone=True, overlap=0.15),
    "clipped": Room(faults={"expert": "clipped"}, overlap=0.15),
}


@pytest.mark.parametrize("room", ROOMS.values(), ids=ROOMS.keys())
def test_each_voice_is_given_to_its_own_microphone(
    tmp_path: Path, voices: dict[str, list[Samples]], room: Room
) -> None:
    files, truth = mix(voices, room, tmp_path)
    assert diarization_error(truth, turns_per_microphone(files)).rate < LIMIT


@pytest.mark.parametrize(
    "room",
    [
        Room(crosstalk_db=-6, snr_db=10, noise="babble", overlap=0.15),
        Room(crosstalk_db=-10, snr_db=30, far_late_s=0.01, overlap=0.1),
        Room(crosstalk_db=-20, snr_db=10, far_late_s=0.01, overlap=0.1),
    ],
)
def test_real_voices_are_told_apart(tmp_path: Path, shared_media: Path, room: Room) -> None:
    folder = shared_media / "audio" / "spk"
    clips = {
        "expert": [read_sound(path) for path in sorted(folder.glob("1688*.flac"))],
        "patient": [read_sound(path) for path in sorted(folder.glob("1998*.flac"))],
    }
    files, truth = mix(clips, room, tmp_path)
    assert diarization_error(truth, turns_per_microphone(files)).rate < LIMIT


@pytest.mark.parametrize("broken", ["expert", "patient"])
@pytest.mark.parametrize("fault", ["dead", "noise"])
def test_the_room_microphone_stands_in_for_one_that_hears_nothing(
    tmp_path: Path, voices: dict[str, list[Samples]], broken: str, fault: Fault
) -> None:
    files, truth = mix(voices, Room(faults={broken: fault}, room_microphone=True), tmp_path)
    turns = turns_per_microphone(files)
    assert diarization_error(truth, turns).rate < 0.06
    assert {turn.channel for turn in turns if turn.role == broken} == {"room"}


def test_the_level_in_the_only_microphone_that_works_tells_two_people_apart(
    tmp_path: Path, voices: dict[str, list[Samples]]
) -> None:
    files, truth = mix(voices, Room(crosstalk_db=-15, faults={"expert": "dead"}), tmp_path)
    turns = turns_per_microphone(files)
    assert diarization_error(truth, turns).rate < 0.08
    assert {turn.channel for turn in turns if turn.role == "expert"} == {"patient"}


def test_a_loud_last_syllable_of_whose_microphone_is_dead_stays_theirs(
    tmp_path: Path, voices: dict[str, list[Samples]]
) -> None:
    stress = np.full(round(0.1 * RATE_HZ), 12.0)
    words = [_with_end(_trimmed(clip), stress) for clip in voices["patient"][:3]]
    turns, ends_s = _beside_a_dead_microphone(tmp_path, voices["expert"][:3], words)
    found = [turn.end_s for turn in turns if turn.role == "patient"]
    assert found == pytest.approx(ends_s, abs=0.1)
    assert len([turn for turn in turns if turn.role == "expert"]) == 3


def _trimmed(clip: Samples) -> Samples:
    loud = np.flatnonzero(np.abs(clip) > 0.2 * np.abs(clip).max())
    return clip[: loud[-1]]


def _with_end(clip: Samples, levels_db: Samples) -> Samples:
    """``clip`` with its last sound once more, at ``levels_db``, sample by sample."""
    return np.concatenate([clip, clip[-len(levels_db) :][::-1] * 10 ** (levels_db / 20)]).astype(np.float32)


def _beside_a_dead_microphone(
    folder: Path, loud: list[Samples], faint: list[Samples]
) -> tuple[list[Turn], list[float]]:
    """The turns found where the patient, whose microphone is dead, is heard 15 dB fainter than the expert, one after the
    other; and when the patient's true turns end."""
    sound, ends_s = [np.zeros(RATE_HZ)], []
    for first, second in zip(loud, faint, strict=True):
        for clip, level in ((first, 0.05), (second, 0.05 * 10 ** (-15 / 20))):
            sound += [clip / np.sqrt(np.mean(clip**2)) * level, np.zeros(RATE_HZ)]
        ends_s.append(sum(map(len, sound)) / RATE_HZ - 1.0)
    heard = np.concatenate(sound) + 0.0015 * np.random.default_rng(1).standard_normal(sum(map(len, sound)))
    files = {"expert": heard, "patient": np.zeros(len(heard))}
    return turns_per_microphone(
        {role: write_wav(folder / f"{role}.wav", each.astype(np.float32)) for role, each in files.items()}
    ), ends_s


def test_three_people_at_two_microphones_that_work_are_told_apart(
    tmp_path: Path, voices: dict[str, list[Samples]]
) -> None:
    trainee = [_higher(clip) for clip in voices["patient"][:3]]
    room = Room(crosstalk_db=-10, snr_db=20, faults={"expert": "dead"})
    files, truth = mix({**voices, "trainee": trainee}, room, tmp_path)
    turns = turns_per_microphone(files)
    assert diarization_error(truth, turns).rate < 0.06
    assert {turn.channel for turn in turns if turn.role == "expert"} <= {"patient", "trainee"}


def test_who_cannot_be_told_is_unknown_and_no_word_is_lost(
    tmp_path: Path, voices: dict[str, list[Samples]]
) -> None:
    files, truth = mix(voices, Room(crosstalk_db=-3, faults={"expert": "dead"}), tmp_path)
    turns = turns_per_microphone(files)
    assert {(turn.role, turn.channel) for turn in turns} == {("unknown", "patient")}
    error = diarization_error(truth, turns)
    assert error.missed_s < 0.05 * error.said_s


def test_a_clipped_microphone_is_not_the_one_to_recognise_from(
    tmp_path: Path, voices: dict[str, list[Samples]]
) -> None:
    room = Room(crosstalk_db=-10, faults={"expert": "clipped"}, room_microphone=True)
    files, _truth = mix(voices, room, tmp_path)
    channels = {
        role: {turn.channel for turn in turns_per_microphone(files) if turn.role == role} for role in voices
    }
    assert "" not in channels["expert"]
    assert channels["patient"] == {""}


def test_three_people_at_three_microphones_are_told_apart(
    tmp_path: Path, voices: dict[str, list[Samples]]
) -> None:
    trainee = [_higher(clip) for clip in voices["patient"][:3]]
    files, truth = mix({**voices, "trainee": trainee}, Room(crosstalk_db=-10, snr_db=20), tmp_path)
    assert diarization_error(truth, turns_per_microphone(files)).rate < LIMIT


def _higher(clip: Samples) -> Samples:
    """The voice of a smaller person: everything a sixth faster."""
    return np.interp(np.arange(0, len(clip), 7 / 6), np.arange(len(clip)), clip).astype(np.float32)


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


def test_who_speaks_once_in_a_long_recording_keeps_the_turn(
    tmp_path: Path, voices: dict[str, list[Samples]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As few samples of three minutes as twenty are of a quarter of an hour.
    monkeypatch.setattr("processing.separate._SAMPLES", 4)
    sentences = np.concatenate([*voices["expert"][:3], np.zeros(RATE_HZ, np.float32)])
    expert = np.resize(sentences, 180 * RATE_HZ)
    patient = np.zeros_like(expert)
    at = 110 * RATE_HZ
    asked = voices["patient"][0]
    expert[at - RATE_HZ : at + len(asked) + RATE_HZ] = 0.0
    patient[at : at + len(asked)] = asked
    noise = np.random.default_rng(0).normal(0, 5e-4, len(expert)).astype(np.float32)
    files = {
        "expert": write_wav(tmp_path / "e.wav", expert + 0.3 * patient + noise),
        "patient": write_wav(tmp_path / "p.wav", patient + 0.3 * expert + noise[::-1]),
    }
    (turn,) = [turn for turn in turns_per_microphone(files) if turn.role == "patient"]
    assert turn.start_s == pytest.approx(110.0, abs=0.4)
    assert turn.end_s == pytest.approx(110 + len(asked) / RATE_HZ, abs=0.4)


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
        write_wav(path, sound)
        assert turns_per_microphone({"expert": path}) == []
        assert turns_per_microphone({"expert": path, "patient": path}) == []
    assert turns_per_microphone({}) == []


def test_a_channel_that_stops_early_takes_nothing_from_the_other(
    tmp_path: Path, voices: dict[str, list[Samples]]
) -> None:
    files, truth = mix(voices, Room(), tmp_path)
    write_wav(files["patient"], read_sound(files["patient"])[: 24 * RATE_HZ])
    kept = [turn for turn in truth if turn.role == "expert" or turn.end_s < 24]
    turns = [turn for turn in turns_per_microphone(files) if turn.role == "expert" or turn.end_s < 24.2]
    error = diarization_error(kept, turns)
    assert error.missed_s + error.confused_s < 0.05 * error.said_s


def test_memory_does_not_grow_with_length(
    tmp_path: Path, voices: dict[str, list[Samples]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processing.separate._SAMPLES", 4)
    minute = np.tile(np.concatenate([voices["expert"][0], np.zeros(RATE_HZ, np.float32)]), 40)[: 60 * RATE_HZ]
    write_wav(tmp_path / "long.wav", np.tile(minute, 2))
    turns_per_microphone({"expert": tmp_path / "long.wav"})
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write_wav(tmp_path / "long.wav", np.tile(minute, 6))
    grown_by_writing_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    turns = turns_per_microphone({"expert": tmp_path / "long.wav"})
    assert turns[-1].end_s > 350
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - max(before_kb, grown_by_writing_kb) < 20_000


@given(
    st.lists(
        st.tuples(st.sampled_from(["expert", "patient"]), st.integers(0, 300), st.integers(1, 80)), max_size=8
    )
)
def test_the_error_counts_speaker_seconds_exactly(raw: list[tuple[str, int, int]]) -> None:
    truth = [Turn(role, start / 10, (start + length) / 10) for role, start, length in raw]
    assert diarization_error(truth, truth).rate == 0.0
    nothing = diarization_error(truth, [])
    assert nothing.missed_s == pytest.approx(nothing.said_s)
    swapped = [Turn("trainee", turn.start_s, turn.end_s) for turn in truth if turn.role == "expert"]
    error = diarization_error([turn for turn in truth if turn.role == "expert"], swapped)
    assert error.confused_s == pytest.approx(error.said_s)
    assert diarization_error([], truth).false_alarm_s == pytest.approx(nothing.said_s)


def test_misses_false_alarms_and_confusions_are_told_apart() -> None:
    truth = [Turn("expert", 0.0, 1.0), Turn("patient", 1.0, 2.0)]
    error = diarization_error(truth, [Turn("expert", 0.0, 1.5), Turn("trainee", 1.8, 2.3)])
    assert (error.missed_s, error.false_alarm_s, error.confused_s) == pytest.approx((0.3, 0.3, 0.7))
    assert diarization_error([], [Turn("expert", 0.0, 1.0)]).rate == float("inf")
