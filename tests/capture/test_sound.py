"""The sound gate: every way a microphone can fail is named within five seconds, and silence is no failure."""

from __future__ import annotations

import datetime as dt
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.roles import RoleCheck
from capture.sound import SoundGate, SoundState
from scripts.voices import (
    BLOCK,
    RATE_HZ,
    Room,
    Sound,
    blocks,
    gain,
    level,
    made_voice,
    modulated_noise,
    noise,
    recorded_voices,
)

SECONDS = 60
COUNT = SECONDS * RATE_HZ
ROOM = {"expert": {"e": 0.0, "p": -14.0}, "patient": {"e": -14.0, "p": -2.0}}
WITH_ROOM = {**ROOM, "room": {"e": -16.0, "p": -18.0}}
FLOORS = {"expert": -62.0, "patient": -65.0, "room": -60.0}


def a_room(seed: int = 0, hears: dict[str, dict[str, float]] | None = None) -> Room:
    return Room(hears or ROOM, FLOORS, np.random.default_rng(seed), lag={"patient": 1700})


def in_turns(first: Sound, second: Sound, turn_s: float = 6.0, count: int = COUNT) -> dict[str, Sound]:
    """Two people who speak one after the other."""
    whose = (np.arange(count) // int(turn_s * RATE_HZ)) % 2
    first, second = np.resize(first, count), np.resize(second, count)
    return {
        "e": np.where(whose == 0, first, 0).astype(np.float32),
        "p": np.where(whose, second, 0).astype(np.float32),
    }


@pytest.fixture(scope="module", params=["made", "noise", "recorded"])
def voices(request: pytest.FixtureRequest) -> tuple[Sound, Sound]:
    rng = np.random.default_rng(5)
    if request.param == "made":
        return made_voice(rng, 30, 110), made_voice(rng, 30, 210)
    if request.param == "noise":
        return modulated_noise(rng, 30), modulated_noise(rng, 30)
    request.getfixturevalue("shared_media")
    recorded = recorded_voices()
    return recorded["1688"], recorded["1998"]


def alarms_over(gate: SoundGate, heard: dict[str, Sound]) -> list[tuple[float, str, str]]:
    """(time in s, microphone, code) of every alarm when it begins."""
    found: list[tuple[float, str, str]] = []
    before: set[tuple[str, str]] = set()
    for moment, name, block in blocks(heard):
        gate.feed(name, block, RATE_HZ)
        now = {(each.name, each.code) for each in gate.alarms()}
        found += [(moment, *each) for each in sorted(now - before)]
        before = now
    return found


def one(sound: Sound, role: str = "expert") -> SoundState:
    gate = SoundGate({"a": role})
    for start in range(0, len(sound) - BLOCK + 1, BLOCK):
        gate.feed("a", sound[start : start + BLOCK], RATE_HZ)
    return gate.states()["a"]


FAILURES: dict[str, Callable[[Sound, np.random.Generator], Sound]] = {
    "digital silence": lambda sound, rng: np.zeros_like(sound),
    "only DC": lambda sound, rng: np.full_like(sound, 0.1),
    "cable noise": lambda sound, rng: noise(rng, len(sound), -85),
    "noise as loud as the room was": lambda sound, rng: noise(rng, len(sound), -64),
    "a humming cable": lambda sound, rng: (
        noise(rng, len(sound), -80)
        + (0.01 * np.sin(2 * np.pi * 50 * np.arange(len(sound)) / RATE_HZ)).astype(np.float32)
    ),
    "a drop of 40 dB": lambda sound, rng: gain(sound, -40),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize(
    ("name", "hears"), [("expert", ROOM), ("patient", WITH_ROOM)], ids=["expert of two", "patient of three"]
)
def test_a_microphone_that_falls_silent_while_others_speak_is_alarmed_within_5_s(
    voices: tuple[Sound, Sound], failure: str, name: str, hears: dict[str, dict[str, float]]
) -> None:
    heard = a_room(1, hears).mix(in_turns(*voices), COUNT)
    # Its own person stops speaking at 48 s or 42 s: the other one is heard from then on.
    silent_from_s = {"expert": 42, "patient": 48}[name]
    start = silent_from_s * RATE_HZ
    heard[name][start:] = FAILURES[failure](heard[name][start:], np.random.default_rng(2))
    began = [
        (moment, who) for moment, who, _ in alarms_over(SoundGate({each: each for each in hears}), heard)
    ]
    assert began
    assert all(who == name for _, who in began)
    assert silent_from_s < began[0][0] <= silent_from_s + 5


@pytest.mark.parametrize("drop_db", [-60, -75])
def test_a_muted_microphone_is_alarmed_though_nobody_but_its_own_person_has_spoken_before(
    drop_db: float,
) -> None:
    """What little comes through rises and falls with the other's voice, and how loud that should be was never heard."""
    rng, muted_s = np.random.default_rng(5), 20
    own, other = made_voice(rng, 30, 110), made_voice(rng, 30, 210)
    moments = np.arange(len(own)) / RATE_HZ
    talk = {"e": np.where(moments < muted_s, own, 0), "p": np.where(moments < muted_s, 0, other)}
    heard = a_room(1).mix({name: voice.astype(np.float32) for name, voice in talk.items()}, len(own))
    start = muted_s * RATE_HZ
    heard["expert"][start:] = gain(heard["expert"][start:], drop_db)
    began = alarms_over(SoundGate({"expert": "expert", "patient": "patient"}), heard)
    assert [who for _, who, _ in began] == ["expert"]
    assert muted_s < began[0][0] <= muted_s + 5


def test_a_microphone_that_delivers_nothing_is_alarmed_and_a_pause_of_all_is_not(
    voices: tuple[Sound, Sound],
) -> None:
    heard = a_room().mix(in_turns(*voices), COUNT)
    gate = SoundGate({"expert": "expert", "patient": "patient"})
    found: float | None = None
    for moment, name, block in blocks(heard):
        if name == "expert" or moment < 20:
            gate.feed(name, block, RATE_HZ)
            if gate.alarms() and found is None:
                found = moment
    assert found is not None
    assert 22.9 < found <= 25
    assert gate.states()["patient"].verdict == "unplugged"
    for moment, name, block in blocks(heard):
        if moment < 4:
            gate.feed(name, block, RATE_HZ)
    assert not gate.alarms()


@pytest.mark.parametrize(
    "scene", ["nobody speaks", "only the expert speaks", "long pauses", "a whisper", "one leans in", "turns"]
)
@pytest.mark.parametrize("isolation_db", [8, 28])
def test_there_is_no_alarm_when_people_are_merely_silent(
    voices: tuple[Sound, Sound], scene: str, isolation_db: float
) -> None:
    rng = np.random.default_rng(3)
    said = in_turns(*voices)
    moments = np.arange(COUNT) / RATE_HZ
    if scene == "nobody speaks":
        said = {who: np.where(moments < 12, voice, 0).astype(np.float32) for who, voice in said.items()}
    elif scene == "only the expert speaks":
        said = {"e": np.resize(voices[0], COUNT), "p": np.zeros(COUNT, dtype=np.float32)}
    elif scene == "long pauses":
        said = {
            "e": np.where(moments % 20 < 7, np.resize(voices[0], COUNT), 0),
            "p": said["p"] * (moments < 12),
        }
    elif scene == "a whisper":
        hiss = modulated_noise(rng, SECONDS)
        said["p"] = np.where(moments > 30, gain(hiss, -26), said["p"]).astype(np.float32)
        said["e"] = said["e"] * (moments < 30)
    elif scene == "one leans in":
        said["p"] = np.where(moments > 30, gain(said["p"], 8), said["p"])
    hears = {"expert": {"e": 0.0, "p": -isolation_db}, "patient": {"e": -isolation_db, "p": -2.0}}
    heard = a_room(4, hears).mix({who: voice.astype(np.float32) for who, voice in said.items()}, COUNT)
    if scene == "one leans in":  # towards the microphone: no louder in the other's
        heard["expert"] = a_room(4, hears).mix(in_turns(*voices), COUNT)["expert"]
    assert alarms_over(SoundGate({"expert": "expert", "patient": "patient"}), heard) == []


def test_a_monologue_of_five_minutes_with_pauses_alarms_nobody() -> None:
    rng = np.random.default_rng(6)
    count = 300 * RATE_HZ
    moments = np.arange(count) / RATE_HZ
    talks = (moments < 8) | ((moments > 20) & (moments % 31 > 9))
    said = {
        "e": np.where(talks, np.resize(made_voice(rng, 40), count), 0).astype(np.float32),
        "p": np.where((moments > 10) & (moments < 16), np.resize(made_voice(rng, 40, 200), count), 0),
    }
    heard = a_room(7, WITH_ROOM).mix({"e": said["e"], "p": said["p"].astype(np.float32)}, count)
    assert alarms_over(SoundGate({name: name for name in WITH_ROOM}), heard) == []


def test_an_alarm_ends_when_the_microphone_is_back_and_says_since_when(voices: tuple[Sound, Sound]) -> None:
    heard = a_room().mix(in_turns(*voices), COUNT)
    heard["patient"][24 * RATE_HZ : 36 * RATE_HZ] = 0
    clock = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
    moment_s = 0.0
    gate = SoundGate(
        {"expert": "expert", "patient": "patient"}, now=lambda: clock + dt.timedelta(seconds=moment_s)
    )
    during = None
    for moment_s, name, block in blocks(heard):
        gate.feed(name, block, RATE_HZ)
        if moment_s == 35:
            during = gate.alarms()
    assert during is not None
    assert [(each.name, each.role, each.code) for each in during] == [("patient", "patient", "unplugged")]
    assert abs((during[0].since - clock).total_seconds() - 24) < 0.7
    assert gate.alarms() == []


def test_all_microphones_muted_in_a_live_room_are_alarmed_after_half_a_minute(
    voices: tuple[Sound, Sound],
) -> None:
    heard = a_room().mix(in_turns(*voices), COUNT)
    for sound in heard.values():
        sound[20 * RATE_HZ :] = 0
    found = alarms_over(SoundGate({"expert": "expert", "patient": "patient"}), heard)
    assert {who for _, who, _ in found} == {"expert", "patient"}
    assert 45 < found[0][0] <= 52


def test_a_microphone_that_gates_its_own_noise_is_not_taken_for_unplugged() -> None:
    rng = np.random.default_rng(8)
    said = in_turns(made_voice(rng, 30), made_voice(rng, 30, 200), turn_s=2)
    heard = a_room(hears={"expert": {"e": 0, "p": -40}, "patient": {"e": -40, "p": 0}}).mix(said, COUNT)
    heard["patient"][said["p"] == 0] = 0
    assert [
        each for each in alarms_over(SoundGate({"expert": "e", "patient": "p"}), heard) if each[0] > 12
    ] == []


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("ok", lambda voice, rng: voice + noise(rng, len(voice), -66)),
        ("quiet", lambda voice, rng: gain(voice, -30) + noise(rng, len(voice), -86)),
        ("noisy", lambda voice, rng: voice + noise(rng, len(voice), -36)),
        ("clipping", lambda voice, rng: np.clip(gain(voice, 20), -1, 1)),
        ("unplugged", lambda voice, rng: np.zeros_like(voice)),
        ("unplugged", lambda voice, rng: np.full_like(voice, -0.25)),
        (
            "hum",
            lambda voice, rng: (
                voice
                + noise(rng, len(voice), -66)
                + (0.01 * np.sin(2 * np.pi * 50 * np.arange(len(voice)) / RATE_HZ)).astype(np.float32)
            ),
        ),
    ],
)
@pytest.mark.parametrize("pitch_hz", [98.0, 155.0, 240.0])
def test_each_fault_has_its_name(
    code: str, make: Callable[[Sound, np.random.Generator], Sound], pitch_hz: float
) -> None:
    rng = np.random.default_rng(9)
    state = one(make(made_voice(rng, 20, pitch_hz), rng).astype(np.float32))
    assert state.verdict == code, state
    assert state.reasons == (() if code == "ok" else state.reasons)


def test_levels_are_those_of_the_textbook() -> None:
    moments = np.arange(5 * RATE_HZ) / RATE_HZ
    state = one((0.5 * np.sin(2 * np.pi * 1000 * moments) + 0.2).astype(np.float32))
    assert state.level_dbfs == pytest.approx(-9.03, abs=0.05)
    assert state.peak_dbfs == pytest.approx(-3.1, abs=0.05)
    rng = np.random.default_rng(0)
    state = one(noise(rng, 10 * RATE_HZ, -50))
    assert state.noise_floor_dbfs == pytest.approx(-50, abs=0.5)
    voice = level(made_voice(rng, 30), -26) + noise(rng, 30 * RATE_HZ, -60)
    state = one(voice.astype(np.float32))
    assert state.snr_db is not None
    assert 25 < state.snr_db < 45
    humming = noise(rng, 10 * RATE_HZ, -60) + 0.01 * np.sin(
        2 * np.pi * 100 * np.arange(10 * RATE_HZ) / RATE_HZ
    )
    # 0.01 has -43 dB; noise of -60 dB over 8000 bins of 1 Hz has -92 dB in the five of the line, and less in its stillest second.
    assert one(humming.astype(np.float32)).hum_db == pytest.approx(52, abs=4)


def test_a_tone_that_is_no_mains_hum_is_not_called_so() -> None:
    moments = np.arange(10 * RATE_HZ) / RATE_HZ
    assert "hum" not in one((0.1 * np.sin(2 * np.pi * 440 * moments)).astype(np.float32)).reasons


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_blocks_in_any_order_are_taken(data: st.DataObject) -> None:
    names = ["a", "b", "c"][: data.draw(st.integers(1, 3))]
    gate = SoundGate(dict.fromkeys(names, "expert"))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    for _ in range(data.draw(st.integers(0, 60))):
        rate_hz = data.draw(st.sampled_from([8000, 16_000, 44_100, 48_000]))
        block = noise(rng, data.draw(st.integers(0, rate_hz)), data.draw(st.sampled_from([-120, -60, 0, 40])))
        if data.draw(st.booleans()):
            block[: len(block) // 2] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0]))
        gate.feed(data.draw(st.sampled_from(names)), block, rate_hz)
        for state in gate.states().values():
            assert state.verdict == (state.reasons[0] if state.reasons else "ok")
            assert 0 <= state.clipping_share <= 1
            for value in (state.level_dbfs, state.peak_dbfs, state.snr_db, state.hum_db):
                assert value is None or np.isfinite(value)
        assert {each.name for each in gate.alarms()} <= set(names)


@settings(max_examples=15, deadline=None)
@given(size=st.integers(200, 20_000), seed=st.integers(0, 5))
def test_how_the_samples_are_cut_into_blocks_changes_nothing(size: int, seed: int) -> None:
    sound = made_voice(np.random.default_rng(seed), 10)
    whole, cut = SoundGate({"a": "expert"}), SoundGate({"a": "expert"})
    whole.feed("a", sound, RATE_HZ)
    for start in range(0, len(sound), size):
        cut.feed("a", sound[start : start + size], RATE_HZ)
    assert whole.states() == cut.states()


def test_four_microphones_need_little_of_one_core_and_no_more_memory_after_an_hour_than_after_a_minute() -> (
    None
):
    rng = np.random.default_rng(10)
    names = ["expert", "patient", "trainee", "room"]
    gate = SoundGate({name: name for name in names})
    voice = np.repeat(made_voice(rng, 30), 3)
    heard = {name: (gain(voice, -6.0 * i) + noise(rng, len(voice), -65)) for i, name in enumerate(names)}

    def minute() -> None:
        for _ in range(2):
            for start in range(0, len(voice) - 4799, 4800):
                for name, sound in heard.items():
                    gate.feed(name, sound[start : start + 4800], 48_000)

    began = time.process_time()
    minute()
    assert (time.process_time() - began) / 60 < 0.05  # of a core; 0.012 measured on an idle machine
    tracemalloc.start()
    minute()
    before = tracemalloc.get_traced_memory()[0]
    minute()
    assert tracemalloc.get_traced_memory()[0] - before < 20_000
    tracemalloc.stop()


def ask(check: RoleCheck, room: Room, voices: dict[str, Sound], who_comes: list[str], count: int) -> None:
    for who in who_comes:
        said = {each: (voice if each == who else np.zeros_like(voice)) for each, voice in voices.items()}
        asked = check.asked
        for _, name, block in blocks(room.mix(said, count)):
            if check.asked == asked:
                check.feed(name, block, RATE_HZ)
        assert check.asked != asked


@pytest.mark.parametrize("gain_db", [-20.0, 0.0, 20.0])
@pytest.mark.parametrize(("comes", "answer"), [(["e", "p"], "ok"), (["p", "e"], "swapped")])
def test_swapped_microphones_are_found_whatever_their_gain(
    voices: tuple[Sound, Sound], gain_db: float, comes: list[str], answer: str
) -> None:
    count = 6 * RATE_HZ
    hears = {"expert": {"e": gain_db, "p": gain_db - 14}, "patient": {"e": -14.0, "p": -2.0}}
    check = RoleCheck({"expert": "expert", "patient": "patient", "room": "room"})
    assert check.result().answer == "waiting"
    said = {who: voice[:count] for who, voice in zip(("e", "p"), voices, strict=True)}
    room = Room(hears, {"expert": -66 + gain_db, "patient": -65.0}, np.random.default_rng(1))
    ask(check, room, said, comes, count)
    result = check.result()
    assert result.answer == answer
    assert set(result.swapped) == (set() if answer == "ok" else {"expert", "patient"})
    gate = SoundGate({"expert": "expert", "patient": "patient"})
    gate.mark_swapped(result.swapped)
    assert ("swapped" in gate.states()["expert"].reasons) == (answer == "swapped")


def test_a_check_in_which_one_person_said_everything_is_unsure_and_can_be_done_again(
    voices: tuple[Sound, Sound],
) -> None:
    count = 6 * RATE_HZ
    check = RoleCheck({"expert": "expert", "patient": "patient"})
    ask(check, a_room(), {"e": voices[0][:count], "p": voices[1][:count]}, ["e", "e"], count)
    assert check.result().answer == "unsure"
    check.restart()
    assert check.asked == "expert"


def test_relearning_forgets_an_alarm_that_was_a_change_on_purpose(voices: tuple[Sound, Sound]) -> None:
    heard = a_room().mix(in_turns(*voices), COUNT)
    heard["patient"][36 * RATE_HZ :] = noise(np.random.default_rng(1), COUNT - 36 * RATE_HZ, -64)
    gate = SoundGate({"expert": "expert", "patient": "patient"})
    alarms_over(gate, heard)
    assert [each.code for each in gate.alarms()] == ["dead"]
    gate.relearn("patient")
    assert gate.states()["patient"].verdict == "ok"
