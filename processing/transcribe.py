"""What was said: every turn is recognised once, from the microphone of the one who speaks."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import structlog

from config.errors import ModelMissing
from config.settings import SpeechSettings
from processing.audio import SPEECH_RATE_HZ, Source, read_wav, speech_wav, wav_seconds
from processing.captions import to_srt, to_webvtt
from processing.diarize import turns_per_microphone
from processing.media import Progress, no_progress
from processing.plain_text import to_text
from processing.punctuation import normalise_words, punctuate
from processing.rttm import to_rttm
from processing.transcript import Line, Transcript, Turn, Word

if TYPE_CHECKING:
    from faster_whisper import WhisperModel
    from faster_whisper.transcribe import Word as SpokenWord

log = structlog.get_logger(__name__)

DEMO_MODEL = Path(__file__).parent / "models" / "demo-asr"
_NEEDED = ("model.bin", "config.json", "tokenizer.json")
_MARGIN_S = 0.2
_LONGEST_S = 28.0  # Whisper hears 30 s at a time
_SEARCH_S, _QUIET_S = 10.0, 0.1
_FASTEST_PER_S = 14.0  # characters; Mandarin rarely exceeds 9
_NO_SPEECH, _UNSURE_LOGPROB = 0.6, -1.0
_STUCK = re.compile(r"(.{1,12}?)\1{4,}", re.DOTALL)


def load_model(settings: SpeechSettings) -> WhisperModel:
    """The model that ``settings.model`` names: 'demo', a folder, or a name already on this machine.

    Never reaches out to a hub. Raises ModelMissing, whose message says where to put the files.
    """
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")
    from faster_whisper import WhisperModel
    from huggingface_hub.errors import LocalEntryNotFoundError

    folder = DEMO_MODEL if settings.model == "demo" else Path(settings.model)
    local = settings.model == "demo" or folder.is_dir()
    if local and any(not (folder / name).is_file() for name in _NEEDED):
        raise ModelMissing(model=settings.model, path=str(folder))
    try:
        return WhisperModel(
            str(folder) if local else settings.model,
            device="cpu",
            compute_type=settings.compute_type,
            cpu_threads=settings.threads or os.cpu_count() or 1,
            local_files_only=True,
        )
    except (ValueError, RuntimeError, OSError, LocalEntryNotFoundError) as error:
        raise ModelMissing(model=settings.model, path=str(folder), detail=str(error)[:300]) from error


def transcribe(
    channels: Mapping[str, Path],
    turns: Sequence[Turn],
    settings: SpeechSettings,
    progress: Progress = no_progress,
) -> Transcript:
    """Recognise ``turns`` in the 16 kHz mono WAVs ``channels`` (by role).

    A turn of a role without a channel is heard in the only or first channel. A turn whose recognition breaks down is
    listed in ``unheard`` and costs no other. Raises ModelMissing.
    """
    if not turns or not channels:
        progress(1.0)
        return Transcript(settings.language, settings.model)
    model = load_model(settings)
    fallback = next(iter(channels.values()))
    lines: list[Line] = []
    unheard: list[Turn] = []
    for done, turn in enumerate(sorted(turns, key=lambda turn: (turn.start_s, turn.end_s, turn.role)), 1):
        try:
            words = _recognise(model, channels.get(turn.role, fallback), turn, settings)
        except (RuntimeError, ValueError, IndexError) as error:
            log.warning("recognition failed", start_s=turn.start_s, role=turn.role, error=str(error)[:200])
            unheard.append(turn)
        else:
            plain = normalise_words(words)
            marked = punctuate(plain)
            lines += [Line.heard(turn, marked, punctuation_added=marked != plain)] if marked else []
        progress(done / len(turns))
    duration_s = round(max(map(wav_seconds, channels.values())), 3)
    return Transcript(settings.language, settings.model, tuple(lines), tuple(unheard), duration_s)


def transcribe_files(
    files: Mapping[str, Path], out_dir: Path, settings: SpeechSettings, progress: Progress = no_progress
) -> Transcript:
    """The whole way for files of any container, by role; writes transcript.json, .vtt, .srt, .txt and turns.rttm.

    Raises NotMedia, NoAudio, ModelMissing.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix=".work-") as folder:
        channels: dict[str, Path] = {}
        for index, (role, path) in enumerate(files.items()):
            channels[role] = Path(folder) / f"{index}.wav"
            speech_wav([Source(path)], channels[role])
        progress(0.1)
        turns = turns_per_microphone(channels)
        progress(0.2)
        transcript = transcribe(channels, turns, settings, lambda share: progress(0.2 + 0.8 * share))
    name = next(iter(files.values())).stem if files else "recording"
    write_outputs(transcript, turns, name, out_dir)
    return transcript


def write_outputs(transcript: Transcript, turns: Sequence[Turn], file_id: str, out_dir: Path) -> None:
    """transcript.json, .vtt, .srt, .txt and turns.rttm in ``out_dir``."""
    record = json.dumps(transcript.to_dict(), ensure_ascii=False, indent=1, sort_keys=True)
    (out_dir / "transcript.json").write_text(record + "\n", "utf-8")
    (out_dir / "transcript.vtt").write_text(to_webvtt(transcript), "utf-8")
    (out_dir / "transcript.srt").write_text(to_srt(transcript), "utf-8")
    (out_dir / "transcript.txt").write_text(to_text(transcript), "utf-8")
    (out_dir / "turns.rttm").write_text(to_rttm(turns, file_id), "utf-8")


def _recognise(model: WhisperModel, wav: Path, turn: Turn, settings: SpeechSettings) -> list[Word]:
    """The words of one turn on the clock of the recording, kept within the turn."""
    words: list[Word] = []
    for begin_s, end_s in _windows(wav, turn):
        segments, _info = model.transcribe(
            read_wav(wav, begin_s, end_s),
            language=settings.language,
            beam_size=settings.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=False,
        )
        for segment in segments:
            length_s = segment.end - segment.start
            if not _is_invented(segment.text, length_s, segment.no_speech_prob, segment.avg_logprob):
                words += [_placed(word, begin_s, turn) for word in segment.words or ()]
    return words


def _placed(word: SpokenWord, begin_s: float, turn: Turn) -> Word:
    start_s = min(max(begin_s + float(word.start), turn.start_s), turn.end_s)
    end_s = min(max(begin_s + float(word.end), start_s), turn.end_s)
    return Word(word.word, round(start_s, 3), round(end_s, 3), round(float(word.probability), 4))


def _windows(wav: Path, turn: Turn) -> Iterator[tuple[float, float]]:
    """The turn with a margin; a long one in parts that Whisper can hear at once, parted where it is quietest."""
    begin_s, end_s = max(0.0, turn.start_s - _MARGIN_S), turn.end_s + _MARGIN_S
    while end_s - begin_s > _LONGEST_S:
        latest_s = begin_s + _LONGEST_S
        part_s = _quietest_s(wav, latest_s - _SEARCH_S, latest_s)
        yield begin_s, part_s
        begin_s = part_s
    yield begin_s, end_s


def _quietest_s(wav: Path, start_s: float, end_s: float) -> float:
    hop = round(_QUIET_S * SPEECH_RATE_HZ)
    sound = read_wav(wav, start_s, end_s)
    power = np.square(sound[: len(sound) // hop * hop]).reshape(-1, hop).mean(axis=1)
    return start_s + (int(power.argmin()) + 0.5) * _QUIET_S if len(power) else end_s


def _is_invented(text: str, length_s: float, no_speech: float, logprob: float) -> bool:
    """What Whisper says where nobody speaks: with doubt, over and over, or faster than anyone can."""
    said = re.sub(r"\W", "", text)
    if not said or (no_speech > _NO_SPEECH and logprob < _UNSURE_LOGPROB):
        return True
    weight = sum(0.35 if character.isascii() else 1.0 for character in said)
    return bool(_STUCK.search(said)) or weight > max(4.0, _FASTEST_PER_S * length_s)
