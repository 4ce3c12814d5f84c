"""pyannote.audio on one WAV, run by the interpreter that has it: ``python -I pyannote_child.py``.

Imports nothing of ours, for that interpreter has nothing of ours. Reads one JSON object from standard input: ``wav``,
``pipeline`` (a folder or a name on the hub), ``token``, ``endpoint`` (a mirror of the hub), ``threads`` and
``speakers`` (``min_speakers``, ``max_speakers`` where known). Tells its parent on standard output, one JSON object a line:
``{"progress": 0.42}``, at the end ``{"turns": [["SPEAKER_00", start_s, end_s], …]}`` or ``{"error": {…}}`` as in config.errors.

The hub is asked only for what is not on this machine yet, and only where a token or a mirror is set.
"""

from __future__ import annotations

import json
import os
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_CHANNEL = os.dup(1)  # what libraries print goes with the warnings
_IMPORTED, _LOADED = 0.15, 0.2  # shares of the whole for a few minutes of sound
_STAGES = {"segmentation": (_LOADED, 0.4), "embeddings": (0.4, 0.98)}
_SILENCED = {
    "PYANNOTE_METRICS_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
}


def main() -> int:
    os.dup2(2, 1)
    job = json.load(sys.stdin)
    try:
        _tell({"turns": _separate(job)})
    except MemoryError as error:
        return _fail("child-out-of-memory", step="speakers", detail=str(error))
    except ImportError as error:
        return _fail("pyannote-missing", python=sys.executable, detail=str(error))
    except _WeightsMissing as error:
        return _fail("pyannote-weights-missing", pipeline=error.page, detail=str(error))
    return 0


def _fail(code: str, **data: str) -> int:
    _tell({"error": {"code": code, "data": data}})
    return 1


class _WeightsMissing(Exception):
    """``page`` is the name whose model page holds the conditions to accept."""

    def __init__(self, page: str, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}".splitlines()[0][:200])
        self.page = page


def _tell(message: dict[str, Any]) -> None:
    os.write(_CHANNEL, json.dumps(message).encode() + b"\n")


def _separate(job: dict[str, Any]) -> list[tuple[str, float, float]]:
    online = bool(job["token"] or job["endpoint"]) and not Path(job["pipeline"]).is_dir()
    os.environ.update(_SILENCED, HF_HUB_OFFLINE="0" if online else "1")
    if job["endpoint"]:
        os.environ["HF_ENDPOINT"] = job["endpoint"]
    _tell({"progress": 0.01})
    pipeline = _load(job["pipeline"], job["token"], online)
    _tell({"progress": _LOADED})
    if job["threads"]:
        import torch

        torch.set_num_threads(job["threads"])
    try:
        found = pipeline(_sound(Path(job["wav"])), hook=_hook, **job["speakers"])
    except RuntimeError as error:
        if "allocate memory" in str(error):
            raise MemoryError(str(error)[:200]) from error
        raise
    tracks = found.exclusive_speaker_diarization.itertracks(yield_label=True)
    return [(label, segment.start, segment.end) for segment, _track, label in tracks]


def _load(name: str, token: str, online: bool) -> Any:
    """The pipeline of that name. Raises _WeightsMissing, before the long import where nothing can be loaded."""
    failure: Exception = FileNotFoundError(name)
    for place in _places(name, token, online):
        if isinstance(place, Exception):
            failure = place
            continue
        from pyannote.audio import Pipeline  # type: ignore[import-not-found,unused-ignore]

        _tell({"progress": _IMPORTED})
        try:
            return Pipeline.from_pretrained(place, token=token or None)
        except OSError as error:
            failure = error
    raise _WeightsMissing(getattr(failure, "repo_id", None) or name, failure) from failure


def _places(name: str, token: str, online: bool) -> Iterator[str | Exception]:
    """Folders the pipeline may lie in, the nearest first, or why there is none."""
    if Path(name).is_dir():
        yield name
        return
    from huggingface_hub import snapshot_download

    for local_only in (True, False) if online else (True,):
        try:
            yield snapshot_download(name, token=token or None, local_files_only=local_only)
        except (OSError, ValueError) as error:
            yield error


def _sound(wav: Path) -> dict[str, Any]:
    """What pyannote.audio takes instead of a file: float32 (1, samples) in -1..1, from 16-bit mono."""
    import torch

    with wave.open(str(wav), "rb") as source:
        samples = torch.frombuffer(bytearray(source.readframes(source.getnframes())), dtype=torch.int16)
        return {"waveform": (samples.float() / 32768.0)[None], "sample_rate": source.getframerate()}


def _hook(step: str, _artefact: Any, *, completed: int = 0, total: int = 0, **_rest: Any) -> None:
    if step in _STAGES and total:
        begin, end = _STAGES[step]
        _tell({"progress": round(begin + (end - begin) * min(1.0, completed / total), 3)})


if __name__ == "__main__":
    sys.exit(main())
