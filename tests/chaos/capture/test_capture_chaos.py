"""Violence against one session: afterwards every second outside journalled gaps is in the archive, in order, in sync."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.capture.hostile_proxy import HostileProxy
from tests.chaos.capture.house import TRACKS, house, pause_s
from tests.chaos.capture.proof import BRIEF_S, Evidence, opened, prove
from tests.chaos.clinic import until

pytestmark = [pytest.mark.alone, pytest.mark.quiet]
SEED = 20_261_124
UNPLUGGED_S = 5.0
STOOD_STILL_S = 3.0  # longer than a device may be silent
BLOWS = ["input"] * 36 + ["station"] * 7 + ["core"] * 7


def test_after_fifty_kills_in_one_session_every_second_outside_the_gaps_is_in_the_archive(
    tmp_path: Path,
) -> None:
    chance = random.Random(SEED)
    blows = chance.sample(BLOWS, len(BLOWS))
    with house(tmp_path) as room:
        local = room.record()
        for number, blow in enumerate(blows):
            pause_s(chance.uniform(0.3, 1.6))
            print(f"seed {SEED}, blow {number}: {blow} at {room.clock.now_s():.1f} s")
            if blow == "input":
                until(room.station.children, "a child to kill", 30)
                os.kill(chance.choice(room.station.children()), signal.SIGKILL)
            elif blow == "core":
                room.core.end()
                room.core.start()
            else:
                room.station.end()
                room.go_on(local)
        room.let_record(2)
        room.stop()
        evidence = opened(room, tmp_path)
    figures = prove(evidence, tmp_path)
    print(figures)
    assert all(figures[f"{track}_covered_s"] > 20 for track in TRACKS), figures


def test_a_lost_second_a_doubled_one_and_a_moved_one_are_noticed(tmp_path: Path) -> None:
    with house(tmp_path) as room:
        room.record()
        room.let_record(5)
        room.stop()
        evidence = opened(room, tmp_path)
    prove(evidence, tmp_path)
    kept = evidence.of("expert")
    number = next(n for n, each in enumerate(kept) if each.start_s > kept[0].start_s + BRIEF_S)
    before, lost, rest = kept[:number], kept[number], kept[number + 1 :]
    others = [each for each in evidence.pieces if each.track != "expert"]
    put_right = lost._replace(start_s=lost.start_s + 0.012)
    prove(Evidence([*others, *before, put_right, *rest], evidence.holes, evidence.end_s), tmp_path)
    moved = lost._replace(start_s=lost.start_s + 0.055)
    doubled = lost._replace(index=99, start_s=lost.start_s + 1)
    for wrong in ([*before, *rest], [*before, moved, *rest], [*before, lost, doubled, *rest]):
        with pytest.raises(AssertionError, match="expert"):
            prove(Evidence([*others, *wrong], evidence.holes, evidence.end_s), tmp_path)


def test_an_unplugged_input_leaves_a_gap_in_its_true_place_and_the_others_none(tmp_path: Path) -> None:
    with house(tmp_path) as room:
        room.record()
        room.let_record(3)
        begun_s = room.state()["session"]["at_s"]
        room.devices["expert"].unplug()
        pause_s(UNPLUGGED_S)
        room.devices["expert"].plug_in()
        ended_s = room.state()["session"]["at_s"]
        recorded_s = room.recorded_s()["expert"]
        until(lambda: room.recorded_s()["expert"] > recorded_s + 2, "the microphone again", 30)
        room.stop()
        evidence = opened(room, tmp_path)
    prove(evidence, tmp_path)
    assert set(evidence.interruptions) == {"expert"}
    (hole,) = evidence.interruptions["expert"]
    assert hole.from_s == pytest.approx(begun_s, abs=1.1)  # at most the segment that was open
    assert ended_s - 0.1 < hole.to_s < ended_s + 3  # started again within three seconds


def test_a_core_that_was_away_for_the_whole_session_gets_all_of_it_over_a_hostile_line(
    tmp_path: Path,
) -> None:
    lines: list[HostileProxy] = []
    with contextlib.ExitStack() as stack:

        def hostile(url: str) -> str:
            target = urlsplit(url)
            lines.append(HostileProxy((str(target.hostname), int(target.port or 0)), SEED, faults=0))
            return stack.enter_context(lines[0]).url

        room = stack.enter_context(house(tmp_path, core_url=hostile))
        until(lambda: room.state()["queue"]["online"], "the base's key", 60)
        until(room.is_watching, "the list of today", 60)
        room.core.end()
        room.record()
        room.let_record(5)
        room.stop()
        assert room.state()["queue"]["count"] > 0
        lines[0].faults = lines[0].met.total() + 12
        room.core.start()
        evidence = opened(room, tmp_path)
        prove(evidence, tmp_path)
        assert not evidence.interruptions
        assert lines[0].met.total() > lines[0].met["none"]


def test_a_machine_that_stands_still_for_a_while_restarts_no_input_and_loses_nothing(tmp_path: Path) -> None:
    with house(tmp_path) as room:
        room.record()
        room.let_record(2)
        assert room.station.process is not None
        frozen = [room.station.process.pid, *room.station.children()]
        for _ in range(2):
            for each in frozen:
                os.kill(each, signal.SIGSTOP)
            pause_s(STOOD_STILL_S)
            for each in frozen:
                os.kill(each, signal.SIGCONT)
            pause_s(1.0)
        room.let_record(10)
        restarts = [each["restarts"] for each in room.state()["inputs"].values()]
        room.stop()
        evidence = opened(room, tmp_path)
    prove(evidence, tmp_path)
    assert restarts == [0, 0, 0] and not evidence.interruptions


def test_a_wall_clock_that_is_set_forth_and_back_moves_and_loses_nothing(tmp_path: Path) -> None:
    shift = tmp_path / "shift"
    shift.write_text("0")
    program = (str(Path(__file__).with_name("set_clock.py")), str(shift))
    with house(tmp_path, program=program) as room:
        local = room.record()
        room.let_record(2)
        for hours in (5, -30):
            shift.write_text(str(hours * 3600))
            pause_s(2)
        room.station.end()
        shift.write_text(str(9 * 3600))
        room.go_on(local)
        room.let_record(2)
        room.stop()
        evidence = opened(room, tmp_path)
    figures = prove(evidence, tmp_path)
    assert evidence.end_s < 40, "hours that nobody recorded"
    assert all(figures[f"{track}_gaps_s"] < 8 for track in TRACKS), figures


@pytest.mark.parametrize("left_free", [30 << 20, 1 << 16], ids=["low", "nothing"])
def test_a_disk_that_is_full_ends_the_session_in_order_and_all_of_it_arrives_when_there_is_room(
    tmp_path: Path, small_disk: Path, left_free: int
) -> None:
    with house(tmp_path, home=small_disk / "station") as room:
        room.record()
        room.let_record(3)
        room.core.end()
        free = shutil.disk_usage(small_disk).free
        with (small_disk / "others").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free - left_free)
        shown = until(lambda: (now := room.state())["session"] is None and now, "the end of the session", 30)
        assert shown["state"] == "error"
        assert (shown["problem"]["code"], shown["health"]["level"]) == ("disk-full", "bad")
        refused = room.ask("/start", consultation=room.visit, override="混乱试验")
        assert refused.status_code == 507, refused.text
        (small_disk / "others").unlink()
        for each in room.state()["interrupted"]:  # there was no room even to seal what was closed
            assert room.ask(f"/interrupted/{each['local']}/close").status_code == 200
        room.core.start()
        evidence = opened(room, tmp_path)
    prove(evidence if left_free > 1 << 20 else _but_the_last(evidence), tmp_path)


def _but_the_last(evidence: Evidence) -> Evidence:
    """Without the segment of each track that was open when not a byte was left: it may be cut short."""
    lasts = {track: evidence.of(track)[-1] for track in TRACKS}
    pieces = [each for each in evidence.pieces if each not in lasts.values()]
    assert len(pieces) >= 2 * len(TRACKS)
    return Evidence(pieces, evidence.holes, min(each.start_s for each in lasts.values()))
