"""Where there is speech in each microphone: listened for once, kept, and read by whoever asks who it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from processing.hearing import BLOCK_HOPS, HOP_S, LEAD, Floats, Microphone, hops_of, speech_chances, stretch
from processing.media import Progress, no_progress
from processing.side_by_side import side_by_side

SPEECH = 0.5
# Pauses that do not end a region, and what is too short to be speech, seconds.
FILL_S, SHORTEST_S = 0.3, 0.1


def chances_of(microphone: Microphone) -> Floats:
    """(hops,) the chance of speech in each 8 ms of 16 kHz mono WAVs heard as one. Reads half a minute at a time."""
    (chances,) = _together([microphone], no_progress)
    return chances


def all_chances(channels: Mapping[str, Path], progress: Progress = no_progress) -> dict[str, Floats]:
    """:func:`chances_of` each channel; all of them are listened to together, which takes less time."""
    found = _together([(path,) for path in channels.values()], progress)
    return dict(zip(channels, found, strict=True))


def _together(microphones: Sequence[Microphone], progress: Progress) -> list[Floats]:
    lengths = [hops_of([microphone]) for microphone in microphones]
    hops = max(lengths, default=0)

    def from_hop(first: int) -> Floats:
        count = min(BLOCK_HOPS, hops - first)
        sounds = np.stack([stretch(each, first - LEAD, count + 2 * LEAD) for each in microphones])
        return speech_chances(sounds)[:, LEAD : LEAD + count]

    found = np.zeros((len(microphones), hops), np.float32)
    firsts = range(0, hops, BLOCK_HOPS)
    for first, chances in zip(firsts, side_by_side(from_hop, firsts, 2), strict=True):
        found[:, first : first + BLOCK_HOPS] = chances
        progress(min(1.0, (first + BLOCK_HOPS) / hops))
    return [chances[:length] for chances, length in zip(found, lengths, strict=True)]


def regions_of(chances: Floats) -> list[tuple[float, float]]:
    """Start and end (s) of each stretch of speech."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chances > SPEECH, [False]]).astype(np.int8)))
    regions: list[tuple[float, float]] = []
    for start, end in edges.reshape(-1, 2) * HOP_S:
        if regions and start - regions[-1][1] < FILL_S:
            regions[-1] = (regions[-1][0], round(float(end), 3))
        else:
            regions.append((round(float(start), 3), round(float(end), 3)))
    return [region for region in regions if region[1] - region[0] >= SHORTEST_S]
