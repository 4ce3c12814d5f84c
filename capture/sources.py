"""How each kind of input is named in a rig file, and how ffmpeg is told to open it.

A new kind of device is one more branch in :func:`check_source` and one in :func:`opening`.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

from capture.onvif import stream_address
from config.errors import DeviceFailed

if TYPE_CHECKING:
    from capture.rig import Camera, Microphone

RTSP_TIMEOUT_US = 5_000_000
PROBE_US = 1_500_000  # of a network camera: it announces its format, a longer look only delays a restart
_TEST_PICTURES = ("testsrc2", "smptebars")
_TEST_SOUND = re.compile(r"silence|sine(?::[1-9][0-9]{1,4})?")
_SOUND_DEVICE = re.compile(r"[A-Za-z0-9_][\w:,=.+-]*")
# DirectShow and AVFoundation separate picture and sound by a colon.
_NAMED_DEVICE = re.compile(r'[^:"\x00-\x1f]{1,300}')
_SECRET = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


LONGEST_ADDRESS = 4096  # the whole list has to fit into a pipe that nobody reads yet
# What would end a quoted address in ffmpeg's list, or the line; a camera may name its own.
_UNQUOTABLE = re.compile(r"[\x00-\x20'\\\x7f]")


class Mistake(ValueError):
    """What is wrong with a rig. ``code`` has words of its own in the catalogue (``mistake.<code>``), ``detail`` is what it
    is about; as text it is one English sentence. Never with an address in it."""

    def __init__(self, code: str, detail: str, words: str) -> None:
        super().__init__(words)
        self.code, self.detail = code, detail


class Opening(NamedTuple):
    """What makes ffmpeg open an input: its arguments, and what it reads from its standard input.

    Everybody on the machine can see arguments (``ps``), so an address, which may hold a password, never is one.
    """

    arguments: list[str]
    stdin: bytes = b""

    @contextlib.contextmanager
    def fed(self) -> Iterator[int]:
        """What a child has to be given as its standard input, while the block lasts. It lies in a pipe, on no disk."""
        if not self.stdin:
            yield subprocess.DEVNULL
            return
        reading, writing = os.pipe()
        try:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(self.stdin)
            yield reading
        finally:
            os.close(reading)


class Secrets:
    """What ``${NAME}`` in a source stands for: the environment first, then the file of secrets beside the rig file."""

    def __init__(self, path: Path) -> None:
        """``path`` is that file; it need not exist. Raises Mistake when others may read it, or it is no TOML."""
        self.path = path
        self._kept: dict[str, object] = {}
        if not path.is_file():
            return
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise Mistake(
                "secrets-open",
                path.name,
                f"other users may read {path.name}; allow it to yourself alone (chmod 600)",
            )
        try:
            self._kept = tomllib.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            # Its words quote the file.
            raise Mistake(
                "secrets-toml", path.name, f'{path.name} is no TOML of lines NAME = "value"'
            ) from error

    def fill(self, source: str) -> str:
        """``source`` with its secrets, safe in an address whatever signs they have. Raises Mistake on an unknown."""

        def value(match: re.Match[str]) -> str:
            name = match[1]
            found = os.environ.get(name, self._kept.get(name))
            if isinstance(found, str):
                return quote(found, safe="")
            words = f"nothing says what ${{{name}}} is: set it, or add it to {self.path.name}"
            raise Mistake("secret-unknown", f"{name}, {self.path.name}", words)

        return _SECRET.sub(value, source)


def check_source(chosen: Camera | Microphone) -> None:
    """Raises Mistake, without repeating an address."""
    source, kind = chosen.source, chosen.input
    if chosen.realtime and kind not in ("file", "test"):
        raise Mistake("realtime", "realtime", "realtime is for files and test sources; devices always are")
    if kind == "test":
        known = source in ("", *_TEST_PICTURES) if chosen.kind == "video" else _known_sound(source)
        if not known:
            words = "source of a test input: testsrc2 or smptebars; sine, sine:<Hz> or silence"
            raise Mistake("source", "testsrc2, smptebars, sine, sine:440, silence", words)
    elif not source:
        raise Mistake("missing-key", "source", "source is missing")
    elif kind == "file" and not Path(source).is_file():
        raise Mistake("no-file", Path(source).name, f"the file {Path(source).name!r} does not exist")
    elif kind == "v4l2" and not source.startswith("/dev/"):
        raise Mistake("source", "/dev/video0", "source of a v4l2 camera is a device such as /dev/video0")
    elif kind == "rtsp" and not source.startswith(("rtsp://", "rtsps://")):
        words = "source of an rtsp input starts with rtsp:// or rtsps://"
        raise Mistake("source", "rtsp://192.168.1.20/stream1", words)
    elif kind == "onvif" and not _known_service(source):
        words = "source of an onvif input is the camera's address, such as http://user:${NAME}@192.168.1.20"
        raise Mistake("source", "http://user:${NAME}@192.168.1.20", words)
    elif kind in ("alsa", "pulse") and not _SOUND_DEVICE.fullmatch(source):
        words = "source of a microphone is a device name such as hw:1,0 or default"
        raise Mistake("source", "hw:1,0, default", words)
    elif kind in ("dshow", "avfoundation") and not _NAMED_DEVICE.fullmatch(source):
        raise Mistake("source", "yian rig list", "source is the device's name as `yian rig list` shows it")


def opening(chosen: Camera | Microphone) -> Opening:
    """The arguments up to and including ``-i`` that make ffmpeg open ``chosen``, and its standard input.

    Asks an ONVIF camera for its stream first: raises DeviceFailed when it does not answer.
    """
    if chosen.input == "rtsp":
        return _network(chosen, chosen.source)
    if chosen.input == "onvif":
        return _network(chosen, stream_address(chosen.name, chosen.source))
    return Opening(_local(chosen))


def _network(chosen: Camera | Microphone, address: str) -> Opening:
    """By a list of one address (ffmpeg's concat demuxer), which changes neither the packets nor their time stamps."""
    quoted = _UNQUOTABLE.sub(lambda found: quote(found[0]), address)
    if len(quoted) > LONGEST_ADDRESS:
        raise DeviceFailed(input=chosen.name, detail="the camera's address is too long")
    options = {
        "rtsp_transport": "tcp",
        "timeout": RTSP_TIMEOUT_US,
        # With sound and picture in one session ffmpeg moves its stamps when the camera's first report comes.
        "allowed_media_types": chosen.kind,
        "analyzeduration": PROBE_US,
        # To guess the rate of pictures it would hold back the first second and a half and let it out in one burst: a
        # child killed within that leaves segments without a time. With fewer the order of B-frames is not known yet.
        "fpsprobesize": 4,
    }
    lines = ["ffconcat version 1.0", f"file '{quoted}'"]
    lines += [f"option {name} {value}" for name, value in options.items()]
    listed = ["-f", "concat", "-safe", "0", "-protocol_whitelist", "pipe,tcp,tls", "-i", "pipe:0"]
    return Opening(["-thread_queue_size", "512", *listed], "\n".join([*lines, ""]).encode())


def _local(chosen: Camera | Microphone) -> list[str]:
    pace = ["-re"] if chosen.realtime else []
    queue = ["-thread_queue_size", "512"]
    match chosen.input:
        case "file":
            # Only plain files: a playlist handed in as media may not pull in other addresses.
            return [*pace, "-protocol_whitelist", "file", "-i", f"file:{chosen.source}"]
        case "test":
            return [*pace, "-f", "lavfi", "-i", _test_source(chosen)]
        case "avfoundation":
            device = f"{chosen.source}:none" if chosen.kind == "video" else f":{chosen.source}"
            return [*queue, "-f", "avfoundation", *_format(chosen), "-i", device]
        case "dshow":
            device = f"{chosen.kind}={chosen.source}"
            return [*queue, "-f", "dshow", *_format(chosen), "-i", device]
    return [*queue, "-f", chosen.input, *_format(chosen), "-i", chosen.source]


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
