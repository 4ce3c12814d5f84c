"""Who speaks when, whichever way there is: a microphone for each role, or one mixed channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.settings import SpeechSettings
from processing.diarize import turns_per_microphone
from processing.hearing import Floats
from processing.media import Progress, no_progress
from processing.mixed import separate_or_unknown
from processing.transcript import Turn

# Roles of a microphone that belongs to nobody in particular.
SHARED = frozenset({"room", "unknown", "mixed"})


@dataclass(frozen=True)
class Found:
    """``note`` says why speakers could not be told apart, when they could not."""

    turns: tuple[Turn, ...]
    note: dict[str, str] | None = None


def turns_of(
    channels: Mapping[str, Path],
    settings: SpeechSettings,
    progress: Progress = no_progress,
    *,
    heard_before: Mapping[str, Floats] | None = None,
) -> Found:
    """Turns, ordered by start, in synchronised 16 kHz mono WAVs by role.

    A single channel that several people share is separated by pyannote.audio; without it, or when it fails, the turns
    are kept with the role 'unknown'. ``heard_before`` as for :func:`turns_per_microphone`.
    """
    if len(channels) == 1 and SHARED.issuperset(channels):
        turns, note = separate_or_unknown(next(iter(channels.values())), settings, progress)
        return Found(tuple(turns), note)
    turns = turns_per_microphone(channels, heard_before)
    progress(1.0)
    return Found(tuple(turns))
