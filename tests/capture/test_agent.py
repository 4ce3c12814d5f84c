"""A whole capture against a core over HTTP that refuses, breaks, lies and comes back."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from capture.agent import CaptureResult, capture, resume
from capture.light_setup import Calibration, Light
from capture.rig import Camera, Microphone, Rig
from capture.spool import Spool
from config.errors import (
    ConsentMissing,
    ConsentWithdrawn,
    CoreUnreachable,
    DeviceFailed,
    NotLoggedIn,
    RequestRejected,
)
from config.settings import CaptureSettings
from tests.capture.small_core import FRAMES, SAMPLES, SmallCore, problem

TOKEN = "station-token-never-logged"


@pytest.fixture
def settings(core: SmallCore) -> CaptureSettings:
    return CaptureSettings.model_validate(
        {"core_url": core.url, "token": TOKEN, "segment_s": 2, "upload_retry_s": 0.05}
    )


@pytest.fixture
def rig(source: Path) -> Rig:
    camera = Camera(name="desk", role="desk", input="file", source=str(source), codec="copy")
    microphone = Microphone(name="expert", role="expert", input="file", source=str(source))
    return Rig(camera=(camera,), microphone=(microphone,))


def live_rig() -> Rig:
    camera = Camera(name="desk", role="desk", input="test", width=192, height=108, realtime=True)
    microphone = Microphone(name="expert", role="expert", input="test", realtime=True)
    return Rig(camera=(camera,), microphone=(microphone,))


def run(rig: Rig, settings: CaptureSettings, home: Path, seconds: float = 60) -> CaptureResult:
    return capture(rig, "c-1", seconds, settings, home, lambda _: None)


def first(times: int, fault: Any, method: str = "PUT", part: str = "") -> Callable[[str, str], Any]:
    """The first ``times`` matching requests meet ``fault``."""
    left = [times]

    def decide(asked: str, path: str) -> Any:
        if asked == method and part in path and left[0] > 0:
            left[0] -= 1
            return fault
        return None

    return decide


def frames_at(core: SmallCore, folder: Path) -> int:
    count = 0
    for index, body in enumerate(core.track("desk")):
        path = folder / f"{index}.mkv"
        path.write_bytes(body)
        with av.open(str(path)) as media:
            count += sum(1 for _ in media.decode(video=0))
    return count


def files_in(home: Path) -> list[Path]:
    """Sealed or plain media in the spool."""
    kinds = (".mkv", ".flac", ".age")
    return [path for path in (home / "spool").rglob("*") if path.suffix in kinds]


def only_session(home: Path) -> str:
    with Spool(home) as spool:
        (session,) = spool.unfinished()
        return session.local


def test_a_recording_arrives_whole_and_only_sealed_copies_stay(
    core: SmallCore, settings: CaptureSettings, rig: Rig, tmp_path: Path
) -> None:
    shares: list[float] = []
    result = capture(rig, "c-1", 60, settings, tmp_path / "home", shares.append)
    assert (result.uploaded, result.case, result.problem) == (True, "case-1", None)
    assert result.segments == {"desk": 5, "expert": 5}
    assert frames_at(core, tmp_path) == FRAMES
    assert result.seconds == pytest.approx(FRAMES / 25, abs=0.01)
    assert core.completed == [
        {
            "tracks": {
                "desk": {"kind": "video", "role": "desk", "segments": 5, "lost": []},
                "expert": {"kind": "audio", "role": "expert", "segments": 5, "lost": []},
            },
            "seconds": result.seconds,
            "notes": 0,
        }
    ]
    lengths = [length for (_, track, _), (_, length) in core.places.items() if track == "expert"]
    assert sum(lengths) == pytest.approx(SAMPLES / 16_000, abs=0.001)
    assert core.tokens == {f"Bearer {TOKEN}"}
    assert len(files_in(tmp_path / "home")) == 10
    assert all(path.suffix == ".age" for path in files_in(tmp_path / "home"))
    assert resume(tmp_path / "home", settings) == []
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((403, problem("consent-missing", consultation="c-1", purpose="record")), ConsentMissing),
        ((403, problem("consent-withdrawn", consultation="c-1", purpose="record")), ConsentWithdrawn),
        ((401, problem("not-logged-in")), NotLoggedIn),
        ((401, b"<html>"), NotLoggedIn),
        ((422, problem("nobody-knows-this")), RequestRejected),
    ],
)
def test_without_the_core_s_yes_no_device_is_opened(
    core: SmallCore, settings: CaptureSettings, rig: Rig, tmp_path: Path, answer: Any, error: type[Exception]
) -> None:
    core.fault = lambda _method, _path: answer
    with pytest.raises(error) as caught:
        run(rig, settings, tmp_path)
    if error is ConsentMissing:
        assert caught.value.data == {"consultation": "c-1", "purpose": "record"}  # type: ignore[attr-defined] # an error of ours
    assert files_in(tmp_path) == []
    assert Spool(tmp_path).unfinished() == []


def test_a_station_without_a_usable_token_is_not_logged_in(
    settings: CaptureSettings, rig: Rig, tmp_path: Path
) -> None:
    for token in ("", " \n", "令牌", "two\nlines"):
        with pytest.raises(NotLoggedIn):
            run(rig, settings.model_copy(update={"token": SecretStr(token)}), tmp_path)


def test_a_core_that_is_away_before_the_start_means_no_recording(
    core: SmallCore, settings: CaptureSettings, rig: Rig, tmp_path: Path
) -> None:
    away = settings.model_copy(update={"core_url": "http://127.0.0.1:9"})
    with pytest.raises(CoreUnreachable):
        run(rig, away, tmp_path)
    core.fault = lambda _method, _path: (200, b"<html>hotel log-in</html>")
    with pytest.raises(CoreUnreachable):
        run(rig, settings, tmp_path)
    assert files_in(tmp_path) == []


def test_a_lost_answer_to_the_opening_does_not_open_twice(
    core: SmallCore, settings: CaptureSettings, rig: Rig, tmp_path: Path
) -> None:
    def answered_into_the_void(method: str, path: str) -> Any:
        if method == "POST" and path.endswith("/recordings") and not core.recordings:
            key = "first"
            core.recordings[key] = "rec-lost"
            return "drop"
        return None

    core.fault = answered_into_the_void
    assert run(rig, settings, tmp_path).uploaded
    assert len([each for each in core.requests if each[1].endswith("/recordings")]) == 2


@pytest.mark.parametrize(
    "fault",
    [
        first(3, (503, problem("store-unavailable", store="s3", detail="away"))),
        first(3, "drop"),
        first(2, "corrupt"),
        first(2, (200, b"<html>captive portal says yes to everything</html>")),
        first(2, "drop", "POST", "/complete"),
        first(2, (502, b"<html>bad gateway</html>"), "GET"),
        first(2, (429, problem("too-many-attempts", wait_s=1))),
        first(2, (422, problem("request-rejected", problem="the body does not match its checksum"))),
    ],
    ids=["503", "drop", "corrupt", "portal", "complete-drop", "bad-gateway", "busy", "rejected"],
)
def test_a_fault_of_the_network_or_core_loses_and_doubles_nothing(
    core: SmallCore, settings: CaptureSettings, rig: Rig, tmp_path: Path, fault: Any
) -> None:
    core.fault = fault
    with capture_logs() as logs:
        result = run(rig, settings, tmp_path / "home")
    assert result.uploaded
    assert frames_at(core, tmp_path) == FRAMES
    assert len(core.completed) == 1
    assert TOKEN not in str(logs)


def test_segments_the_core_lost_again_are_sent_again(
    core: SmallCore, settings: CaptureSettings, rig: Rig, tmp_path: Path
) -> None:
    asked: list[str] = []

    def forgets_one_before_its_first_list(method: str, path: str) -> None:
        if method == "GET" and not asked:
            asked.append(path)
            del core.segments["rec-1", "desk", 1]

    core.fault = forgets_one_before_its_first_list
    assert run(rig, settings, tmp_path / "home").uploaded
    assert frames_at(core, tmp_path) == FRAMES


def test_a_core_lost_in_mid_session_leaves_everything_in_the_spool_until_it_is_back(
    core: SmallCore, settings: CaptureSettings, rig: Rig, tmp_path: Path
) -> None:
    def away_after_two(method: str, _path: str) -> Any:
        return "drop" if method != "POST" and len(core.segments) >= 2 else None

    core.fault = away_after_two
    result = run(rig, settings, tmp_path / "home")
    assert (result.uploaded, result.case) == (False, None)
    assert result.problem is not None
    assert result.problem["code"] == "core-unreachable"
    assert len(files_in(tmp_path / "home")) == 10
    still_away = resume(tmp_path / "home", settings)
    assert [each.uploaded for each in still_away] == [False]
    core.fault = lambda _method, _path: None
    core.requests.clear()
    (back,) = resume(tmp_path / "home", settings)
    assert (back.uploaded, back.case, back.segments) == (True, "case-1", {"desk": 5, "expert": 5})
    assert len([each for each in core.requests if each[0] == "PUT"]) == 8  # what was there is not sent again
    assert frames_at(core, tmp_path) == FRAMES
    assert Spool(tmp_path / "home").unfinished() == []


def test_segments_are_uploaded_while_recording_goes_on(
    core: SmallCore, settings: CaptureSettings, tmp_path: Path
) -> None:
    stop = threading.Event()

    def stop_at_the_third(method: str, _path: str) -> Any:
        if method == "PUT" and len(core.segments) >= 3:
            stop.set()
        return None

    core.fault = stop_at_the_third
    quick = settings.model_copy(update={"segment_s": 1.0})
    result = capture(live_rig(), "c-1", 600, quick, tmp_path, lambda _: None, stop)
    assert result.uploaded
    assert result.seconds < 30


def test_a_consent_withdrawn_in_mid_session_stops_recording_and_keeps_the_footage(
    core: SmallCore, settings: CaptureSettings, tmp_path: Path
) -> None:
    withdrawn = (403, problem("consent-withdrawn", consultation="c-1", purpose="record"))
    core.fault = lambda method, _path: withdrawn if method == "PUT" else None
    quick = settings.model_copy(update={"segment_s": 1.0})
    with pytest.raises(ConsentWithdrawn):
        run(live_rig(), quick, tmp_path, seconds=600)
    with Spool(tmp_path) as spool:
        (session,) = spool.unfinished()
        assert spool.pending(session.local)
        assert session.state == "refused"
        assert session.problem is not None
        assert session.problem["code"] == "consent-withdrawn"
    assert core.completed == []


def test_a_dying_input_is_reported_after_the_rest_was_brought_home(
    core: SmallCore, settings: CaptureSettings, source: Path, tmp_path: Path
) -> None:
    rig = Rig(
        camera=(
            Camera(name="desk", role="desk", input="file", source=str(source), codec="copy"),
            Camera(name="room", role="room", input="v4l2", source="/dev/video-none"),
        )
    )
    with pytest.raises(DeviceFailed, match="room"):
        run(rig, settings, tmp_path)
    assert Spool(tmp_path).unfinished() == []
    assert [set(each["tracks"]) for each in core.completed] in ([], [{"desk"}])


def test_a_rotten_local_file_is_named_and_never_sent(
    core: SmallCore, settings: CaptureSettings, rig: Rig, tmp_path: Path
) -> None:
    core.fault = lambda method, _path: "drop" if method == "PUT" else None
    assert not run(rig, settings, tmp_path).uploaded
    segment = Spool(tmp_path).pending(only_session(tmp_path))[0]
    segment.path.write_bytes(b"rotten")
    core.fault = lambda _method, _path: None
    (result,) = resume(tmp_path, settings)
    assert result.problem is not None
    assert result.problem["code"] == "checksum-mismatch"
    assert segment.path.exists()
    assert len(core.segments) == 9  # all the others came home
    assert core.completed == []


def test_the_light_is_checked_first_and_its_result_goes_with_the_opening(
    core: SmallCore, settings: CaptureSettings, source: Path, tmp_path: Path
) -> None:
    meter = Calibration(exposure_s=0.02, f_number=2.8, iso=400, k=260)
    camera = Camera(name="desk", role="desk", input="file", source=str(source), codec="copy")
    rig = Rig(camera=(camera,), light=Light(camera="desk", card=(0.1, 0.1, 0.5, 0.5), calibration=meter))
    result = run(rig, settings, tmp_path)
    assert result.light is not None
    assert core.opened[0]["light"] == result.light
    assert result.light["verdict"] == "indeterminate"
    assert result.light["illuminance"]["reason"] != "in_limits"
    assert core.opened[0]["rig"]["camera"][0]["name"] == "desk"
    assert str(source) not in str(core.opened[0])


STATION = """
import sys
from pathlib import Path
from tests.capture.test_agent import live_rig
from capture.agent import capture
from config.settings import CaptureSettings
settings = CaptureSettings(core_url=sys.argv[2], token="t", segment_s=1, upload_retry_s=0.3)
capture(live_rig(), "c-1", 600, settings, Path(sys.argv[1]), lambda _: None)
"""


def test_a_killed_station_s_session_is_brought_home_by_the_next_one(
    core: SmallCore, settings: CaptureSettings, tmp_path: Path
) -> None:
    enough = threading.Event()

    def note(method: str, _path: str) -> Any:
        if len(core.segments) >= 3:
            enough.set()
            return "drop" if method == "PUT" else None
        return None

    core.fault = note
    command = [sys.executable, "-c", STATION, str(tmp_path), core.url]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL) as station:
        assert enough.wait(30)
        station.kill()
    core.fault = lambda _method, _path: None
    (result,) = resume(tmp_path, settings)
    assert result.uploaded
    assert min(result.segments.values()) >= 1
    assert sum(result.segments.values()) == len(core.segments) >= 3
    for name in result.segments:
        indices = sorted(index for _, track, index in core.segments if track == name)
        assert indices == list(range(result.segments[name]))
