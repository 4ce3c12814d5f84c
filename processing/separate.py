"""Whose voice is in which microphone, and each voice without the others.

In every microphone a voice is louder or fainter than in its own by its own number of decibels: its signature. At any
moment most of the sound at any pitch comes from one voice alone, even while two people speak (Rickard and Yilmaz, 2002),
so signatures are found by clustering and every spot of the spectrogram is given to the voice whose signature it bears.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from processing.hearing import (
    BINS,
    BLOCK_HOPS,
    HOP,
    Block,
    Floats,
    Microphone,
    Spectra,
    bands,
    blocks,
    decibels,
    hops_of,
    part_of,
    portions,
    smooth,
    sound_of,
    speech_chances,
    stretch,
)
from processing.side_by_side import side_by_side

_SAMPLE_HOPS, _SAMPLES = 940, 20  # of 7.5 s each, in whole frames of the detector
_CLEAREST_PERCENTILE, _NOTHING_DB = 97.0, -120.0  # half a second of a sample
_SPEECH = 0.5
_DIP_HOPS, _LULL_HOPS = 9, 31  # 72 ms: even who never pauses is quiet that long; a quarter of a second
_LULL_SPREAD_DB = 6.0
_LULL_DB = 3.0
_AUDIBLE = 8.0  # times the noise
_PURE_PERCENTILE = 98.0  # of a microphone's level over the others: there its owner speaks, if ever
_ONE_VOICE_DB = 5.0  # closer signatures are one voice's
_EVERY = 2  # hops from one look at who is whose to the next
_LATE_HOPS = 9  # sound may come this much earlier or later: 72 ms
_FEWEST_SPOTS, _MOST_SPOTS = 50, 20_000
_SHARPNESS_DB = 0.7
_DEAF_DB = 1.0
_BURST_DB = 5.0
_SILENT = 1e-7  # mean power of a bin: -94 dBFS of white noise
_FAINTEST = 5e-8
_LIFT = np.square(np.abs(1 - 0.95 * np.exp(-2j * np.pi * np.arange(BINS) / (2 * BINS - 2)))).astype(
    np.float32
)


@dataclass(frozen=True)
class Scene:
    """What the whole recording tells about its microphones, all by index.

    ``deaf``: hears nothing that the others hear; ``silent``: holds digital silence. ``noise``: (microphones, bins).
    ``voices``: microphones whose owner is heard. ``leaks_db`` and ``late_hops`` [i, j]: voice j in microphone i, against
    microphone j.
    """

    deaf: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    noise: Floats
    voices: tuple[int, ...]
    leaks_db: Floats
    late_hops: NDArray[np.intp]


@dataclass(frozen=True)
class Voices:
    """Hop by hop: (voices, hops) chance that the separated voice is speech, and its power; (hops,) chance that anybody
    speaks, and (microphones, hops) power over noise in decibels and share of clipped samples. ``lulls``: hops about
    which no microphone that works hears more than noise."""

    chances: Floats
    powers: Floats
    anybody: Floats
    levels_db: Floats
    clipped: Floats
    lulls: NDArray[np.bool_]


def survey(microphones: Sequence[Microphone], chances: Sequence[Floats], owned: Sequence[bool]) -> Scene:
    """Look through at most two and a half minutes; ``owned``: microphones that may have a voice.

    ``chances``: of speech in each microphone, hop by hop.
    """
    powers_of, speech_of = [], []
    for block in blocks(microphones, chances, _samples(microphones, chances), _SAMPLE_HOPS, lead=0):
        powers_of.append((block.powers @ bands())[:, block.inner])
        speech_of.append(block.speech[:, block.inner])
    powers, speech = np.concatenate(powers_of, axis=1), np.concatenate(speech_of, axis=1)
    silent = powers.mean(axis=(1, 2)) < _SILENT
    noise = _noise(powers)
    deaf = silent | _deaf(powers, noise, speech)
    live = np.flatnonzero(~deaf)
    leaks_db, late = np.zeros((len(microphones),) * 2, np.float32), np.zeros((len(microphones),) * 2, np.intp)
    voices = [int(index) for index in live if owned[int(index)]]
    stand_ins = [index for index, microphone in enumerate(microphones) if len(microphone) > 1]
    if len(live) > 1 and voices:
        voices = _signatures(
            smooth(powers, 5), noise, speech.max(axis=0), live, voices, stand_ins, leaks_db, late
        )
    spread = (bands() > 0).astype(np.float32)
    return Scene(deaf, silent, noise @ spread.T + _FAINTEST, tuple(voices), leaks_db, late)


def _samples(microphones: Sequence[Microphone], chances: Sequence[Floats]) -> list[int]:
    """First hops of the samples that tell most: half of them spread over the recording, half where a microphone's speech
    stands out over the others', so that who speaks once in four hours is known as well."""
    firsts = range(0, hops_of(microphones), _SAMPLE_HOPS)
    if len(firsts) <= _SAMPLES:
        return list(firsts)
    spread = np.linspace(0, len(firsts) - 1, _SAMPLES // 2).astype(int)
    standing_out = np.array([_standing_out_db(microphones, chances, first) for first in firsts])
    each = _SAMPLES // 2 // len(microphones)
    telling = np.argsort(-standing_out, axis=0, kind="stable")[:each]
    return [firsts[at] for at in sorted({*spread.tolist(), *telling.ravel().tolist()})]


def _standing_out_db(microphones: Sequence[Microphone], chances: Sequence[Floats], first: int) -> Floats:
    """How far over all others each microphone hears speech, at its clearest, in the sample at hop ``first``."""
    sounds = np.stack([stretch(each, first, _SAMPLE_HOPS) for each in microphones])
    hops = sounds.reshape(len(sounds), _SAMPLE_HOPS, -1)
    powers = np.einsum("mhs,mhs->mh", hops, hops) / hops.shape[2]
    levels_db = _around_db(powers, _DIP_HOPS)
    clearest = np.zeros(len(microphones), np.float32)
    for index, level_db in enumerate(levels_db):
        spoken = part_of(chances[index], first, _SAMPLE_HOPS) > _SPEECH
        over_db = level_db - np.delete(levels_db, index, axis=0).max(axis=0, initial=_NOTHING_DB)
        clearest[index] = np.percentile(np.where(spoken, over_db, _NOTHING_DB), _CLEAREST_PERCENTILE)
    return clearest


def _noise(powers: Floats) -> Floats:
    """Mean power of each band in the lulls: within 6 dB of the faintest moments, from a channel's first sound to its
    last.

    Bands count by how far they rise, so that a voice is seen under noise that is louder than it at other pitches.
    """
    noise = np.full((len(powers), powers.shape[2]), _FAINTEST, np.float32)
    for index, power in enumerate(powers):
        sounding = np.flatnonzero(power.mean(axis=1) > _SILENT)
        if len(sounding):
            power = power[sounding[0] : sounding[-1] + 1]
            faint = np.percentile(smooth(power, _DIP_HOPS), 10, axis=0) + _FAINTEST
            around_db = _around_db((power / faint).mean(axis=1), _DIP_HOPS)
            lull = around_db < np.percentile(around_db, 5) + _LULL_SPREAD_DB
            noise[index] = power[lull].mean(axis=0) + _FAINTEST
    return noise


def _around_db(power: Floats, hops: int) -> Floats:
    """Running level over ``hops`` of (..., hops)."""
    return decibels(smooth(power[..., None], hops)[..., 0])


def _deaf(powers: Floats, noise: Floats, speech: Floats) -> NDArray[np.bool_]:
    """No louder while the others hear somebody speak."""
    deaf = np.zeros(len(powers), bool)
    for index in range(len(powers)):
        others = np.delete(speech, index, axis=0)
        if len(others) and (spoken := others.max(axis=0) > _SPEECH).any():
            rise_db = decibels(powers[index, spoken].mean(axis=0)) - decibels(noise[index])
            deaf[index] = bool(rise_db.max() < 3 * _DEAF_DB and rise_db.mean() < _DEAF_DB)
    return deaf


def _signatures(
    powers: Floats,
    noise: Floats,
    speech: Floats,
    live: NDArray[np.intp],
    voices: list[int],
    stand_ins: Sequence[int],
    leaks_db: Floats,
    late: NDArray[np.intp],
) -> list[int]:
    """Fill ``leaks_db`` and ``late`` for ``voices``; the voices that are really there."""
    clean = np.maximum(powers - noise[:, None], 0.1 * noise[:, None])
    levels_db = decibels(clean)
    audible = (powers > _AUDIBLE * noise[:, None]) & (speech > _SPEECH)[:, None]
    spots = _some(np.flatnonzero(audible[live].any(axis=0)))
    if len(spots) < _FEWEST_SPOTS:
        return voices
    relative = levels_db[live].reshape(len(live), -1)[:, spots]
    relative = relative - relative.mean(axis=0)
    rows = [int(np.flatnonzero(live == voice)[0]) for voice in voices]
    centres = np.stack([_purest(relative, row) for row in rows])
    mixed = [index for index, voice in enumerate(voices) if voice in stand_ins]
    centres[mixed] = np.delete(centres, mixed, axis=0).mean(axis=0)  # in nobody's favour
    for _round in range(20):
        nearest = _nearest(relative, centres)
        moved = np.stack(
            [
                np.median(relative[:, nearest == index], axis=1) if (nearest == index).any() else centre
                for index, centre in enumerate(centres)
            ]
        )
        if np.abs(moved - centres).max() < 0.05:
            break
        centres = moved
    level_db = decibels(clean[live].mean(axis=(1, 2)))
    over_noise_db = level_db - decibels(noise[live].mean(axis=1))
    kept = _distinct(centres, rows, 2 * over_noise_db + level_db)
    for index in kept:
        leaks_db[live, voices[index]] = centres[index] - centres[index, rows[index]]
    real = [voices[index] for index in kept]
    _align(levels_db, audible, live, real, leaks_db, late)
    return real


def _purest(relative: Floats, row: int) -> Floats:
    pure = relative[row] >= np.percentile(relative[row], _PURE_PERCENTILE)
    return np.asarray(np.median(relative[:, pure], axis=1), np.float32)


def _nearest(relative: Floats, centres: Floats) -> NDArray[np.intp]:
    costs = np.stack([np.abs(relative - centre[:, None]).sum(axis=0) for centre in centres])
    return np.asarray(costs.argmin(axis=0))


def _distinct(centres: Floats, rows: Sequence[int], nearness_db: Floats) -> list[int]:
    """Of signatures that are the same, the one whose microphone is nearest: over its noise first, gain counts less."""
    kept: list[int] = []
    for index in sorted(range(len(centres)), key=lambda index: -float(nearness_db[rows[index]])):
        if all(np.abs(centres[index] - centres[other]).max() > _ONE_VOICE_DB / 2 for other in kept):
            kept.append(index)
    return sorted(kept)


def _align(
    levels_db: Floats,
    audible: NDArray[np.bool_],
    live: NDArray[np.intp],
    voices: Sequence[int],
    leaks_db: Floats,
    late: NDArray[np.intp],
) -> None:
    """How much later each voice reaches each microphone: where the difference of levels scatters least."""
    costs = np.stack(
        [
            sum(np.abs(levels_db[mic] - levels_db[voice] - leaks_db[mic, voice]) for mic in live)
            for voice in voices
        ]
    )
    nearest = costs.argmin(axis=0)
    for index, voice in enumerate(voices):
        spots = _some(np.flatnonzero(audible[voice] & (nearest == index)))
        hops, pitches = np.divmod(spots, levels_db.shape[2])
        own_db = levels_db[voice][hops, pitches]
        for mic in live:
            if mic == voice or len(spots) < _FEWEST_SPOTS:
                continue
            scatters = []
            for late_hops in range(-_LATE_HOPS, _LATE_HOPS + 1):
                at = np.clip(hops + late_hops, 0, levels_db.shape[1] - 1)
                apart = levels_db[mic][at, pitches] - own_db
                middle = float(np.median(apart))
                scatters.append((float(np.abs(apart - middle).mean()), abs(late_hops), late_hops, middle))
            _scatter, _far, late[mic, voice], leaks_db[mic, voice] = min(scatters)


def _some(spots: NDArray[np.intp]) -> NDArray[np.intp]:
    """Evenly chosen from ``spots``: no median needs more."""
    return spots[:: -(-len(spots) // _MOST_SPOTS) or 1]


def _later(rows: Floats, part: slice, late: float) -> Floats:
    """``rows`` of ``part``, each so many rows later, those halfway being the mean of two; the ends repeat."""
    if not late:
        return rows[part]
    before = np.arange(part.start, part.stop) + int(np.floor(late))
    after = before + (late > np.floor(late))
    last = len(rows) - 1
    return np.asarray((rows[np.clip(before, 0, last)] + rows[np.clip(after, 0, last)]) / 2)


def _hop_by_hop(rows: Floats) -> Floats:
    """(..., hops) of what is known at every second one, (..., hops / 2)."""
    hops = np.repeat(rows, _EVERY, axis=-1)
    hops[..., 1:-1:2] = (rows[..., :-1] + rows[..., 1:]) / 2
    return hops


def listen(microphones: Sequence[Microphone], chances: Sequence[Floats], scene: Scene) -> Voices:
    """Every voice of ``scene`` by itself, hop by hop; reads half a minute at a time."""

    def from_hop(first: int) -> tuple[Floats, ...]:
        (block,) = blocks(microphones, chances, [first], every=_EVERY)
        return _heard(block, scene)

    parts = side_by_side(from_hop, range(0, hops_of(microphones), BLOCK_HOPS), 2)
    separated, powers, anybody, levels_db, clipped = (
        np.concatenate(each, axis=-1) for each in zip(*parts, strict=True)
    )
    around_db = _around_db(10 ** (levels_db[~scene.deaf] / 10), _LULL_HOPS)
    lulls = np.asarray((around_db < _LULL_DB).all(axis=0))
    return Voices(separated, powers, anybody, levels_db, clipped, lulls)


def _heard(block: Block, scene: Scene) -> tuple[Floats, ...]:
    """What ``Voices`` holds, but for the lulls, of the block's own hops; the block's spectra are overwritten."""
    powers = block.powers
    weights = bands().mean(axis=1) / scene.noise
    levels = np.stack([power @ weight for power, weight in zip(powers, weights, strict=True)])
    strengths = _separate(block.spectra, powers, scene)
    sounds = np.zeros((len(scene.voices), block.speech.shape[1] * HOP), np.float32)
    for sound, voice in zip(sounds, scene.voices, strict=True):
        sound[:] = sound_of(block.spectra[voice], _EVERY)
    rows = (
        speech_chances(sounds),
        smooth(_hop_by_hop(strengths)[..., None], 5)[..., 0],
        block.speech[~scene.deaf].max(axis=0, initial=0.0),
        _around_db(_hop_by_hop(levels), 3),
        block.clipped,
    )
    return tuple(row[..., block.inner] for row in rows)


def _near(powers: Floats) -> Floats:
    """A half of each row and a quarter of its neighbours; (microphones, rows, bins)."""
    near = np.empty_like(powers)
    for power, mean in zip(powers, near, strict=True):
        cv2.GaussianBlur(power, (1, 3), 0, mean, borderType=cv2.BORDER_REPLICATE)
    return near


def _separate(spectra: Spectra, powers: Floats, scene: Scene) -> Floats:
    """Leave of every voice's microphone in ``spectra`` (microphones, rows, bins) the voice alone; its power, (voices, rows)."""
    strengths = np.zeros((len(scene.voices), powers.shape[1]), np.float32)
    noise = np.where(bands().any(axis=1), scene.noise, np.float32(np.inf))
    near = _near(powers)
    for part in portions(powers.shape[1]):
        shares = _shares(near, part, scene)
        for strength, share, voice in zip(strengths, shares, scene.voices, strict=True):
            kept = np.maximum(near[voice, part], np.float32(_FAINTEST))
            np.divide(noise[voice], kept, out=kept)
            np.subtract(np.float32(1.0), kept, out=kept)
            share *= np.maximum(kept, np.float32(0.0), out=kept)
            spectra[voice, part] *= share
            share *= powers[voice, part]
            strength[part] = share @ _LIFT
    return strengths


def _shares(powers: Floats, part: slice, scene: Scene) -> Floats:
    """How much of each spot of ``part`` of (microphones, rows, bins) is whose: (voices, rows, bins), summing to one or, with
    what is the noise's, less."""
    shape = powers[0, part].shape
    if len(scene.voices) < 2:
        return np.ones((len(scene.voices), *shape), np.float32)
    costs = np.zeros((len(scene.voices) + 1, *shape), np.float32)
    costs[-1] = _noise_cost(powers[:, part], scene)
    for cost, voice in zip(costs, scene.voices, strict=False):
        noise = scene.noise[voice]
        clean = np.subtract(powers[voice, part], noise)
        np.maximum(clean, 0.1 * noise, out=clean)
        for mic in np.flatnonzero(~scene.deaf):
            if mic != voice:
                apart = clean * np.float32(10 ** (scene.leaks_db[mic, voice] / 10))
                apart += scene.noise[mic]
                np.divide(_later(powers[mic], part, scene.late_hops[mic, voice] / _EVERY), apart, out=apart)
                decibels(apart, out=apart)
                cost += np.abs(apart, out=apart)
    np.subtract(costs.min(axis=0), costs, out=costs)
    costs *= np.float32(1 / _SHARPNESS_DB)
    rows = costs.reshape(-1, shape[1])
    cv2.exp(rows, rows)
    shares: Floats = costs[:-1]
    shares /= costs.sum(axis=0)
    return shares


def _noise_cost(powers: Floats, scene: Scene) -> Floats:
    """How ill a spot fits people in the corridor, (rows, bins), in decibels: their voices, too, reach the microphones in a
    proportion of their own, and are seldom far over their mean."""
    first_db, *others_db = (decibels(powers[mic] / scene.noise[mic]) for mic in np.flatnonzero(~scene.deaf))
    cost: Floats = first_db - np.float32(_BURST_DB)
    np.maximum(cost, np.float32(0.0), out=cost)
    for other_db in others_db:
        other_db -= first_db
        cost += np.abs(other_db, out=other_db)
    return cost
