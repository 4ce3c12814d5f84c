"""One pipeline step in a process of its own: ``python -m processing.step NAME FOLDER MEMORY_MB PARENT_PID``.

Untrusted media is decoded only here: under a memory limit, killed together with the worker that started it,
and with nothing in reach but the job folder. The step reads ``FOLDER/job.json`` and its inputs, writes its
results to ``FOLDER/out``, and tells its parent on standard output, one JSON object a line:
``{"progress": 0.42}``, at the end ``{"result": {…}}`` or ``{"error": {…}}``.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.errors import ChildOutOfMemory, DiskFull, YianError
from config.lifeline import end_with
from config.settings import MediaSettings, SpeechSettings, VisionSettings

PROGRESS_STEP = 0.01

Result = dict[str, Any]
"""A few numbers about what a step did; everything else it leaves in its folder."""


@dataclass
class Job:
    """What a step works on. ``inputs`` maps the name of an earlier step to the folder of its results."""

    folder: Path
    inputs: dict[str, Path]
    params: dict[str, Any]
    speech: SpeechSettings
    vision: VisionSettings
    media: MediaSettings
    _told: float = 0.0

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def progress(self, share: float) -> None:
        if share - self._told >= PROGRESS_STEP:
            self._told = share
            _tell({"progress": round(share, 3)})


def read_job(folder: Path) -> Job:
    raw = json.loads((folder / "job.json").read_text())
    (folder / "out").mkdir(exist_ok=True)
    return Job(
        folder,
        {step: Path(path) for step, path in raw["inputs"].items()},
        raw["params"],
        SpeechSettings(**raw["speech"]),
        VisionSettings(**raw["vision"]),
        MediaSettings(**raw["media"]),
    )


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True))


def sources_of(job: Job) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """The plan of the probe, every track by name, and the folder their files lie in."""
    folder = job.inputs["ingest"]
    return read_json(job.inputs["probe"] / "plan.json"), read_json(folder / "tracks.json"), folder


def _tell(message: dict[str, Any]) -> None:
    # The real standard output was moved aside in main(), so that no library can write into it.
    os.write(_CHANNEL, json.dumps(message, ensure_ascii=False).encode() + b"\n")


_CHANNEL = 1


def _confine(memory_mb: int, parent: int) -> None:
    end_with(parent)
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run(name: str, folder: Path) -> Result:
    from processing.alone import ALONE_FUNCTIONS
    from processing.steps import STEP_FUNCTIONS

    return {**STEP_FUNCTIONS, **ALONE_FUNCTIONS}[name](read_job(folder))


def main() -> int:
    global _CHANNEL
    name, folder = sys.argv[1], Path(sys.argv[2])
    memory_mb, parent = int(sys.argv[3]), int(sys.argv[4])
    _confine(memory_mb, parent)
    _CHANNEL = os.dup(1)
    os.dup2(2, 1)
    try:
        _tell({"result": _run(name, folder)})
    except YianError as error:
        _tell({"error": error.to_dict()})
        return 1
    except MemoryError:
        _tell({"error": ChildOutOfMemory(step=name, detail=f"{memory_mb} MB").to_dict()})
        return 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _tell({"error": DiskFull(path=str(folder), needed_mb=None, free_mb=0).to_dict()})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
