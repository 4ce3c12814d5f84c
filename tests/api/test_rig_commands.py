"""``yian rig``: what the technician sees, and what is written."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from api.commands import rig as commands
from api.messages import LANGUAGES, Language, read_texts
from capture import devices
from capture.devices import Device
from capture.rig import load_rig
from capture.sound import WORST_FIRST
from capture.trial import CODES
from config.errors import AlreadyExists
from config.log import configure_logging

CAMERA = Device(
    "video", "v4l2", "/dev/video0", "HD [Webcam]", ("yuyv422 640x480", "mjpeg 1920x1080", "mjpeg 3840x2160")
)
DESKTOP = [
    CAMERA,
    Device("audio", "alsa", "hw:CARD=Mic,DEV=0", "USB Audio"),
    Device("audio", "pulse", "alsa_input.usb-Mic.mono", "USB Audio"),
]


def yian(*words: str, answers: str = "") -> Result:
    configure_logging("ERROR")  # as main() does
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["rig", *words], input=answers)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    found: list[Device] = []
    monkeypatch.setattr(devices, "list_devices", lambda: found)
    monkeypatch.setattr(commands.out, "_width", 300)
    return found


def test_the_list_names_devices_and_an_empty_one_says_what_to_do(machine: list[Device]) -> None:
    assert "没有找到" in yian("list").output
    machine += DESKTOP
    shown = yian("list").output
    assert "/dev/video0" in shown
    assert "alsa_input.usb-Mic.mono" in shown
    assert [each["source"] for each in json.loads(yian("list", "--json").output)] == [
        each.source for each in DESKTOP
    ]


def test_a_first_file_takes_what_the_machine_has(machine: list[Device], tmp_path: Path) -> None:
    machine += DESKTOP
    path = tmp_path / "new" / "rig.toml"
    assert yian("new", "--yes", "--rig", str(path)).exit_code == 0
    rig = load_rig(path)
    # The sound server's microphone, not the same one twice; the largest picture that the recorder should take.
    assert [(each.name, each.role, each.input) for each in rig.inputs] == [
        ("desk", "desk", "v4l2"),
        ("expert", "expert", "pulse"),
    ]
    assert (rig.camera[0].width, rig.camera[0].format) == (1920, "mjpeg")
    assert sorted(each.name for each in path.parent.iterdir()) == ["rig.toml"]


def test_a_machine_without_devices_gets_a_rig_of_test_sources(machine: list[Device], tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    assert yian("new", "--yes", "--rig", str(path)).exit_code == 0
    assert {each.input for each in load_rig(path).inputs} == {"test"}


def test_an_existing_file_is_not_overwritten_unasked(machine: list[Device], tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    path.write_text("mine")
    for answer in (yian("new", "--yes", "--rig", str(path)), yian("new", "--rig", str(path), answers="n\n")):
        assert isinstance(answer.exception, AlreadyExists)
        assert path.read_text() == "mine"
    assert yian("new", "--rig", str(path), answers="y\nn\n").exit_code == 0
    assert load_rig(path).inputs


def test_a_password_that_was_typed_is_kept_in_a_file_of_its_own(
    machine: list[Device], tmp_path: Path
) -> None:
    path = tmp_path / "rig.toml"
    answers = 'y\nhttp://192.168.1.9\nadmin\nchair\nroom\np@ss/w"\\\ny\nrtsp://192.168.1.8/a\n\nhands\nn\n'
    answer = yian("new", "--rig", str(path), answers=answers)
    assert answer.exit_code == 0, answer.output
    assert "p@ss" not in path.read_text() + answer.output
    assert "desk 诊桌" in answer.output, "roles are told in words"
    assert "没有麦克风" in answer.output
    assert "[[microphone]]" in answer.output, "no mark-up eats it"
    secrets = tmp_path / "rig.secrets.toml"
    assert tomllib.loads(secrets.read_text()) == {"ROOM_USER": "admin", "ROOM_PASSWORD": 'p@ss/w"\\'}
    assert secrets.stat().st_mode & 0o077 == 0
    assert [(each.name, each.input, each.source) for each in load_rig(path).camera] == [
        ("room", "onvif", "http://admin:p%40ss%2Fw%22%5C@192.168.1.9"),
        ("hands", "rtsp", "rtsp://192.168.1.8/a"),
    ]


def test_a_log_in_that_is_part_of_the_address_is_used_and_not_asked_for_again(
    machine: list[Device], tmp_path: Path
) -> None:
    path = tmp_path / "rig.toml"
    answer = yian("new", "--rig", str(path), answers="y\nrtsp://admin:p@ss:w%23@192.168.1.9/a\nroom\nn\n")
    assert answer.exit_code == 0, answer.output
    assert "admin" not in path.read_text()
    secrets = tomllib.loads((tmp_path / "rig.secrets.toml").read_text())
    assert secrets == {"ROOM_USER": "admin", "ROOM_PASSWORD": "p@ss:w#"}
    assert load_rig(path).camera[0].source == "rtsp://admin:p%40ss%3Aw%23@192.168.1.9/a"


def test_a_file_that_would_not_load_replaces_nothing(machine: list[Device], tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    path.write_text("mine")
    answer = yian("new", "--rig", str(path), answers="y\ny\nhttp://h:bad\n\nroom\nn\n")
    assert answer.exit_code == 1
    assert path.read_text() == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["rig.toml"]


RIG = """
[[camera]]
name = "desk"
role = "desk"
input = "{input}"
source = "{source}"
width = 192
height = 108
[[microphone]]
name = "expert"
role = "expert"
input = "test"
"""


def test_a_good_rig_passes_and_a_bad_one_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(RIG.format(input="test", source="testsrc2"))
    answer = yian("test", "--rig", str(path), "--seconds", "2")
    assert answer.exit_code == 0, answer.output
    assert "192x108, 25 fps" in answer.output
    path.write_text(RIG.format(input="v4l2", source="/dev/video-none"))
    answer = yian("test", "--rig", str(path), "--seconds", "2")
    assert answer.exit_code == 1
    assert "找不到设备 /dev/video-none" in answer.output
    assert "→" in answer.output
    told = yian("test", "--rig", str(path), "--seconds", "2", "--json")
    assert told.exit_code == 1
    desk, expert = json.loads(told.stdout)
    assert desk["problems"][0]["code"] == "missing"
    assert "yian rig list" in desk["problems"][0]["next"]
    assert expert["problems"] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_problem_and_every_verdict_has_words(language: Language) -> None:
    texts = read_texts(language)
    wanted = {f"rig.problem.{code}{end}" for code in CODES for end in ("", ".next")}
    wanted |= {f"sound.verdict.{code}" for code in (*WORST_FIRST, "ok")}
    wanted |= {f"sound.next.{code}" for code in WORST_FIRST}
    assert not wanted - texts.keys()
