"""How each kind of input is named in a rig file, and how ffmpeg is told to open it.

A new kind of device is one more branch in :func:`check_source` and one in :func:`arguments`.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from capture.onvif import stream_address

if TYPE_CHECKING:
    from capture.rig import Camera, Microphone

RTSP_TIMEOUT_US = 5_000_000
_TEST_PICTURES = ("testsrc2", "smptebars")
_TEST_SOUND = re.compile(r"silence|sine(?::[1-9][0-9]{1,4})?")
_SOUND_DEVICE = re.compile(r"[A-Za-z0-9_][\w:,=.+-]*")
# DirectShow and AVFoundation separate picture and sound by a colon.
_NAMED_DEVICE = re.compile(r'[^:"\x00-\x1f]{1,300}')
_SECRET = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Secrets:
    """What ``${NAME}`` in a source stands for: the environment first, then the file of secrets beside the rig file."""

    def __init__(self, path: Path) -> None:
        """``path`` is that file; it need not exist. Raises ValueError when others may read it, or it is no TOML."""
        self.path = path
        self._kept: dict[str, object] = {}
        if not path.is_file():
            return
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ValueError(f"other users may read {path.name}; allow it to yourself alone (chmod 600)")
        try:
            self._kept = tomllib.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            # Its words quote the file.
            raise ValueError(f'{path.name} is no TOML of lines NAME = "value"') from error

    def fill(self, source: str) -> str:
        """``source`` with its secrets, safe in an address whatever signs they have. Raises ValueError on an unknown."""

        def value(match: re.Match[str]) -> str:
            name = match[1]
            found = os.environ.get(name, self._kept.get(name))
            if isinstance(found, str):
                return quote(found, safe="")
            raise ValueError(f"nothing says what ${{{name}}} is: set it, or add it to {self.path.name}")

        return _SECRET.sub(value, source)


def check_source(chosen: Camera | Microphone) -> None:
    """Raises ValueError saying in words what is wrong, without repeating an address."""
    source, kind = chosen.source, chosen.input
    if chosen.realtime and kind not in ("file", "test"):
        raise ValueError("realtime is for files and test sources; devices always are")
    if kind == "test":
        known = source in ("", *_TEST_PICTURES) if chosen.kind == "video" else _known_sound(source)
        if not known:
            raise ValueError("source of a test input: testsrc2 or smptebars; sine, sine:<Hz> or silence")
    elif not source:
        raise ValueError("source is missing")
    elif kind == "file" and not Path(source).is_file():
        raise ValueError(f"the file {Path(source).name!r} does not exist")
    elif kind == "v4l2" and not source.startswith("/dev/"):
        raise ValueError("source of a v4l2 camera is a device such as /dev/video0")
    elif kind == "rtsp" and not source.startswith(("rtsp://", "rtsps://")):
        raise ValueError("source of an rtsp input starts with rtsp:// or rtsps://")
    elif kind == "onvif" and not _known_service(source):
        raise ValueError(
            "source of an onvif input is the camera's address, such as http://user:${NAME}@192.168.1.20"
        )
    elif kind in ("alsa", "pulse") and not _SOUND_DEVICE.fullmatch(source):
        raise ValueError("source of a microphone is a device name such as hw:1,0 or default")
    elif kind in ("dshow", "avfoundation") and not _NAMED_DEVICE.fullmatch(source):
        raise ValueError("source is the device's name as `yian rig list` shows it")


def arguments(chosen: Camera | Microphone) -> list[str]:
    """The arguments up to and including ``-i`` that make ffmpeg open ``chosen``.

    Asks an ONVIF camera for its stream first: raises DeviceFailed when it does not answer.
    """
    pace = ["-re"] if chosen.realtime else []
    queue = ["-thread_queue_size", "512"]
    match chosen.input:
        case "file":
            # Only plain files: a playlist handed in as media may not pull in other addresses.
            return [*pace, "-protocol_whitelist", "file", "-i", f"file:{chosen.source}"]
        case "test":
            return [*pace, "-f", "lavfi", "-i", _test_source(chosen)]
        case "rtsp":
            return [*queue, *_rtsp(chosen.source)]
        case "onvif":
            return [*queue, *_rtsp(stream_address(chosen.name, chosen.source))]
        case "avfoundation":
            device = f"{chosen.source}:none" if chosen.kind == "video" else f":{chosen.source}"
            return [*queue, "-f", "avfoundation", *_format(chosen), "-i", device]
        case "dshow":
            device = f"{chosen.kind}={chosen.source}"
            return [*queue, "-f", "dshow", *_format(chosen), "-i", device]
        case "v4l2" | "alsa" | "pulse":
            return [*queue, "-f", chosen.input, *_format(chosen), "-i", chosen.source]


def _rtsp(address: str) -> list[str]:
    return ["-rtsp_transport", "tcp", "-timeout", str(RTSP_TIMEOUT_US), "-i", address]


def _format(chosen: Camera | Microphone) -> list[str]:
    if chosen.kind == "audio":
        # AVFoundation gives what the device is set to; the recorder converts.
        wanted = chosen.rate_hz and chosen.input != "avfoundation"
        return ["-sample_rate", str(chosen.rate_hz)] if wanted else []
    pixels = "h264" if chosen.codec == "copy" else chosen.format
    option = "-vcodec" if chosen.input == "dshow" else "-input_format"
    wanted_format = [option, pixels] if pixels and chosen.input != "avfoundation" else []
    if chosen.width and chosen.height:
        wanted_format += ["-video_size", f"{chosen.width}x{chosen.height}"]
    return wanted_format + (["-framerate", f"{chosen.fps:g}"] if chosen.fps else [])


def _test_source(chosen: Camera | Microphone) -> str:
    if chosen.kind == "video":
        size = f"{chosen.width or 1280}x{chosen.height or 720}"
        return f"{chosen.source or _TEST_PICTURES[0]}=size={size}:rate={chosen.fps or 25:g}"
    rate_hz = chosen.rate_hz or 48_000
    if chosen.source == "silence":
        return f"anullsrc=channel_layout=mono:sample_rate={rate_hz}"
    return f"sine=frequency={chosen.source.partition(':')[2] or 440}:sample_rate={rate_hz}"


def _known_sound(source: str) -> bool:
    return source == "" or _TEST_SOUND.fullmatch(source) is not None


def _known_service(source: str) -> bool:
    try:
        parts = urlsplit(source)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False
