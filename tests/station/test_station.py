"""The station as its page drives it: a real core, real devices made of test sources, real files."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from api import actions
from archive.holding import HeldCase
from archive.models import Recording
from capture.spool import Note, Spool
from capture.station import Station
from capture.today import Today
from config.errors import ConsentMissing, ConsentRefused, ConsentWithdrawn, DiskFull, NotFound, NotReady
from config.settings import Settings
from tests.station.conftest import Room, until

pytestmark = pytest.mark.lengthy
RECORDED_S = 2.5


def recorded(station: Station) -> bool:
    session = station.snapshot()["session"]
    return session is not None and session["at_s"] > RECORDED_S


def at_the_core(room: Room, consultation: str) -> bool:
    """Whether every recording of the visit has been handed over in full."""
    with room.core.catalog.read() as session:
        kept = session.scalars(select(Recording).where(Recording.consultation_id == consultation)).all()
        return bool(kept) and all(recording.completed_at is not None for recording in kept)


def test_a_session_is_recorded_marked_ended_and_arrives_at_the_core(room: Room) -> None:
    with room.station() as station:
        station.start(room.visits["signed"], "演示")
        assert station.state == "recording"
        station.chapter("look")
        station.paper(True)
        until(lambda: recorded(station), "two seconds of recording")
        station.paper(False)
        station.stop()
        assert station.snapshot()["session"] is None
        until(lambda: at_the_core(room, room.visits["signed"]), "the recording at the core")
        until(lambda: station.snapshot()["queue"]["count"] == 0, "an empty queue")


def test_without_a_signed_consent_nothing_is_recorded(room: Room) -> None:
    with room.station() as station:
        with pytest.raises(ConsentMissing):
            station.start(room.visits["unsigned"], "患者不能等待")
        with pytest.raises(NotFound):
            station.start("nobody", "x")
        assert station.snapshot()["session"] is None
        assert not list((room.settings.home / "spool").glob("*/*"))


def test_two_taps_on_record_begin_one_session(room: Room) -> None:
    with room.station() as station:
        station.start(room.visits["signed"], "演示")
        with pytest.raises(NotReady) as refused:
            station.start(room.visits["signed"], "演示")
        assert refused.value.data["reason"] == "busy"


def test_a_privacy_pause_captures_nothing_and_is_a_marked_gap(room: Room) -> None:
    with room.station() as station:
        local = station.start(room.visits["signed"], "演示")
        until(lambda: recorded(station), "two seconds of recording")
        station.pause()
        station.pause()
        assert station.state == "paused"
        assert station.preview.newest("desk") is None
        paused_at = station.snapshot()["session"]["at_s"]
        until(lambda: station.snapshot()["session"]["at_s"] > paused_at + 1, "a second of pause")
        resumed_at = station.snapshot()["session"]["at_s"]
        station.resume()
        until(lambda: station.snapshot()["session"]["at_s"] > resumed_at + 3, "more recording")
        station.stop()
    with Spool(room.settings.home) as spool:
        for name in ("desk", "expert", "patient"):
            for segment in spool.segments(local):
                if segment.track == name:
                    begin, end = segment.start_s, segment.start_s + segment.duration_s
                    assert end <= paused_at + 0.3 or begin >= resumed_at - 0.3, (name, begin, end)
            gaps = [
                note.data for note in spool.notes(local) if note.kind == "gap" and note.data["track"] == name
            ]
            assert any(gap["reason"] == "pause" and gap["to_s"] - gap["from_s"] >= 1 for gap in gaps), gaps
        assert [note.data["on"] for note in spool.notes(local) if note.kind == "pause"] == [True, False]


def test_withdrawal_stops_at_once_and_nothing_more_reaches_the_core(room: Room) -> None:
    consultation = room.visits["signed"]
    with room.station() as station:
        station.start(consultation, "演示")
        until(lambda: recorded(station), "two seconds of recording")
        station.withdraw(consultation)
        assert station.snapshot()["session"] is None
        until(
            lambda: actions.show_case(room.core, room.people.technician, consultation).state == "withdrawn",
            "the core to know",
        )
        station.today.refresh()
        with pytest.raises(ConsentRefused):
            station.start(consultation, "演示")


def test_footage_that_a_manager_erases_at_the_core_is_erased_at_the_station_too(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.upload.GREET_S", 0.2)
    consultation, manager = room.visits["signed"], room.people.manager

    def decided() -> HeldCase:
        (held,) = actions.list_held(room.core, manager)[0]
        return held

    with room.station() as station:
        local = station.start(consultation, "演示")
        until(lambda: recorded(station), "two seconds of recording")
        station.withdraw(consultation, "我反悔了")
        until(lambda: actions.list_held(room.core, manager)[0], "the core to know")
        kept = list((room.settings.home / "spool" / local).rglob("*.age"))
        assert kept
        actions.erase_case(room.core, manager, consultation)
        until(lambda: decided().stations, "the station's word")
        assert [event.detail["sessions"] for event in decided().stations] == [1]
        assert not any(path.exists() for path in kept)
        assert station.snapshot()["queue"]["held"] == ()
    with Spool(room.settings.home) as spool:
        assert spool.session(local).state == "erased"
        assert spool.is_withdrawn(consultation)


def test_a_consent_withdrawn_at_the_core_ends_the_recording_here(room: Room) -> None:
    consultation = room.visits["signed"]
    with room.station() as station:
        station.start(consultation, "演示")
        until(lambda: recorded(station), "two seconds of recording")
        actions.withdraw_consent(room.core, room.people.technician, consultation)
        until(lambda: station.snapshot()["session"] is None, "the recording to end")
        until(lambda: station.snapshot()["queue"]["refused"] == 1, "the refusal to be told")
        assert (station.state, station.snapshot()["problem"]["code"]) == ("error", "consent-withdrawn")
        station.acknowledge()
        assert station.snapshot()["health"]["code"] != "refused", "what was taken back is no alarm for ever"


def test_a_session_whose_station_died_is_offered_and_goes_on_where_it_was(room: Room) -> None:
    consultation = room.visits["signed"]
    with room.station() as station:
        local = station.start(consultation, "演示")
        until(lambda: recorded(station), "two seconds of recording")
        # As power loss leaves it: the devices stop, nothing is closed.
        station._inputs.stop()
        station._session = None
    with room.station() as station:
        interrupted = station.snapshot()["interrupted"]
        assert [each["local"] for each in interrupted] == [local]
        with pytest.raises(NotFound):
            station.resume_interrupted("another")
        station.resume_interrupted(local)
        before = station.snapshot()["session"]["at_s"]
        assert before > RECORDED_S
        until(lambda: station.snapshot()["session"]["at_s"] > before + 2, "two more seconds")
        station.stop()
        until(lambda: at_the_core(room, consultation), "the recording at the core")


def test_a_session_whose_station_died_in_a_privacy_pause_goes_on_paused(room: Room) -> None:
    with room.station() as station:
        local = station.start(room.visits["signed"], "演示")
        station.chapter("look")
        station.paper(True)
        until(lambda: recorded(station), "two seconds of recording")
        station.pause()
        paused_at = station.snapshot()["session"]["at_s"]
        station._inputs.stop()
        station._session = None
    with Station(room.rig, room.settings) as station:
        assert {each["state"] for each in station.snapshot()["inputs"].values()} == {"paused"}
        assert [each["paused"] for each in station.snapshot()["interrupted"]] == [True]
        station.resume_interrupted(local)
        shown = station.snapshot()
        assert (shown["state"], shown["session"]["paused"], shown["session"]["paper"]) == (
            "paused",
            True,
            True,
        )
        assert [each["chapter"] for each in shown["session"]["chapters"]] == ["look"]
        assert {each["state"] for each in shown["inputs"].values()} == {"paused"}
        assert station.preview.newest("desk") is None
        begun = shown["session"]["at_s"]
        until(lambda: station.snapshot()["session"]["at_s"] > begun + 1, "a second of pause")
        resumed_at = station.snapshot()["session"]["at_s"]
        station.resume()
        until(lambda: station.snapshot()["session"]["at_s"] > resumed_at + 3, "more recording")
        station.stop()
    with Spool(room.settings.home) as spool:
        for segment in spool.segments(local):
            begin, end = segment.start_s, segment.start_s + segment.duration_s
            assert end <= paused_at + 0.3 or begin >= resumed_at - 0.3, (segment.name, begin, end)
        assert {
            segment.track for segment in spool.segments(local) if segment.start_s >= resumed_at - 0.3
        } == {
            "desk",
            "expert",
            "patient",
        }


def test_a_pause_is_noted_before_its_devices_have_ended_and_takes_no_picture_that_was_on_its_way(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with room.station() as station:
        local = station.start(room.visits["signed"], "演示")
        until(lambda: station.preview.newest("desk"), "a picture")

        def die() -> None:
            raise SystemExit  # as a station that is killed while its devices close their files

        monkeypatch.setattr(station._inputs, "pause", die)
        with pytest.raises(SystemExit):
            station.pause()
        station.preview.take("desk", b"a picture of before")
        assert station.preview.newest("desk") is None
        station._inputs.stop()
        station._session = None
    with Spool(room.settings.home) as spool:
        assert [each.paused for each in spool.interrupted() if each.local == local] == [True]


@pytest.mark.parametrize("key", ["pause", "withdraw"])
def test_neither_a_pause_nor_a_withdrawal_waits_for_a_disk_that_stalls(
    key: str, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with room.station() as station:
        station.start(room.visits["signed"], "演示")
        until(lambda: recorded(station), "two seconds of recording")
        stalls, goes_on, note = threading.Event(), threading.Event(), station._spool.note

        def slow(local: str, what: Note) -> None:
            stalls.set()
            assert goes_on.wait(30)
            note(local, what)

        monkeypatch.setattr(station._spool, "note", slow)
        wanted = {"pause": station.pause, "withdraw": lambda: station.withdraw(room.visits["signed"])}
        keys = [threading.Thread(target=each) for each in (lambda: station.chapter("look"), wanted[key])]
        keys[0].start()
        assert stalls.wait(10)
        keys[1].start()
        until(lambda: all(each.run is None for each in station._inputs._all), "every device to end")
        assert station.preview.newest("desk") is None
        goes_on.set()
        for each in keys:
            each.join()
        assert station.snapshot()["session"] is None if key == "withdraw" else station.state == "paused"


def test_the_plan_begins_nothing_again_when_the_station_died_in_a_pause_or_after_a_stop(room: Room) -> None:
    visit = room.visits["signed"]
    actions.plan_room(room.core, room.people.technician, room.settings.capture.room, visit, automatic=True)
    # As the list tells it while the core is away; one that answers has heard of the recording.
    away = Settings(
        home=room.settings.home,
        capture=room.settings.capture.model_copy(update={"core_url": "http://127.0.0.1:9"}),
    )
    with Station(room.rig, room.settings) as station:
        until(lambda: recorded(station), "the plan to begin")
    # A stop by the end of the program is a stop, too.
    with Station(room.rig, away) as station:
        assert station.today.find(visit).automatic
        assert station.today.find(visit).may_record
        station.tick()
        assert station.snapshot()["session"] is None
        local = station.start(visit, "演示")
        station.pause()
        station._inputs.stop()
        station._session = None
    with Station(room.rig, away) as station:
        station.tick()
        assert station.snapshot()["session"] is None
        assert [each["local"] for each in station.snapshot()["interrupted"]] == [local]
        assert {each["state"] for each in station.snapshot()["inputs"].values()} == {"paused"}


def test_a_session_does_not_go_on_when_the_patient_withdrew_at_the_core_meanwhile(room: Room) -> None:
    consultation = room.visits["signed"]
    with room.station() as station:
        local = station.start(consultation, "演示")
        station._inputs.stop()
        station._session = None
    with room.station() as station:
        actions.withdraw_consent(room.core, room.people.technician, consultation)
        with pytest.raises(ConsentRefused):
            station.resume_interrupted(local)
        assert station.snapshot()["session"] is None


def test_a_patient_may_withdraw_while_it_is_asked_whether_a_session_goes_on(room: Room) -> None:
    with room.station() as station:
        local = station.start(room.visits["signed"], "演示")
        until(lambda: recorded(station), "two seconds of recording")
        station._inputs.stop()
        station._session = None
    with room.station() as station:
        station.withdraw(room.visits["signed"])
        assert station.snapshot()["interrupted"] == []
        with pytest.raises(NotFound):
            station.resume_interrupted(local)


def test_a_session_whose_station_died_can_be_closed_as_it_is(room: Room) -> None:
    with room.station() as station:
        local = station.start(room.visits["signed"], "演示")
        until(lambda: recorded(station), "two seconds of recording")
        station._inputs.stop()
        station._session = None
    with room.station() as station:
        station.close_interrupted(local)
        assert station.snapshot()["interrupted"] == []
        until(lambda: at_the_core(room, room.visits["signed"]), "the recording at the core")


def test_a_disk_that_runs_full_ends_the_session_in_order_and_says_so(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with room.station() as station:
        station.start(room.visits["signed"], "演示")
        until(lambda: recorded(station), "two seconds of recording")
        monkeypatch.setattr("capture.space.space_left_s", lambda *_: 0.0)
        until(lambda: station.state == "error", "the alarm", 15)
        shown = station.snapshot()
        assert shown["session"] is None
        assert (shown["problem"]["code"], shown["health"]["level"]) == ("disk-full", "bad")
        monkeypatch.undo()
        station.acknowledge()
        assert station.snapshot()["problem"] is None
        until(lambda: at_the_core(room, room.visits["signed"]), "what was recorded at the core")


def test_a_problem_that_nobody_acknowledged_does_not_hide_the_next_recording(room: Room) -> None:
    with room.station() as station:
        station._problem = DiskFull(path="x", needed_mb=1, free_mb=0)
        assert station.state == "error"
        station.start(room.visits["signed"], "演示")
        assert (station.state, station.snapshot()["problem"]) == ("recording", None)


def test_a_visit_that_was_recorded_is_told_as_that_and_not_as_unsigned(room: Room) -> None:
    consultation = room.visits["signed"]
    with room.station() as station:
        station.start(consultation, "演示")
        until(lambda: recorded(station), "two seconds of recording")
        station.stop()
        told = {visit["id"]: visit["recorded"] for visit in station.snapshot()["today"]}
        assert told == {consultation: True, room.visits["unsigned"]: False}
        until(lambda: at_the_core(room, consultation), "the recording at the core")
        with pytest.raises(NotReady) as refused:
            station.start(consultation, "演示")
        assert refused.value.data["reason"] == "recorded"


def test_marks_and_pauses_need_a_session(room: Room) -> None:
    with room.station() as station:
        for command in (
            station.pause,
            station.resume,
            lambda: station.chapter("ask"),
            lambda: station.paper(True),
        ):
            with pytest.raises(NotReady):
                command()
        station.stop()


def test_with_the_core_away_everything_works_and_is_sent_later(room: Room, tmp_path: Path) -> None:
    with room.station() as station:
        until(lambda: station.snapshot()["queue"]["online"], "the core")
    dead = room.settings.model_copy(
        update={"capture": room.settings.capture.model_copy(update={"core_url": "http://127.0.0.1:9"})}
    )
    with Station(room.rig, dead) as station:
        until(lambda: station.snapshot()["inputs"]["desk"]["state"] == "watching", "the devices")
        assert len(station.today.visits) == 2
        station.start(room.visits["signed"], "演示")
        until(lambda: recorded(station), "two seconds of recording")
        station.stop()
        shown = station.snapshot()
        assert shown["queue"]["count"] > 0
        assert not shown["queue"]["online"]
    with room.station():
        until(lambda: at_the_core(room, room.visits["signed"]), "the recording at the core")


def test_the_station_is_there_within_three_seconds(room: Room) -> None:
    started = time.monotonic()
    with Station(room.rig, room.settings):
        assert time.monotonic() - started < 3


def test_people_are_asked_one_by_one_before_a_session_and_never_in_one(room: Room) -> None:
    with room.station() as station:
        assert station.snapshot()["role_check"] is None
        station.check_roles()
        assert station.snapshot()["role_check"]["asked"] == "expert"
        station.end_role_check()
        assert station.snapshot()["role_check"] is None
        station.start(room.visits["signed"], "演示")
        with pytest.raises(NotReady):
            station.check_roles()


def test_what_was_withdrawn_here_is_not_recorded_again_though_the_core_has_not_heard_of_it(
    room: Room,
) -> None:
    with room.station():
        pass
    dead = room.settings.model_copy(
        update={"capture": room.settings.capture.model_copy(update={"core_url": "http://127.0.0.1:9"})}
    )
    consultation = room.visits["signed"]
    with Station(room.rig, dead) as station:
        station.start(consultation, "演示")
        station.withdraw(consultation)
        assert station.snapshot()["session"] is None
        told = {visit["id"]: visit for visit in station.snapshot()["today"]}
        assert (told[consultation]["may_record"], told[consultation]["consent"]) == (False, "withdrawn")
        with pytest.raises(ConsentWithdrawn):
            station.start(consultation, "演示")


def test_a_session_that_runs_past_midnight_can_still_be_withdrawn(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    with room.station() as station:
        station.start(room.visits["signed"], "演示")
        monkeypatch.setattr(Today, "visits", ())
        with pytest.raises(NotFound):
            station.withdraw(room.visits["unsigned"])
        station.withdraw(room.visits["signed"])
        assert station.snapshot()["session"] is None


def test_a_session_that_cannot_begin_leaves_the_station_ready(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise DiskFull(path="x", needed_mb=1, free_mb=0)

    with room.station() as station:
        with monkeypatch.context() as broken:
            broken.setattr(station._inputs, "record", full)
            with pytest.raises(DiskFull):
                station.start(room.visits["signed"], "演示")
        assert station.snapshot()["session"] is None
        station.start(room.visits["signed"], "演示")
        assert station.state == "recording"


def test_a_network_that_stalls_keeps_nobody_from_recording(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled = threading.Event()
    with room.station() as station:
        monkeypatch.setattr(station.today, "_fetch", lambda: stalled.wait(60) and [])
        begun = time.monotonic()
        station.start(room.visits["signed"], "演示")
        assert time.monotonic() - begun < 6
        assert station.state == "recording"
        stalled.set()
