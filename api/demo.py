"""The demo: a newcomer's first minute with Yian, through the same doors that everybody uses.

A recording is made (or the user's own files are taken), captured through the station's agent over HTTP,
processed by the engine, signed by two different people, published, counted and checked byte for byte.
"""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr

from api import actions
from api.app import create_app
from api.console import both, out, progress_bar, say
from api.core import Core, open_core
from api.ingest import ingest
from archive.consent import SignedForm
from archive.fixity import verify_package
from archive.models import Case, User, utc_now
from archive.terms import Kind, Purpose, Role, State
from capture import agent
from capture.rig import Rig, load_rig
from config.errors import ConsentRefused, RequestRejected, error_from_dict
from config.settings import CaptureSettings, load_settings
from processing.engine import Engine

MARKER = ".yian-demo"
SERVE_PORT = 8800
CAPTURE_S = 60.0
POLL_S = 1.0
CONSENT_TEXT = (
    "本人同意：本次就诊由示范基地录制；录像在遮盖本人面部、去除身份信息并经两方审核后，"
    "供第三方制作公司制作、存档并供学员学习使用。本人可随时撤回同意，撤回后将停止使用并删除。"
)
EXPERT_CONSENT_TEXT = (
    "本人为带教专家，同意在本单位内加密保存本人面部模板，仅用于使本人在教学录像中保持可见，可随时删除。"
)


@dataclass(frozen=True)
class Cast:
    """Everybody in the demo, with passwords made for this run."""

    users: dict[str, User]
    passwords: dict[str, str]


def run_demo(
    folder: Path, *, videos: list[Path], audios: Mapping[str, Path], keep_serving: bool = False
) -> None:
    """Run the whole way in ``folder`` and print what came of it. Raises what any part of it raises."""
    started = time.monotonic()
    _fresh_folder(folder)
    settings = load_settings(home=folder / "home")
    core = open_core(settings)
    try:
        with (
            Engine(settings, core.catalog, core.store, core.vault),
            _served(core, SERVE_PORT if keep_serving else 0) as url,
        ):
            cast = _make_cast(core)
            case = _record(core, cast, url, folder, videos, audios)
            _wait(core, case.id)
            _approve(url, cast, case.id)
            _stream(url, cast, case.id)
            _summarise(core, case.id, time.monotonic() - started)
            if keep_serving:
                _keep_serving(url, cast)
    finally:
        core.close()


def _fresh_folder(folder: Path) -> None:
    """A folder that is the demo's own: an earlier demo's data is removed, anybody else's never."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MARKER).exists():
        raise RequestRejected(problem=f"{folder} holds something else than a demo")
    shutil.rmtree(folder / "home", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()


@contextmanager
def _served(core: Core, port: int) -> Iterator[str]:
    """The web server on 127.0.0.1 in a thread; yields its address."""
    # Named as TCP, or the event loop does not switch Nagle's algorithm off: 40 ms on every answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    server = uvicorn.Server(
        uvicorn.Config(create_app(core.settings, core=core), log_config=None, access_log=False)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _make_cast(core: Core) -> Cast:
    names = {
        "manager": ("管理员 李敏", Role.MANAGER),
        "technician": ("采集员 王磊", Role.TECHNICIAN),
        "reviewer": ("审核员 陈静", Role.REVIEWER),
        "expert": ("带教专家 霍教授", Role.EXPERT),
        "trainee": ("学员 赵阳", Role.TRAINEE),
    }
    root = User(id="demo", username="", name="demo", role=Role.MANAGER, base_code=core.settings.base.code)
    passwords = {name: secrets.token_urlsafe(9) for name in names}
    users = {
        username: actions.create_user(
            core, root, username=username, name=name, role=role, password=passwords[username]
        )
        for username, (name, role) in names.items()
    }
    return Cast(users, passwords)


def _record(
    core: Core, cast: Cast, url: str, folder: Path, videos: list[Path], audios: Mapping[str, Path]
) -> Case:
    own = bool(videos)
    technician = cast.users["technician"]
    consultation = actions.schedule_consultation(
        core,
        technician,
        title=videos[0].stem if own else "气血两虚案：头晕三月（示范）",
        kind=Kind.CONSULTATION,
        expert_id=cast.users["expert"].id,
        scheduled_at=utc_now(),
    )
    if own:
        _sign(core, technician, consultation.id)
        with progress_bar("cli.ingest.progress") as progress:
            return ingest(core, technician, consultation.id, videos, audios, progress)
    rig_path = _demo_recording(folder)
    station = _station(core, cast, url)
    rig = load_rig(rig_path)
    # The manager enrols the expert in the office while the technician prepares the room.
    with ThreadPoolExecutor(1) as office:
        enrolled = office.submit(_enrol, core, cast)
        _try_without_consent(core, rig, station, consultation.id)
        enrolled.result()
    _sign(core, technician, consultation.id)
    _capture(core, rig, station, consultation.id)
    return actions.show_case(core, technician, consultation.id)


def _demo_recording(folder: Path) -> Path:
    from scripts.make_demo_recording import make_recording

    target = folder / "recording"
    if (target / "rig.toml").exists():
        return target / "rig.toml"
    with progress_bar("demo.making") as progress:
        return make_recording(target, progress=progress)


def _enrol(core: Core, cast: Cast) -> None:
    from scripts.make_demo_recording import expert_photo

    expert = cast.users["expert"]
    actions.enrol_expert(core, cast.users["manager"], expert.id, expert_photo(), EXPERT_CONSENT_TEXT.encode())
    say("demo.enrolled", name=expert.name)


def _sign(core: Core, technician: User, consultation_id: str) -> None:
    purposes = (Purpose.RECORD, Purpose.THIRD_PARTY_PRODUCTION, Purpose.ARCHIVE, Purpose.TEACH_ON_SITE)
    form = SignedForm(tuple(str(p) for p in purposes), CONSENT_TEXT, _signature_png(), utc_now())
    actions.sign_consent(core, technician, consultation_id, form)
    say("demo.consented", id=consultation_id)


def _signature_png() -> bytes:
    """A signature as a tablet would hand it over."""
    import cv2
    import numpy as np

    paper = np.full((160, 480), 255, np.uint8)
    t = np.linspace(0, 6 * np.pi, 400)
    stroke = np.stack([30 + t * 22, 80 + 38 * np.sin(t) * np.cos(0.37 * t)], axis=1).astype(np.int32)
    cv2.polylines(paper, [stroke], False, 0, 3, cv2.LINE_AA)
    return bytes(cv2.imencode(".png", paper)[1])


def _station(core: Core, cast: Cast, url: str) -> CaptureSettings:
    with closing(_log_in(url, cast, "technician")) as client:
        token = SecretStr(client.headers["authorization"].removeprefix("Bearer "))
    return core.settings.capture.model_copy(update={"core_url": url, "token": token})


def _try_without_consent(core: Core, rig: Rig, station: CaptureSettings, consultation_id: str) -> None:
    try:
        agent.capture(rig, consultation_id, CAPTURE_S, station, core.settings.home, lambda share: None)
    except ConsentRefused:
        say("demo.refused")
    else:
        raise AssertionError("a recording without consent was not refused")


def _capture(core: Core, rig: Rig, station: CaptureSettings, consultation_id: str) -> None:
    with progress_bar("cli.capture.progress") as progress:
        result = agent.capture(rig, consultation_id, CAPTURE_S, station, core.settings.home, progress)
    if result.problem is not None:
        raise error_from_dict(result.problem)
    say("demo.captured", seconds=f"{result.seconds:.1f}", segments=sum(result.segments.values()))
    _tell_light(result.light or {})


def _tell_light(light: dict[str, Any]) -> None:
    readings = {}
    for name in ("illuminance", "cct", "cri"):
        reading = light[name]
        value = "–"
        if reading["value"] is not None:
            value = f"{reading['value']:.0f}"
            if reading["uncertainty"] is not None:
                value += f" ± {reading['uncertainty']:.0f}"
        readings[name] = f"{value} {reading['unit']} ({reading['verdict']})"
    say("demo.light", **readings)


def _wait(core: Core, case_id: str) -> None:
    """Show the steps while they run. Raises the error that ended the case when one did."""
    from processing.plan import STEPS

    with progress_bar("demo.processing") as progress:
        while True:
            case = actions.show_case(core, _manager(core), case_id)
            progress(sum(step.progress for step in case.steps) / len(STEPS))
            if case.state is not State.PROCESSING:
                break
            time.sleep(POLL_S)
    if case.reason is not None:
        raise error_from_dict(case.reason)


def _manager(core: Core) -> User:
    return User(id="demo", username="", name="demo", role=Role.MANAGER, base_code=core.settings.base.code)


def _log_in(url: str, cast: Cast, username: str) -> httpx.Client:
    client = httpx.Client(base_url=url, timeout=30)
    answer = client.post("/api/login", json={"username": username, "password": cast.passwords[username]})
    answer.raise_for_status()
    client.cookies.clear()
    client.headers["authorization"] = f"Bearer {answer.json()['token']}"
    return client


def _approve(url: str, cast: Cast, case_id: str) -> None:
    for username in ("reviewer", "expert"):
        with closing(_log_in(url, cast, username)) as client:
            answer = client.post(f"/api/cases/{case_id}/review", json={"decision": "approve"})
            if answer.is_error:
                raise error_from_dict(answer.json())
        say("demo.approved", name=cast.users[username].name)


def _stream(url: str, cast: Cast, case_id: str) -> None:
    """Play as a trainee's player would: master playlist, a rendition, its first segments."""
    with closing(_log_in(url, cast, "trainee")) as client:
        media = f"/api/cases/{case_id}/media/"
        names = ["master.m3u8"]
        fetched = 0
        for _ in range(2):
            playlist = client.get(media + names[-1])
            playlist.raise_for_status()
            lines = [line for line in playlist.text.splitlines() if line and not line.startswith("#")]
            folder = names[-1].rpartition("/")[0]
            names.append(f"{folder}/{lines[0]}" if folder else lines[0])
        segment = client.get(media + names[-1])
        segment.raise_for_status()
        fetched = len(segment.content)
        refused = httpx.get(f"{url}{media}master.m3u8")
    say("demo.streamed", kilobytes=fetched // 1000, status=refused.status_code)


def _summarise(core: Core, case_id: str, seconds: float) -> None:
    case = actions.show_case(core, _manager(core), case_id)
    summary = case.summary
    differences = verify_package(core.store, case.package_prefix or "", case.package_seal)
    counted = actions.counters(core, _manager(core))[0]
    faces = summary["faces"].values()
    say("demo.summary")
    facts = {
        "demo.fact.case": f"{case.id} · {both(f'state.{case.state}')}",
        "demo.fact.duration": f"{summary['duration_s']:.1f} s · {', '.join(summary['cameras'])}",
        "demo.fact.kept": sum(each["kept"] for each in faces),
        "demo.fact.blurred": sum(each["blurred"] for each in faces),
        "demo.fact.verdict": both(f"verdict.{summary['verification']['verdict']}")
        + f" ({summary['verification']['examined_frames']})",
        "demo.fact.lines": f"{summary['speech']['lines']} · {', '.join(summary['speech']['speakers'])}",
        "demo.fact.bag": both("demo.whole" if not differences else "demo.broken")
        + f" ({summary['package']['files']})",
        "demo.fact.cases": f"{counted.cases}/{counted.case_target}",
        "demo.fact.sessions": f"{counted.sessions}/{counted.session_target}",
        "demo.fact.seconds": f"{seconds:.1f} s",
    }
    for key, value in facts.items():
        out.print(f"  {both(key)}: [bold]{value}[/]", soft_wrap=True)
    steps = ", ".join(f"{name} {spent:.1f} s" for name, spent in summary["step_seconds"].items())
    out.print(f"  {both('demo.fact.steps')}: {steps}", soft_wrap=True)
    _tell_transcript(core, case)
    out.print(f"  {both('demo.fact.files')}: {_video_url(core, case)}", soft_wrap=True)


def _tell_transcript(core: Core, case: Case) -> None:
    raw = core.store.get_bytes(f"{case.package_prefix}/data/transcript/transcript.json")
    for line in json.loads(raw)["lines"]:
        out.print(f"    {line['start_s']:6.2f}  {both('speaker.' + line['role'])}  {line['text']}")


def _video_url(core: Core, case: Case) -> str:
    root = core.settings.store_url.removeprefix("file://")
    return f"{root}/{case.package_prefix}/data/media/video.mp4"


def _keep_serving(url: str, cast: Cast) -> None:
    say("demo.serving", url=url)
    for username, user in cast.users.items():
        out.print(f"  {user.name}: {username} / {cast.passwords[username]}")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        say("cli.interrupted")
