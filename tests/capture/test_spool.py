"""The spool keeps its word through any order of events and any number of sudden deaths."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from capture.recorder import CLOSED_LIST, Segment
from capture.spool import Spool
from config.errors import AlreadyExists, IllegalTransition, NotFound

TRACKS = {"desk": {"kind": "video", "role": "desk"}, "expert": {"kind": "audio", "role": "expert"}}


def close_segment(folder: Path, track: str, index: int) -> Segment:
    """Do what ffmpeg does when it closes a segment."""
    (folder / track).mkdir(parents=True, exist_ok=True)
    path = folder / track / f"{index:05d}.mkv"
    body = f"{track} {index}".encode()
    path.write_bytes(body)
    with (folder / track / CLOSED_LIST).open("a") as listed:
        listed.write(f"{path.name},{index * 2:.6f},{index * 2 + 2:.6f}\n")
    return Segment(track, index, path, hashlib.sha256(body).hexdigest(), len(body), index * 2.0, 2.0)


def opened(home: Path, recording: str = "rec-1") -> Spool:
    spool = Spool(home)
    spool.open(recording, "c-1", "2026-01-01T00:00:00+00:00", TRACKS)
    return spool


class SpoolMachine(RuleBasedStateMachine):
    """ffmpeg closes segments, the agent journals and uploads them, and the station dies whenever it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.spool = opened(self.home)
        self.closed: dict[tuple[str, int], Segment] = {}
        self.journalled: set[tuple[str, int]] = set()
        self.confirmed: set[tuple[str, int]] = set()
        self.complete = False

    @property
    def folder(self) -> Path:
        return self.home / "spool" / "rec-1"

    @precondition(lambda self: not self.complete)
    @rule(track=st.sampled_from(sorted(TRACKS)), journal=st.booleans())
    def close(self, track: str, journal: bool) -> None:
        index = len([each for each in self.closed if each[0] == track])
        segment = close_segment(self.folder, track, index)
        self.closed[track, index] = segment
        if journal and all((track, before) in self.journalled for before in range(index)):
            self.spool.add("rec-1", segment)
            self.journalled.add((track, index))

    @rule()
    def die_and_recover(self) -> None:
        self.spool = Spool(self.home)  # the old one is never closed: that is what dying is
        assert self.spool.recover("rec-1") == (
            0 if self.complete else len(self.closed) - len(self.journalled)
        )
        self.journalled |= set() if self.complete else set(self.closed)

    @precondition(lambda self: not self.complete and self.journalled)
    @rule(data=st.data(), confirmed=st.booleans())
    def upload(self, data: st.DataObject, confirmed: bool) -> None:
        track, index = data.draw(st.sampled_from(sorted(self.journalled)))
        self.spool.mark_uploaded("rec-1", track, index, confirmed=confirmed)
        (self.confirmed.add if confirmed else self.confirmed.discard)((track, index))

    @precondition(lambda self: not self.complete)
    @rule()
    def finish(self) -> None:
        if self.journalled == self.confirmed:
            self.spool.complete("rec-1")
            self.complete = True
        else:
            with pytest.raises(IllegalTransition):
                self.spool.complete("rec-1")

    @invariant()
    def nothing_unconfirmed_is_gone(self) -> None:
        pending = {(each.track, each.index): each for each in self.spool.pending("rec-1")}
        assert set(pending) == self.journalled - self.confirmed
        assert {(each.track, each.index) for each in self.spool.segments("rec-1")} == self.journalled
        if not self.complete:
            for key, segment in self.closed.items():
                assert segment.path.read_bytes() == f"{key[0]} {key[1]}".encode()
                assert pending.get(key, segment) == segment
        assert [each.recording for each in self.spool.unfinished()] == ([] if self.complete else ["rec-1"])
        assert self.folder.exists() != self.complete

    def teardown(self) -> None:
        shutil.rmtree(self.home)


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_files_that_outlived_their_completion_are_swept(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    folder = spool.session("rec-1").folder
    spool.complete("rec-1")
    close_segment(folder, "desk", 0)  # as if the power went between the journal and the deletion
    assert spool.unfinished() == []
    assert not folder.exists()


def test_a_recording_is_opened_once_and_an_unknown_one_is_not_found(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    with pytest.raises(AlreadyExists):
        spool.open("rec-1", "c-2", "2026-01-01T00:00:00+00:00", TRACKS)
    with pytest.raises(NotFound):
        spool.session("rec-2")


def test_one_process_at_a_time_works_on_a_recording(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    with spool.claim("rec-1") as mine, Spool(tmp_path).claim("rec-1") as other:
        assert (mine, other) == (True, False)
    with Spool(tmp_path).claim("rec-1") as again:
        assert again


WRITER = """
import sys
from pathlib import Path
from tests.capture.test_spool import close_segment, opened
spool = opened(Path(sys.argv[1]))
folder = spool.session("rec-1").folder
for index in range(100000):
    spool.add("rec-1", close_segment(folder, "desk", index))
    print(index, flush=True)
"""


def test_what_was_journalled_before_a_kill_is_there_after_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 20:
                os.kill(writer.pid, signal.SIGKILL)
                break
        told = max([20, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    spool = Spool(tmp_path)
    assert len(spool.segments("rec-1")) >= told + 1
    spool.recover("rec-1")
    assert [each.index for each in spool.segments("rec-1")] == list(range(len(spool.segments("rec-1"))))
