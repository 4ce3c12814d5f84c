"""The sound gate: whether every microphone of the room delivers speech that can be used, before and while recording."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from capture.crosstalk import Crosstalk, Finding, Heard, listen
from capture.meter import FRAME_S, SILENT_DB, Floats, Hum, Meter, decibel

Code = Literal["ok", "quiet", "noisy", "clipping", "hum", "dead", "unplugged", "swapped"]
# The worst first: it becomes the verdict.
WORST_FIRST: tuple[Code, ...] = ("unplugged", "dead", "clipping", "swapped", "hum", "quiet", "noisy")
ALARMING: frozenset[Code] = frozenset({"unplugged", "dead", "clipping", "hum"})

JUDGED_EVERY = 5  # frames
UNPLUGGED_S = 2.0
MISSING_S = 3.0
ALL_FLAT_S = 30.0
CLIPPED_SHARE = 0.001
HUM_OVER_FLOOR_DB = 15.0
HUM_AUDIBLE_DBFS = -60.0
HUM_PROVEN_S = 12  # a steady voice can pass for hum, but not without a pause
QUIET_DBFS = -45.0
ROOM_QUIET_DBFS = -52.0
NOISY_DBFS = -40.0
LEAST_SNR_DB = 15.0
# Judgements in a row, half a second apart: a voice is sure evidence, rubbing at a lapel less so.
VOICED_PROOFS = 3
UNVOICED_PROOFS = 5
SIGNS_OF_LIFE = 2
GATES = 3
GATED_S = 4.0
_LAG = 10  # frames a microphone may be behind before the missing ones count as lost


@dataclass(frozen=True)
class SoundState:
    """One microphone now. Levels in dBFS (RMS of a full-scale sine: -3); None where nothing was heard yet.

    ``verdict`` is the gravest of ``reasons``, "ok" when there are none.
    """

    name: str
    role: str
    level_dbfs: float
    peak_dbfs: float
    noise_floor_dbfs: float | None
    speech_dbfs: float | None
    snr_db: float | None
    clipping_share: float
    hum_db: float | None
    verdict: Code
    reasons: tuple[Code, ...]

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "reasons": list(self.reasons)}


@dataclass(frozen=True)
class SoundAlarm:
    """Something is wrong at a microphone since ``since`` (UTC)."""

    name: str
    role: str
    code: Code
    since: dt.datetime


@dataclass
class _Ear:
    """What the gate keeps about one microphone."""

    role: str
    meter: Meter = field(default_factory=Meter)
    fed: bool = False
    was_live: bool = False  # has delivered anything but one constant value
    returns: int = 0  # times it came back by itself from digital silence, as a gated microphone does
    longest_flat_s: float = 0.0  # of those
    flat_before_s: float = 0.0
    proofs: int = 0
    signs: int = 0
    dead: bool = False
    missing: bool = False
    swapped: bool = False
    alarms: dict[Code, dt.datetime] = field(default_factory=dict)

    @property
    def gates(self) -> bool:
        """Whether the microphone mutes itself when nobody speaks into it: its silence is then no proof."""
        return self.returns >= GATES

    @property
    def unplugged(self) -> bool:
        patience_s = max(GATED_S, 3 * self.longest_flat_s) if self.gates else UNPLUGGED_S
        return self.missing or self.meter.flat_s >= patience_s


class SoundGate:
    """Give it every microphone's samples; it tells each one's state and what is alarming.

    Fed from any number of threads, in any order; a microphone that delivers nothing while others do is noticed,
    and when nobody delivers (a privacy pause) the gate just waits. Time is counted in samples.
    """

    def __init__(
        self, roles: Mapping[str, str], now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    ) -> None:
        """``roles``: microphone name -> expert, patient, trainee or room. ``now`` tells UTC."""
        self._ears = {name: _Ear(role) for name, role in roles.items()}
        self._pairs = {(x, m): Crosstalk() for x in roles for m in roles if x != m}
        self._now = now
        self._judged = 0
        self._lock = threading.Lock()

    def feed(self, name: str, samples: Floats, rate_hz: int) -> None:
        """About 0.1 s of samples (n,), -1..1, of one microphone."""
        with self._lock:
            ear = self._ears[name]
            newest = max(each.meter.tick for each in self._ears.values())
            if newest - ear.meter.tick > _LAG:
                ear.meter.skip_to(newest)
            ear.fed = True
            if not ear.meter.feed(samples, rate_hz):
                return
            self._note_digital_silence(ear)
            self._judge_when_due()

    def relearn(self, name: str) -> None:
        """Forget what was learned about a microphone: somebody has moved or changed it and listened to it."""
        with self._lock:
            before = self._ears[name]
            self._ears[name] = _Ear(before.role, Meter(before.meter.tick), before.fed)
            for pair in self._pairs:
                if name in pair:
                    self._pairs[pair] = Crosstalk()

    def mark_swapped(self, names: Iterable[str]) -> None:
        """Note which microphones a role check found in the wrong place; none any more when it is empty."""
        found = set(names)
        with self._lock:
            for name, ear in self._ears.items():
                ear.swapped = name in found

    def states(self) -> dict[str, SoundState]:
        with self._lock:
            return {name: _state(name, ear) for name, ear in self._ears.items()}

    def alarms(self) -> list[SoundAlarm]:
        """What is wrong now and cannot wait, the gravest first; :meth:`states` also has what is merely not good."""
        with self._lock:
            found = [
                SoundAlarm(name, ear.role, code, since)
                for name, ear in self._ears.items()
                for code, since in ear.alarms.items()
            ]
        return sorted(found, key=lambda each: (WORST_FIRST.index(each.code), each.since))

    def _note_digital_silence(self, ear: _Ear) -> None:
        flat_s = ear.meter.flat_s
        if flat_s == 0:
            ear.was_live = True
            if ear.flat_before_s >= 3 * FRAME_S:
                ear.returns += 1
                ear.longest_flat_s = max(ear.longest_flat_s, ear.flat_before_s)
        ear.flat_before_s = flat_s

    def _judge_when_due(self) -> None:
        newest = max(each.meter.tick for each in self._ears.values())
        # As far as everybody is who is not lost.
        tick = min(each.meter.tick for each in self._ears.values() if newest - each.meter.tick <= _LAG)
        if tick < self._judged + JUDGED_EVERY:
            return
        self._judged = tick
        for ear in self._ears.values():
            ear.missing = (newest - ear.meter.tick) * FRAME_S > MISSING_S
        self._judge_silence(tick)
        for ear in self._ears.values():
            self._raise_alarms(ear)

    def _judge_silence(self, tick: int) -> None:
        heard = {name: listen(ear.meter, tick) for name, ear in self._ears.items()}
        for name, ear in self._ears.items():
            mine = heard[name]
            if mine is None or (ear.gates and ear.meter.flat_s > 0):
                continue
            findings: list[tuple[Finding, Heard]] = []
            for other, theirs in heard.items():
                if other != name and theirs is not None and theirs.speaks and not self._ears[other].dead:
                    findings.append((self._pairs[other, name].judge(theirs, mine), theirs))
            _weigh(ear, findings)

    def _raise_alarms(self, ear: _Ear) -> None:
        present = {code for code in _reasons(ear) if code in ALARMING}
        if "unplugged" in present and not ear.missing and not self._digital_silence_alarms(ear):
            present.discard("unplugged")
        hum = ear.meter.hum
        if hum is not None and hum.heard_s < HUM_PROVEN_S:
            present.discard("hum")
        for code in set(ear.alarms) - present:
            del ear.alarms[code]
        for code in present - set(ear.alarms):
            lasted_s = ear.meter.flat_s if code == "unplugged" else 0.0
            ear.alarms[code] = self._now() - dt.timedelta(seconds=lasted_s)

    def _digital_silence_alarms(self, ear: _Ear) -> bool:
        """Digital silence where the others hear at least the room; or everywhere, after there was sound."""
        if ear.gates:
            return True
        others = [each.meter for each in self._ears.values() if each is not ear and each.fed]
        if any(each.flat_s == 0 for each in others):
            return True
        return ear.was_live and ear.meter.flat_s >= ALL_FLAT_S


def _weigh(ear: _Ear, findings: list[tuple[Finding, Heard]]) -> None:
    """Count proofs against a microphone, and signs of life once it is taken for dead."""
    accused = [theirs for finding, theirs in findings if finding in ("dead", "faint")]
    if accused:
        ear.signs = 0
        ear.proofs += 1
        needed = VOICED_PROOFS if any(each.voiced for each in accused) else UNVOICED_PROOFS
        ear.dead = ear.dead or ear.proofs >= needed
    elif any(finding == "alive" for finding, _ in findings):
        ear.proofs = 0
        ear.signs += 1
        if ear.signs >= SIGNS_OF_LIFE:
            ear.dead = False


def _reasons(ear: _Ear) -> tuple[Code, ...]:
    meter, hum = ear.meter, ear.meter.hum
    speech_dbfs, snr_db = _speech(meter)
    quiet_dbfs = ROOM_QUIET_DBFS if ear.role == "room" else QUIET_DBFS
    found: dict[Code, bool] = {
        "unplugged": ear.unplugged,
        "dead": ear.dead and not ear.unplugged,
        "clipping": meter.clipping_share > CLIPPED_SHARE,
        "swapped": ear.swapped,
        "hum": _hums(hum),
        "quiet": speech_dbfs is not None and speech_dbfs < quiet_dbfs,
        "noisy": meter.noise_floor_dbfs > NOISY_DBFS or (snr_db is not None and snr_db < LEAST_SNR_DB),
    }
    return tuple(code for code in WORST_FIRST if found[code])


def _hums(hum: Hum | None) -> bool:
    return hum is not None and hum.over_floor_db > HUM_OVER_FLOOR_DB and hum.level_dbfs > HUM_AUDIBLE_DBFS


def _speech(meter: Meter) -> tuple[float | None, float | None]:
    """Level of the speech of the last minute in dBFS, and how far above the noise it is in the speech band, dB."""
    spoken = meter.voiced & (meter.speech_db > meter.floor_db + 9)
    if np.count_nonzero(spoken) < 10:
        return None, None
    level_dbfs = float(np.percentile(meter.rms_db[spoken], 75))
    return level_dbfs, float(np.percentile(meter.speech_db[spoken], 75)) - meter.floor_db


def _state(name: str, ear: _Ear) -> SoundState:
    meter, hum = ear.meter, ear.meter.hum
    reasons = _reasons(ear)
    speech_dbfs, snr_db = _speech(meter)
    last_dbfs = float(meter.rms_db[-1])
    silent = not meter.frames or ear.missing or np.isnan(last_dbfs)
    return SoundState(
        name=name,
        role=ear.role,
        level_dbfs=SILENT_DB if silent else last_dbfs,
        peak_dbfs=SILENT_DB if silent else decibel(meter.peak**2),
        noise_floor_dbfs=meter.noise_floor_dbfs if meter.frames else None,
        speech_dbfs=speech_dbfs,
        snr_db=snr_db,
        clipping_share=meter.clipping_share,
        hum_db=hum.over_floor_db if hum else None,
        verdict=reasons[0] if reasons else "ok",
        reasons=reasons,
    )
