"""A trial of the rig: record from everything at once for some seconds, say what is wrong, leave nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from capture.commands import is_network
from capture.devices import holders
from capture.meter import Floats
from capture.picture import DECODE_TIMEOUT_S, look
from capture.recorder import Segment, record
from capture.rig import Camera, Microphone, Rig, ffmpeg_binary, redact
from capture.sound import SoundGate
from config.errors import DeviceFailed, FfmpegMissing, YianError

Code = Literal[
    "missing",
    "permission",
    "busy",
    "refused",
    "unreachable",
    "no-stream",
    "format",
    "not-media",
    "no-sound",
    "no-picture",
    "nothing",
    "no-ffmpeg",
    "failed",
    "black",
    "frozen",
    "flicker",
    "size",
    "rate",
    "silence",
    "faint",
    "clipping",
    "hum",
    "noisy",
]
CODES: tuple[str, ...] = get_args(Code)

# What ffmpeg and the system call it, the first that fits.
_COMPLAINTS: tuple[tuple[Code, str], ...] = (
    ("refused", r"401 Unauthorized|403 Forbidden"),
    ("no-stream", r"404 Not Found|454 Session|no profile|no stream address|no SOAP|HTTP \d"),
    ("unreachable", r"refused|timed out|unreachable|No route|resolve|Name or service|-138|Network is"),
    ("permission", r"Permission denied|Operation not permitted|not authorized"),
    ("busy", r"resource busy|already in use|in use by another"),
    ("no-picture", r"matches no streams"),
    ("not-media", r"moov atom not found|Invalid data"),
    ("missing", r"No such|not find|not found|Unknown PCM|cannot find card|Could not (?:find|enumerate)"),
    ("nothing", r"stalled|ended after|no picture|no sound"),
    (
        "format",
        r"Invalid argument|not supported|Inappropriate|cannot set|Could not set|Unable to parse|No codec|Stream map",
    ),
)
RATE_TOLERANCE = 0.1
NO_VOICE_DBFS = -75.0
RATE_HZ = 48_000
PREFIX = "yian-rig-"


@dataclass(frozen=True)
class Problem:
    """``data`` fills the words of the message ``rig.problem.<code>``."""

    code: Code
    data: dict[str, Any]


@dataclass(frozen=True)
class InputReport:
    """One input of the rig. ``facts`` are what was measured."""

    name: str
    kind: Literal["video", "audio"]
    role: str
    input: str
    problems: tuple[Problem, ...]
    facts: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        problems = [{"code": each.code, **each.data} for each in self.problems]
        return {**vars(self), "problems": problems}


def try_rig(
    rig: Rig, seconds: float, progress: Callable[[float], None], stop: threading.Event | None = None
) -> list[InputReport]:
    """Record ``seconds`` from every input at the same time and judge each by itself; in the order of the rig.

    What was recorded lies in a temporary folder that only this user can read, and is gone when this returns or
    raises. One input's fault does not hinder the others. Raises DiskFull.
    """
    stop = stop or threading.Event()
    _sweep()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-") as folder:
        trials = [_Trial(each, Path(folder), seconds, stop) for each in rig.inputs]
        try:
            for trial in trials:
                trial.start()
            while any(trial.is_alive() for trial in trials):
                for trial in trials:
                    trial.join(0.05)
                progress(min(trial.share for trial in trials))
        finally:
            stop.set()
            for trial in trials:
                trial.join()
        return [trial.report() for trial in trials]


def _sweep() -> None:
    """Remove what a trial that was killed left behind: it shows people."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        number = left.name.removeprefix(PREFIX).partition("-")[0]
        # Without /proc (other systems) nothing tells whose it is.
        if number.isdigit() and Path("/proc/self").exists() and not Path("/proc", number).exists():
            shutil.rmtree(left, ignore_errors=True)


class _Trial(threading.Thread):
    """One input, recorded by itself by the recorder proper."""

    def __init__(
        self, device: Camera | Microphone, folder: Path, seconds: float, stop: threading.Event
    ) -> None:
        super().__init__(name=f"trial-{device.name}", daemon=True)
        self.device = device
        self.folder = folder
        self.seconds = seconds
        self.stop = stop
        self.share = 0.0
        self.segments: list[Segment] = []
        self.failure: YianError | None = None

    def run(self) -> None:
        alone = (
            Rig(camera=(self.device,)) if isinstance(self.device, Camera) else Rig(microphone=(self.device,))
        )
        try:
            record(
                alone,
                self.folder,
                self.seconds,
                self.seconds + 1,
                self.segments.append,
                self._move,
                self.stop,
            )
        except YianError as error:
            self.failure = error
        self.share = 1.0

    def _move(self, share: float) -> None:
        self.share = share

    def report(self) -> InputReport:
        device = self.device
        problems: list[Problem] = []
        facts: dict[str, Any] = {}
        try:
            if self.failure is not None:
                raise self.failure
            duration_s = sum(each.duration_s for each in self.segments)
            if device.input not in ("file", "test") and duration_s < self.seconds / 2:
                raise DeviceFailed(input=device.name, detail=f"ended after {duration_s:.1f} s")
            files = [each.path for each in self.segments]
            if isinstance(device, Camera):
                problems, facts = _judge_camera(device, files)
            else:
                problems, facts = _judge_microphone(device, files, duration_s)
        except DeviceFailed as error:
            problems = [explain(device, str(error.data["detail"]))]
        except FfmpegMissing:
            problems = [Problem("no-ffmpeg", {})]
        return InputReport(device.name, device.kind, device.role, device.input, tuple(problems), facts)


def explain(device: Camera | Microphone, detail: str) -> Problem:
    """What ffmpeg's last words mean for the person at the rig."""
    code: Code = next(
        (code for code, words in _COMPLAINTS if re.search(words, detail, re.IGNORECASE)), "failed"
    )
    if code == "missing" and is_network(device):
        code = "unreachable"
    if code == "no-picture" and device.kind == "audio":
        code = "no-sound"
    source = device.name if device.input == "file" else redact(device.source)
    data: dict[str, Any] = {"source": source, "detail": detail}
    if code == "permission":
        data["group"] = "video" if device.kind == "video" else "audio"
    if code == "busy":
        data["programs"] = ", ".join(_who_holds(device)) or "–"
    return Problem(code, data)


def _who_holds(device: Camera | Microphone) -> list[str]:
    if device.input == "v4l2":
        return holders(device.source)
    captures = sorted(Path("/dev/snd").glob("pcm*c")) if device.input == "alsa" else []
    return [program for each in captures for program in holders(str(each))]


def _judge_camera(camera: Camera, files: list[Path]) -> tuple[list[Problem], dict[str, Any]]:
    seen = look(camera.name, files)
    problems: list[Problem] = []
    facts = {"width": seen.width, "height": seen.height, "fps": round(seen.fps, 2)}
    if camera.width and camera.height and (camera.width, camera.height) != (seen.width, seen.height):
        wanted = f"{camera.width}x{camera.height}"
        problems.append(Problem("size", {"wanted": wanted, "found": f"{seen.width}x{seen.height}"}))
    if camera.fps and abs(seen.fps / camera.fps - 1) > RATE_TOLERANCE:
        problems.append(Problem("rate", {"wanted": f"{camera.fps:g}", "found": f"{seen.fps:.1f}"}))
    if seen.is_black:
        problems.append(Problem("black", {}))
    elif seen.is_still and camera.input != "test":
        problems.append(Problem("frozen", {}))
    if seen.flickers:
        problems.append(Problem("flicker", {}))
    return problems, facts


def _judge_microphone(
    microphone: Microphone, files: list[Path], duration_s: float
) -> tuple[list[Problem], dict[str, Any]]:
    heard = _samples(microphone.name, files)
    if not len(heard):
        raise DeviceFailed(input=microphone.name, detail="no sound")
    gate = SoundGate({microphone.name: microphone.role})
    for start in range(0, len(heard), RATE_HZ // 10):
        gate.feed(microphone.name, heard[start : start + RATE_HZ // 10], RATE_HZ)
    state = gate.states()[microphone.name]
    steady = heard - heard.mean()
    level_dbfs = float(20 * np.log10(max(float(np.sqrt(np.square(steady).mean())), 1e-7)))
    facts = {"level_dbfs": round(level_dbfs, 1), "seconds": round(duration_s, 2)}
    wrong = dict.fromkeys(state.reasons)
    codes: list[Code] = []
    if "unplugged" in wrong:
        codes.append("silence")
    elif level_dbfs < NO_VOICE_DBFS:
        codes.append("faint")
    if "clipping" in wrong:
        codes.append("clipping")
    if "hum" in wrong:
        codes.append("hum")
    # A test tone never pauses: all of it would be noise.
    if "noisy" in wrong and not codes and microphone.input != "test":
        codes.append("noisy")
    return [Problem(code, {"level": f"{level_dbfs:.0f}"}) for code in codes], facts


def _samples(name: str, files: list[Path]) -> Floats:
    """(n,) at 48 kHz, the channels mixed."""
    parts = []
    for path in files:
        command = [ffmpeg_binary(), "-loglevel", "error", "-nostdin", "-i", str(path), "-map", "0:a:0"]
        command += ["-ac", "1", "-ar", str(RATE_HZ), "-f", "f32le", "-"]
        try:
            done = subprocess.run(command, capture_output=True, timeout=DECODE_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise DeviceFailed(input=name, detail="no sound could be decoded in time") from error
        parts.append(np.frombuffer(done.stdout[: len(done.stdout) // 4 * 4], dtype=np.float32))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)
