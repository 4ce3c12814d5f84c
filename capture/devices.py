"""The cameras and microphones this machine has, as its system names them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from capture.rig import ffmpeg_binary
from config.errors import FfmpegMissing

ASK_TIMEOUT_S = 15

_V4L2_FORMAT = re.compile(r"\[.*?\] (?:Raw|Compressed)\s*:\s*(\S+) :[^:]*:\s*(.+)")
_ALSA_CAPTURE = re.compile(r"(\d\d)-(\d\d): (.*?) :.*\bcapture \d+")
_DSHOW = re.compile(r'\] +"(.+)" \((video|audio|none)(?:, \w+)?\)')
_AVFOUNDATION = re.compile(r"\] \[(\d+)\] (.+)")


@dataclass(frozen=True)
class Device:
    """``input`` and ``source`` as a rig file has them; ``formats`` as "mjpeg 1280x720", where the system tells."""

    kind: Literal["video", "audio"]
    input: Literal["v4l2", "alsa", "pulse", "dshow", "avfoundation"]
    source: str
    title: str
    formats: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"formats": list(self.formats)}


def list_devices(root: Path = Path("/"), platform: str = sys.platform) -> list[Device]:
    """Everything that can be recorded here, cameras first. Never raises: what cannot be asked is left out."""
    if platform == "win32":
        return parse_dshow(_ffmpeg("-list_devices", "true", "-f", "dshow", "-i", "dummy"))
    if platform == "darwin":
        return parse_avfoundation(_ffmpeg("-f", "avfoundation", "-list_devices", "true", "-i", ""))
    return [*_v4l2(root), *_alsa(root), *_pulse()]


def holders(device: str, root: Path = Path("/")) -> list[str]:
    """Names of the programs that have ``device`` open, as far as this user may look ("ffmpeg (4711)")."""
    found = []
    for process in sorted((root / "proc").glob("[0-9]*")):
        # Processes end while we look, and others' may not be looked into.
        with contextlib.suppress(OSError):
            if any(os.path.realpath(handle) == device for handle in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
    return found


def parse_v4l2_formats(told: str) -> tuple[str, ...]:
    """From the words of ``ffmpeg -f v4l2 -list_formats all``."""
    found = []
    for match in _V4L2_FORMAT.finditer(told):
        found += [f"{match[1]} {size}" for size in match[2].split() if re.fullmatch(r"\d+x\d+", size)]
    return tuple(found)


def parse_pulse_sources(told: str) -> list[Device]:
    """From ``pactl list short sources``; what the loudspeakers play is no microphone."""
    rows = [line.split("\t") for line in told.splitlines()]
    return [
        Device("audio", "pulse", row[1], row[1])
        for row in rows
        if len(row) > 1 and row[1] and not row[1].endswith(".monitor")
    ]


def parse_dshow(told: str) -> list[Device]:
    """From the words of ``ffmpeg -list_devices true -f dshow``."""
    kinds: dict[str, Literal["video", "audio"]] = {"video": "video", "audio": "audio"}
    return _cameras_first(
        [
            Device(kinds[match[2]], "dshow", match[1], match[1])
            for match in _DSHOW.finditer(told)
            if match[2] in kinds
        ]
    )


def parse_avfoundation(told: str) -> list[Device]:
    """From the words of ``ffmpeg -f avfoundation -list_devices true``; a screen is no camera."""
    found = []
    kind: Literal["video", "audio"] = "video"
    for line in told.splitlines():
        if line.endswith("audio devices:"):
            kind = "audio"
        match = _AVFOUNDATION.search(line)
        if match and not match[2].startswith("Capture screen"):
            found.append(Device(kind, "avfoundation", match[2], match[2]))
    return _cameras_first(found)


def _cameras_first(devices: list[Device]) -> list[Device]:
    return sorted(devices, key=lambda each: each.kind != "video")


def _v4l2(root: Path) -> list[Device]:
    found = []
    for entry in sorted(
        (root / "sys/class/video4linux").glob("video*"), key=lambda each: (len(each.name), each)
    ):
        # A camera's further nodes are for its metadata.
        if _text(entry / "index") not in ("0", ""):
            continue
        source = f"/dev/{entry.name}"
        formats = parse_v4l2_formats(_ffmpeg("-f", "v4l2", "-list_formats", "all", "-i", source))
        found.append(Device("video", "v4l2", source, _text(entry / "name") or entry.name, formats))
    return found


def _alsa(root: Path) -> list[Device]:
    found = []
    for match in _ALSA_CAPTURE.finditer(_text(root / "proc/asound/pcm")):
        card, device = int(match[1]), int(match[2])
        # By name: numbers change with the order in which things are plugged in.
        name = _text(root / f"proc/asound/card{card}/id") or str(card)
        found.append(Device("audio", "alsa", f"hw:CARD={name},DEV={device}", match[3]))
    return found


def _pulse() -> list[Device]:
    pactl = shutil.which("pactl")
    return parse_pulse_sources(_words([pactl, "list", "short", "sources"])) if pactl else []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _ffmpeg(*arguments: str) -> str:
    try:
        return _words([ffmpeg_binary(), "-hide_banner", "-nostdin", *arguments])
    except FfmpegMissing:
        return ""


def _words(command: list[str]) -> str:
    """What a command says; ffmpeg's lists come with an exit status of failure."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout + done.stderr).decode("utf-8", "replace")
