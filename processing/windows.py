"""Turns packed into the half minutes that Whisper hears at once, whoever speaks and whichever microphone they are from.

Whisper takes as long for one word as for thirty seconds, so a dialogue of short turns, heard turn by turn, would take
many times as long as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.audio import SPEECH_RATE_HZ, read_wav
from processing.transcript import Turn

LONGEST_S = 28.0  # Whisper hears 30 s at a time
MARGIN_S = 0.2
# Silence between two pieces: long enough that a word is never heard across it.
PAUSE_S = 0.5
_SEARCH_S, _QUIET_S = 10.0, 0.1


@dataclass(frozen=True)
class Piece:
    """``turn``, or part of a long one: its sound from ``begin_s`` to ``end_s`` stands at ``at_s`` of its window."""

    turn: Turn
    channel: Path
    begin_s: float
    end_s: float
    at_s: float = 0.0

    @property
    def length_s(self) -> float:
        return self.end_s - self.begin_s


@dataclass(frozen=True)
class Window:
    """At most 28 s of pieces, in the order in which they were said."""

    pieces: tuple[Piece, ...]

    @property
    def length_s(self) -> float:
        last = self.pieces[-1]
        return last.at_s + last.length_s

    def sound(self) -> NDArray[np.float32]:
        """(samples,) at 16 kHz, -1..1."""
        joined = np.zeros(round(self.length_s * SPEECH_RATE_HZ) + 1, np.float32)
        for piece in self.pieces:
            part = read_wav(piece.channel, piece.begin_s, piece.end_s)
            first = round(piece.at_s * SPEECH_RATE_HZ)
            joined[first : first + len(part)] = part[: len(joined) - first]
        return joined

    def apart(self) -> list[Window]:
        """A window for every piece."""
        return [Window((replace(piece, at_s=0.0),)) for piece in self.pieces]

    def place(self, time_s: float) -> Piece:
        """The piece that is heard at ``time_s`` of the window, or the nearest one."""
        return min(
            self.pieces,
            key=lambda piece: max(piece.at_s - time_s, time_s - piece.at_s - piece.length_s, 0.0),
        )


def windows_of(
    turns: Sequence[Turn], channels: Mapping[str, Path], window_s: float = LONGEST_S
) -> Iterator[Window]:
    """Every turn, in order of start, in as few windows of ``window_s`` as that order allows.

    A turn that is longer has windows of its own, as many as it needs. Each is heard in its own
    channel, else in that of its role, else in the first.
    """
    fallback = next(iter(channels.values()))
    pieces: list[Piece] = []
    for turn in sorted(turns, key=lambda turn: (turn.start_s, turn.end_s, turn.role)):
        channel = channels.get(turn.channel or turn.role, fallback)
        for begin_s, end_s in _parts(channel, turn):
            at_s = pieces[-1].at_s + pieces[-1].length_s + PAUSE_S if pieces else 0.0
            if pieces and at_s + end_s - begin_s > window_s:
                yield Window(tuple(pieces))
                pieces, at_s = [], 0.0
            pieces.append(Piece(turn, channel, begin_s, end_s, at_s))
    if pieces:
        yield Window(tuple(pieces))


def _parts(wav: Path, turn: Turn) -> Iterator[tuple[float, float]]:
    """The turn with a margin; a long one in parts that fit a window, parted where it is quietest."""
    begin_s, end_s = max(0.0, turn.start_s - MARGIN_S), turn.end_s + MARGIN_S
    while end_s - begin_s > LONGEST_S:
        latest_s = begin_s + LONGEST_S
        part_s = _quietest_s(wav, latest_s - _SEARCH_S, latest_s)
        yield begin_s, part_s
        begin_s = part_s
    yield begin_s, end_s


def _quietest_s(wav: Path, start_s: float, end_s: float) -> float:
    hop = round(_QUIET_S * SPEECH_RATE_HZ)
    sound = read_wav(wav, start_s, end_s)
    power = np.square(sound[: len(sound) // hop * hop]).reshape(-1, hop).mean(axis=1)
    return start_s + (int(power.argmin()) + 0.5) * _QUIET_S if len(power) else end_s
