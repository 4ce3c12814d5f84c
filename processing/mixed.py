"""Who speaks when in one mixed channel, asked of pyannote.audio in a process and an interpreter of its own.

Its torch stays out of our lock, its memory goes when it goes, and whatever becomes of it costs no transcript.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import structlog

from config.errors import ChildCrashed, ChildTimedOut, PyannoteMissing, ToolFailed, error_from_dict
from config.lifeline import ended_with_us
from config.settings import SpeechSettings
from processing.audio import wav_seconds
from processing.diarize import turns_per_microphone
from processing.media import Progress, no_progress
from processing.transcript import Turn

log = structlog.get_logger(__name__)

_CHILD = Path(__file__).with_name("pyannote_child.py")
_OWN_PYTHON = Path(__file__).parents[1] / ".venv-pyannote" / "bin" / "python"  # scripts/install-pyannote
_STEP = "speakers"
_FILL_S, _SHORTEST_S = 0.6, 0.25  # as for one microphone per role
_SLIP_S = 0.05
_SHORTEST_WAV_S = 0.5
_TAIL_BYTES = 4096

Spoken = tuple[str, float, float]


def turns_of_mix(wav: Path, settings: SpeechSettings, progress: Progress = no_progress) -> list[Turn]:
    """Turns, ordered by start and never two at a time, of a 16 kHz mono 16-bit WAV.

    Nobody knows who the voices are: their roles are 'speaker-1', 'speaker-2' and so on in the order in which they are
    first heard. Raises PyannoteMissing, PyannoteWeightsMissing, ChildTimedOut, ChildOutOfMemory, ChildCrashed.
    However this ends, no process is left.
    """
    if wav_seconds(wav) < _SHORTEST_WAV_S:
        progress(1.0)
        return []
    spoken = sorted(_ask(_job(wav, settings), settings, progress), key=lambda stretch: stretch[1])
    lasting = [stretch for stretch in _joined(spoken, _SLIP_S) if stretch[2] - stretch[1] >= _SHORTEST_S]
    progress(1.0)
    return list(_named(_joined(lasting, _FILL_S)))


def separate_or_unknown(
    wav: Path, settings: SpeechSettings, progress: Progress = no_progress
) -> tuple[list[Turn], dict[str, str] | None]:
    """Turns as :func:`turns_of_mix`, and None; or turns of 'unknown' and a note that says why, if it fails.

    The note is ``{"code": "speakers-unknown", "reason": …}`` with the code of the error, whose words tell what to do.
    """
    try:
        return turns_of_mix(wav, settings, progress), None
    except ToolFailed as error:
        log.warning("speakers not separated", error=str(error))
        return turns_per_microphone({"room": wav}), {"code": "speakers-unknown", "reason": error.code}


def _job(wav: Path, settings: SpeechSettings) -> dict[str, Any]:
    hints = {"min_speakers": settings.speakers_min, "max_speakers": settings.speakers_max}
    return {
        "wav": str(wav.resolve()),
        "pipeline": settings.pyannote_pipeline,
        "token": settings.hub_token.get_secret_value() or os.environ.get("HF_TOKEN", ""),
        "endpoint": settings.hub_endpoint,
        "threads": settings.threads,
        "speakers": {name: count for name, count in hints.items() if count is not None},
    }


def _ask(job: dict[str, Any], settings: SpeechSettings, progress: Progress) -> list[Spoken]:
    with tempfile.TemporaryFile() as messages:
        child = _start(settings, messages)
        timed_out = threading.Event()

        def ring() -> None:
            timed_out.set()
            child.kill()

        timer = threading.Timer(settings.pyannote_timeout_s, ring)
        timer.daemon = True
        timer.start()
        try:
            answer = _converse(child, job, progress)
            status = child.wait()
        finally:
            timer.cancel()
            child.kill()
            child.wait()
        if "turns" in answer:
            return [(str(speaker), float(start), float(end)) for speaker, start, end in answer["turns"]]
        if timed_out.is_set():
            raise ChildTimedOut(step=_STEP, detail=f"{settings.pyannote_timeout_s:.0f} s")
        if "error" in answer:
            raise error_from_dict(answer["error"])
        raise ChildCrashed(step=_STEP, detail=f"exit {status}: {_last_line(messages)}")


def _start(settings: SpeechSettings, messages: IO[bytes]) -> subprocess.Popen[str]:
    python = Path(settings.pyannote_python or _OWN_PYTHON)
    try:
        return subprocess.Popen(
            [str(python), "-I", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("YIAN_")},
            preexec_fn=ended_with_us(),  # noqa: PLW1509 - it calls prctl, nothing else
        )
    except OSError as error:
        raise PyannoteMissing(python=str(python), detail=str(error)) from error


def _converse(child: subprocess.Popen[str], job: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """What the child tells at last; empty when it ends without a word."""
    assert child.stdin is not None and child.stdout is not None
    answer: dict[str, Any] = {}
    with child.stdout as lines:
        try:
            with child.stdin as sink:
                json.dump(job, sink)
        except BrokenPipeError:
            return answer
        for line in lines:
            message = json.loads(line)
            if "progress" in message:
                progress(message["progress"])
            else:
                answer = message
    return answer


def _last_line(messages: IO[bytes]) -> str:
    size = messages.seek(0, os.SEEK_END)
    messages.seek(max(0, size - _TAIL_BYTES))
    lines = messages.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _joined(spoken: Iterable[Spoken], close_s: float) -> Iterator[Spoken]:
    """Stretches of one speaker that follow each other within ``close_s``, nobody else between, made one."""
    open_: Spoken | None = None
    for speaker, start_s, end_s in spoken:
        if open_ and open_[0] == speaker and start_s - open_[2] <= close_s:
            open_ = (speaker, open_[1], end_s)
        else:
            if open_:
                yield open_
            open_ = (speaker, start_s, end_s)
    if open_:
        yield open_


def _named(spoken: Iterable[Spoken]) -> Iterator[Turn]:
    roles: dict[str, str] = {}
    for speaker, start_s, end_s in spoken:
        role = roles.setdefault(speaker, f"speaker-{len(roles) + 1}")
        yield Turn(role, round(start_s, 3), round(end_s, 3))
