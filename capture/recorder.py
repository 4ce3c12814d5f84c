"""Recording: one ffmpeg child per input, writing short segments that are whole as soon as they are closed.

Video goes into Matroska (``.mkv``), sound into FLAC (``.flac``). Every track has a folder of its own:
``<folder>/<track>/00000.mkv`` and ``closed.csv``, the list to which ffmpeg appends a segment once it is closed; so a
station that was killed finds from the list what it still has (:func:`closed_segments`).

Time: a Matroska segment plays on its own from 0; a frame's time in the recording is ``start_s`` plus its time in the
file (a camera whose first picture comes late has the gap in its first segment). FLAC frames carry their sample number
in the whole track; the first sample of a segment lies at ``start_s``. Decoded one after the other, the segments of a
track are exactly the frames and samples of the source. A FLAC segment's header does not know its length: decode it.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

from capture.rig import Camera, Microphone, Rig, ffmpeg_binary, last_words
from config.errors import DeviceFailed, DiskFull
from config.lifeline import ended_with_us

CLOSED_LIST = "closed.csv"
POLL_S = 0.05
STOP_S = 10.0  # for a child that was asked to close its segment
OVERDUE_S = 15.0  # for a device to deliver what it owes, beyond the planned time
DISK_RESERVE_MB = 1


@dataclass(frozen=True)
class Segment:
    """One closed piece of a track. ``start_s`` counts from the start of the recording."""

    track: str
    index: int
    path: Path
    sha256: str
    size: int
    start_s: float
    duration_s: float


@dataclass(frozen=True)
class RecordingResult:
    """``seconds`` is the length of the longest track; ``segments`` counts them by track."""

    seconds: float
    segments: dict[str, int]


def record(
    rig: Rig,
    folder: Path,
    seconds: float,
    segment_s: float,
    on_segment: Callable[[Segment], None],
    progress: Callable[[float], None],
    stop: threading.Event,
) -> RecordingResult:
    """Record every input of ``rig`` into ``folder`` for ``seconds``, or until ``stop``, or until files end.

    ``on_segment`` gets each segment once it is closed, synced to disk and hashed; per track in order. When an input
    dies, the others are closed cleanly and everything whole is handed on before the error. Call it from a thread
    that lives until it returns: the children end with the thread that started them.
    Raises DeviceFailed naming the input, DiskFull, FfmpegMissing, and whatever ``on_segment`` raises.
    """
    tracks: list[_Track] = []
    failed: DeviceFailed | None = None
    try:
        for device in rig.inputs:
            tracks.append(_Track.start(rig, device, folder, seconds, segment_s))
        while any(track.running for track in tracks) and failed is None and not stop.wait(POLL_S):
            for track in tracks:
                failed = track.look(on_segment) or failed
            progress(min(1.0, max(track.recorded_s for track in tracks) / seconds))
    finally:
        for track in tracks:
            track.ask_to_stop()
        for track in tracks:
            track.wait()
    for track in tracks:
        failed = track.look(on_segment) or failed
    if failed is not None:
        _raise(failed, folder)
    return RecordingResult(
        seconds=max(track.recorded_s for track in tracks),
        segments={track.device.name: track.count for track in tracks},
    )


def _raise(failed: DeviceFailed, folder: Path) -> NoReturn:
    free_mb = shutil.disk_usage(folder).free // 2**20
    if free_mb < DISK_RESERVE_MB or "No space left" in str(failed.data["detail"]):
        raise DiskFull(path=str(folder), needed_mb=DISK_RESERVE_MB, free_mb=free_mb) from failed
    raise failed


def closed_segments(folder: Path, track: str, start: int = 0) -> list[Segment]:
    """The segments from number ``start`` on that ffmpeg has closed, synced and hashed now.

    A line that is not finished, and a file that lost its bytes with the power, do not count.
    """
    try:
        listed = (folder / track / CLOSED_LIST).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    whole_lines = listed[: listed.rfind("\n") + 1].splitlines()
    found = []
    for index, line in enumerate(whole_lines[start:], start):
        name, begin, end = line.rsplit(",", 2)
        path = folder / track / name
        if not path.is_file() or path.stat().st_size == 0:
            continue
        sha256, size = _sync_and_hash(path)
        begin_s = float(begin)
        found.append(Segment(track, index, path, sha256, size, begin_s, round(float(end) - begin_s, 6)))
    return found


def _sync_and_hash(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest, file.tell()


@dataclass
class _Track:
    """One input being recorded: its child process and what it has closed so far."""

    device: Camera | Microphone
    folder: Path
    child: subprocess.Popen[bytes]
    complaints: IO[bytes]
    owed_s: float  # what a device must have delivered when it ends by itself
    deadline: float
    count: int = 0
    recorded_s: float = 0.0
    asked: bool = False

    @classmethod
    def start(
        cls, rig: Rig, device: Camera | Microphone, folder: Path, seconds: float, segment_s: float
    ) -> _Track:
        place = folder / device.name
        place.mkdir(parents=True, exist_ok=True)
        # Unnamed, so that an address in ffmpeg's words is never left on the disk.
        complaints = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child runs
        command = [
            ffmpeg_binary(device.input),
            "-hide_banner",
            "-loglevel",
            "error",
            "-nostats",
            "-nostdin",
            "-y",
        ]
        command += [*rig.ffmpeg_input(device), *_output(device, seconds, segment_s)]
        child = subprocess.Popen(
            command,
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=True,  # Ctrl-C in the terminal is for the station, which closes its children itself
            # Orphaned, it would go on filming a patient with nobody to stop it.
            preexec_fn=ended_with_us(signal.SIGTERM),  # noqa: PLW1509 - it calls prctl, nothing else
        )
        live = device.input not in ("file", "test")
        return cls(
            device,
            folder,
            child,
            complaints,
            owed_s=seconds - segment_s if live else 0.0,
            deadline=time.monotonic() + seconds + OVERDUE_S if live else math.inf,
        )

    @property
    def running(self) -> bool:
        return self.child.poll() is None

    def look(self, on_segment: Callable[[Segment], None]) -> DeviceFailed | None:
        """Hand on what was closed since; say why this input cannot go on, if it cannot."""
        ended = not self.running  # asked first: what an ended child closed is then in its list
        for segment in closed_segments(self.folder, self.device.name, self.count):
            on_segment(segment)
            self.count = segment.index + 1
            self.recorded_s = round(segment.start_s + segment.duration_s, 6)
        if self.asked or (not ended and time.monotonic() < self.deadline):
            return None
        if ended and self.child.returncode == 0 and self.recorded_s >= self.owed_s:
            return None
        detail = self._last_words() if ended else "stalled"
        return DeviceFailed(input=self.device.name, detail=detail)

    def _last_words(self) -> str:
        self.complaints.seek(0)
        words = last_words(self.complaints.read())
        return words or f"ended after {self.recorded_s:g} s with code {self.child.returncode}"

    def ask_to_stop(self) -> None:
        if self.running:
            self.asked = True
            self.child.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Until the child is gone; one that does not close its segment in time loses it."""
        try:
            self.child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def _output(device: Camera | Microphone, seconds: float, segment_s: float) -> list[str]:
    if isinstance(device, Camera):
        stream, suffix, muxer = "0:v:0", "mkv", "matroska"
        codec = _video_codec(device, segment_s)
    else:
        stream, suffix, muxer = "0:a:0", "flac", "flac"
        codec = ["-c:a", "flac"] + (["-ar", str(device.rate_hz)] if device.rate_hz else [])
    limit = ["-t", f"{seconds:.3f}", "-map", stream]
    # Without the second option the B-frames of a copied stream would shift it against the sound.
    timing = ["-reset_timestamps", "1", "-avoid_negative_ts", "disabled"]
    cut = ["-f", "segment", "-segment_time", f"{segment_s:g}", "-segment_format", muxer, *timing]
    return [*limit, *codec, *cut, "-segment_list", CLOSED_LIST, "-segment_list_type", "csv", f"%05d.{suffix}"]


def _video_codec(camera: Camera, segment_s: float) -> list[str]:
    if camera.codec == "copy":
        return ["-c:v", "copy"]
    size = ["-vf", f"scale={camera.width}:{camera.height}"] if camera.width and camera.height else []
    encoder = ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"]
    # Exactly the source's frames, none doubled or dropped to make the rate even, each at the source's own time.
    timing = ["-fps_mode", "passthrough", "-enc_time_base", "demux"]
    keyframes = ["-force_key_frames", f"expr:gte(t,n_forced*{segment_s:g})"]
    return [*size, *encoder, *timing, *keyframes]
