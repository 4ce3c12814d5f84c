"""Whisper-family models through faster-whisper: loaded from this machine or a hub, several windows at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from config.errors import ModelMissing
from config.settings import SpeechSettings
from processing.audio import SPEECH_RATE_HZ
from processing.lexicon import load_lexicon
from processing.transcript import Turn, Word
from processing.windows import PAUSE_S, Piece, Window

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

log = structlog.get_logger(__name__)

DEMO_MODEL = Path(__file__).parent / "models" / "demo-asr"
NEEDED = ("model.bin", "config.json", "tokenizer.json")
# Measured on 2 cores with large models' sizes in mind: more windows at once cost memory and gain nothing on a processor.
_BATCH_CPU, _BATCH_GPU = 4, 16
_FASTEST_PER_S = 14.0  # characters; Mandarin rarely exceeds 9
_NO_SPEECH, _UNSURE_LOGPROB = 0.6, -1.0
_STUCK = re.compile(r"(.{1,12}?)\1{4,}", re.DOTALL)
# What a window is heard again with, piece by piece, when its text is stuck or beyond belief (Whisper's own ladder).
_TEMPERATURES = (0.0, 0.2, 0.4, 0.6)


@dataclass(frozen=True)
class Asking:
    """How a model was trained to be asked, as ``asking.json`` in its folder tells; most models can do everything.

    ``turn_by_turn``: it knows single sentences only. ``prompted``: it can be given a prompt and hot words.
    """

    turn_by_turn: bool = False
    prompted: bool = True


def asking_of(settings: SpeechSettings) -> Asking:
    """How the model of ``settings`` wants to be asked. Raises ModelMissing when its file cannot be read."""
    path = _folder(settings) / "asking.json"
    if not path.is_file():
        return Asking()
    try:
        return Asking(**json.loads(path.read_text("utf-8")))
    except (TypeError, ValueError) as error:
        raise ModelMissing(model=settings.model, path=str(path), detail=str(error)[:300]) from error


def _folder(settings: SpeechSettings) -> Path:
    return DEMO_MODEL if settings.model == "demo" else Path(settings.model)


def load_model(settings: SpeechSettings) -> WhisperModel:
    """The model that ``settings.model`` names: 'demo', a folder, or a name on this machine or on the hub.

    On a GPU in float16 where there is one that works, else on the processor in int8. A hub is asked only when the
    settings name its token or mirror. Raises ModelMissing, whose message says where to put the files.
    """
    from_hub = bool(settings.hub_endpoint or settings.hub_token.get_secret_value())
    _quiet(settings, from_hub)
    from faster_whisper import WhisperModel
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    folder = _folder(settings)
    local = settings.model == "demo" or folder.is_dir()
    if local and any(not (folder / name).is_file() for name in NEEDED):
        raise ModelMissing(model=settings.model, path=str(folder))
    try:
        device, compute_type = _device(settings)
        return WhisperModel(
            str(folder) if local else settings.model,
            device=device,
            compute_type=compute_type,
            cpu_threads=settings.threads or os.cpu_count() or 1,
            local_files_only=local or not from_hub,
            use_auth_token=settings.hub_token.get_secret_value() or None,
        )
    except (ValueError, RuntimeError, OSError, LocalEntryNotFoundError, HfHubHTTPError) as error:
        raise ModelMissing(model=settings.model, path=str(folder), detail=str(error)[:300]) from error


def _quiet(settings: SpeechSettings, from_hub: bool) -> None:
    """The hub is reached only when it is meant to be."""
    os.environ["HF_HUB_OFFLINE"] = "0" if from_hub else "1"
    if settings.hub_endpoint:
        os.environ["HF_ENDPOINT"] = settings.hub_endpoint


def _device(settings: SpeechSettings) -> tuple[str, str]:
    """Device and number format. A GPU whose libraries do not load is no GPU: the case is not lost for it."""
    import ctranslate2

    types = {"cpu": "int8", "cuda": "float16"}
    device = settings.device
    if device == "auto":
        try:
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
            if device == "cuda":
                ctranslate2.StorageView.from_array(np.zeros((1, 1), np.float32)).to_device(
                    ctranslate2.Device.cuda
                )
        except RuntimeError as error:
            log.warning("the GPU cannot be used", error=str(error)[:200])
            device = "cpu"
    return device, types[device] if settings.compute_type == "auto" else settings.compute_type


@dataclass(frozen=True)
class Heard:
    """What was recognised of one piece, on the clock of the recording."""

    piece: Piece
    words: tuple[Word, ...]


class Recogniser:
    """One loaded model and how it is asked."""

    def __init__(self, settings: SpeechSettings) -> None:
        from faster_whisper import BatchedInferencePipeline

        self._model = load_model(settings)
        self._batched = BatchedInferencePipeline(self._model)
        on_gpu = self._model.model.device == "cuda"
        self.batch = settings.batch or (_BATCH_GPU if on_gpu else _BATCH_CPU)
        self._options: dict[str, Any] = {
            "language": settings.language,
            "beam_size": settings.beam_size,
            "word_timestamps": True,
            "vad_filter": False,
        }
        if asking_of(settings).prompted and (settings.prompt_characters or settings.hotwords):
            lexicon = load_lexicon()
            self._options["initial_prompt"] = lexicon.prompt(settings.prompt_characters) or None
            self._options["hotwords"] = lexicon.hotwords(settings.hotwords) or None

    def hear(self, windows: Sequence[Window]) -> list[Heard]:
        """Every piece of ``windows`` once, in order; a piece in which nothing was said has no words.

        Raises RuntimeError, ValueError or IndexError when the model breaks down.
        """
        heard: list[Heard] = []
        for window, segments in zip(windows, self._segments(windows), strict=True):
            words = _by_piece(window, segments)
            for piece in window.pieces:
                if _beyond_belief(words[piece], piece):
                    words[piece] = self._again(piece)
                heard.append(Heard(piece, tuple(words[piece])))
        return heard

    def _segments(self, windows: Sequence[Window]) -> list[list[Any]]:
        """The segments of each window, their words on the window's own clock."""
        sounds = [window.sound() for window in windows]
        ends = np.cumsum([len(sound) for sound in sounds])
        begins_s = [0.0, *(float(end) / SPEECH_RATE_HZ for end in ends[:-1])]
        ends_s = [float(end) / SPEECH_RATE_HZ for end in ends]
        clips = [{"start": begin, "end": end} for begin, end in zip(begins_s, ends_s, strict=True)]
        segments, _info = self._batched.transcribe(
            np.concatenate(sounds),
            clip_timestamps=clips,
            batch_size=self.batch,
            temperature=0.0,
            **self._options,
        )
        found: list[list[Any]] = [[] for _ in windows]
        for segment in segments:
            # ``seek`` is where the segment's window begins, in frames of 10 ms.
            number = int(np.abs(np.asarray(begins_s) - segment.seek / 100).argmin())
            if not _is_noise(segment):
                found[number].append((segment, begins_s[number]))
        return found

    def _again(self, piece: Piece) -> list[Word]:
        """One piece by itself, with less and less certainty until the text can be believed; else nothing."""
        alone = Window((Piece(piece.turn, piece.channel, piece.begin_s, piece.end_s),))
        segments, _info = self._model.transcribe(
            alone.sound(),
            temperature=list(_TEMPERATURES),
            condition_on_previous_text=False,
            **self._options,
        )
        kept = [(segment, 0.0) for segment in segments if not _is_noise(segment)]
        words = _by_piece(alone, kept)[alone.pieces[0]]
        return [] if _beyond_belief(words, piece) else words


def _by_piece(window: Window, segments: Sequence[tuple[Any, float]]) -> dict[Piece, list[Word]]:
    """Each word with the piece it was heard in; one far from every piece was heard in silence, and is dropped."""
    words: dict[Piece, list[Word]] = {piece: [] for piece in window.pieces}
    for segment, begin_s in segments:
        for word in segment.words or ():
            start_s, end_s = float(word.start) - begin_s, float(word.end) - begin_s
            middle_s = (start_s + end_s) / 2
            piece = window.place(middle_s)
            if piece.at_s - PAUSE_S <= middle_s <= piece.at_s + piece.length_s + PAUSE_S:
                words[piece].append(_placed(word, start_s, end_s, piece))
    return words


def _placed(word: Any, start_s: float, end_s: float, piece: Piece) -> Word:
    shift_s, turn = piece.begin_s - piece.at_s, piece.turn
    start_s = min(max(start_s + shift_s, turn.start_s), turn.end_s)
    end_s = min(max(end_s + shift_s, start_s), turn.end_s)
    return Word(word.word, round(start_s, 3), round(end_s, 3), round(min(float(word.probability), 1.0), 4))


def _is_noise(segment: Any) -> bool:
    return bool(segment.no_speech_prob > _NO_SPEECH and segment.avg_logprob < _UNSURE_LOGPROB)


def _beyond_belief(words: Sequence[Word], piece: Piece) -> bool:
    """What Whisper says where nobody speaks: over and over, or faster than anyone can."""
    said = re.sub(r"\W", "", "".join(word.text for word in words))
    weight = sum(0.35 if character.isascii() else 1.0 for character in said)
    return bool(_STUCK.search(said)) or weight > max(4.0, _FASTEST_PER_S * _length_s(piece.turn))


def _length_s(turn: Turn) -> float:
    return turn.end_s - turn.start_s
