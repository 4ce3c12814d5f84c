"""Violence against one session: afterwards every second outside journalled gaps is in the archive, in order, in sync."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

from tests.chaos.capture.house import TRACKS, house, pause_s
from tests.chaos.capture.proof import opened, prove
from tests.chaos.clinic import until

SEED = 20_261_124
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
