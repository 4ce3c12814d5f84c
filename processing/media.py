"""FFmpeg as a child process, and media opened as what they are: untrusted."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import av
import imageio_ffmpeg

from config.errors import (
    ChildCrashed,
    ChildFailed,
    ChildOutOfMemory,
    ChildTimedOut,
    DiskFull,
    FfmpegMissing,
)
from config.lifeline import ended_with_us

Progress = Callable[[float], None]


def part_of(progress: Progress, begin: float, end: float) -> Progress:
    """The progress hook of the part of a work between two shares of it."""
    return lambda share: progress(begin + share * (end - begin))


# Containers a consultation may come in. Playlists and image sequences are left out on purpose: they make
# FFmpeg open other files and addresses on behalf of whoever wrote them.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,mpegvideo,avi,asf,flv,wav,w64,flac,mp3,ogg,aac,aiff,amr"
_TAIL_BYTES = 2000


def no_progress(_share: float) -> None:
    """The hook of a caller who does not watch."""


def file_url(path: Path) -> str:
    """``path`` so that FFmpeg takes it for a file whatever its name looks like (``-x``, ``http:``, ``a|b``)."""
    return f"file:{path.resolve()}"


def open_media(path: Path) -> av.container.InputContainer:
    """``path`` opened for demuxing, with every protocol but files and every playlist format shut off."""
    return av.open(
        file_url(path),
        options={"protocol_whitelist": "file", "format_whitelist": FORMATS},
        metadata_errors="replace",
    )


def ffmpeg_path() -> str:
    """The ffmpeg that came with imageio-ffmpeg, or the system's. Raises FfmpegMissing.

    The packaged one first: it is pinned by the lock, so the same input gives the same bytes on every machine,
    and a distribution's may be years older than the options used here.
    """
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        found = shutil.which("ffmpeg")
        if found is None:
            raise FfmpegMissing(detail=str(error)) from error
        return found


def input_args(path: Path) -> list[str]:
    """Arguments that make ``path`` an input of ffmpeg, as untrusted as it is."""
    return ["-protocol_whitelist", "file", "-format_whitelist", FORMATS, "-i", file_url(path)]


def run_ffmpeg(
    args: Sequence[str],
    *,
    duration_s: float | None = None,
    progress: Progress = no_progress,
    timeout_s: float | None = None,
    cwd: Path | None = None,
) -> None:
    """Run ffmpeg on ``args`` (inputs, options and outputs) and wait for it.

    ``progress`` hears shares of ``duration_s``. Whatever ends the wait, an exception in ``progress`` included, ends
    ffmpeg too. Raises ChildFailed with the end of its messages, ChildCrashed when a signal ended it,
    ChildTimedOut, ChildOutOfMemory, DiskFull, FfmpegMissing.
    """
    command = [ffmpeg_path(), "-hide_banner", "-nostdin", "-nostats", "-y", "-progress", "pipe:1", *args]
    with tempfile.TemporaryFile() as messages:
        child = _start(command, messages, cwd)
        timed_out = threading.Event()
        try:
            with _deadline(child, timeout_s, timed_out):
                assert child.stdout is not None
                _follow(child.stdout, duration_s, progress)
                status = child.wait()
        finally:
            child.kill()
            child.wait()
        if timed_out.is_set():
            raise ChildTimedOut(step="ffmpeg", detail=f"{timeout_s} s")
        if status:
            raise failure("ffmpeg", status, _tail(messages), cwd or Path.cwd())
    progress(1.0)


def _start(command: Sequence[str], messages: IO[bytes], cwd: Path | None) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            cwd=cwd,
            text=True,
            preexec_fn=ended_with_us(),  # noqa: PLW1509 - it calls prctl, nothing else
        )
    except (FileNotFoundError, PermissionError) as error:
        raise FfmpegMissing(detail=str(error)) from error


@contextlib.contextmanager
def _deadline(child: subprocess.Popen[str], timeout_s: float | None, rang: threading.Event) -> Iterator[None]:
    def ring() -> None:
        rang.set()
        child.kill()

    timer = threading.Timer(timeout_s or 0.0, ring)
    timer.daemon = True
    if timeout_s is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _follow(lines: IO[str], duration_s: float | None, progress: Progress) -> None:
    with lines:
        for line in lines:
            key, _, value = line.strip().partition("=")
            if key == "out_time_us" and duration_s and value.lstrip("-").isdigit():
                progress(min(1.0, max(0.0, int(value) / 1e6 / duration_s)))


def _tail(messages: IO[bytes]) -> str:
    size = messages.seek(0, os.SEEK_END)
    messages.seek(max(0, size - _TAIL_BYTES))
    return messages.read().decode("utf-8", "replace").strip()


def failure(step: str, status: int, tail: str, folder: Path) -> ChildFailed | DiskFull:
    """What FFmpeg's last words mean."""
    if "No space left on device" in tail:
        return DiskFull(path=str(folder), needed_mb=0, free_mb=shutil.disk_usage(folder).free // 2**20)
    if "Cannot allocate memory" in tail:
        return ChildOutOfMemory(step=step, detail=tail)
    if status < 0:
        return ChildCrashed(step=step, detail=f"signal {-status}; {tail}")
    return ChildFailed(step=step, detail=tail)
