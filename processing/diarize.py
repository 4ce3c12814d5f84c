"""Who speaks when, from one microphone per role.

Every voice reaches every microphone, its own the loudest. How much of voice i leaks into microphone j is estimated
from the recording itself, so gains need not match. Each 32 ms is then explained by nobody, by one speaker or by two:
a microphone that is louder than the assumed speakers' leakage and its own noise speaks against the
explanation, a voice detector speaks for or against anybody speaking, and the cheapest path through time wins.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.audio import SPEECH_RATE_HZ
from processing.transcript import Turn

Floats = NDArray[np.float64]
Samples = NDArray[np.float32]
Mask = NDArray[np.bool_]

_HOP = 512  # samples; the frame of Silero VAD at 16 kHz
HOP_S = _HOP / SPEECH_RATE_HZ
_BLOCK_HOPS = 1875  # a minute
_LEAD_HOPS = 32  # heard before each block, so that the detector's memory is warm
_FILL_S, _SHORTEST_S = 0.6, 0.25
_ONSET_S, _RELEASE_S = 0.04, 0.05  # how late Silero notices that speech begins, and ends
_FAINTEST = 1e-10  # mean square, -100 dBFS
_SMOOTH_HOPS = 5
_LATE_HOPS = 2  # a voice may reach the other microphone this much earlier or later: 64 ms
_MODES_APART_DB = 5.0  # closer modes are one mode: only one of the two ever spoke
_STRONG_PERCENT = 70.0  # of the spoken hops are too faint to compare levels in
_SIGMA_DB = 2.0  # scatter of a level about its prediction
_COST_CAP = 8.0
_SECOND_SPEAKER_COST = 1.5
_CHANGE_COST = 3.0
_BYSTANDERS = ("room",)  # microphones without an owner


def turns_per_microphone(channels: Mapping[str, Path]) -> list[Turn]:
    """Turns, ordered by start, from synchronised 16 kHz mono WAV files by role.

    One channel alone gives its speech turns under its role ('unknown' for the room). Reads a minute at a time; keeps
    two numbers for each 32 ms.
    """
    if not channels:
        return []
    heard = [_listen(path) for path in channels.values()]
    length = max(len(power) for power, _chance in heard)
    powers = np.stack([np.pad(power, (0, length - len(power))) for power, _chance in heard])
    chances = np.stack([np.pad(chance, (0, length - len(chance))) for _power, chance in heard])
    roles = list(channels)
    if len(roles) == 1 and roles[0] in _BYSTANDERS:
        roles = ["unknown"]
    active = _who(powers, chances)
    turns = [turn for role, mask in zip(roles, active, strict=True) for turn in _turns(role, mask)]
    return sorted(turns, key=lambda turn: (turn.start_s, turn.end_s, turn.role))


def _listen(path: Path) -> tuple[Floats, Floats]:
    """Power after pre-emphasis and the probability of speech; float64 (hops,) each."""
    from faster_whisper.vad import get_vad_model

    detector = get_vad_model()
    powers, chances = [np.zeros(0)], [np.zeros(0)]
    lead = np.zeros(_LEAD_HOPS * _HOP, np.float32)
    for block in _blocks(path):
        joined = np.concatenate([lead, block])
        chances.append(detector(joined).reshape(-1)[_LEAD_HOPS:].astype(np.float64))
        powers.append(_power(block))
        lead = joined[-_LEAD_HOPS * _HOP :]
    return np.concatenate(powers), np.concatenate(chances)


def _blocks(path: Path) -> Iterator[Samples]:
    """A minute at a time, the last one padded to whole hops; float32 in -1..1."""
    with wave.open(str(path), "rb") as source:
        while data := source.readframes(_BLOCK_HOPS * _HOP):
            block = np.frombuffer(data, np.int16).astype(np.float32) / 32768.0
            yield np.pad(block, (0, -len(block) % _HOP))


def _power(block: Samples) -> Floats:
    """Mean square of each hop after pre-emphasis, which takes hum and rumble out of the comparison."""
    lifted = np.append(block[0], block[1:] - 0.95 * block[:-1])
    power: Floats = np.square(lifted).reshape(-1, _HOP).mean(axis=1, dtype=np.float64)
    return power


def _who(powers: Floats, chances: Floats) -> Mask:
    """Which voices each hop holds; (microphones, hops) from powers and speech probabilities of that shape."""
    count, hops = powers.shape
    if not hops:
        return np.zeros((count, 0), bool)
    window = np.hanning(_SMOOTH_HOPS + 2)[1:-1] / np.hanning(_SMOOTH_HOPS + 2).sum()
    levels = np.stack([np.convolve(power, window, "same") for power in powers])
    noise = np.array([[_floor(level)] for level in levels])
    voices = np.maximum(levels - noise, 0.0)
    leaks = _leaks(voices, noise, chances, levels > _FAINTEST)
    states = [(), *combinations(range(count), 1), *combinations(range(count), 2)]
    costs = np.stack([_cost(state, levels, noise, voices, leaks, chances) for state in states])
    member = np.array([[index in state for state in states] for index in range(count)])
    return member[:, _cheapest_path(costs)]


def _floor(level: Floats) -> float:
    """Noise power of a microphone; digital silence, before it starts and after it stops, does not count."""
    sounding = level[level > _FAINTEST]
    return float(np.percentile(sounding, 5)) if len(sounding) else _FAINTEST


def _leaks(voices: Floats, noise: Floats, chances: Floats, sounding: Mask) -> Floats:
    """Power of voice j in microphone i over its power in its own; (microphones, microphones)."""
    count = len(voices)
    leaks = np.ones((count, count))
    spoken = (chances.max(axis=0) > 0.5) & sounding.all(axis=0)
    if not spoken.any():
        return leaks
    strong = voices > np.percentile(voices[:, spoken], _STRONG_PERCENT, axis=1)[:, None]
    for one, other in combinations(range(count), 2):
        usable = spoken & (strong[one] | strong[other])
        floor = 0.1 * noise
        ratio_db = 10 * np.log10((voices[one, usable] + floor[one]) / (voices[other, usable] + floor[other]))
        lower_db, upper_db = _modes(ratio_db)
        leaks[one, other], leaks[other, one] = 10 ** (lower_db / 10), 10 ** (-upper_db / 10)
    return leaks


def _modes(ratio_db: Floats) -> tuple[float, float]:
    """The two levels about which ``ratio_db`` (samples,) gathers: the other speaks, the one speaks.

    Where there is one only, the louder microphone's owner is taken to be the only speaker.
    """
    if not len(ratio_db):
        return -_MODES_APART_DB, _MODES_APART_DB
    low, high = (float(edge) for edge in np.percentile(ratio_db, [5, 95]))
    for _round in range(50):
        below = ratio_db <= (low + high) / 2
        if below.all() or not below.any():
            break
        moved = float(np.median(ratio_db[below])), float(np.median(ratio_db[~below]))
        if moved == (low, high):
            break
        low, high = moved
    if high - low < _MODES_APART_DB:
        only = max(abs(low + high) / 2, _MODES_APART_DB / 2)
        return -only, only
    return low, high


def _cost(
    state: tuple[int, ...], levels: Floats, noise: Floats, voices: Floats, leaks: Floats, chances: Floats
) -> Floats:
    """How badly each hop is explained by just the voices in ``state``; (hops,)."""
    if not state:
        return _surprise(1.0 - chances.max(axis=0))
    cost = _surprise(chances[list(state)].max(axis=0))
    cost += _SECOND_SPEAKER_COST * (len(state) - 1)
    for index in range(len(levels)):
        if index not in state:
            leaked = sum(leaks[index, voice] * _loudest_near(voices[voice]) for voice in state)
            excess_db = 10 * np.log10(np.maximum(levels[index], _FAINTEST) / (noise[index] + leaked))
            cost += np.minimum(_COST_CAP, np.square(np.maximum(excess_db, 0.0) / _SIGMA_DB) / 2)
    return cost


def _surprise(chance: Floats) -> Floats:
    cost: Floats = -np.log(np.clip(chance, 0.01, 1.0))
    return cost


def _loudest_near(voice: Floats) -> Floats:
    padded = np.pad(voice, _LATE_HOPS)
    near: Floats = np.lib.stride_tricks.sliding_window_view(padded, 2 * _LATE_HOPS + 1).max(axis=1)
    return near


def _cheapest_path(costs: Floats) -> NDArray[np.intp]:
    """Viterbi: the state of each hop, (hops,), of ``costs`` (states, hops) with a price on every change."""
    states, hops = costs.shape
    came_from = np.zeros((hops, states), np.uint8)
    total = costs[:, 0].copy()
    for hop in range(1, hops):
        best = int(total.argmin())
        stays = total <= total[best] + _CHANGE_COST
        came_from[hop] = np.where(stays, np.arange(states), best)
        total = np.where(stays, total, total[best] + _CHANGE_COST) + costs[:, hop]
    path = np.zeros(hops, np.intp)
    path[-1] = total.argmin()
    for hop in range(hops - 1, 0, -1):
        path[hop - 1] = came_from[hop, path[hop]]
    return path


def _turns(role: str, mask: Mask) -> Iterator[Turn]:
    """Spans of ``mask`` (hops,) with short pauses filled and moved to where the voice is, not its detection."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))).reshape(-1, 2)
    spans: list[tuple[float, float]] = []
    for begin, end in edges:
        start_s, end_s = max(0.0, float(begin) * HOP_S - _ONSET_S), float(end) * HOP_S - _RELEASE_S
        if spans and start_s - spans[-1][1] <= _FILL_S:
            spans[-1] = (spans[-1][0], end_s)
        else:
            spans.append((start_s, end_s))
    for start_s, end_s in spans:
        if end_s - start_s >= _SHORTEST_S:
            yield Turn(role, round(start_s, 3), round(end_s, 3))
