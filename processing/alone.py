"""What the pipeline's steps do for files that belong to no case, as it runs in its child process.

Each takes a Job and returns what it did; see ``processing.steps``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.errors import RequestRejected
from processing.step import Job, Result


def make_template(job: Job) -> Result:
    """An enrolled expert's face template out of one photograph."""
    from processing import recognise

    (job.out / "template").write_bytes(recognise.make_template(Path(job.params["photo"])))
    return {}


def blur_file(job: Job) -> Result:
    """``yian blur``: one file of anybody's. The report holds too much for an answer and goes into a file."""
    from processing import blur

    done = blur.blur_file(
        Path(job.params["source"]),
        Path(job.params["target"]),
        vision=job.vision,
        media=job.media,
        keep_photos=[Path(photo) for photo in job.params["keep_photos"]],
        edits=job.params["edits"],
        pass_one=_pass_one(job.params["detections"]),
        progress=job.progress,
    ).to_dict()
    if job.params["report"]:
        Path(job.params["report"]).write_text(json.dumps(done, ensure_ascii=False, indent=1, sort_keys=True))
    return {name: value for name, value in done.items() if name != "pass_one"}


def _pass_one(report: str) -> Any:
    """Pass one as an earlier report tells it, None without one. Raises RequestRejected."""
    if not report:
        return None
    try:
        return json.loads(Path(report).read_text())["pass_one"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestRejected(problem=f"{report}: {type(error).__name__}: {error}") from error


def transcribe_files(job: Job) -> Result:
    """``yian transcribe``: any files, one per microphone."""
    from processing import transcribe
    from processing.names import RegisteredName

    files = {role: Path(path) for role, path in job.params["files"].items()}
    names = [RegisteredName(name) for name in job.params["names"]]
    target = Path(job.params["target"])
    text = transcribe.transcribe_files(
        files, target, job.speech, job.progress, redact=job.params["redact"], names=names
    )
    return text.to_dict()


def probe_file(job: Job) -> Result:
    """Whether one file can be taken in as a camera or a microphone."""
    from processing import probe

    told = job.params
    info = probe.probe(
        Path(told["source"]),
        told["name"],
        max_hours=job.media.max_hours,
        need_video=told["kind"] == "video",
        need_audio=told["kind"] == "audio",
    )
    return info.to_dict()


ALONE_FUNCTIONS: dict[str, Callable[[Job], Result]] = {
    "make-template": make_template,
    "blur-file": blur_file,
    "transcribe-files": transcribe_files,
    "probe-file": probe_file,
}
