"""Real parts for tests of the web: a core over SQLite and files, people of every role, cases in every state."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from api import actions
from api.auth import hash_password, open_session
from api.core import Core, open_core
from archive.consent import SignedForm
from archive.models import Case, User, new_id, utc_now
from archive.states import lock_case, move
from archive.terms import Decision, Kind, Purpose, Role, State
from config.errors import VerificationFailed
from config.settings import ArchiveSettings, MediaSettings, Settings, WebSettings
from processing.hls import package_stream
from processing.jobs import JobClient
from processing.moments import gather
from processing.results import Results
from processing.suspects import Moment
from processing.thumbnails import write_thumbnails

PASSWORD = "correct horse battery"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
CONSENT_TEXT = "我同意将本次诊疗过程录制下来,用于下列勾选的用途,并知道可以随时撤回。"
EVERY_PURPOSE = tuple(str(purpose) for purpose in Purpose)
MEDIA_S = 12
CAPTIONS = """WEBVTT

00:00.500 --> 00:03.000
<v 带教专家>请坐，哪里不舒服？</v>

00:03.200 --> 00:06.000
<v 患者>最近睡眠不好，<b>总是</b>很早醒来。</v>

00:06.200 --> 00:11.500
<v 带教专家>伸出舌头让我看看，
再把手放在脉枕上。</v>
"""


class CountingJobs(JobClient):
    """The door to the engine, which only notes who came through."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []
        self.cancelled: list[tuple[str, int]] = []

    def start(self, case_id: str, run: int) -> None:
        self.started.append((case_id, run))

    def cancel(self, case_id: str, run: int) -> None:
        self.cancelled.append((case_id, run))

    def close(self) -> None:
        return None


@dataclass(frozen=True)
class People:
    technician: User
    reviewer: User
    expert: User
    trainee: User
    manager: User

    def of(self, role: Role) -> User:
        user: User = getattr(self, str(role))
        return user


def make_settings(home: Path, **web: Any) -> Settings:
    return Settings(home=home, web=WebSettings(**web), archive=ArchiveSettings())


def make_core(home: Path, **web: Any) -> Core:
    core = open_core(make_settings(home, **web))
    core.jobs.close()
    return replace(core, jobs=CountingJobs())


@cache
def _hash() -> str:
    return hash_password(PASSWORD)


def make_user(core: Core, role: Role, username: str, name: str = "", base: str | None = None) -> User:
    with core.catalog.write() as session:
        user = User(
            username=username,
            name=name or username,
            role=role,
            base_code=base or core.settings.base.code,
            password_hash=_hash(),
        )
        session.add(user)
        session.flush()
        return user


def make_users(core: Core) -> People:
    names = {
        "technician": "周采集",
        "reviewer": "吴审核",
        "expert": "王大夫",
        "trainee": "李学员",
        "manager": "赵管理",
    }
    return People(**{role: make_user(core, Role(role), role, name) for role, name in names.items()})


def bearer(core: Core, user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {open_session(core, user)}"}


def make_case(
    core: Core, people: People, title: str = "失眠一例", purposes: tuple[str, ...] = EVERY_PURPOSE
) -> Case:
    """A case whose patient has consented."""
    planned = actions.schedule_consultation(
        core,
        people.technician,
        title=title,
        kind=Kind.CONSULTATION,
        expert_id=people.expert.id,
        scheduled_at=utc_now() - dt.timedelta(hours=1),
        override=actions.Override("more cases than a clinic has", "the tests"),
    )
    form = SignedForm(purposes, CONSENT_TEXT, PNG, utc_now() - dt.timedelta(hours=1))
    actions.sign_consent(core, people.technician, planned.id, form)
    return actions.show_case(core, people.technician, planned.id)


def make_processing_case(core: Core, people: People, title: str = "失眠一例") -> Case:
    case = make_case(core, people, title)
    with core.catalog.write() as session:
        row = lock_case(session, case.id)
        for state in (State.RECORDING, State.UPLOADED, State.PROCESSING):
            move(session, row, state, people.technician.id)
        row.run = 1
    return actions.show_case(core, people.technician, case.id)


def make_failed_case(core: Core, people: People, reason: dict[str, Any], title: str = "失眠一例") -> Case:
    case = make_processing_case(core, people, title)
    with core.catalog.write() as session:
        move(session, lock_case(session, case.id), State.FAILED, "worker-1", reason=reason)
    return actions.show_case(core, people.technician, case.id)


def make_alarmed_case(core: Core, people: People, video: Path, places: int = 2) -> Case:
    """A case that failed because its verification found something in ``places`` places of the room's ``video``."""
    case = make_failed_case(core, people, VerificationFailed(moments=places).to_dict())
    keep_verification(core, case, video, places)
    return case


def keep_verification(core: Core, case: Case, video: Path, places: int) -> None:
    """The result of a verification that found a face in three frames running in each of ``places`` places."""
    found = [
        Moment(number, number / 25, (40.0 * place, 20.0, 40.0 * place + 30, 60.0), "visible-face", 0.7)
        for place in range(places)
        for number in (50 * place, 50 * place + 2, 50 * place + 4)
    ]
    alarms = gather("room", found)
    work = core.settings.home / "work"
    (work / "out").mkdir(parents=True)
    write_thumbnails(video, alarms, found, work / "out")
    told = {
        "verdict": "fail" if found else "pass",
        "moments": len(found),
        "alarms": [alarm.to_dict() for alarm in alarms],
        "examined_frames": 150,
    }
    report = {"room": {"moments": [asdict(moment) for moment in found], "verdict": told["verdict"]}}
    (work / "out" / "verification.json").write_text(json.dumps(report))
    results = Results(core.store, core.vault, core.settings.home / "kept")
    results.keep(case, "verify", work, told)
    (work / "out").mkdir(parents=True)
    results.keep(case, "blur", work, {"cameras": {"room": {"kept": 1, "blurred": 1, "tracks": _tracks()}}})


def make_reviewable_case(core: Core, people: People, media: Path, title: str = "失眠一例") -> Case:
    """A case that has been processed: its package's media lie in the store."""
    case = make_processing_case(core, people, title)
    prefix = f"packages/{case.id}/edit-0"
    for path in sorted(media.rglob("*")):
        if path.is_file():
            core.store.put_file(f"{prefix}/data/media/{path.relative_to(media)}", path)
    core.store.put_bytes(f"{prefix}/data/reports/verification.json", b"{}")
    with core.catalog.write() as session:
        row = lock_case(session, case.id)
        row.summary = {
            "duration_s": float(MEDIA_S),
            "faces": {"room": {"kept": 1, "blurred": 1, "tracks": _tracks()}},
            "verification": {"verdict": "pass", "moments": 0, "examined_frames": 300},
        }
        row.package_prefix, row.package_seal = prefix, new_id(16)
        move(session, row, State.IN_REVIEW, "worker-1")
    return actions.show_case(core, people.reviewer, case.id)


def make_published_case(core: Core, people: People, media: Path, title: str = "失眠一例") -> Case:
    case = make_reviewable_case(core, people, media, title)
    actions.decide(core, people.reviewer, case.id, Decision.APPROVE, note="画面无误")
    return actions.decide(core, people.expert, case.id, Decision.APPROVE)


def make_media(folder: Path) -> Path:
    """A real HLS package with its MP4, poster and captions: ``MEDIA_S`` seconds of a drifting pattern and a tone."""
    source = folder / "source.mp4"
    with av.open(str(source), "w") as container:
        _write_picture(container)
    sound = folder / "sound.m4a"
    with av.open(str(sound), "w") as container:
        _write_tone(container)
    out = folder / "media"
    package_stream(source, sound, CAPTIONS, out, media=MediaSettings(heights_px=(180, 90), segment_s=4))
    return out


def _tracks() -> list[dict[str, Any]]:
    return [
        {"id": 1, "first_frame": 0, "last_frame": 240, "decision": "keep", "reason": "edit"},
        {"id": 2, "first_frame": 10, "last_frame": 299, "decision": "blur", "reason": "default"},
    ]


def _write_picture(container: Any) -> None:
    stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "50"})
    stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
    rows, columns = np.mgrid[0:180, 0:320]
    for index in range(MEDIA_S * 25):
        green = 90 + 60 * np.sin((columns + 3 * index) / 40) * np.cos(rows / 30)
        picture = np.stack([green * 0.6, green, green * 0.8], axis=-1).astype(np.uint8)
        for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
            container.mux(packet)
    for packet in stream.encode():
        container.mux(packet)


def _write_tone(container: Any) -> None:
    rate = 48_000
    stream = container.add_stream("aac", rate=rate, layout="mono")
    wave = 0.05 * np.sin(2 * math.pi * 220 * np.arange(MEDIA_S * rate) / rate)
    for start in range(0, len(wave), 1024):
        part = wave[start : start + 1024].astype(np.float32)[None, :]
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate, start
        for packet in stream.encode(frame):
            container.mux(packet)
    for packet in stream.encode():
        container.mux(packet)
