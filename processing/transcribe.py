"""What was said: every turn is recognised once, from the microphone that hears it best."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import structlog

from config.settings import SpeechSettings
from processing.audio import Source, speech_wav, wav_seconds
from processing.captions import to_srt, to_webvtt
from processing.clock import correct_clock
from processing.media import Progress, no_progress, part_of
from processing.merge import Recognised, merge
from processing.names import RegisteredName
from processing.plain_text import to_text
from processing.protect import protect
from processing.rttm import to_rttm
from processing.speakers import turns_of
from processing.transcript import Transcript, Turn, Word
from processing.whisper import Heard, Recogniser, asking_of
from processing.windows import Window, windows_of

log = structlog.get_logger(__name__)


def transcribe(
    channels: Mapping[str, Path],
    turns: Sequence[Turn],
    settings: SpeechSettings,
    progress: Progress = no_progress,
    *,
    notes: tuple[str, ...] = (),
) -> Transcript:
    """:func:`recognise` and :func:`processing.merge.merge` in one. Raises ModelMissing."""
    return merge(recognise(channels, turns, settings, progress), settings, notes=notes)


def recognise(
    channels: Mapping[str, Path],
    turns: Sequence[Turn],
    settings: SpeechSettings,
    progress: Progress = no_progress,
) -> Recognised:
    """The words of ``turns`` in the 16 kHz mono WAVs ``channels`` (by role).

    A turn is heard in its own channel, else in that of its role, else in the first. A turn whose recognition breaks down is
    listed in ``unheard`` and costs no other. Raises ModelMissing.
    """
    if not turns or not channels:
        progress(1.0)
        return Recognised()
    recogniser = Recogniser(settings)
    words: dict[Turn, list[Word]] = {}
    unheard: set[Turn] = set()
    last_s = max(turn.end_s for turn in turns)
    window_s = 0.0 if asking_of(settings).turn_by_turn else settings.window_s
    windows = windows_of(turns, channels, window_s)
    for batch in _batches(windows, recogniser.batch):
        for heard in _hear(recogniser, batch, unheard):
            words.setdefault(heard.piece.turn, []).extend(heard.words)
        progress(min(1.0, batch[-1].pieces[-1].end_s / last_s))
    progress(1.0)
    said = tuple((turn, tuple(each)) for turn, each in words.items())
    failed = tuple(sorted(unheard, key=lambda turn: (turn.start_s, turn.end_s, turn.role)))
    return Recognised(said, failed, round(max(map(wav_seconds, channels.values())), 3))


def _batches(windows: Iterator[Window], size: int) -> Iterator[list[Window]]:
    while batch := list(itertools.islice(windows, size)):
        yield batch


def _hear(recogniser: Recogniser, windows: Sequence[Window], unheard: set[Turn]) -> list[Heard]:
    """What is heard in ``windows``; where the model breaks down, in each of them by itself, and then in each piece."""
    try:
        return recogniser.hear(windows)
    except (RuntimeError, ValueError, IndexError) as error:
        smaller = list(windows) if len(windows) > 1 else windows[0].apart()
        if len(smaller) > 1:
            return [heard for window in smaller for heard in _hear(recogniser, [window], unheard)]
        turn = windows[0].pieces[0].turn
        log.warning("recognition failed", start_s=turn.start_s, role=turn.role, error=str(error)[:200])
        unheard.add(turn)
        return []


def transcribe_files(
    files: Mapping[str, Path],
    out_dir: Path,
    settings: SpeechSettings,
    progress: Progress = no_progress,
    *,
    redact: bool = False,
    names: Sequence[RegisteredName] = (),
) -> Transcript:
    """The whole way for files of any container, by role; writes transcript.json, .vtt, .srt, .txt and turns.rttm.

    With ``redact`` these hold placeholders for ``names`` and whatever else identifies somebody. ``out_dir`` is made
    when there is something to write. Raises NotMedia, NoAudio, ModelMissing.
    """
    with tempfile.TemporaryDirectory(prefix="yian-speech-") as folder:
        channels: dict[str, Path] = {}
        for index, (role, path) in enumerate(files.items()):
            channels[role] = Path(folder) / f"{index}.wav"
            speech_wav([Source(path)], channels[role])
        correct_clock(channels)
        progress(0.1)
        found = turns_of(channels, settings, part_of(progress, 0.1, 0.3))
        notes = (found.note["code"],) if found.note else ()
        transcript = transcribe(channels, found.turns, settings, part_of(progress, 0.3, 1.0), notes=notes)
    if redact:
        transcript = protect(transcript, names).transcript
    name = next(iter(files.values())).stem if files else "recording"
    out_dir.mkdir(parents=True, exist_ok=True)
    write_outputs(transcript, found.turns, name, out_dir)
    return transcript


def write_outputs(transcript: Transcript, turns: Sequence[Turn], file_id: str, out_dir: Path) -> None:
    """transcript.json, .vtt, .srt, .txt and turns.rttm in ``out_dir``."""
    record = json.dumps(transcript.to_dict(), ensure_ascii=False, indent=1, sort_keys=True)
    (out_dir / "transcript.json").write_text(record + "\n", "utf-8")
    (out_dir / "transcript.vtt").write_text(to_webvtt(transcript), "utf-8")
    (out_dir / "transcript.srt").write_text(to_srt(transcript), "utf-8")
    (out_dir / "transcript.txt").write_text(to_text(transcript), "utf-8")
    (out_dir / "turns.rttm").write_text(to_rttm(turns, file_id), "utf-8")
