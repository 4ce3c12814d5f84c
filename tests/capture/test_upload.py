"""The uploader brings everything home through a bad line, past a dying core, at the pace it is given."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

import capture.core
import capture.upload
from api import actions
from api.core import Core as RealCore
from archive.models import Recording
from archive.terms import State
from capture.agent import resume
from capture.core import Core as TheCore
from capture.erasing import carry_out_decisions
from capture.recorder import Segment
from capture.rig import Camera, Microphone, Rig
from capture.seal import BaseFacts, keep_facts, read_facts
from capture.space import check_space, space_left_s, space_needed
from capture.spool import Note, Spool
from capture.throttle import Throttle
from capture.upload import Uploader
from config.errors import CoreUnreachable, DiskFull
from config.settings import CaptureSettings, Settings
from tests.capture.dying_core import POINTS
from tests.capture.hostile_proxy import HostileProxy
from tests.capture.small_core import SmallCore, problem
from tests.conftest import REPOSITORY, free_port
from tests.factories import People, bearer, make_case, make_core, make_users

pytestmark = pytest.mark.alone
TRACKS = {"desk": {"kind": "video", "role": "desk"}, "expert": {"kind": "audio", "role": "expert"}}
PATIENCE_S = 60.0


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"never happened: {what}")


def station_settings(home: Path, url: str, token: str = "t", **more: Any) -> Settings:
    told = {"core_url": url, "token": token, "upload_retry_s": 0.1, "disk_reserve_mb": 1, **more}
    return Settings(home=home, capture=CaptureSettings.model_validate(told))


@contextmanager
def uploading(settings: Settings, spool: Spool) -> Iterator[Uploader]:
    uploader = Uploader(settings, spool)
    uploader.start()
    try:
        yield uploader
    finally:
        uploader.stop()


def record(
    spool: Spool, local: str, consultation: str, segments: int, size: int = 2000, close: bool = True
) -> None:
    """A session with ``segments`` per track and three notes."""
    spool.open(
        local,
        consultation=consultation,
        kind="consultation",
        started_at=datetime.now(UTC),
        tracks=TRACKS,
        rig={"camera": []},
        light=None,
    )
    for track in TRACKS:
        (spool.folder(local) / track).mkdir(parents=True)
        for index in range(segments):
            path = spool.folder(local) / track / f"{index:05d}.mkv"
            body = os.urandom(size)
            path.write_bytes(body)
            sha256 = hashlib.sha256(body).hexdigest()
            spool.add(local, Segment(track, index, path, sha256, size, index * 4.0, 4.0))
    for number in range(3):
        spool.note(local, Note("chapter", float(number), {"chapter": "look"}))
    if close:
        spool.close(local)


def facts_of(core: SmallCore) -> BaseFacts:
    return BaseFacts("BJ01", "Asia/Shanghai", str(core.identity.to_public()))


@pytest.fixture
def spool(core: SmallCore, tmp_path: Path) -> Iterator[Spool]:
    keep_facts(tmp_path, facts_of(core))
    with Spool(tmp_path) as spool:
        yield spool


# The life of a session.


def test_a_session_begun_offline_is_opened_by_its_local_id_uploaded_noted_and_completed(
    core: SmallCore, spool: Spool, tmp_path: Path
) -> None:
    away = station_settings(tmp_path, "http://127.0.0.1:9")
    record(spool, "s-1", "c-1", 3)
    with uploading(away, spool) as uploader:
        told = until(lambda: uploader.status() if uploader.status().problem else None, "the core is away")
        assert (told.online, told.problem["code"], told.waiting_count) == (False, "core-unreachable", 6)
    with uploading(station_settings(tmp_path, core.url), spool) as uploader:
        until(lambda: not spool.unfinished(), "the session is at the core")
        assert uploader.status().online
    session = spool.session("s-1")
    assert core.recordings == {"s-1": session.recording}
    assert (session.state, session.case) == ("complete", "case-1")
    assert {(each.track, each.index): each.sha256 for each in spool.segments("s-1")} == {
        (track, index): hashlib.sha256(body).hexdigest() for (_, track, index), body in core.segments.items()
    }
    assert set(core.notes) == {each.id for each in spool.notes("s-1")}
    assert len(core.completed) == 1
    assert all(each.path.exists() for each in spool.segments("s-1"))
    assert spool.queue().count == 0


def test_a_fresh_station_learns_the_key_by_itself(core: SmallCore, tmp_path: Path) -> None:
    with Spool(tmp_path) as spool, uploading(station_settings(tmp_path, core.url), spool):
        until(lambda: (tmp_path / "station" / "base.json").exists(), "the key came")
    assert read_facts(tmp_path) == facts_of(core)


def test_an_impostor_s_key_stops_the_upload_and_is_said(
    core: SmallCore, spool: Spool, tmp_path: Path
) -> None:
    record(spool, "s-1", "c-1", 1)
    core.identity = SmallCore().identity
    with uploading(station_settings(tmp_path, core.url), spool) as uploader:
        told = until(lambda: uploader.status().problem, "the key is another")
    assert told["code"] == "base-key-changed"
    assert core.segments == {}


def test_what_the_core_refuses_is_kept_sealed_and_shown_and_goes_once_it_is_wanted(
    core: SmallCore, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture.upload, "ASK_AGAIN_S", 0.2)
    refused = (403, problem("consent-missing", consultation="c-1", purpose="record"))
    core.fault = lambda method, path: refused if "/c-1/" in path else None
    record(spool, "s-1", "c-1", 2)
    record(spool, "s-2", "c-2", 2)
    with uploading(station_settings(tmp_path, core.url), spool) as uploader:
        until(lambda: [each.local for each in spool.unfinished()] == ["s-1"], "the other one went")
        queue = until(lambda: spool.queue() if spool.queue().refused else None, "it is refused")
        assert [(each.local, each.state, each.problem["code"]) for each in queue.held if each.problem] == [
            ("s-1", "refused", "consent-missing")
        ]
        assert not uploader.refused("c-1")  # it is not being recorded
        assert {recording for recording, _, _ in core.segments} == {spool.session("s-2").recording}
        assert len(spool.pending("s-1")) == 4 and all(each.path.exists() for each in spool.pending("s-1"))
        core.fault = lambda _method, _path: None
        until(lambda: not spool.unfinished(), "the consent was signed after all")


def test_a_consent_withdrawn_at_the_core_while_recording_is_told_to_the_station(
    core: SmallCore, spool: Spool, tmp_path: Path
) -> None:
    withdrawn = (403, problem("consent-withdrawn", consultation="c-1", purpose="record"))
    core.fault = lambda method, _path: withdrawn if method == "PUT" else None
    record(spool, "s-1", "c-1", 1, close=False)
    with uploading(station_settings(tmp_path, core.url), spool) as uploader:
        until(lambda: uploader.refused("c-1"), "the core refuses")
        assert not uploader.refused("c-2") and not uploader.refused(None)


def test_a_withdrawal_at_the_station_reaches_the_core_and_nothing_more_is_sent(
    core: SmallCore, spool: Spool, tmp_path: Path
) -> None:
    record(spool, "s-1", "c-1", 2)
    spool.withdraw("c-1", "changed their mind")
    with uploading(station_settings(tmp_path, core.url), spool):
        until(lambda: not spool.withdrawals(), "the core knows")
    assert core.withdrawn == ["c-1"]
    assert core.segments == {}
    assert len(spool.pending("s-1")) == 4


def test_an_interrupted_session_is_sent_but_never_closed_by_the_uploader(
    core: SmallCore, tmp_path: Path
) -> None:
    keep_facts(tmp_path, facts_of(core))
    with Spool(tmp_path) as died:
        record(died, "s-1", "c-1", 2, close=False)
    with Spool(tmp_path) as spool, uploading(station_settings(tmp_path, core.url), spool) as uploader:
        until(lambda: len(core.segments) == 4 and len(core.notes) == 3, "everything sealed is there")
        uploader.wake()
        assert [each.local for each in spool.interrupted()] == ["s-1"]
        assert core.completed == []
        spool.close("s-1")
        uploader.wake()
        until(lambda: core.completed, "closed by a person")


def test_of_two_sessions_of_a_visit_none_is_completed_before_the_core_knows_both(
    core: SmallCore, spool: Spool, tmp_path: Path
) -> None:
    record(spool, "s-1", "c-1", 1)
    record(spool, "s-2", "c-1", 1)
    with uploading(station_settings(tmp_path, core.url), spool):
        until(lambda: len(core.completed) == 2, "both are closed")
    steps = [path for method, path in core.requests if method == "PUT" or path.endswith("/complete")]
    first = next(number for number, path in enumerate(steps) if path.endswith("/complete"))
    assert {path.split("/")[3] for path in steps[:first]} == {"rec-1", "rec-2"}


def test_a_spoilt_local_segment_holds_up_neither_the_rest_nor_others(
    core: SmallCore, spool: Spool, tmp_path: Path
) -> None:
    record(spool, "s-1", "c-1", 2)
    record(spool, "s-2", "c-2", 1)
    spool.pending("s-1")[0].path.write_bytes(b"rotten")
    with uploading(station_settings(tmp_path, core.url), spool):
        until(lambda: len(core.segments) == 5 and spool.session("s-2").case, "all the others are there")
        until(lambda: spool.session("s-1").problem, "it is said")
    session = spool.session("s-1")
    assert session.problem is not None and session.problem["code"] == "checksum-mismatch"
    assert [each.problem for each in spool.queue().held] == [session.problem]
    assert session.state == "waiting"


def test_a_session_the_core_has_forgotten_is_opened_again(
    core: SmallCore, spool: Spool, tmp_path: Path
) -> None:
    record(spool, "s-1", "c-1", 1)
    spool.know("s-1", "rec-nobody-knows")
    unknown = (404, problem("not-found", what="recording", id="x"))
    core.fault = lambda _method, path: unknown if "rec-nobody-knows" in path else None
    with uploading(station_settings(tmp_path, core.url), spool):
        until(lambda: not spool.unfinished(), "it is at the core")
    assert spool.session("s-1").recording == "rec-1"


def test_copies_go_by_the_uploader_s_hand_after_their_days(
    core: SmallCore, spool: Spool, tmp_path: Path
) -> None:
    record(spool, "s-1", "c-1", 1)
    settings = station_settings(tmp_path, core.url, keep_local_days=0)
    with uploading(settings, spool) as uploader:
        until(lambda: not spool.unfinished(), "it is at the core")
        uploader.wake()
        until(lambda: not spool.folder("s-1").exists(), "the copy is gone")


def test_what_a_manager_has_erased_is_erased_here_and_confirmed_and_nothing_else(
    core: SmallCore, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture.upload, "GREET_S", 0.2)
    for local, consultation in (("s-0", "c-2"), ("s-1", "c-1"), ("s-2", "c-2"), ("s-3", "c-3")):
        record(spool, local, consultation, 1)
    refused = (403, problem("consent-withdrawn", consultation="c-2", purpose="record"))
    cut = iter(["drop", "drop"])
    sealed = set(spool.folder("s-2").rglob("*.age"))

    def fault(_method: str, path: str) -> Any:
        if "station-erased" in path:
            return next(cut, None)
        return refused if path.startswith("/api/consultations/c-2/recordings") else None

    core.fault = fault
    with uploading(station_settings(tmp_path, core.url), spool):
        until(lambda: spool.queue().refused == 2, "the core refuses them")
        until(lambda: [each.local for each in spool.unfinished()] == ["s-0", "s-2"], "the others are there")
        assert sealed == set(spool.folder("s-2").rglob("*.age")), "until somebody decides it stays"
        with core.lock:
            core.erased = {"c-2", "c-3", "c-9"}
        until(lambda: len(core.confirmed) == 2 and not spool.erasures(), "both are confirmed")
    assert sorted(core.confirmed) == [("c-2", 2), ("c-3", 1)]
    assert [spool.session(f"s-{number}").state for number in range(4)] == [
        "erased",
        "complete",
        "erased",
        "erased",
    ]
    assert spool.folder("s-1").exists()
    for local in ("s-0", "s-2", "s-3"):
        assert not spool.folder(local).exists()
        assert spool.segments(local) == [] and spool.notes(local) == []
    assert spool.held_consultations() == ["c-1"]
    assert spool.queue().held == ()


def test_one_wrong_word_of_the_core_costs_no_footage_that_it_wants(core: SmallCore, tmp_path: Path) -> None:
    """It calls a visit erased, whose footage it takes all the same."""
    core.erased = {"c-1"}
    core.fault = lambda _method, path: (500, {}) if "/tracks/" in path else None
    keep_facts(tmp_path, facts_of(core))
    with Spool(tmp_path) as spool, TheCore(station_settings(tmp_path, core.url).capture) as told:
        record(spool, "s-1", "c-1", 1)
        carry_out_decisions(told, spool, "room-1")
        assert spool.session("s-1").state == "waiting"
        assert len(spool.pending("s-1")) == 2 and all(each.path.exists() for each in spool.pending("s-1"))
    assert core.confirmed == []


def test_a_session_cut_short_of_which_everything_was_sent_is_erased_too(
    core: SmallCore, tmp_path: Path
) -> None:
    keep_facts(tmp_path, facts_of(core))
    with Spool(tmp_path) as died:
        record(died, "s-1", "c-1", 1, close=False)
        for each in died.segments("s-1"):
            died.mark_uploaded("s-1", each.track, each.index)
    core.erased = {"c-1"}
    refused = (403, problem("consent-withdrawn", consultation="c-1", purpose="record"))
    core.fault = lambda _method, path: refused if path.endswith("/recordings") else None
    with Spool(tmp_path) as spool, TheCore(station_settings(tmp_path, core.url).capture) as told:
        assert [each.local for each in spool.interrupted()] == ["s-1"]
        for _ in range(2):
            carry_out_decisions(told, spool, "room-1")
        assert spool.interrupted() == [] and not spool.folder("s-1").exists()
    assert core.confirmed == [("c-1", 1)]


def test_the_command_line_closes_and_brings_home_what_the_station_left(
    core: SmallCore, tmp_path: Path
) -> None:
    keep_facts(tmp_path, facts_of(core))
    with Spool(tmp_path) as died:
        record(died, "s-1", "c-1", 2, close=False)
        record(died, "s-2", "c-1", 1)
        record(died, "s-3", "c-3", 0)
    settings = station_settings(tmp_path, core.url).capture
    results = resume(tmp_path, settings)
    assert [(each.uploaded, each.segments) for each in results] == [
        (True, {"desk": 2, "expert": 2}),
        (True, {"desk": 1, "expert": 1}),
        (False, {}),
    ]
    assert results[2].problem is not None and results[2].problem["code"] == "empty-media"
    assert len(core.completed) == 2 and len(core.notes) == 6
    assert resume(tmp_path, settings) == []


def test_the_command_line_leaves_alone_what_the_station_records_now(
    core: SmallCore, spool: Spool, tmp_path: Path
) -> None:
    record(spool, "s-1", "c-1", 1, close=False)
    assert resume(tmp_path, station_settings(tmp_path, core.url).capture) == []
    assert core.segments == {}
    assert not spool.session("s-1").closed


# Space.

RIG = Rig(
    camera=(Camera(name="desk", role="desk", input="test", width=1280, height=720, fps=25),),
    microphone=(Microphone(name="expert", role="expert", input="test", rate_hz=48_000),),
)


def free_of(monkeypatch: pytest.MonkeyPatch, free: Callable[[], int]) -> None:
    usage = lambda _path: type("usage", (), {"free": free()})
    monkeypatch.setattr("shutil.disk_usage", usage)


def test_a_session_that_does_not_fit_is_refused_with_what_is_needed_and_free(
    core: SmallCore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = station_settings(tmp_path, core.url, disk_reserve_mb=100)
    needed = space_needed(RIG, 1200, settings)
    per_s = (1280 * 720 * 25 * 0.15 + 48_000 * 32) / 8
    assert needed == int(1200 * per_s) + 100 * 2**20
    free_of(monkeypatch, lambda: needed)
    check_space(RIG, 1200, settings)
    assert space_left_s(RIG, settings) == pytest.approx(1200, abs=0.1)
    free_of(monkeypatch, lambda: needed - 2**20)
    with pytest.raises(DiskFull) as refused:
        check_space(RIG, 1200, settings)
    assert refused.value.data["needed_mb"] == -(-needed // 2**20)
    assert refused.value.data["free_mb"] == (needed - 2**20) // 2**20
    free_of(monkeypatch, lambda: 50 * 2**20)
    assert space_left_s(RIG, settings) == 0


def test_copies_of_what_the_core_has_make_room_for_a_new_session(
    core: SmallCore, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = station_settings(tmp_path, core.url)
    record(spool, "s-1", "c-1", 1)
    with uploading(settings, spool):
        until(lambda: not spool.unfinished(), "it is at the core")
    record(spool, "s-2", "c-2", 1)
    needed = space_needed(RIG, 60, settings)
    free_of(monkeypatch, lambda: needed if not spool.folder("s-1").exists() else 0)
    check_space(RIG, 60, settings)
    assert not spool.folder("s-1").exists()
    assert len([each for each in spool.pending("s-2") if each.path.exists()]) == 2


# Bandwidth.


def test_in_clinic_hours_an_upload_keeps_to_its_cap_even_within_one_big_segment(
    core: SmallCore, spool: Spool, tmp_path: Path
) -> None:
    cap_kbps = 2000
    record(spool, "s-1", "c-1", 1, size=300_000)
    settings = station_settings(
        tmp_path, core.url, upload_cap_kbps=cap_kbps, clinic_hours="00:00-23:59:59.999"
    )
    began = time.monotonic()
    with uploading(settings, spool) as uploader:
        until(lambda: uploader.status().rate_kbps > 0, "it is sending")
        until(lambda: not spool.unfinished(), "it is at the core")
        took_s = time.monotonic() - began
    # The chunk that goes first waits for nobody.
    assert took_s >= (2 * 300_000 - capture.core.CHUNK_BYTES) * 8 / (cap_kbps * 1000)
    assert took_s < 30


def test_outside_clinic_hours_there_is_no_cap(tmp_path: Path) -> None:
    settings = CaptureSettings(upload_cap_kbps=500, clinic_hours="08:00-12:00,13:30-17:30")
    expected = {(0, 0): 500.0, (3, 59): 500.0, (4, 0): 0.0, (5, 30): 500.0, (9, 30): 0.0, (23, 59): 0.0}
    for (hour, minute), cap in expected.items():  # UTC; the clinic is eight hours ahead
        now = datetime(2026, 3, 2, hour, minute, tzinfo=UTC)
        throttle = Throttle(settings, ZoneInfo("Asia/Shanghai"), threading.Event(), lambda now=now: now)
        assert throttle.cap_kbps == cap


def test_a_paced_upload_ends_when_the_station_does() -> None:
    ended = threading.Event()
    settings = CaptureSettings(upload_cap_kbps=1, clinic_hours="00:00-23:59:59.999")
    throttle = Throttle(settings, ZoneInfo("UTC"), ended)
    throttle.pace(100_000)
    threading.Timer(0.1, ended.set).start()
    with pytest.raises(CoreUnreachable):
        throttle.pace(1)


# Through a hostile line to a real core.


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[tuple[RealCore, People, str]]:
    real = make_core(tmp_path / "core")
    people = make_users(real)
    yield real, people, bearer(real, people.technician)["Authorization"].removeprefix("Bearer ")
    real.close()


@contextmanager
def running_core(home: Path, port: int, point: str = "") -> Iterator[subprocess.Popen[bytes]]:
    log = (home / "core.log").open("ab")
    command = [sys.executable, "-m", "tests.capture.dying_core", str(home), str(port), point]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log) as process:
        try:
            until(lambda: answers(port) or process.poll() is not None, "the core answers")
            yield process
        finally:
            process.kill()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2).status_code < 500
    except httpx.HTTPError:
        return False


def check_at_home(real: RealCore, people: People, spool: Spool, local: str) -> None:
    """Nothing lost, nothing doubled, every checksum equal, the bytes themselves too; opened and closed once."""
    session = spool.session(local)
    assert (session.state, session.case) == ("complete", session.consultation)
    with real.catalog.read() as db:
        (recording,) = db.query(Recording).filter_by(consultation_id=session.consultation).all()
        told = {(each.track, each.index): each for each in recording.segments}
    assert recording.id == session.recording and recording.completed_at is not None
    kept = spool.segments(local)
    assert {(each.track, each.index): each.sha256 for each in kept} == {
        place: each.sha256 for place, each in told.items()
    }
    for each in kept:
        row = told[each.track, each.index]
        assert (row.start_s, row.duration_s) == (each.start_s, each.duration_s)
        plain = real.vault.open_bytes(session.consultation, row.key)
        assert hashlib.sha256(plain).hexdigest() == each.sha256
    notes = actions.list_notes(real, people.technician, recording.id)
    assert sorted((note.id, note.kind, note.at_s, str(note.data)) for note in notes) == sorted(
        (note.id, note.kind, note.at_s, str(note.data)) for note in spool.notes(local)
    )


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_or_doubled_through_a_line_that_drops_stalls_corrupts_and_repeats(
    tmp_path: Path, clinic: tuple[RealCore, People, str], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture.core, "ANSWER_S", 1.0)
    monkeypatch.setattr(capture.upload, "ASK_AGAIN_S", 0.5)
    real, people, token = clinic
    cases = [make_case(real, people).id for _ in range(2)]
    home, port = tmp_path / "station", free_port()
    keep_facts(home, BaseFacts("BJ01", "Asia/Shanghai", real.vault.recipient))
    with (
        Spool(home) as spool,
        running_core(real.settings.home, port),
        HostileProxy(("127.0.0.1", port), seed) as proxy,
    ):
        for number, case in enumerate(cases):
            record(spool, f"s-{number}", case, 8, size=5000)
        with uploading(station_settings(home, proxy.url, token), spool):
            until(lambda: not spool.unfinished(), "everything is at the core")
        assert sum(proxy.met.values()) > 10
        for number in range(2):
            check_at_home(real, people, spool, f"s-{number}")


@pytest.mark.parametrize("point", POINTS)
def test_a_core_that_dies_at_any_point_of_an_upload_has_everything_once_in_the_end(
    tmp_path: Path, clinic: tuple[RealCore, People, str], point: str
) -> None:
    real, people, token = clinic
    case = make_case(real, people).id
    home, port = tmp_path / "station", free_port()
    keep_facts(home, BaseFacts("BJ01", "Asia/Shanghai", real.vault.recipient))
    with Spool(home) as spool:
        record(spool, "s-1", case, 3)
        with uploading(station_settings(home, f"http://127.0.0.1:{port}", token), spool):
            with running_core(real.settings.home, port, point) as doomed:
                until(lambda: doomed.poll() is not None, "the core dies")
            assert (real.settings.home / "died").exists()
            with running_core(real.settings.home, port):
                until(lambda: not spool.unfinished(), "everything is at the core")
        check_at_home(real, people, spool, "s-1")
    assert actions.show_case(real, people.technician, case).state is State.PROCESSING
    keys = [each.key for each in real.store.list(f"recordings/{case}")]
    assert len(keys) == len(set(keys)) == 6


def test_a_disk_that_is_full_here_does_not_say_that_the_core_is_away(
    core: SmallCore, tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise DiskFull(path=str(tmp_path), needed_mb=1, free_mb=0)

    with uploading(station_settings(tmp_path, core.url), spool) as uploader:
        until(lambda: uploader.status().online, "a greeting")
        monkeypatch.setattr(uploader, "_keep_house", full)
        uploader.wake()
        told = until(lambda: (status := uploader.status()).problem and status, "the full disk to be noticed")
        assert told.problem["code"] == "disk-full"
        assert told.online
