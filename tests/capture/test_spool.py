"""The spool keeps its word through any order of events and any number of sudden deaths."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pyrage import x25519

import capture.seal
import capture.spool
from capture.recorder import CLOSED_LIST, Segment
from capture.seal import BaseFacts, facts_path, keep_facts, read_facts
from capture.segments import Place, write_place
from capture.spool import Note, Spool
from config.errors import (
    AlreadyExists,
    BaseKeyChanged,
    ConsentMissing,
    CoreUnreachable,
    DatabaseUnavailable,
    DiskFull,
    IllegalTransition,
    NotFound,
    NotReady,
)

TRACKS = {"desk": {"kind": "video", "role": "desk"}, "expert": {"kind": "audio", "role": "expert"}}
IDENTITY = x25519.Identity.generate()
FACTS = BaseFacts("BJ01", "Asia/Shanghai", str(IDENTITY.to_public()))


def body_of(track: str, index: int) -> bytes:
    return f"the patient's face in {track} {index}".encode()


def close_segment(folder: Path, track: str, index: int) -> Segment:
    """Do what ffmpeg does when it closes a segment."""
    (folder / track).mkdir(parents=True, exist_ok=True)
    path = folder / track / f"{index:05d}.mkv"
    body = body_of(track, index)
    path.write_bytes(body)
    with (folder / track / CLOSED_LIST).open("a") as listed:
        listed.write(f"{path.name},{index * 2:.6f},{index * 2 + 2:.6f}\n")
    return Segment(track, index, path, hashlib.sha256(body).hexdigest(), len(body), index * 2.0, 2.0)


def begin(spool: Spool, local: str, consultation: str = "c-1", ago_s: float = 0.0) -> None:
    spool.open(
        local,
        consultation=consultation,
        kind="consultation",
        started_at=datetime.now(UTC) - timedelta(seconds=ago_s),
        tracks=TRACKS,
        rig={"camera": []},
        light={"verdict": "pass"},
    )


def opened(home: Path, local: str = "s-1") -> Spool:
    keep_facts(home, FACTS)
    spool = Spool(home)
    begin(spool, local)
    return spool


def unsealed(path: Path) -> bytes:
    return bytes(pyrage.decrypt(path.read_bytes(), [IDENTITY]))


def plain_files(home: Path) -> list[Path]:
    """Files that hold something readable of a recording."""
    return [path for path in home.rglob("*") if path.is_file() and b"the patient's face" in path.read_bytes()]


def die(spool: Spool) -> None:
    """What the death of its process does to a spool: the locks go, nothing else happens."""
    spool._claims.drop_all()


class SpoolMachine(RuleBasedStateMachine):
    """ffmpeg closes segments, the station seals and uploads them, and it dies whenever it likes, also half-way."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.spool = opened(self.home)
        self.recorded: dict[tuple[str, int], Segment] = {}
        self.journalled: set[tuple[str, int]] = set()
        self.confirmed: set[tuple[str, int]] = set()
        self.notes: dict[str, Note] = {}
        self.sent: set[str] = set()
        self.closed = self.complete = False
        self.state = "waiting"

    @property
    def folder(self) -> Path:
        return self.home / "spool" / "s-1"

    @precondition(lambda self: not self.closed)
    @rule(
        track=st.sampled_from(sorted(TRACKS)), death=st.sampled_from(["no", "before", "sealed", "journalled"])
    )
    def close_one(self, track: str, death: str) -> None:
        index = len([each for each in self.recorded if each[0] == track])
        segment = close_segment(self.folder, track, index)
        self.recorded[track, index] = segment
        if death == "no":
            self.spool.add("s-1", segment)
            self.journalled.add((track, index))
            return
        if death == "sealed":
            # Sealed and renamed, then death: the journal knows nothing of it.
            target = segment.path.with_name(segment.path.name + ".age")
            capture.seal.seal_file(segment.path, target, FACTS.recipient)
        if death == "journalled":
            self.spool._seal("s-1", segment)
        self.die_and_recover()

    @rule()
    def die_and_recover(self) -> None:
        die(self.spool)
        self.spool = Spool(self.home)  # the old one is never closed: that is what dying is
        waiting = [each.local for each in self.spool.interrupted()]
        assert waiting == ([] if self.closed else ["s-1"])
        if not self.closed:
            end_s = max((each.start_s + each.duration_s for each in self.recorded.values()), default=0.0)
            assert self.spool.continue_from("s-1") >= end_s
            self.journalled = set(self.recorded)
            for note in self.spool.notes("s-1"):
                self.notes.setdefault(note.id, note)

    @rule(track=st.sampled_from(sorted(TRACKS)))
    def add_again(self, track: str) -> None:
        for key, segment in self.recorded.items():
            if key[0] == track and key in self.journalled and not self.complete:
                self.spool.add("s-1", segment)

    @rule(kind=st.sampled_from(["gap", "chapter"]), at_s=st.floats(0, 7200))
    def note(self, kind: str, at_s: float) -> None:
        note = Note(kind, at_s, {"n": len(self.notes)})
        for _ in range(2):
            self.spool.note("s-1", note)
        self.notes[note.id] = note

    @precondition(lambda self: self.notes)
    @rule(data=st.data())
    def send_note(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.notes)))
        self.spool.mark_sent(name)
        self.sent.add(name)

    @precondition(lambda self: not self.complete and self.journalled)
    @rule(data=st.data(), confirmed=st.booleans())
    def upload(self, data: st.DataObject, confirmed: bool) -> None:
        track, index = data.draw(st.sampled_from(sorted(self.journalled)))
        self.spool.mark_uploaded("s-1", track, index, confirmed=confirmed)
        (self.confirmed.add if confirmed else self.confirmed.discard)((track, index))

    @precondition(lambda self: not self.closed)
    @rule()
    def end(self) -> None:
        for _ in range(2):
            self.spool.close("s-1")
        self.closed = True
        self.journalled = set(self.recorded)

    @precondition(lambda self: not self.complete)
    @rule(refused=st.booleans())
    def judge(self, refused: bool) -> None:
        if refused:
            self.spool.refuse("s-1", ConsentMissing(consultation="c-1", purpose="record"))
        else:
            self.spool.admit("s-1")
        self.state = "refused" if refused else "waiting"

    @precondition(lambda self: not self.complete)
    @rule()
    def finish(self) -> None:
        if self.closed and self.journalled == self.confirmed:
            self.spool.complete("s-1", "case-1" if self.journalled else None)
            self.complete = True
        else:
            with pytest.raises(IllegalTransition):
                self.spool.complete("s-1", "case-1" if self.journalled else None)

    @rule(days=st.floats(1, 30))
    def keep_house(self, days: float) -> None:
        self.spool.expire(days * 86_400)

    @invariant()
    def nothing_is_lost_and_nothing_lies_about_plain(self) -> None:
        kept = {(each.track, each.index): each for each in self.spool.segments("s-1")}
        assert set(kept) == self.journalled
        pending = {(each.track, each.index) for each in self.spool.pending("s-1")}
        assert pending == self.journalled - self.confirmed
        for key, each in kept.items():
            assert unsealed(each.path) == body_of(*key)
            assert each.sha256 == self.recorded[key].sha256
            assert hashlib.sha256(each.path.read_bytes()).hexdigest() == each.sealed_sha256
            assert each.path.stat().st_size == each.sealed_size
        assert plain_files(self.home) == []

    @invariant()
    def notes_and_the_queue_tell_the_truth(self) -> None:
        assert {each.id: each for each in self.spool.notes("s-1")} == self.notes
        assert {each.id for each in self.spool.notes("s-1", unsent=True)} == set(self.notes) - self.sent
        queue = self.spool.queue()
        waiting = (
            len(self.journalled - self.confirmed) if self.state == "waiting" and not self.complete else 0
        )
        assert queue.count == waiting
        assert queue.refused == (self.state == "refused" and not self.complete)
        assert [each.local for each in self.spool.unfinished()] == ([] if self.complete else ["s-1"])

    def teardown(self) -> None:
        self.spool.shut()
        shutil.rmtree(self.home)


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


def test_without_the_base_s_key_nothing_may_be_recorded(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    with pytest.raises(NotReady) as refused:
        begin(spool, "s-1")
    assert refused.value.data == {"reason": "sealing"}
    assert spool.unfinished() == spool.interrupted() == []
    facts_path(tmp_path).parent.mkdir()
    facts_path(tmp_path).write_text('{"base": "BJ01", "zone": "UTC", "recipient": "age1nonsense"}')
    with pytest.raises(NotReady):
        begin(spool, "s-1")


def test_another_key_than_the_one_kept_is_never_taken(tmp_path: Path) -> None:
    keep_facts(tmp_path, FACTS)
    with pytest.raises(BaseKeyChanged):
        keep_facts(tmp_path, BaseFacts("BJ01", "UTC", str(x25519.Identity.generate().to_public())))
    with pytest.raises(CoreUnreachable):
        keep_facts(tmp_path, BaseFacts("BJ01", "UTC", "no key"))
    assert read_facts(tmp_path) == FACTS
    keep_facts(tmp_path, BaseFacts("BJ01", "UTC", FACTS.recipient))
    assert read_facts(tmp_path).zone == "UTC"


def test_a_session_is_opened_once_and_an_unknown_one_is_not_found(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    with pytest.raises(AlreadyExists):
        begin(spool, "s-1")
    with pytest.raises(NotFound):
        spool.session("s-2")
    with pytest.raises(NotFound):
        spool.close("s-2")


def test_other_bytes_in_a_journalled_place_are_refused_and_kept(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    segment = close_segment(spool.folder("s-1"), "desk", 0)
    spool.add("s-1", segment)
    segment.path.write_bytes(b"something else")
    other = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(AlreadyExists):
        spool.add("s-1", Segment("desk", 0, segment.path, other, 14, 0.0, 2.0))
    assert segment.path.read_bytes() == b"something else"
    spool.close("s-1")
    (fragment,) = spool.folder("s-1").rglob("*.fragment.age")
    assert unsealed(fragment) == b"something else"
    assert unsealed(spool.segments("s-1")[0].path) == body_of("desk", 0)


def test_the_open_segment_of_a_killed_station_is_sealed_too(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    folder = spool.folder("s-1")
    spool.add("s-1", close_segment(folder, "desk", 0))
    (folder / "desk" / "00001.mkv").write_bytes(b"the patient's face, half")
    (folder / "desk" / "00002.mkv").write_bytes(b"")
    (folder / "desk" / "00001.mkv.age.part").write_bytes(b"half sealed")
    die(spool)
    again = Spool(tmp_path)
    again.close("s-1")
    assert plain_files(tmp_path) == []
    (fragment,) = folder.rglob("*.fragment.age")
    assert unsealed(fragment) == b"the patient's face, half"
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".age", ".csv"}
    assert [each.index for each in again.segments("s-1")] == [0]


def test_what_lies_plain_is_sealed_before_anybody_has_decided_about_its_session(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    folder = spool.folder("s-1")
    close_segment(folder, "desk", 0)
    (folder / "desk" / "00001.mkv").write_bytes(b"the patient's face, half")
    living = Spool(tmp_path)
    living.tidy()
    assert len(plain_files(tmp_path)) == 2  # it is being recorded: nobody else's business
    die(spool)
    living.tidy()
    assert plain_files(tmp_path) == []
    assert [(each.local, each.segments) for each in living.interrupted()] == [("s-1", 1)]
    assert not living.session("s-1").closed


def test_whoever_asks_a_spool_that_was_shut_is_told_so(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.shut()
    with pytest.raises(DatabaseUnavailable, match="closed"):
        spool.queue()


def test_one_process_at_a_time_records_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capture.claims.CLAIM_S", 0.1)
    spool = opened(tmp_path)
    other = Spool(tmp_path)
    assert other.interrupted() == []
    assert other.is_recorded("s-1") and spool.is_live("s-1") and not other.is_live("s-1")
    for refused in (other.close, other.continue_from):
        with pytest.raises(NotReady) as caught:
            refused("s-1")
        assert caught.value.data == {"reason": "busy"}
    spool.shut()
    assert [each.local for each in other.interrupted()] == ["s-1"]


def test_a_continuation_begins_where_the_wall_clock_says_and_the_break_is_a_gap(tmp_path: Path) -> None:
    keep_facts(tmp_path, FACTS)
    spool = Spool(tmp_path)
    begin(spool, "s-1", ago_s=100)
    spool.add("s-1", close_segment(spool.folder("s-1"), "desk", 0))
    die(spool)
    again = Spool(tmp_path)
    (told,) = again.interrupted()
    assert (told.consultation, told.seconds, told.segments) == ("c-1", 2.0, 1)
    from_s = again.continue_from("s-1")
    assert from_s == pytest.approx(100, abs=5)
    gaps = [each.data for each in again.notes("s-1")]
    assert gaps == [
        {"track": "desk", "from_s": 2.0, "to_s": from_s, "reason": "station"},
        {"track": "expert", "from_s": 0, "to_s": from_s, "reason": "station"},
    ]
    assert again.interrupted() == []
    again.close("s-1")
    with pytest.raises(IllegalTransition):
        again.continue_from("s-1")


@pytest.mark.parametrize(("ago_s", "expected_s"), [(-7200, 2.0), (40 * 86_400, 86_402.0)])
def test_a_wall_clock_that_was_changed_neither_overlaps_nor_stretches_a_session(
    tmp_path: Path, ago_s: float, expected_s: float
) -> None:
    keep_facts(tmp_path, FACTS)
    spool = Spool(tmp_path)
    begin(spool, "s-1", ago_s=ago_s)
    spool.add("s-1", close_segment(spool.folder("s-1"), "desk", 0))
    die(spool)
    assert Spool(tmp_path).continue_from("s-1") == expected_s


def completed(spool: Spool, local: str) -> Path:
    """A session the core has in full; its one file."""
    begin(spool, local)
    spool.add(local, close_segment(spool.folder(local), "desk", 0))
    spool.close(local)
    spool.mark_uploaded(local, "desk", 0)
    spool.complete(local, "case-1")
    return spool.segments(local)[0].path


def test_copies_go_some_days_after_the_core_has_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened(tmp_path, "s-0")
    spool.add("s-0", close_segment(spool.folder("s-0"), "desk", 0))
    path = completed(spool, "s-1")
    now = time.time()
    for days, there in ((0, True), (6.9, True), (7.1, False)):
        monkeypatch.setattr("capture.spool.time.time", lambda days=days: now + days * 86_400)
        spool.expire(7 * 86_400)
        assert path.exists() is there
    spool.expire(7 * 86_400)
    assert spool.pending("s-0")[0].path.exists()


def test_a_low_disk_takes_the_oldest_confirmed_copy_first_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened(tmp_path, "s-0")
    spool.add("s-0", close_segment(spool.folder("s-0"), "desk", 0))
    copies = [completed(spool, local) for local in ("s-1", "s-2", "s-3")]
    free = [10]

    def usage(_path: object) -> Any:
        # Each copy that goes frees ten bytes.
        return type("usage", (), {"free": free[0] + 10 * sum(not path.exists() for path in copies)})

    monkeypatch.setattr("capture.spool.shutil.disk_usage", usage)
    spool.make_room(20)
    assert [path.exists() for path in copies] == [False, True, True]
    spool.make_room(1000)
    assert not any(path.exists() for path in copies)
    assert spool.pending("s-0")[0].path.exists()


def test_a_withdrawal_keeps_what_the_core_lacks_and_removes_what_it_has(tmp_path: Path) -> None:
    spool = opened(tmp_path, "s-0")
    spool.add("s-0", close_segment(spool.folder("s-0"), "desk", 0))
    spool.close("s-0")
    copy = completed(spool, "s-1")
    begin(spool, "s-2", "c-2")
    for _ in range(2):
        spool.withdraw("c-1", "no more")
    assert not copy.exists()
    assert spool.pending("s-0")[0].path.exists()
    assert [each.local for each in spool.unfinished()] == ["s-2"]
    (held,) = spool.queue().held
    assert (held.local, held.state, held.problem and held.problem["code"]) == (
        "s-0",
        "withdrawn",
        "consent-withdrawn",
    )
    assert [(each.consultation, each.reason) for each in spool.withdrawals()] == [("c-1", "no more")]
    spool.mark_withdrawn("c-1")
    assert spool.withdrawals() == []
    spool.admit("s-0")
    assert spool.session("s-0").state == "withdrawn"


def test_a_disk_too_full_to_seal_keeps_the_plain_segment_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened(tmp_path)
    segment = close_segment(spool.folder("s-1"), "desk", 0)

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("capture.seal.pyrage.encrypt_file", full)
    for fails in (lambda: spool.add("s-1", segment), lambda: spool.close("s-1")):
        with pytest.raises(DiskFull):
            fails()
    assert segment.path.read_bytes() == body_of("desk", 0)
    monkeypatch.undo()
    assert [each.local for each in spool.interrupted()] == ["s-1"]
    spool.close("s-1")
    assert unsealed(spool.segments("s-1")[0].path) == body_of("desk", 0)
    assert plain_files(tmp_path) == []


def clocks(spool: Spool) -> list[tuple[str, float, float]]:
    notes = [note for note in spool.notes("s-1") if note.kind == "clock"]
    return [(note.data["track"], note.at_s, note.data["drift_ppm"]) for note in notes]


def test_drift_is_noted_per_input_every_five_minutes_and_once_more_at_the_end(tmp_path: Path) -> None:
    spool = opened(tmp_path)

    def record(index: int, track: str, drift_ppm: float | None) -> None:
        segment = close_segment(spool.folder("s-1"), track, index)
        placed = dataclasses.replace(segment, start_s=50.0 * index, duration_s=50.0, drift_ppm=drift_ppm)
        spool.add("s-1", placed)

    for index, drift_ppm in enumerate((None, 3.0, 4.0, 5.0)):
        record(index, "desk", drift_ppm)
        record(index, "expert", None)
    assert clocks(spool) == [("desk", 100.0, 3.0)]
    for index in range(4, 10):
        record(index, "desk", 20.0)
    for _ in range(2):
        spool.close("s-1")
    assert clocks(spool) == [("desk", 100.0, 3.0), ("desk", 400.0, 20.0), ("desk", 500.0, 20.0)]


def test_drift_of_what_a_killed_station_left_is_noted_when_it_is_found(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    close_segment(spool.folder("s-1"), "desk", 0)
    write_place(spool.folder("s-1") / "desk", Place(0, 0.25, -31.5))
    die(spool)
    with Spool(tmp_path) as found:
        found.close("s-1")
        assert clocks(found) == [("desk", 2.25, -31.5)]


def test_a_journal_of_before_drift_was_kept_goes_on(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.add("s-1", close_segment(spool.folder("s-1"), "desk", 0))
    die(spool)
    with sqlite3.connect(tmp_path / "spool" / "journal.db") as old:
        old.execute("alter table station_segment drop column drift_ppm")
    with Spool(tmp_path) as found:
        found.add("s-1", close_segment(found.folder("s-1"), "desk", 1))
        found.close("s-1")
        assert len(found.segments("s-1")) == 2
        assert clocks(found) == []


def test_what_an_earlier_version_left_plain_is_taken_over(tmp_path: Path) -> None:
    place = tmp_path / "spool"
    folder = place / "rec-1"
    close_segment(folder, "desk", 0)
    close_segment(place / "rec-2", "desk", 0)
    with sqlite3.connect(place / "journal.db") as old:
        old.executescript("""
create table session (recording text primary key, consultation text not null, started_at text not null,
    tracks text not null, recorded integer not null default 0, complete integer not null default 0);
create table segment (recording text not null references session, track text not null, number integer not null,
    file text not null, sha256 text not null, size integer not null,
    start_s real not null, duration_s real not null, uploaded integer not null default 0,
    primary key (recording, track, number));
insert into session values ('rec-1', 'c-1', '2026-01-01T00:00:00+00:00', '{"desk": {"kind": "video", "role": "desk"}}', 1, 0);
insert into session values ('rec-2', 'c-2', '2026-01-01T00:00:00+00:00', '{}', 1, 1);
""")
    keep_facts(tmp_path, FACTS)
    spool = Spool(tmp_path)
    assert [each.local for each in spool.interrupted()] == ["rec-1"]
    spool.close("rec-1")
    spool.expire(7 * 86_400)
    assert spool.session("rec-1").recording == "rec-1"
    assert unsealed(spool.pending("rec-1")[0].path) == body_of("desk", 0)
    assert plain_files(tmp_path) == []


WRITER = """
import sys
from pathlib import Path
from tests.capture.test_spool import FACTS, begin, close_segment
from capture.seal import BaseFacts, keep_facts
from capture.spool import Spool
keep_facts(Path(sys.argv[1]), BaseFacts("BJ01", "Asia/Shanghai", sys.argv[2]))
spool = Spool(Path(sys.argv[1]))
begin(spool, "s-1")
for index in range(100000):
    segment = close_segment(spool.folder("s-1"), "desk", index)
    print("closed", index, flush=True)
    spool.add("s-1", segment)
    print("added", index, flush=True)
"""


@pytest.mark.parametrize("at", ["added 20", "closed 21", "closed 5"])
def test_what_was_closed_before_a_kill_is_there_after_it_and_sealed(tmp_path: Path, at: str) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path), FACTS.recipient]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as writer:
        assert writer.stdout is not None
        lines = []
        for line in writer.stdout:
            lines.append(line)
            if line.strip() == at:
                os.kill(writer.pid, signal.SIGKILL)
                break
        lines += [line for line in writer.stdout if line.endswith("\n")]
    told = max(int(line.split()[1]) for line in lines if line.startswith("closed"))
    spool = Spool(tmp_path)
    spool.close("s-1")
    kept = spool.segments("s-1")
    assert [each.index for each in kept] == list(range(len(kept)))
    assert len(kept) >= told + 1
    assert all(unsealed(each.path) == body_of("desk", each.index) for each in kept)
    assert plain_files(tmp_path) == []
