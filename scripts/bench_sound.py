"""How soon a microphone that falls silent while others speak is named. One line of JSON.

Each seed is another room: voices, gains, cross-talk, noise, delays, two or three microphones, and another moment in which
one of them fails while somebody speaks. Every failure then happens to the same room. Counted: rooms in which the failed
microphone had an alarm within 5 s, in which another one had (a wrong alarm), and the seconds it took.
"""

from __future__ import annotations

import argparse
import copy
import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from capture.sound import SoundGate
from scripts.voices import RATE_HZ, Room, Sound, blocks, gain, made_voice, noise, recorded_voices

WITHIN_S = 5.0
HEARD_S = 8.0
WARMED_S = (25.0, 45.0)
Failure = Callable[[Sound, np.random.Generator], Sound]


def _hum(sound: Sound) -> Sound:
    return (0.003 * np.sin(2 * np.pi * 50 * np.arange(len(sound)) / RATE_HZ)).astype(np.float32)


FAILURES: dict[str, Failure] = {
    "dead: digital silence": lambda sound, _: np.zeros_like(sound),
    "dead: only DC": lambda sound, _: np.full_like(sound, 0.05),
    "unplugged: noise at -90 dBFS": lambda sound, rng: noise(rng, len(sound), -90),
    "unplugged: noise at -75 dBFS": lambda sound, rng: noise(rng, len(sound), -75),
    "unplugged: noise and hum": lambda sound, rng: noise(rng, len(sound), -85) + _hum(sound),
    "muted: -60 dB": lambda sound, _: gain(sound, -60),
    "muted: -60 dB, 16 bits": lambda sound, _: (np.round(gain(sound, -60) * 32768) / 32768).astype(
        np.float32
    ),
    "turned down: -40 dB": lambda sound, _: gain(sound, -40),
    "turned down: -26 dB": lambda sound, _: gain(sound, -26),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--recorded", action="store_true", help="recorded voices, where they are at hand")
    parser.add_argument("--failure", help="only those whose name begins so")
    asked = parser.parse_args()
    recorded = list(recorded_voices().values()) if asked.recorded else []
    if asked.recorded and len(recorded) < 2:
        parser.error("there are no recorded voices here")
    chosen = {name: how for name, how in FAILURES.items() if name.startswith(asked.failure or "")}
    took: dict[str, list[float | None]] = {name: [] for name in chosen}
    wrong = dict.fromkeys(chosen, 0)
    before = 0
    for seed in range(asked.first, asked.first + asked.seeds):
        gate, rest, failing, alarmed = _a_room(seed, recorded)
        before += alarmed
        for name, how in chosen.items():
            found, others = _fail(_twin(gate), rest, failing, how, seed)
            took[name].append(found)
            wrong[name] += others
    print(
        json.dumps(
            {
                "rooms": asked.seeds,
                "voices": "recorded" if asked.recorded else "made",
                "rooms_with_an_alarm_before_the_failure": before,
                "failures": {name: _told(seconds, wrong[name]) for name, seconds in took.items()},
            },
            ensure_ascii=False,
        )
    )


def _told(seconds: list[float | None], wrong: int) -> dict[str, Any]:
    named = [each for each in seconds if each is not None]
    return {
        "named_within_5_s_percent": round(100 * sum(each <= WITHIN_S for each in named) / len(seconds), 1),
        "median_s": round(float(np.median(named)), 1) if named else None,
        "slowest_s": round(max(named), 1) if named else None,
        f"never_within_{HEARD_S:g}_s": len(seconds) - len(named),
        "wrong_alarms": wrong,
    }


def _a_room(seed: int, recorded: list[Sound]) -> tuple[SoundGate, dict[str, Sound], str, bool]:
    """A gate that has listened until just before the failure; what would come next (by microphone), which one will fail, and
    whether there was an alarm already."""
    rng = np.random.default_rng(seed)
    begins_s = rng.uniform(*WARMED_S)
    count = int((begins_s + HEARD_S) * RATE_HZ)
    failing = str(rng.choice(["expert", "patient"]))
    talker = "p" if failing == "expert" else "e"
    mics = {
        "expert": {"e": rng.uniform(-6, 2), "p": rng.uniform(-24, -8)},
        "patient": {"e": rng.uniform(-24, -8), "p": rng.uniform(-8, 0)},
    }
    if rng.random() < 0.5:
        mics["room"] = {"e": rng.uniform(-20, -12), "p": rng.uniform(-20, -12)}
    floors = {mic: rng.uniform(-68, -58) for mic in mics}
    lag = {mic: int(rng.uniform(0, 0.15) * RATE_HZ) for mic in mics}
    room = Room(mics, floors, rng, echo=rng.uniform(0.05, 0.35), lag=lag)
    heard = room.mix(_talk(rng, count, int(begins_s * RATE_HZ), talker, recorded), count)
    gate = SoundGate({mic: "room" if mic == "room" else mic for mic in mics})
    at = int(begins_s * RATE_HZ)
    alarmed = False
    for _, mic, block in blocks({mic: sound[:at] for mic, sound in heard.items()}):
        gate.feed(mic, block, RATE_HZ)
        alarmed = alarmed or bool(gate.alarms())
    return gate, {mic: sound[at:] for mic, sound in heard.items()}, failing, alarmed


def _talk(
    rng: np.random.Generator, count: int, fails_at: int, talker: str, recorded: list[Sound]
) -> dict[str, Sound]:
    """Two people in turns of 3 to 8 s; from the failure on ``talker`` speaks."""
    if recorded:
        one, two = rng.choice(len(recorded), 2, replace=False)
        voices = [np.roll(recorded[each], rng.integers(len(recorded[each]))) for each in (one, two)]
    else:
        seconds = count / RATE_HZ + 1
        voices = [
            made_voice(rng, seconds, rng.uniform(90, 150)),
            made_voice(rng, seconds, rng.uniform(160, 260)),
        ]
    whose = np.zeros(count, dtype=int)
    at, turn = 0, int(rng.integers(2))
    while at < count:
        length = int(rng.uniform(3, 8) * RATE_HZ)
        whose[at : at + length] = turn
        at, turn = at + length, 1 - turn
    whose[fails_at:] = "ep".index(talker)
    return {
        name: np.where(whose == number, np.resize(voices[number], count), 0).astype(np.float32)
        for number, name in enumerate("ep")
    }


def _twin(gate: SoundGate) -> SoundGate:
    lock = gate._lock
    return copy.deepcopy(gate, {id(lock): threading.Lock()})


def _fail(
    gate: SoundGate, rest: dict[str, Sound], failing: str, how: Failure, seed: int
) -> tuple[float | None, bool]:
    """After how many seconds the microphone had an alarm, and whether another one had before that."""
    rng = np.random.default_rng((seed, 1))
    heard = rest | {failing: how(rest[failing], rng)}
    others = False
    for moment, mic, block in blocks(heard):
        gate.feed(mic, block, RATE_HZ)
        named = {alarm.name for alarm in gate.alarms()}
        others = others or bool(named - {failing})
        if failing in named:
            return moment, others
    return None, others


if __name__ == "__main__":
    main()
