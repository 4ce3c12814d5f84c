"""The rig: which cameras and microphones a consulting room has, read from one ``rig.toml``.

A :class:`Rig` says *what* is recorded; how an input is opened is one function, :meth:`Rig.ffmpeg_input`, so that
a new kind of device is one more branch there and nothing else.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

# A rig file's whole vocabulary is found here.
from capture.light_setup import Calibration, Light  # noqa: F401
from config.errors import FfmpegMissing, RigRejected

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}$"
RTSP_TIMEOUT_US = 5_000_000
_TEST_PICTURES = ("testsrc2", "smptebars")
_TEST_SOUND = re.compile(r"silence|sine(?::[1-9][0-9]{1,4})?")
_SOUND_DEVICE = re.compile(r"[A-Za-z0-9_][\w:,=.+-]*")
_SECRETS = re.compile(r"(?<=://)\S*@|(?<=\w)\?\S*=\S*")


def redact(text: str) -> str:
    """``text`` without the user name, password and query of any address in it."""
    return _SECRETS.sub("", text)


def last_words(stderr: bytes) -> str:
    """What ffmpeg complained of at the end, in one line and without secrets; empty if it said nothing."""
    lines = redact(stderr.decode("utf-8", "replace")).split("\n")
    return "; ".join(line.strip() for line in lines if line.strip())[-400:]


class Part(BaseModel):
    # The input that was wrong may be an address with a password: it stays out of every message.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, strict=False)


class Input(Part):
    """One device. ``source`` is a path, a device name or an address, depending on ``input``."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    source: Annotated[str, Field(repr=False)] = ""
    realtime: bool = False

    def public_dict(self) -> dict[str, Any]:
        """The input as plain data without credentials, and without the path of a file (it may be a name)."""
        told = self.model_dump(mode="json", exclude_none=True)
        if told["input"] == "file":
            return {key: value for key, value in told.items() if key != "source"}
        return told | {"source": redact(self.source)}


class Camera(Input):
    kind: Literal["video"] = "video"
    role: Literal["room", "desk", "hands", "tongue"]
    input: Literal["file", "test", "v4l2", "rtsp"]
    codec: Literal["copy", "encode"] = "encode"
    width: Annotated[int, Field(ge=16, le=7680)] | None = None
    height: Annotated[int, Field(ge=16, le=4320)] | None = None
    fps: Annotated[float, Field(gt=0, le=240)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height go together")
        if self.codec == "copy" and self.input == "test":
            raise ValueError("codec = 'copy' needs a camera or file that is already H.264 or H.265")
        _check_source(self, self.input)
        return self


class Microphone(Input):
    kind: Literal["audio"] = "audio"
    role: Literal["expert", "patient", "trainee", "room"]
    input: Literal["file", "test", "alsa", "pulse", "rtsp"]
    rate_hz: Annotated[int, Field(ge=8000, le=192_000)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_source(self, self.input)
        return self


class Rig(Part):
    """Every input of a room. At least one; their names are the names of the recording's tracks."""

    camera: tuple[Camera, ...] = ()
    microphone: tuple[Microphone, ...] = ()
    light: Light | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [each.name for each in self.inputs]
        if not names:
            raise ValueError("the rig has no [[camera]] and no [[microphone]]")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the name {twice[0]!r} is used twice")
        if self.light and self.light.camera and self.light.camera not in [each.name for each in self.camera]:
            raise ValueError(f"light.camera names {self.light.camera!r}, which is no camera of this rig")
        return self

    @property
    def inputs(self) -> tuple[Camera | Microphone, ...]:
        return (*self.camera, *self.microphone)

    def find(self, name: str) -> Camera | Microphone:
        for each in self.inputs:
            if each.name == name:
                return each
        raise RigRejected(problem=f"no input is named {name!r}")

    def public_dict(self) -> dict[str, Any]:
        """The rig as it may be stored and sent: no credentials, no folders."""
        return {
            "camera": [each.public_dict() for each in self.camera],
            "microphone": [each.public_dict() for each in self.microphone],
            "light": self.light.public_dict() if self.light else None,
        }

    def ffmpeg_input(self, chosen: Camera | Microphone) -> list[str]:
        """The arguments up to and including ``-i`` that make ffmpeg open ``chosen``."""
        pace = ["-re"] if chosen.realtime else []
        queue = ["-thread_queue_size", "512"]
        match chosen.input:
            case "file":
                # Only plain files: a playlist handed in as media may not pull in other addresses.
                return [*pace, "-protocol_whitelist", "file", "-i", f"file:{chosen.source}"]
            case "test":
                return [*pace, "-f", "lavfi", "-i", _test_source(chosen)]
            case "rtsp":
                timeout = ["-timeout", str(RTSP_TIMEOUT_US)]
                return [*queue, "-rtsp_transport", "tcp", *timeout, "-i", chosen.source]
            case "v4l2":
                return [*queue, "-f", "v4l2", *_camera_format(chosen), "-i", chosen.source]
            case "alsa" | "pulse":
                rate = (
                    ["-sample_rate", str(chosen.rate_hz)]
                    if isinstance(chosen, Microphone) and chosen.rate_hz
                    else []
                )
                return [*queue, "-f", chosen.input, *rate, "-i", chosen.source]


def _camera_format(camera: Camera | Microphone) -> list[str]:
    if not isinstance(camera, Camera):
        return []
    wanted = ["-input_format", "h264"] if camera.codec == "copy" else []
    if camera.width and camera.height:
        wanted += ["-video_size", f"{camera.width}x{camera.height}"]
    return wanted + (["-framerate", f"{camera.fps:g}"] if camera.fps else [])


def _test_source(chosen: Camera | Microphone) -> str:
    if isinstance(chosen, Camera):
        size = f"{chosen.width or 1280}x{chosen.height or 720}"
        return f"{chosen.source or _TEST_PICTURES[0]}=size={size}:rate={chosen.fps or 25:g}"
    rate_hz = chosen.rate_hz or 48_000
    if chosen.source == "silence":
        return f"anullsrc=channel_layout=mono:sample_rate={rate_hz}"
    return f"sine=frequency={chosen.source.partition(':')[2] or 440}:sample_rate={rate_hz}"


def _check_source(chosen: Camera | Microphone, kind: str) -> None:
    source = chosen.source
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
    elif kind in ("alsa", "pulse") and not _SOUND_DEVICE.fullmatch(source):
        raise ValueError("source of a microphone is a device name such as hw:1,0 or default")


def _known_sound(source: str) -> bool:
    return source == "" or _TEST_SOUND.fullmatch(source) is not None


def load_rig(path: Path) -> Rig:
    """Read and check ``path``; relative file sources are relative to its folder.

    Raises RigRejected naming the line or field in plain words; it never repeats an address.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RigRejected(problem=f"{path.name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RigRejected(problem=f"{path.name}: not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise RigRejected(problem=f"{path.name}: {error}") from error
    try:
        return Rig.model_validate(_with_whole_paths(raw, path.parent.resolve()))
    except ValidationError as error:
        raise RigRejected(problem=f"{path.name}: {_first_problem(error)}") from error


def _with_whole_paths(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    light = raw.get("light")
    if isinstance(light, dict) and isinstance(light.get("spectrum"), str) and light["spectrum"]:
        raw = raw | {"light": light | {"spectrum": str(folder / light["spectrum"])}}

    def whole(entry: Any) -> Any:
        if isinstance(entry, dict) and entry.get("input") == "file" and isinstance(entry.get("source"), str):
            return entry | {"source": str(folder / entry["source"])} if entry["source"] else entry
        return entry

    return {
        key: [whole(entry) for entry in value]
        if key in ("camera", "microphone") and isinstance(value, list)
        else value
        for key, value in raw.items()
    }


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "extra_forbidden":
        words = "no such key"
    else:
        words = str(first["msg"]).removeprefix("Value error, ")
    place = [f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in first["loc"]]
    return f"{''.join(place).lstrip('.')}: {words}" if place else words


def ffmpeg_binary(kind: str = "file") -> str:
    """Path of the ffmpeg that opens inputs of ``kind``. Raises FfmpegMissing.

    The packaged static build has no ALSA, so ALSA microphones need the system's; everything else prefers the
    packaged one, which is the same on every station.
    """
    system = shutil.which("ffmpeg")
    if kind == "alsa":
        if system:
            return system
        raise FfmpegMissing()
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        if system:
            return system
        raise FfmpegMissing() from error
