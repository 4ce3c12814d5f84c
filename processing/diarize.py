"""Who speaks when, from one microphone per role.

Each microphone is first cleaned of the other voices and of its noise (processing/separate.py). What remains is one
voice alone: a voice detector says whether it is speech, its level whether it is more than what the separation leaves of
the others. Nobody, one or two people speak at any moment; the cheapest path through time wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.hearing import HOP_S, Floats, Microphone, decibels, hops_of, smooth
from processing.regions import all_chances, chances_of
from processing.separate import Scene, Voices, listen, survey
from processing.transcript import STAFF_ROLES, Turn

Mask = NDArray[np.bool_]

_BYSTANDERS = ("room",)  # microphones without an owner
_FILL_S, _SHORTEST_S = 0.5, 0.2  # annotators bridge pauses of 0.3 to 0.5 s
_ONSET_S, _RELEASE_S = 0.02, -0.02  # a voice begins before, and ends before, it is decided
_QUIET_DB = 25.0  # a voice this far over the noise is heard from beginning to end
_RISE_S, _FALL_S = 0.0015, 0.004  # a decibel: words begin fast and fade
_LIKELY, _LIKELY_ANYBODY = 0.4, 0.5
_CLEAR = 0.8
_TRUSTED = 0.9  # however often noise is taken for speech, a surer detection counts
_LULL_PERCENTILE = 80.0
_LEFT_PERCENTILE = 80.0  # of what is left of the others while they speak; the rest may be two at once
_TAIL_HOPS, _TAIL_DB = 14, 1.6  # a room of RT60 0.3 s falls by 1.6 dB a hop
_NEAR_HOPS = 5
_MARGIN_DB, _SCATTER_DB = 2.0, 2.0
_FAINTEST_DB = 30.0  # under a voice's loud moments
_DOUBT = 1.0  # log odds; a faint syllable does not end a turn while somebody speaks
_ANYBODY_WEIGHT, _LEVEL_WEIGHT = 0.7, 0.5
_SECOND_SPEAKER_BONUS = 0.3
_HOPS_PER_FACT = 4  # neighbouring hops tell the same: the detector looks every 32 ms
_CHANGE_COST = 5.0
_CLIPPED_SHARE, _BETTER_DB = 0.002, 6.0
_LEVEL_HOPS, _CAP_DB, _HOPS_PER_LEVEL = 41, 8.0, 8  # a third of a second
_APART_DB, _STEADY_SHARE = 7.5, 0.25
_EDGE_HOPS, _FRAGMENT_HOPS = 75, 38


def turns_per_microphone(
    channels: Mapping[str, Path], heard_before: Mapping[str, Floats] | None = None
) -> list[Turn]:
    """Turns, ordered by start, from synchronised 16 kHz mono WAV files by role, on the clock of the first.

    ``heard_before``: the chances of speech in each channel, where :func:`processing.regions.chances_of` was asked already.

    ``channel`` of a turn is set where another microphone than its own hears it better: when its own is dead, clipped or
    noisy. A dead microphone's words are given to its role where the room microphone or the level in the only other
    one tells them apart, else to 'unknown'. One channel alone gives its speech turns under its role ('unknown' for
    the room). Reads half a minute at a time; keeps a few numbers for each 8 ms.
    """
    roles = list(channels)
    microphones: list[Microphone] = [(path,) for path in channels.values()]
    if not hops_of(microphones):
        return []
    known = heard_before or all_chances(channels)
    chances = [known[role] for role in roles]
    owned = [role not in _BYSTANDERS for role in roles]
    scene = survey(microphones, chances, owned)
    dead = scene.deaf
    lost = [index for index in range(len(roles)) if owned[index] and dead[index]]
    names = [role if own else "unknown" for role, own in zip(roles, owned, strict=True)]
    if lost or not any(owned):
        names = _stand_in(names, microphones, lost, [not deaf for deaf in dead])
        chances = [
            each if len(microphone) == 1 else chances_of(microphone)
            for microphone, each in zip(microphones, chances, strict=True)
        ]
        scene = survey(microphones, chances, [not deaf or index in lost for index, deaf in enumerate(dead)])
    heard = listen(microphones, chances, scene)
    turns: list[Turn] = []
    for index, (voice, mask) in enumerate(zip(scene.voices, _who(heard), strict=True)):
        drowned_db = _drowned_db(heard.levels_db[voice], heard.chances[index] > _CLEAR)
        own = [
            Turn(names[voice], start_s, end_s, roles[voice]) for start_s, end_s in _spans(mask, drowned_db)
        ]
        if lost and (~dead).sum() == 1:
            missing = roles[lost[0]] if len(lost) == 1 else "unknown"
            own = _by_level(own, mask, heard, voice, missing, bool(scene.silent.any()))
        turns += [_on_first_clock(_best_heard(turn, roles, dead, heard), voice, scene) for turn in own]
    return sorted(turns, key=lambda turn: (turn.start_s, turn.end_s, turn.role))


def _stand_in(
    names: list[str], microphones: list[Microphone], lost: Sequence[int], live: Sequence[bool]
) -> list[str]:
    """Names of the microphones' voices when those of ``lost`` are dead.

    Whoever has no microphone left is the one who is loudest, over the others, in the room microphone; without one, in
    the mean of all that work, which then takes the dead one's place in ``microphones``.
    """
    name = names[lost[0]] if len(lost) == 1 else "unknown"
    rooms = [index for index, each in enumerate(names) if each == "unknown" and live[index]]
    working = [path for path, alive in zip(microphones, live, strict=True) if alive]
    if lost and not rooms and len(working) > 1:
        microphones[lost[0]] = tuple(path for each in working for path in each)
        return [name if index == lost[0] else each for index, each in enumerate(names)]
    return [name if index in rooms else each for index, each in enumerate(names)]


def _who(heard: Voices) -> Mask:
    """Which voices each hop holds; (voices, hops)."""
    count, hops = heard.chances.shape
    if not count or not hops:
        return np.zeros((count, hops), bool)
    odds = np.stack([_odds(index, heard) for index in range(count)])
    somebody = _somebody(heard)
    states = [(), *combinations(range(count), 1), *combinations(range(count), 2)]
    scores = (
        sum((odds[voice] for voice in state), somebody * bool(state))
        + _SECOND_SPEAKER_BONUS * (len(state) > 1)
        for state in states
    )
    costs = np.stack([score / -_HOPS_PER_FACT for score in scores])
    member = np.array([[index in state for state in states] for index in range(count)])
    who: Mask = member[:, _cheapest_path(costs)]
    return who


def _somebody(heard: Voices) -> Floats:
    """Log odds that anybody speaks at all, whoever it is; (hops,)."""
    anybody = np.maximum(heard.anybody, heard.chances.max(axis=0))
    level_db = decibels(smooth(10 ** (heard.levels_db.max(axis=0) / 10)[:, None], _NEAR_HOPS)[:, 0])
    likely = _logit(max(_LIKELY_ANYBODY, min(_in_lulls(anybody, heard), _TRUSTED)))
    excess_db = level_db - _in_lulls(level_db, heard) - _SCATTER_DB
    sounds_like_it = np.clip(_logit(anybody) - likely, -4.0, 4.0)
    return np.asarray(
        _ANYBODY_WEIGHT * sounds_like_it + _LEVEL_WEIGHT * np.clip(excess_db / _SCATTER_DB, -2.0, 3.0)
    )


def _odds(index: int, heard: Voices) -> Floats:
    """Log odds that voice ``index`` speaks: it sounds like speech, and is more than noise and the others' remains."""
    chance, power = heard.chances[index], heard.powers[index]
    loud = _loud_level(heard, index)
    floor = np.full(len(power), loud * 10 ** (-_FAINTEST_DB / 10) + _in_lulls(power, heard), np.float32)
    for other in range(len(heard.chances)):
        if other != index:
            floor += _left_of(other, index, heard, loud)
    excess_db = decibels(power) - decibels(floor) - _MARGIN_DB
    sounds_like_it = _logit(chance) - _logit(max(_LIKELY, _in_lulls(chance, heard)))
    more_than_rest = np.clip(excess_db / _SCATTER_DB, -4.0, 2.0)
    return np.asarray(np.clip(sounds_like_it + _LEVEL_WEIGHT * more_than_rest, -_DOUBT, 4.0))


def _in_lulls(values: Floats, heard: Voices) -> float:
    """What noise alone makes of ``values`` (hops,): a corridor full of people is speech to a detector, too."""
    return float(np.percentile(values[heard.lulls], _LULL_PERCENTILE)) if heard.lulls.any() else 0.0


def _loud_level(heard: Voices, index: int) -> float:
    power, clear = heard.powers[index], heard.chances[index] > _CLEAR
    return float(np.percentile(power[clear], 80) if clear.any() else np.percentile(power, 95)) + 1e-12


def _left_of(other: int, index: int, heard: Voices, loud: float) -> Floats:
    """Power of voice ``other`` that the separation leaves in voice ``index``, its reverberation included; (hops,)."""
    mine, theirs = heard.powers[index], heard.powers[other]
    alone = (heard.chances[other] > _CLEAR) & (theirs / _loud_level(heard, other) > mine / loud)
    if not alone.any():
        return np.zeros_like(mine)
    left_db = float(np.percentile(decibels(mine[alone]) - decibels(theirs[alone]), _LEFT_PERCENTILE))
    near = np.lib.stride_tricks.sliding_window_view(np.pad(theirs, _NEAR_HOPS, "edge"), 2 * _NEAR_HOPS + 1)
    held = near.max(axis=1)
    for hops in range(1, _TAIL_HOPS):
        held[hops:] = np.maximum(held[hops:], held[:-hops] * 10 ** (-_TAIL_DB / 10 * hops))
    return np.asarray(held * 10 ** (left_db / 10), np.float32)


def _logit(chance: Floats | float) -> Floats:
    bounded = np.clip(chance, 0.02, 0.98)
    return np.asarray(np.log(bounded / (1 - bounded)), np.float32)


def _cheapest_path(costs: Floats) -> NDArray[np.uint8]:
    """Viterbi: the state of each hop, (hops,), of ``costs`` (states, hops) with a price on every change."""
    states, hops = costs.shape
    came_from_best = np.zeros((hops, states), bool)
    best = np.zeros(hops, np.uint8)
    total = np.zeros(states)
    for hop, cost in enumerate(costs.T):
        cheapest = total.argmin()
        best[hop] = cheapest
        changed = total[cheapest] + _CHANGE_COST
        np.greater(total, changed, out=came_from_best[hop])
        total = np.minimum(total, changed) + cost
    path = np.empty(hops, np.uint8)
    state = total.argmin()
    for hop in range(hops - 1, -1, -1):
        path[hop] = state
        if came_from_best[hop, state]:
            state = np.intp(best[hop])
    return path


def _drowned_db(levels_db: Floats, spoken: Mask) -> float:
    """How much of the rise and fall of words ``spoken`` at ``levels_db`` over the noise, (hops,), is lost in it."""
    return max(0.0, _QUIET_DB - float(np.percentile(levels_db[spoken], 80))) if spoken.any() else 0.0


def _spans(mask: Mask, drowned_db: float) -> Iterator[tuple[float, float]]:
    """(start, end) of each stretch of ``mask`` (hops,) in seconds, pauses bridged, what is drowned given back."""
    onset_s, release_s = _ONSET_S + _RISE_S * drowned_db, _RELEASE_S + _FALL_S * drowned_db
    joined: list[list[float]] = []
    for begin, end in _stretches(mask) * HOP_S:
        if end - begin < _SHORTEST_S:
            continue
        start_s, end_s = max(0.0, float(begin) - onset_s), float(end) + release_s
        if joined and start_s - joined[-1][1] <= _FILL_S:
            joined[-1][1] = end_s
        else:
            joined.append([start_s, end_s])
    yield from ((round(start_s, 3), round(end_s, 3)) for start_s, end_s in joined)


def _by_level(
    turns: Sequence[Turn],
    mask: Mask,
    heard: Voices,
    voice: int,
    missing: str,
    silent: bool,
) -> list[Turn]:
    """Turns that one microphone alone had to hear: its owner's are the loud ones, the ``missing`` role's the faint.

    Where levels are not of two kinds, the owner is taken to have spoken alone if the other microphone was alive but
    heard nothing; if it held digital silence, nobody knows.
    """
    levels_db = heard.levels_db[voice]
    loud = _louder(mask, levels_db)
    if loud is None:
        return [replace(turn, role="unknown") if silent else turn for turn in turns]
    if missing in STAFF_ROLES:  # what is doubtful is the patient's
        loud = _with_edges(mask & loud, mask, _EDGE_HOPS)
    else:
        loud = ~_with_edges(mask & ~loud, mask, _FRAGMENT_HOPS)
    return [
        Turn(role, start_s, end_s, turns[0].channel)
        for role, own in ((turns[0].role, mask & loud), (missing, mask & ~loud))
        for start_s, end_s in _spans(own, _drowned_db(levels_db, own))
    ]


def _louder(mask: Mask, levels_db: Floats) -> Mask | None:
    """Where the louder of two people speaks, (hops,), if what is said in ``mask`` is of two levels."""
    around_db = decibels(smooth(10 ** (levels_db / 10)[:, None], _LEVEL_HOPS)[:, 0])
    centres_db = np.percentile(around_db[mask], [10, 90]) if mask.any() else np.zeros(2)
    loud = mask
    for _round in range(10):
        costs = np.minimum(np.abs(around_db - centres_db[:, None]), _CAP_DB) / (_CAP_DB * _HOPS_PER_LEVEL)
        loud = _cheapest_path(costs * mask).astype(bool)
        if not (mask & loud).any() or not (mask & ~loud).any():
            return None
        centres_db = np.array([np.median(around_db[mask & ~loud]), np.median(around_db[mask & loud])])
    faint_db, loud_db = (_levels_db(mask & half, around_db) for half in (~loud, loud))
    apart_db = float(np.median(loud_db) - np.median(faint_db))
    scatter_db = max(float(np.mean(np.abs(each - np.median(each)))) for each in (faint_db, loud_db))
    return loud if apart_db > _APART_DB and scatter_db < _STEADY_SHARE * apart_db else None


def _with_edges(own: Mask, mask: Mask, hops: int) -> Mask:
    """``own``, (hops,), and what of ``mask`` is shorter than ``hops`` and follows or precedes it without a pause: the end of
    a word may be faint, or loud."""
    kept = own.copy()
    for begin, end in _stretches(mask & ~own):
        if end - begin < hops and (own[begin - 1 : begin].any() or own[end : end + 1].any()):
            kept[begin:end] = True
    return kept


def _levels_db(mask: Mask, around_db: Floats) -> Floats:
    """The level of each stretch of ``mask``, once for each of its hops: long ones count for more."""
    spread = [
        np.full(end - begin, np.percentile(around_db[begin:end], 70)) for begin, end in _stretches(mask)
    ]
    return np.concatenate(spread)


def _stretches(mask: Mask) -> NDArray[np.intp]:
    """First hop, and the one after the last, of each stretch of ``mask`` (hops,); (stretches, 2)."""
    return np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))).reshape(-1, 2)


def _best_heard(turn: Turn, roles: Sequence[str], dead: Mask, heard: Voices) -> Turn:
    """``turn`` with the channel that hears it best: its own unless that is dead, clipped or far noisier than another."""
    own = roles.index(turn.channel)
    first = round(turn.start_s / HOP_S)
    hops = slice(first, max(first + 1, round(turn.end_s / HOP_S)))
    levels_db = np.where(dead, -np.inf, np.percentile(heard.levels_db[:, hops], 70, axis=1))
    needed_db = levels_db[own] + _BETTER_DB
    clipped = heard.clipped[:, hops].mean(axis=1)
    if clipped[own] > _CLIPPED_SHARE:
        levels_db = np.where(clipped < clipped[own] / 10, levels_db, -np.inf)
        needed_db = _BETTER_DB
    best = int(levels_db.argmax())
    chosen = roles[best] if levels_db[best] > needed_db else roles[own]
    return replace(turn, channel="" if chosen == turn.role else chosen)


def _on_first_clock(turn: Turn, voice: int, scene: Scene) -> Turn:
    """Sound takes as long one way as the other; what is left of the two delays is a channel that is late itself."""
    if 0 not in scene.voices or voice == 0:
        return turn
    late_s = float(scene.late_hops[voice, 0] - scene.late_hops[0, voice]) / 2 * HOP_S
    start_s = max(0.0, turn.start_s - late_s)
    return replace(turn, start_s=round(start_s, 3), end_s=round(max(start_s + HOP_S, turn.end_s - late_s), 3))
