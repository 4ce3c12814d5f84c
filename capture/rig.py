"""The rig: which cameras and microphones a consulting room has, read from one ``rig.toml``.

A :class:`Rig` says *what* is recorded; how an input is opened is in :mod:`capture.sources`. Passwords need not be in
the file: ``${NAME}`` in a source is taken from the environment, or from ``<rig>.secrets.toml`` beside it.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from capture.light_setup import Light
from capture.sources import Mistake, Opening, Secrets, check_source, opening
from config.errors import FfmpegMissing, RigRejected

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}$"
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
    input: Literal["file", "test", "v4l2", "rtsp", "onvif", "dshow", "avfoundation"]
    codec: Literal["copy", "encode"] = "encode"
    # What the device itself is to deliver: many USB cameras reach their full size and rate as mjpeg only.
    format: Literal["mjpeg", "yuyv422", "nv12"] | None = None
    width: Annotated[int, Field(ge=16, le=7680)] | None = None
    height: Annotated[int, Field(ge=16, le=4320)] | None = None
    fps: Annotated[float, Field(gt=0, le=240)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise Mistake("size", "width, height", "width and height go together")
        if self.codec == "copy" and self.input in ("test", "avfoundation"):
            words = "codec = 'copy' needs a camera or file that is already H.264 or H.265"
            raise Mistake("copy", 'codec = "encode"', words)
        if self.format and (self.codec == "copy" or self.input not in ("v4l2", "dshow")):
            raise Mistake("format", "format", "format is for v4l2 and dshow cameras that are encoded here")
        check_source(self)
        return self


class Microphone(Input):
    kind: Literal["audio"] = "audio"
    role: Literal["expert", "patient", "trainee", "room"]
    input: Literal["file", "test", "alsa", "pulse", "rtsp", "onvif", "dshow", "avfoundation"]
    rate_hz: Annotated[int, Field(ge=8000, le=192_000)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_source(self)
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
            words = "the rig has no [[camera]] and no [[microphone]]"
            raise Mistake("no-inputs", "[[camera]], [[microphone]]", words)
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Mistake("twice", twice[0], f"the name {twice[0]!r} is used twice")
        if self.light and self.light.camera and self.light.camera not in [each.name for each in self.camera]:
            words = f"light.camera names {self.light.camera!r}, which is no camera of this rig"
            raise Mistake("light-camera", self.light.camera, words)
        return self

    @property
    def inputs(self) -> tuple[Camera | Microphone, ...]:
        return (*self.camera, *self.microphone)

    def find(self, name: str) -> Camera | Microphone:
        for each in self.inputs:
            if each.name == name:
                return each
        words = f"no input is named {name!r}"
        raise RigRejected(problem=words, place="rig.toml", mistake="no-input", detail=name)

    def public_dict(self) -> dict[str, Any]:
        """The rig as it may be stored and sent: no credentials, no folders."""
        return {
            "camera": [each.public_dict() for each in self.camera],
            "microphone": [each.public_dict() for each in self.microphone],
            "light": self.light.public_dict() if self.light else None,
        }

    def ffmpeg_input(self, chosen: Camera | Microphone) -> Opening:
        """What makes ffmpeg open ``chosen``. An ONVIF camera is asked for its stream each time: raises DeviceFailed
        when it does not answer."""
        return opening(chosen)


def load_rig(path: Path) -> Rig:
    """Read and check ``path``; relative file sources are relative to its folder.

    Raises RigRejected naming the line or field in plain words; it never repeats an address.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _rejected(path, Mistake("unreadable", path.name, str(error.strerror))) from error
    except UnicodeDecodeError as error:
        raise _rejected(path, Mistake("no-text", "UTF-8", "not UTF-8 text")) from error
    except tomllib.TOMLDecodeError as error:
        raise _rejected(path, Mistake("no-toml", str(error), str(error))) from error
    try:
        secrets = Secrets(secrets_file(path))
        return Rig.model_validate(_with_whole_sources(raw, path.parent.resolve(), secrets))
    except ValidationError as error:
        raise _rejected(path, *_first_mistake(error)) from error
    except ValueError as error:
        mistake = error if isinstance(error, Mistake) else Mistake("other", str(error), str(error))
        raise _rejected(path, mistake) from error


def _rejected(path: Path, mistake: Mistake, place: str = "") -> RigRejected:
    return RigRejected(
        problem=": ".join(part for part in (path.name, place, str(mistake)) if part),
        place=f"{path.name} {place}".rstrip(),
        mistake=mistake.code,
        detail=mistake.detail,
    )


def secrets_file(rig_file: Path) -> Path:
    """Where the passwords of a rig file are kept: ``rig.secrets.toml`` beside ``rig.toml``."""
    return rig_file.with_name(f"{rig_file.stem}.secrets.toml")


def _with_whole_sources(raw: dict[str, Any], folder: Path, secrets: Secrets) -> dict[str, Any]:
    light = raw.get("light")
    if isinstance(light, dict) and isinstance(light.get("spectrum"), str) and light["spectrum"]:
        raw = raw | {"light": light | {"spectrum": str(folder / light["spectrum"])}}

    def whole(entry: Any) -> Any:
        if not isinstance(entry, dict) or not isinstance(entry.get("source"), str) or not entry["source"]:
            return entry
        if entry.get("input") == "file":
            return entry | {"source": str(folder / entry["source"])}
        return entry | {"source": secrets.fill(entry["source"])}

    return {
        key: [whole(entry) for entry in value]
        if key in ("camera", "microphone") and isinstance(value, list)
        else value
        for key, value in raw.items()
    }


def _first_mistake(error: ValidationError) -> tuple[Mistake, str]:
    """What is wrong, and where: ``camera[1].role``."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    told = first.get("ctx", {})
    if isinstance(own := told.get("error"), Mistake):
        return own, place.lstrip(".")
    words = str(first["msg"]).removeprefix("Value error, ")
    key = str(first["loc"][-1]) if first["loc"] else ""
    match first["type"]:
        case "extra_forbidden":
            mistake = Mistake("unknown-key", key, "no such key")
        case "missing":
            mistake = Mistake("missing-key", key, words)
        case "literal_error":
            mistake = Mistake("choice", str(told["expected"]).replace(" or ", ", ").replace("'", ""), words)
        case "string_pattern_mismatch":
            mistake = Mistake("name", "desk, room-2", words)
        case _:
            mistake = Mistake("other", words, words)
    return mistake, place.lstrip(".")


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
