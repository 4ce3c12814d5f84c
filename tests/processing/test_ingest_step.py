"""The first step of a case: every track in one file, each at its place on one clock."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from api import actions
from api.core import Core
from archive.models import Case, utc_now
from processing.materials import gather
from processing.pipeline import Pipeline
from processing.step import Job
from processing.steps import ingest, probe_step
from tests.factories import People, make_case, make_core, make_users
from tests.processing.media_files import Movie, read_sound, tone, write_movie, write_sound

RATE_HZ = 16_000
TRACKS = {"desk": ("video", "desk"), "expert": ("audio", "expert")}
Placed = list[tuple[str, Path, float, float]]  # track, file, start_s, duration_s


def record(
    core: Core, people: People, case: Case, segments: Placed, minutes_ago: int
) -> tuple[str, dict[str, Any]]:
    """One recording as a station brings it; what closes it."""
    technician = people.technician
    recording = actions.open_recording(
        core,
        technician,
        case.id,
        rig={},
        light=None,
        started_at=utc_now() - dt.timedelta(minutes=minutes_ago),
        idempotency_key=str(minutes_ago),
    )
    counts = dict.fromkeys(TRACKS, 0)
    for track, path, start_s, duration_s in segments:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        actions.put_segment(
            core,
            technician,
            recording.id,
            track=track,
            index=counts[track],
            received=path,
            sha256=digest,
            start_s=start_s,
            duration_s=duration_s,
        )
        counts[track] += 1
    told = {
        name: {"kind": kind, "role": role, "segments": counts[name]} for name, (kind, role) in TRACKS.items()
    }
    return recording.id, told


@pytest.fixture
def core(tmp_path: Path) -> Core:
    return make_core(tmp_path / "home")


def test_a_pause_and_a_second_recording_leave_every_track_on_one_clock(tmp_path: Path, core: Core) -> None:
    people = make_users(core)
    case = make_case(core, people)
    film = write_movie(tmp_path / "film.mkv", Movie(seconds=2.0, tone_hz=0))
    sound = write_sound(tmp_path / "sound.flac", tone(2.0, 440.0), RATE_HZ)
    paused: Placed = [("desk", film, 0.5, 2.0), ("desk", film, 6.0, 2.0)]
    paused += [("expert", sound, 0.25, 2.0), ("expert", sound, 6.25, 2.0)]
    second: Placed = [("desk", film, 0.5, 2.0), ("expert", sound, 1.0, 2.0)]
    opened = [record(core, people, case, paused, 30), record(core, people, case, second, 10)]
    for recording, tracks in opened:
        actions.complete_recording(core, people.technician, recording, tracks=tracks, seconds=10.0)
    for number, (track, ppm) in enumerate((("desk", 20.0), ("expert", 40.0), ("expert", -140.4))):
        drift = {"track": track, "drift_ppm": ppm}
        actions.add_note(
            core,
            people.technician,
            opened[0][0],
            id=f"n{number}",
            kind="clock",
            at_s=60.0 + number,
            data=drift,
        )
    pipeline = Pipeline(core.settings, core.catalog, core.store, core.vault, "w")
    place = tmp_path / "step"
    (place / "out").mkdir(parents=True)
    params = gather(pipeline, "ingest", case.id, place)
    assert params["tracks"]["desk"]["longest_gap_s"] == pytest.approx(3.5)
    assert params["tracks"]["desk"]["starts_s"] == [0.5, 6.0, 8.75]
    assert params["tracks"]["expert"]["starts_s"] == [0.25, 6.25, 9.25]
    job = Job(place, {}, params, core.settings.speech, core.settings.vision, core.settings.media)
    ingest(job)
    told = json.loads((place / "out" / "tracks.json").read_text())
    assert (told["desk"]["start_s"], told["expert"]["start_s"]) == (0.5, 0.25)
    heard = read_sound(place / "out" / "expert.flac")
    assert len(heard) == 11 * RATE_HZ
    for begin, end in ((2.0, 6.0), (8.0, 9.0)):
        assert not heard[round(begin * RATE_HZ) : round(end * RATE_HZ)].any()
    assert np.abs(heard[6 * RATE_HZ : 8 * RATE_HZ]).max() > 0.2
    again = tmp_path / "probe"
    (again / "out").mkdir(parents=True)
    params = gather(pipeline, "probe", case.id, again)
    assert params["notes"] == [
        {"code": "recorded-in-parts", "parts": 2},
        {"code": "clock-drift", "track": "expert", "ppm": -140},
    ]
    probed = Job(
        again,
        {"ingest": place / "out"},
        params,
        core.settings.speech,
        core.settings.vision,
        core.settings.media,
    )
    assert probe_step(probed)["duration_s"] == pytest.approx(10.25, abs=0.05)


def test_what_a_device_still_brought_after_the_pause_was_pressed_is_in_nothing_that_is_made_of_it(
    tmp_path: Path, core: Core
) -> None:
    people = make_users(core)
    case = make_case(core, people)
    film = write_movie(tmp_path / "film.mkv", Movie(seconds=2.0, tone_hz=0))
    sound = write_sound(tmp_path / "sound.flac", tone(2.0, 440.0), RATE_HZ)
    segments: Placed = [("desk", film, 0.5, 2.0), ("desk", film, 6.0, 2.0)]
    # The second of them was opened and closed while the device ended.
    segments += [("expert", sound, at_s, 2.0) for at_s in (0.25, 2.25, 6.25)]
    recording, tracks = record(core, people, case, segments, 30)
    for number, (at_s, on) in enumerate(((1.5, True), (6.0, False), (7.25, True))):
        actions.add_note(
            core, people.technician, recording, id=f"p{number}", kind="pause", at_s=at_s, data={"on": on}
        )
    actions.complete_recording(core, people.technician, recording, tracks=tracks, seconds=10.0)
    pipeline = Pipeline(core.settings, core.catalog, core.store, core.vault, "w")
    place = tmp_path / "step"
    (place / "out").mkdir(parents=True)
    params = gather(pipeline, "ingest", case.id, place)
    ingest(Job(place, {}, params, core.settings.speech, core.settings.vision, core.settings.media))
    heard = read_sound(place / "out" / "expert.flac")
    sounds = np.flatnonzero(np.abs(heard) > 0.2) / RATE_HZ + 0.25
    assert sounds[sounds < 5].max() == pytest.approx(1.5, abs=0.01)
    assert (sounds[sounds > 5].min(), sounds.max()) == pytest.approx((6.25, 7.25), abs=0.01)
    with av.open(str(place / "out" / "desk.mkv")) as joined:
        seen = [0.5 + float(frame.time) for frame in joined.decode(video=0)]
    assert max(each for each in seen if each < 5) < 1.5
    assert max(seen) < 7.25
    assert len(seen) > 30
