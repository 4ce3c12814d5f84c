"""``yian light`` as a technician uses it: calibrate once, then check; and every mistake in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from PIL import Image

from api.cli import main
from capture.rig import load_rig
from scripts.light_scenes import light_of, render, spectrum_of

RIG = """# our room
[[camera]]
name = "desk"
role = "desk"
input = "test"
width = 320
height = 240
fps = 10

[light]
camera = "desk"
card = [0.05, 0.60, 0.30, 0.92]  # left of the keyboard
cri = 97.0
lamps = ["left lamp"]
"""
CHART = "0.40,0.10,0.95,0.65"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    (tmp_path / "rig.toml").write_text(RIG)
    for name in ("D50", "LED-B3", "FL3"):
        Image.fromarray(render(light_of(name))[0]).save(tmp_path / f"{name}.png")
    Image.fromarray(render(light_of("LED-B2"), second=light_of("D65"))[0]).save(tmp_path / "mixed.png")
    lamp = spectrum_of(light_of("LED-V2"))
    np.savetxt(tmp_path / "lamp.csv", np.column_stack([lamp.wavelengths_nm, lamp.power]), delimiter=",")
    return tmp_path


def run(*arguments: str) -> int:
    try:
        main(["light", *arguments])
    except SystemExit as error:
        return int(error.code or 0)
    finally:
        structlog.reset_defaults()  # its log goes to this test's standard error, which ends with the test
    return 0


def calibrate(room: Path, *more: str) -> int:
    rig = str(room / "rig.toml")
    image = str(room / "D50.png")
    return run("calibrate", "--rig", rig, "--lux", "800", "--cct", "5001", "--image", image, *more)


def check(room: Path, image: str, capsys: Any) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run("check", "--rig", str(room / "rig.toml"), "--image", str(room / image), "--json")
    return code, json.loads(capsys.readouterr().out)


def test_calibrated_once_the_camera_passes_the_good_room_and_no_other(room: Path, capsys: Any) -> None:
    assert calibrate(room, "--chart", CHART, "--lamp", "daylight", "--write") == 0
    text = (room / "rig.toml").read_text()
    assert (
        "# our room" in text and "# left of the keyboard" in text and text.count("[light.calibration]") == 1
    )
    code, told = check(room, "LED-B3.png", capsys)
    assert (code, told["verdict"], told["advice"]) == (0, "pass", [])
    code, told = check(room, "FL3.png", capsys)
    assert (code, told["verdict"]) == (1, "fail")
    assert told["advice"][0] | {"value": 0} == {
        "key": "light.advice.too_warm.lamps",
        "value": 0,
        "target": "4500",
        "lamps": "left lamp",
    }
    code, told = check(room, "mixed.png", capsys)
    assert (code, told["verdict"], told["cct"]["reason"]) == (1, "indeterminate", "mixed_light")


def test_a_second_calibration_takes_the_place_of_the_first(room: Path) -> None:
    calibrate(room, "--write")
    calibrate(room, "--chart", CHART, "--lamp", "daylight", "--write")
    text = (room / "rig.toml").read_text()
    assert text.count("[light.calibration]") == 1
    light = load_rig(room / "rig.toml").light
    assert light is not None and light.calibration is not None
    assert light.calibration.cct_uncertainty_k < 100


def test_a_rig_without_light_gets_one_with_the_card(room: Path) -> None:
    (room / "rig.toml").write_text(RIG.split("[light]")[0])
    assert calibrate(room, "--card", "0.05,0.60,0.30,0.92", "--write") == 0
    light = load_rig(room / "rig.toml").light
    assert light is not None and light.card == (0.05, 0.60, 0.30, 0.92)


def test_without_write_the_table_is_shown_and_the_file_untouched(room: Path, capsys: Any) -> None:
    assert calibrate(room) == 0
    assert "[light.calibration]" in capsys.readouterr().out
    assert (room / "rig.toml").read_text() == RIG


def test_a_spectrum_alone_is_judged_in_both_languages(room: Path, capsys: Any) -> None:
    assert run("check", "--spectrum", str(room / "lamp.csv"), "--lux", "800") == 0
    told = capsys.readouterr().out
    assert "显色指数 · colour rendering index: 95.7" in told
    assert "800 ± 80 lx" in told


def test_a_camera_without_calibration_says_how_to_get_one(room: Path, capsys: Any) -> None:
    assert run("check", "--rig", str(room / "rig.toml")) == 1
    told = capsys.readouterr().out
    assert "[light.calibration]" in told and "通过" not in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check"], "--rig"),
        (["check", "--spectrum", "{room}/rig.toml"], "没有光谱数据"),
        (["calibrate", "--rig", "{room}/rig.toml", "--lux", "800"], "--cct"),
        (
            ["calibrate", "--rig", "{room}/rig.toml", "--lux", "800", "--cct", "5000", "--card", "1,2"],
            "X0,Y0",
        ),
        (
            [
                "calibrate",
                "--rig",
                "{room}/rig.toml",
                "--lux",
                "8",
                "--cct",
                "4500",
                "--image",
                "{room}/mixed.png",
            ],
            "two colours",
        ),
    ],
)
def test_mistakes_are_told_in_words(room: Path, arguments: list[str], words: str, capsys: Any) -> None:
    assert run(*(each.format(room=room) for each in arguments)) == 1
    assert words in capsys.readouterr().err


def test_what_is_sent_of_a_rig_names_no_address_and_no_folder(room: Path) -> None:
    (room / "rig.toml").write_text(
        RIG + 'spectrum = "lamp.csv"\n[light.sensor]\nkind = "http"\nsource = "http://a:secret@10.0.0.9/x"\n'
    )
    rig = load_rig(room / "rig.toml")
    assert rig.light is not None and Path(rig.light.spectrum) == (room / "lamp.csv").resolve()
    told = json.dumps(rig.public_dict())
    assert "secret" not in told and "10.0.0.9" not in told and str(room) not in told
