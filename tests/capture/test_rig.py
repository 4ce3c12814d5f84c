"""Rig files: everything wrong is named in plain words, and no password leaves the rig."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from api.messages import LANGUAGES, load_messages
from capture.rig import Camera, Microphone, Rig, load_rig, redact
from config.errors import DeviceFailed, RigRejected

GOOD = """
[[camera]]
name = "desk"
role = "desk"
input = "file"
source = "desk.mp4"

[[microphone]]
name = "expert"
role = "expert"
input = "test"
source = "sine:660"
rate_hz = 16000

[light]
camera = "desk"
card = [0.1, 0.8, 0.2, 0.9]
[light.calibration]
exposure_s = 0.02
f_number = 2.8
iso = 400
k = 12.5
"""


def written(folder: Path, text: str) -> Path:
    (folder / "desk.mp4").touch()
    (folder / "rig.toml").write_text(text, encoding="utf-8")
    return folder / "rig.toml"


def test_a_rig_is_read_with_paths_relative_to_its_file(tmp_path: Path) -> None:
    rig = load_rig(written(tmp_path, GOOD))
    assert [each.name for each in rig.inputs] == ["desk", "expert"]
    assert rig.ffmpeg_input(rig.camera[0]).arguments[-1] == f"file:{tmp_path / 'desk.mp4'}"
    assert rig.ffmpeg_input(rig.microphone[0]).arguments[-1] == "sine=frequency=660:sample_rate=16000"
    assert rig.light is not None
    assert rig.light.reflectance == 0.18


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('role = "desk"', 'role = "dekc"', r"camera\[1\]\.role: .*'room', 'desk'"),
        ('role = "desk"', 'role = "desk"\ncolour = 1', r"camera\[1\]\.colour: no such key"),
        ('name = "expert"', 'name = "desk"', "'desk' is used twice"),
        ('name = "expert"', 'name = "../x"', r"microphone\[1\]\.name"),
        ('name = "expert"', "", r"microphone\[1\]\.name: Field required"),
        ('"desk.mp4"', '"gone.mp4"', r"camera\[1\]: the file 'gone.mp4' does not exist"),
        ("sine:660", "amovie=/etc/passwd", r"microphone\[1\]: source of a test input"),
        ("rate_hz = 16000", "rate_hz = 1", r"microphone\[1\]\.rate_hz: .*8000"),
        ('camera = "desk"', 'camera = "hands"', "light.camera names 'hands'"),
        ("[0.1, 0.8, 0.2, 0.9]", "[0.1, 0.8, 0.2, 1.9]", r"light: card must be"),
        ("k = 12.5", "", r"light\.calibration\.k: Field required"),
        ("[[camera]]", "[[camera]", r"line 2"),
        ('input = "file"', 'input = "webcam"', r"camera\[1\]\.input"),
        (GOOD, "", "no \\[\\[camera\\]\\]"),
        ("[[camera]]", "[camera]", "camera"),
        ("[[camera]]", "width = 1\n[[camera]]", "width: no such key"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(RigRejected) as caught:
        load_rig(written(tmp_path, GOOD.replace(old, new)))
    assert re.search(words, str(caught.value.data["problem"])), caught.value
    for language in LANGUAGES:
        told = load_messages(language)
        assert f"mistake.{caught.value.data['mistake']}" in told
        assert "mistake" not in " ".join(told.error(caught.value))


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RigRejected, match="No such file"):
        load_rig(tmp_path / "none.toml")
    (tmp_path / "rig.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RigRejected, match="UTF-8"):
        load_rig(tmp_path / "rig.toml")


def test_a_technician_reads_in_chinese_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(RigRejected) as caught:
        load_rig(written(tmp_path, GOOD.replace('role = "desk"', 'role = "ceiling"')))
    what, _then = load_messages("zh-CN").error(caught.value)
    assert "rig.toml camera[1].role 有误：只能填写以下之一（room, desk, hands, tongue）" in what


@pytest.mark.parametrize("field", ["role", "input", "codec", "width"])
def test_a_password_never_leaves_the_rig(tmp_path: Path, field: str) -> None:
    address = "rtsp://admin:hush@10.0.0.9/live?password=hush"
    camera = Camera(name="room", role="room", input="rtsp", source=address)
    rig = Rig(camera=(camera,))
    opened = rig.ffmpeg_input(camera)
    assert f"file '{address}'" in opened.stdin.decode()
    assert "hush" not in " ".join(opened.arguments)
    assert "hush" not in repr(rig) + str(rig.public_dict())
    assert rig.public_dict()["camera"][0]["source"] == "rtsp://10.0.0.9/live"
    assert "hush" not in redact(f"[in#0] Error opening {address}: refused")
    wrong = f'[[camera]]\nname="room"\nsource="{address}"\nrole="room"\ninput="v4l2"\n'
    wrong = re.sub(rf"{field}=.*\n", "", wrong) + f'{field}="x"\n'
    with pytest.raises(RigRejected) as caught:
        load_rig(written(tmp_path, wrong))
    assert "hush" not in str(caught.value) + repr(caught.value.__cause__)


def test_no_address_can_slip_a_line_into_what_ffmpeg_is_told(tmp_path: Path) -> None:
    address = "rtsp://10.0.0.9/it's here\\\nfile /etc/passwd"
    rig = Rig(camera=(Camera(name="room", role="room", input="rtsp", source=address),))
    lines = rig.ffmpeg_input(rig.camera[0]).stdin.decode().splitlines()
    assert lines[1] == "file 'rtsp://10.0.0.9/it%27s%20here%5C%0Afile%20/etc/passwd'"
    assert [each for each in lines if each.startswith("file")] == [lines[1]]
    too_long = Rig(camera=(Camera(name="room", role="room", input="rtsp", source="rtsp://h/" + "x" * 5000),))
    with pytest.raises(DeviceFailed, match="too long"):
        too_long.ffmpeg_input(too_long.camera[0])


def test_a_file_s_name_is_not_told_because_it_may_be_a_patient_s(tmp_path: Path) -> None:
    rig = load_rig(written(tmp_path, GOOD))
    assert "desk.mp4" not in str(rig.public_dict())


def test_devices_are_opened_as_the_rig_says() -> None:
    camera = Camera(
        name="a",
        role="room",
        input="v4l2",
        source="/dev/video0",
        width=1280,
        height=720,
        fps=25,
        codec="copy",
    )
    mic = Microphone(name="b", role="room", input="alsa", source="hw:1,0", rate_hz=48000)
    rig = Rig(camera=(camera,), microphone=(mic,))
    opened = " ".join(rig.ffmpeg_input(camera).arguments)
    assert "-f v4l2 -input_format h264 -video_size 1280x720 -framerate 25 -i /dev/video0" in opened
    assert " ".join(rig.ffmpeg_input(mic).arguments).endswith("-f alsa -sample_rate 48000 -i hw:1,0")


@pytest.mark.parametrize(
    ("source", "opened"),
    [
        ("rtsp://${ROOM_USER}:${ROOM_PASSWORD}@10.0.0.9/live", "rtsp://admin:h%40sh%2F%3A@10.0.0.9/live"),
        ("rtsp://10.0.0.9/$live", "rtsp://10.0.0.9/$live"),
    ],
)
def test_passwords_come_from_the_environment_or_the_file_of_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, opened: str
) -> None:
    secrets = tmp_path / "rig.secrets.toml"
    secrets.write_text('ROOM_USER = "someone else"\nROOM_PASSWORD = "h@sh/:"\n')
    secrets.chmod(0o600)
    monkeypatch.setenv("ROOM_USER", "admin")
    text = f'[[camera]]\nname="room"\nrole="room"\ninput="rtsp"\nsource="{source}"\n'
    rig = load_rig(written(tmp_path, text))
    assert f"file '{opened}'" in rig.ffmpeg_input(rig.camera[0]).stdin.decode()
    assert "h%40sh" not in repr(rig) + str(rig.public_dict())


@pytest.mark.parametrize(
    ("secrets", "mode", "words"),
    [
        (None, 0o600, r"what \$\{ROOM_PASSWORD\} is: set it, or add it to rig.secrets.toml"),
        ('ROOM_PASSWORD = "hush"', 0o644, "other users may read rig.secrets.toml"),
        ("hush", 0o600, "no TOML"),
        ("ROOM_PASSWORD = 5", 0o600, "ROOM_PASSWORD"),
    ],
)
def test_what_is_wrong_with_secrets_is_said_without_them(
    tmp_path: Path, secrets: str | None, mode: int, words: str
) -> None:
    if secrets is not None:
        (tmp_path / "rig.secrets.toml").write_text(secrets)
        (tmp_path / "rig.secrets.toml").chmod(mode)
    text = '[[camera]]\nname="a"\nrole="room"\ninput="rtsp"\nsource="rtsp://u:${ROOM_PASSWORD}@h/x"\n'
    with pytest.raises(RigRejected, match=words) as caught:
        load_rig(written(tmp_path, text))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "entry", "opened"),
    [
        (
            "camera",
            {"input": "dshow", "source": "USB Cam", "format": "mjpeg"},
            "-f dshow -vcodec mjpeg -i video=USB Cam",
        ),
        ("camera", {"input": "dshow", "source": "USB Cam", "codec": "copy"}, "-vcodec h264 -i video=USB Cam"),
        (
            "camera",
            {"input": "avfoundation", "source": "FaceTime", "fps": 30},
            "-framerate 30 -i FaceTime:none",
        ),
        (
            "camera",
            {"input": "v4l2", "source": "/dev/video0", "format": "mjpeg"},
            "-input_format mjpeg -i /dev/video0",
        ),
        (
            "microphone",
            {"input": "dshow", "source": "麦克风 (USB)", "rate_hz": 48000},
            "-sample_rate 48000 -i audio=麦克风 (USB)",
        ),
        (
            "microphone",
            {"input": "avfoundation", "source": "Built-in", "rate_hz": 48000},
            "-f avfoundation -i :Built-in",
        ),
    ],
)
def test_devices_of_other_systems_are_opened_by_name(
    table: str, entry: dict[str, object], opened: str
) -> None:
    rig = Rig.model_validate({table: [{"name": "a", "role": "room", **entry}]})
    assert " ".join(rig.ffmpeg_input(rig.inputs[0]).arguments).endswith(opened)


@pytest.mark.parametrize(
    "entry",
    [
        {"input": "dshow", "source": 'x:audio="y'},
        {"input": "avfoundation", "source": "x", "codec": "copy"},
        {"input": "v4l2", "source": "/dev/video0", "codec": "copy", "format": "mjpeg"},
        {"input": "rtsp", "source": "rtsp://h/x", "format": "mjpeg"},
        {"input": "onvif", "source": "rtsp://h/x"},
        {"input": "onvif", "source": "http://h:99999/x"},
        {"input": "onvif", "source": "http://"},
    ],
)
def test_sources_that_make_no_sense_are_refused(entry: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Camera.model_validate({"name": "a", "role": "room", **entry})


def test_the_example_rig_is_valid() -> None:
    example = Path(__file__).parents[2] / "config" / "rig.example.toml"
    assert load_rig(example).inputs


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path: Path, junk: str) -> None:
    try:
        load_rig(written(tmp_path, junk.encode("utf-8", "ignore").decode()))
    except RigRejected as error:
        assert error.data["problem"]
