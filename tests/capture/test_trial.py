"""The trial of a rig: real recordings of good and of broken inputs, each named in words, nothing left behind."""

from __future__ import annotations

import os
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.console import both
from capture.picture import look
from capture.rig import Camera, Microphone, Rig, ffmpeg_binary
from capture.trial import InputReport, explain, try_rig

pytestmark = pytest.mark.alone
SECONDS = 4.5


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def made(folder: Path, name: str, *source: str) -> Path:
    path = folder / name
    command = [ffmpeg_binary(), "-loglevel", "error", "-f", "lavfi", "-i", *source, "-t", "5", str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path


def tried(*devices: Camera | Microphone) -> dict[str, InputReport]:
    rig = Rig(
        camera=tuple(each for each in devices if isinstance(each, Camera)),
        microphone=tuple(each for each in devices if isinstance(each, Microphone)),
    )
    shares: list[float] = []
    reports = try_rig(rig, SECONDS, shares.append)
    assert shares[-1] == 1
    assert [each.name for each in reports] == [each.name for each in rig.inputs]
    return {each.name: each for each in reports}


def codes(report: InputReport) -> list[str]:
    return [each.code for each in report.problems]


def camera(name: str, path: Path | None = None, **more: object) -> Camera:
    where = {"input": "file", "source": str(path)} if path else {"input": "test", "width": 192, "height": 108}
    return Camera.model_validate({"name": name, "role": "desk", **where, **more})


def microphone(name: str, path: Path | None = None, source: str = "") -> Microphone:
    where = {"input": "file", "source": str(path)} if path else {"input": "test", "source": source}
    return Microphone.model_validate({"name": name, "role": "expert", **where})


def test_good_inputs_have_no_problem_and_nothing_stays_behind(temporary: Path) -> None:
    found = tried(camera("desk"), microphone("expert"))
    assert [codes(each) for each in found.values()] == [[], []]
    assert found["desk"].facts == {"width": 192, "height": 108, "fps": pytest.approx(25, abs=0.5)}
    assert found["expert"].facts["level_dbfs"] == pytest.approx(-21, abs=0.5)
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_what_a_killed_trial_left_is_removed_and_a_running_one_s_is_not(temporary: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    mine = temporary / f"yian-rig-{os.getpid()}-abc"
    left = temporary / f"yian-rig-{ended.pid}-abc"
    for folder in (mine, left):
        folder.mkdir()
        (folder / "00000.mkv").touch()
    tried(microphone("expert"))
    assert [each.name for each in temporary.iterdir()] == [mine.name]


def test_pictures_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    noise = "noise=alls=6:allf=t"
    found = tried(
        camera("black", made(tmp_path, "black.mkv", f"color=black:size=192x108:rate=25,{noise}")),
        camera("frozen", made(tmp_path, "frozen.mkv", "smptebars=size=192x108:rate=25")),
        camera(
            "flicker",
            made(
                tmp_path,
                "flicker.mkv",
                f"smptebars=size=192x108:rate=30,format=gray,geq=lum='p(X,Y)*(1+0.1*sin(2*PI*(10*T+Y/40)))',{noise}",
            ),
        ),
        camera("lively", made(tmp_path, "lively.mkv", f"smptebars=size=192x108:rate=30,{noise}")),
        camera("slow", made(tmp_path, "slow.mkv", "testsrc2=size=192x108:rate=10"), fps=25),
        camera(
            "small",
            made(tmp_path, "small.mp4", "testsrc2=size=192x108:rate=25"),
            width=1280,
            height=720,
            codec="copy",
        ),
    )
    assert {name: codes(each) for name, each in found.items()} == {
        "black": ["black"],
        "frozen": ["frozen"],
        "flicker": ["flicker"],
        "lively": [],
        "slow": ["rate"],
        "small": ["size"],
    }
    assert found["small"].problems[0].data == {"wanted": "1280x720", "found": "192x108"}


def test_pictures_are_counted_from_the_first_on_however_late_it_comes(tmp_path: Path) -> None:
    late = made(tmp_path, "late.mkv", "testsrc2=size=192x108:rate=25,setpts=PTS+3/TB")
    assert look("desk", [late]).fps == pytest.approx(25, abs=0.1)


def test_a_source_without_what_is_wanted_of_it_is_told_in_our_words_and_not_in_those_of_ffmpeg(
    tmp_path: Path,
) -> None:
    (tmp_path / "junk.mp4").write_bytes(b"no film at all" * 99)
    found = tried(
        camera("still", made(tmp_path, "voice.flac", "sine=660")),
        camera("junk", tmp_path / "junk.mp4"),
        microphone("mute", made(tmp_path, "mute.mkv", "testsrc2=size=64x64:rate=5")),
    )
    assert {name: codes(each) for name, each in found.items()} == {
        "still": ["no-picture"],
        "junk": ["not-media"],
        "mute": ["no-sound"],
    }
    for name, each in found.items():
        problem = each.problems[0]
        words = both(f"rig.problem.{problem.code}", **problem.data)
        assert name in words
        assert "moov" not in words and "map" not in words


def test_sound_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    found = tried(
        microphone("silence", source="silence"),
        microphone("faint", made(tmp_path, "faint.flac", "anoisesrc=amplitude=0.0001")),
        microphone("clipping", made(tmp_path, "clipping.flac", "sine=660,volume=30dB")),
        microphone("hum", made(tmp_path, "hum.flac", "aevalsrc=0.05*sin(2*PI*50*t)+0.001*random(0)")),
        microphone("noisy", made(tmp_path, "noisy.flac", "anoisesrc=amplitude=0.1")),
        microphone("good", made(tmp_path, "good.flac", "anoisesrc=amplitude=0.003")),
    )
    assert {name: codes(each) for name, each in found.items()} == {
        "silence": ["silence"],
        "faint": ["faint"],
        "clipping": ["clipping"],
        "hum": ["hum"],
        "noisy": ["noisy"],
        "good": [],
    }


class _Refusing(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline().decode():
            if line.lower().startswith("cseq"):
                number = line.split(":")[1].strip()
            if not line.strip():
                realm = 'WWW-Authenticate: Basic realm="camera"'
                self.wfile.write(f"RTSP/1.0 401 Unauthorized\r\nCSeq: {number}\r\n{realm}\r\n\r\n".encode())


@pytest.fixture
def refusing() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refusing) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_inputs_that_cannot_be_opened_hinder_nobody_and_tell_no_password(
    tmp_path: Path, refusing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "text.mkv").write_text("nothing of the kind\n" * 100)
    found = tried(
        Camera(name="gone", role="desk", input="v4l2", source="/dev/video-none"),
        Camera(name="refused", role="desk", input="rtsp", source=f"rtsp://u:hush@127.0.0.1:{refusing}/x"),
        Camera(name="nobody", role="desk", input="rtsp", source="rtsp://u:hush@127.0.0.1:9/x"),
        Camera(name="onvif", role="desk", input="onvif", source="http://u:hush@127.0.0.1:9"),
        camera("text", tmp_path / "text.mkv"),
        Microphone(name="alsa", role="expert", input="alsa", source="hw:9,0"),
        microphone("good"),
    )
    assert {name: codes(each) for name, each in found.items()} == {
        "gone": ["missing"],
        "refused": ["refused"],
        "nobody": ["unreachable"],
        "onvif": ["unreachable"],
        "text": ["not-media"],
        "alsa": ["no-ffmpeg"],
        "good": [],
    }
    assert "hush" not in str([each.to_dict() for each in found.values()])


@pytest.mark.parametrize(
    ("detail", "code"),
    [
        ("Cannot open video device /dev/video0: Permission denied", "permission"),
        ("ioctl(VIDIOC_STREAMON): Device or resource busy", "busy"),
        ("[alsa] cannot open audio device hw:1,0 (No such file or directory)", "missing"),
        ("[alsa] cannot set sample rate (Invalid argument)", "format"),
        ("method DESCRIBE failed: 404 Not Found", "no-stream"),
        ("method DESCRIBE failed: 401 Unauthorized", "refused"),
        ("stalled", "nothing"),
        ("something quite new", "failed"),
    ],
)
def test_what_ffmpeg_complains_of_is_put_in_words(detail: str, code: str) -> None:
    device = Camera(name="a", role="desk", input="v4l2", source="/dev/video0")
    problem = explain(device, detail)
    assert problem.code == code
    if code == "permission":
        assert problem.data["group"] == "video"
