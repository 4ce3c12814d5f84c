"""The list of devices, from what each system says of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from capture.devices import (
    holders,
    list_devices,
    parse_avfoundation,
    parse_dshow,
    parse_pulse_sources,
    parse_v4l2_formats,
)

V4L2 = """[in#0 @ 0x1] [video4linux2,v4l2 @ 0x5] Raw       :     yuyv422 :           YUYV 4:2:2 : 640x480 1280x720
[video4linux2,v4l2 @ 0x5] Compressed:       mjpeg :          Motion-JPEG : 640x480 1920x1080
[video4linux2,v4l2 @ 0x5] Compressed:        h264 :                H.264 : 1920x1080
/dev/video0: Immediate exit requested
"""
DSHOW = """[dshow @ 0001] "Integrated Camera" (video)
[dshow @ 0001]   Alternative name "@device_pnp_\\\\?\\usb#vid_04f2"
[dshow @ 0001] "麦克风 (USB Audio)" (audio)
[dshow @ 0001] "OBS Virtual Camera" (none)
[in#0 @ 0002] Error opening input: Immediate exit requested
"""
AVFOUNDATION = """[AVFoundation indev @ 0x7f] AVFoundation video devices:
[AVFoundation indev @ 0x7f] [0] FaceTime HD Camera
[AVFoundation indev @ 0x7f] [1] Capture screen 0
[AVFoundation indev @ 0x7f] AVFoundation audio devices:
[AVFoundation indev @ 0x7f] [0] MacBook Microphone
"""
PULSE = (
    "0\talsa_output.pci.analog-stereo.monitor\tmodule\ts16le 2ch 44100Hz\tIDLE\n"
    "1\talsa_input.usb-Rode-00.mono\tmodule\ts16le 1ch 48000Hz\tRUNNING\n"
)


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_linux_cameras_and_microphones_are_listed_by_names_that_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    root = written(
        tmp_path,
        {
            "sys/class/video4linux/video10/name": "Second\n",
            "sys/class/video4linux/video10/index": "0\n",
            "sys/class/video4linux/video0/name": "HD Webcam\n",
            "sys/class/video4linux/video0/index": "0\n",
            "sys/class/video4linux/video1/name": "HD Webcam\n",
            "sys/class/video4linux/video1/index": "1\n",
            "proc/asound/pcm": "00-00: ALC257 Analog : ALC257 : playback 1 : capture 1\n"
            "00-03: HDMI 0 : HDMI 0 : playback 1\n01-00: USB Audio : USB Audio : capture 1\n",
            "proc/asound/card0/id": "PCH\n",
            "proc/asound/card1/id": "Mic\n",
        },
    )
    found = [(each.input, each.source, each.title) for each in list_devices(root, "linux")]
    assert found == [
        ("v4l2", "/dev/video0", "HD Webcam"),
        ("v4l2", "/dev/video10", "Second"),
        ("alsa", "hw:CARD=PCH,DEV=0", "ALC257 Analog"),
        ("alsa", "hw:CARD=Mic,DEV=0", "USB Audio"),
    ]


def test_a_machine_without_devices_has_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for platform in ("linux", "win32", "darwin"):
        assert list_devices(tmp_path, platform) == []


def test_formats_are_read_from_ffmpeg_s_words() -> None:
    assert parse_v4l2_formats(V4L2) == (
        "yuyv422 640x480",
        "yuyv422 1280x720",
        "mjpeg 640x480",
        "mjpeg 1920x1080",
        "h264 1920x1080",
    )


def test_other_systems_devices_are_read_from_ffmpeg_s_words() -> None:
    assert [(each.kind, each.source) for each in parse_dshow(DSHOW)] == [
        ("video", "Integrated Camera"),
        ("audio", "麦克风 (USB Audio)"),
    ]
    assert [(each.kind, each.source) for each in parse_avfoundation(AVFOUNDATION)] == [
        ("video", "FaceTime HD Camera"),
        ("audio", "MacBook Microphone"),
    ]
    assert [each.source for each in parse_pulse_sources(PULSE)] == ["alsa_input.usb-Rode-00.mono"]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_who_holds_a_device_is_named(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch()
    assert holders(str(device)) == []
    with device.open():
        assert [each.rpartition(" ")[2] for each in holders(str(device))] == [f"({os.getpid()})"]
