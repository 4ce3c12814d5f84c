"""The list of cases, and one case: to watch it, to review it, to see what went wrong with it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from api import actions
from api.core import Core
from api.deps import Actor, InCore, Words
from api.doors import EVERY_ROLE, Doors
from api.messages import Messages
from api.pages.attachments import shown_attachments
from api.pages.moments import shown_moments
from api.pages.recording_notes import shown_notes
from api.pages.render import clock, page
from api.progress import share_of, steps_of
from api.routes.cases import OPERATORS
from api.schemas.base import Id, Note
from archive.models import Case, User
from archive.terms import Decision, Role, State
from config.errors import EditsRejected, VerificationFailed, error_from_dict
from processing.redaction_edits import parse_redaction_edits

doors = Doors("pages", in_schema=False)

PAGE_SIZE = 30
# What the stream step makes for a player.
MEDIA = {
    "playlist": "master.m3u8",
    "fallback": "video.mp4",
    "poster": "poster.jpg",
    "captions": "captions.vtt",
}
# A time to hide as a reviewer writes it: minutes and seconds, or seconds alone.
ADDITION = re.compile(
    r"(?P<start>(?:\d{1,4}:)?\d{1,5}(?:\.\d{1,3})?)\s*[-–]\s*(?P<end>(?:\d{1,4}:)?\d{1,5}(?:\.\d{1,3})?)"
    r"\s+(?P<kind>[a-z_]{1,20})"
)
RUNNING = frozenset({State.RECORDING, State.UPLOADED, State.PROCESSING})
PLAYABLE = frozenset({State.IN_REVIEW, State.EXPERT_REVIEW, State.PUBLISHED})
REVIEWER_OF = {State.IN_REVIEW: Role.REVIEWER, State.EXPERT_REVIEW: Role.EXPERT}
WITHDRAWERS = (Role.TECHNICIAN, Role.EXPERT, Role.MANAGER)


@doors.get("/", roles=EVERY_ROLE, summary="The list of cases")
def show_list(
    request: Request,
    actor: Actor,
    core: InCore,
    state: str = "",
    q: Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")] = "",
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Response:
    wanted = State(state) if state in set(State) else None
    found = actions.list_cases(core, actor, state=wanted, query=q, limit=PAGE_SIZE + 1, offset=offset)
    rows = [{"case": case, "share": share_of(case, steps_of(case))} for case in found[:PAGE_SIZE]]
    states = [] if actor.role is Role.TRAINEE else list(State)
    return page(
        request,
        "cases.html",
        rows=rows,
        states=states,
        wanted=wanted,
        query=q,
        offset=offset,
        page_size=PAGE_SIZE,
        more=len(found) > PAGE_SIZE,
        running=RUNNING,
        counters=actions.counters(core, actor),
        clock=clock,
    )


@doors.get("/cases/{id}", roles=EVERY_ROLE, summary="One case")
def show_case(
    request: Request, id: Id, actor: Actor, core: InCore, words: Words, camera: str = ""
) -> Response:
    case = actions.show_case(core, actor, id)
    cameras = case.summary.get("cameras", [])
    main = case.summary.get("main_camera", "")
    chosen = camera if camera in cameras else main
    shown = _shown(case, actor, words)
    # The main camera's stream lies on top of the media folder, every other one's in a folder of its name.
    media = _media(case, "" if chosen == main else f"{chosen}/") if _may_watch(case, actor) else None
    moments = shown_moments(core, actor, case)
    if moments and moments["waits"]:
        # As many as are left now: the case remembers how many there were when it failed.
        left = VerificationFailed(case=case.id, moments=moments["left"])
        shown["reason"] = words.error(left) if moments["left"] else None
    redactions = actions.list_redactions(core, actor, case.id)[1] if shown["may_review"] else []
    return page(
        request,
        "case.html",
        redactions=redactions,
        names=_names(core, case),
        attachments=shown_attachments(core, actor, case),
        recording_notes=shown_notes(core, actor, case, words),
        moments=moments,
        media=media,
        cameras=cameras,
        camera=chosen,
        **shown,
    )


@doors.post(
    "/cases/{id}/review", roles=(Role.REVIEWER, Role.EXPERT), summary="Approve or reject from the page"
)
async def review(
    request: Request,
    id: Id,
    actor: Actor,
    core: InCore,
    decision: Annotated[Decision, Form()],
    note: Annotated[Note, Form()] = "",
    package_seal: Annotated[str | None, Form()] = None,
) -> Response:
    edits = await _edits_in(request)
    wanted = edits if decision is Decision.REJECT else None
    await run_in_threadpool(
        actions.decide, core, actor, id, decision, note=note, edits=wanted, package_seal=package_seal
    )
    return RedirectResponse(f"/cases/{id}", status_code=303)


@doors.post("/cases/{id}/retry", roles=OPERATORS, summary="Retry from the page, with edits or without")
async def retry(request: Request, id: Id, actor: Actor, core: InCore) -> Response:
    edits = await _edits_in(request)
    await run_in_threadpool(actions.retry_case, core, actor, id, edits=edits or None)
    return RedirectResponse(f"/cases/{id}", status_code=303)


@doors.post("/cases/{id}/cancel", roles=OPERATORS, summary="Cancel from the page")
def cancel(id: Id, actor: Actor, core: InCore) -> Response:
    actions.cancel_case(core, actor, id)
    return RedirectResponse(f"/cases/{id}", status_code=303)


@doors.post("/cases/{id}/withdraw", roles=WITHDRAWERS, summary="Withdraw the patient's consent from the page")
def withdraw(id: Id, actor: Actor, core: InCore, sure: Annotated[bool, Form()]) -> Response:
    if sure:
        actions.withdraw_consent(core, actor, id)
    return RedirectResponse(f"/cases/{id}", status_code=303)


async def _edits_in(request: Request) -> dict[str, Any]:
    """Raises EditsRejected."""
    return edits_of([(name, str(value)) for name, value in (await request.form()).multi_items()])


def edits_of(fields: list[tuple[str, str]]) -> dict[str, Any]:
    """The decisions of the form: ``face:<camera>:<track>`` with ``keep``, ``blur`` or ``delete``, and ``speech:…``."""
    edits: dict[str, Any] = {}
    for name, value in fields:
        kind, _, place = name.partition(":")
        camera, _, track = place.rpartition(":")
        if kind == "speech":
            _note_speech(edits, place, value)
        elif kind == "face" and camera and track.isdecimal() and value in ("keep", "blur", "delete"):
            edits.setdefault(camera, {}).setdefault(f"{value}_tracks", []).append(int(track))
    return edits


def _note_speech(edits: dict[str, Any], field: str, value: str) -> None:
    """``speech:keep`` names a span to be heard again; ``speech:add`` is ``FROM-TO KIND``, a time to hide."""
    said = edits.setdefault("speech", {})
    if field == "keep" and value:
        said.setdefault("keep", []).append(value)
    elif field == "add" and value.strip():
        said.setdefault("add", []).append(_addition(value))
    if said:
        parse_redaction_edits(said)
    else:
        del edits["speech"]


def _addition(text: str) -> dict[str, Any]:
    """Raises EditsRejected."""
    found = ADDITION.fullmatch(text.strip())
    if found is None:
        raise EditsRejected(problem=f"speech: {text[:40]!r} is not FROM-TO KIND, as in 1:02.5-1:04 phone")
    return {"start_s": _seconds(found["start"]), "end_s": _seconds(found["end"]), "kind": found["kind"]}


def _seconds(clock_text: str) -> float:
    minutes, _, seconds = clock_text.rpartition(":")
    return 60 * int(minutes or 0) + float(seconds)


def _shown(case: Case, actor: User, words: Messages) -> dict[str, Any]:
    steps = steps_of(case)
    staff = actor.role is not Role.TRAINEE
    signed = {review.user_id for review in case.reviews if review.edit == case.edit}
    return {
        "case": case,
        "summary": case.summary,
        "staff": staff,
        "reports_watching": actor.role is Role.TRAINEE,
        "may_review": REVIEWER_OF.get(case.state) is actor.role and actor.id not in signed,
        "may_retry": case.state is State.FAILED and actor.role in OPERATORS,
        "may_cancel": case.state is State.PROCESSING and actor.role in OPERATORS,
        "may_withdraw": actor.role in WITHDRAWERS
        and bool(case.consultation.consents)
        and case.state is not State.WITHDRAWN,
        "reason": words.error(error_from_dict(case.reason)) if staff and case.reason else None,
        "steps": steps,
        "share": share_of(case, steps),
        "running": case.state in RUNNING,
        "clock": clock,
    }


def _names(core: Core, case: Case) -> dict[str, str]:
    ids = {move.actor for move in case.history}
    with core.catalog.read() as session:
        rows = session.execute(select(User.id, User.name).where(User.id.in_(ids)))
        return {row.id: row.name for row in rows}


def _may_watch(case: Case, actor: User) -> bool:
    return case.state in PLAYABLE and actor.role is not Role.TECHNICIAN


def _media(case: Case, folder: str) -> dict[str, str]:
    return {name: f"/api/cases/{case.id}/media/{folder}{file}" for name, file in MEDIA.items()}
