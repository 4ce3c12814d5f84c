"""Where there is speech in each microphone: listened for once, kept, and read by whoever asks who it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from processing.hearing import BLOCK_HOPS, HOP_S, LEAD, Floats, Microphone, hops_of, speech_chances, stretch
from processing.media import Progress, no_progress
from processing.side_by_side import side_by_side

SPEECH = 0.5
# Pauses that do not end a region, and what is too short to be speech, seconds.
FILL_S, SHORTEST_S = 0.3, 0.1


def chances_of(microphone: Microphone, progress: Progress = no_progress) -> Floats:
    """(hops,) the chance of speech in each 8 ms of 16 kHz mono WAVs heard as one. Reads half a minute at a time."""
    hops = hops_of([microphone])
    parts = []
    for first in range(0, hops, BLOCK_HOPS):
        count = min(BLOCK_HOPS, hops - first)
        found = speech_chances(stretch(microphone, first - LEAD, count + 2 * LEAD))
        parts.append(found[LEAD : LEAD + count])
        progress(min(1.0, (first + count) / hops))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def all_chances(channels: Mapping[str, Path], progress: Progress = no_progress) -> dict[str, Floats]:
    """:func:`chances_of` each channel, two at a time."""
    found: dict[str, Floats] = {}
    for (role, _), chances in zip(
        channels.items(), side_by_side(lambda path: chances_of((path,)), channels.values(), 2), strict=True
    ):
        found[role] = chances
        progress(len(found) / len(channels))
    return found


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
