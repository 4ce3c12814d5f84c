"""Cleaning a file that was handed in from outside: in a child process that can do no more than that.

``python -m archive.cleaning FORM SOURCE TARGET MEMORY_MB CPU_S PARENT`` is the child: it reads a secret from its
standard input, and answers with one line of JSON. It has no settings and no keys in its environment.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from archive.dicom import MAGIC, MAGIC_AT, deidentify
from archive.pictures import repaint
from config.errors import AttachmentRejected, YianError, error_from_dict
from config.lifeline import end_with
from config.settings import ArchiveSettings

HEAD_BYTES = 1024
TAIL_BYTES = 2048
PDF_START, PDF_END = b"%PDF-", b"%%EOF"
# A repainted picture may be larger than what it was painted from; a DICOM file is not.
MAX_GROWTH = 8


@dataclass(frozen=True)
class Cleaned:
    """``form``: jpeg, png, pdf or dicom. ``concerns``: what a reviewer has to look at, words of ``concern.*``."""

    form: str
    concerns: tuple[str, ...]


def form_of(path: Path) -> str:
    """What a file is, by its first bytes and never by its name. Raises AttachmentRejected for anything unknown."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    # DICOM first: what stands before its mark is anybody's, even the head of another kind of file.
    if head[MAGIC_AT : MAGIC_AT + len(MAGIC)] == MAGIC:
        return "dicom"
    for start, form in ((b"\xff\xd8\xff", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (PDF_START, "pdf")):
        if head.startswith(start):
            return form
    raise AttachmentRejected(why="unknown-form", detail="")


def clean_file(source: Path, target: Path, secret: bytes, limits: ArchiveSettings) -> Cleaned:
    """Write what is left of ``source`` to ``target``, in a child with limits of time, memory and file size.

    Raises AttachmentRejected also when the child was too slow, took too much memory or crashed.
    """
    form = form_of(source)
    arguments = [form, source, target, limits.attachment_memory_mb, int(limits.attachment_timeout_s) + 1]
    command = [sys.executable, "-m", "archive.cleaning", *map(str, arguments), str(os.getpid())]
    try:
        done = subprocess.run(
            command,
            input=secret,
            capture_output=True,
            timeout=limits.attachment_timeout_s,
            check=False,
            env=_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise AttachmentRejected(
            why="too-demanding", detail=f"{limits.attachment_timeout_s:.0f} s"
        ) from error
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise AttachmentRejected(why="too-demanding", detail=f"exit {done.returncode}") from error
    if "error" in answer:
        raise error_from_dict(answer["error"])
    return Cleaned(form, tuple(answer["concerns"]))


def _environment() -> dict[str, str]:
    """Without a setting of ours: who reads untrusted bytes must not know the store's keys."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("YIAN_")}
    # Each thread of a numerical library reserves address space, which is limited.
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _clean(form: str, source: Path, target: Path, secret: bytes) -> list[str]:
    if form == "dicom":
        return deidentify(source, target, secret)
    if form == "pdf":
        return _copy_pdf(source, target)
    repaint(source, target, form)
    return ["picture"]


def _copy_pdf(source: Path, target: Path) -> list[str]:
    """A report's pages stay as they are, and so does whatever name stands on them or in its properties."""
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - TAIL_BYTES))
        if PDF_END not in file.read():
            raise AttachmentRejected(why="malformed", detail="PDF")
    shutil.copyfile(source, target)
    return ["pdf"]


def _confine(source: Path, memory_mb: int, cpu_s: int, parent: int) -> None:
    end_with(parent)
    file_bytes = max(MAX_GROWTH * source.stat().st_size, 1 << 26)
    for what, most in (
        (resource.RLIMIT_AS, memory_mb << 20),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def main() -> int:
    form, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    memory_mb, cpu_s, parent = (int(argument) for argument in sys.argv[4:7])
    secret = sys.stdin.buffer.read()
    _confine(source, memory_mb, cpu_s, parent)
    answer: dict[str, object]
    try:
        answer = {"concerns": _clean(form, source, target, secret)}
    except YianError as error:
        answer = {"error": error.to_dict()}
    except MemoryError:
        answer = {"error": AttachmentRejected(why="too-demanding", detail=f"{memory_mb} MB").to_dict()}
    sys.stdout.write(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
