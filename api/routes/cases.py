"""Cases: finding them, reviewing them, and what a manager does to them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from api import actions
from api.deps import Actor, InCore
from api.doors import EVERY_ROLE, Doors
from api.progress import share_of, steps_of
from api.schemas.base import Id
from api.schemas.cases import (
    CaseAnswer,
    CaseRow,
    CasesAnswer,
    CaseState,
    ProgressAnswer,
    StepAnswer,
    WatchAnswer,
    WatchRequest,
)
from api.schemas.review import RetryRequest, ReviewRequest
from archive.terms import Role, State

doors = Doors("cases")

STAFF = (Role.TECHNICIAN, Role.REVIEWER, Role.EXPERT, Role.MANAGER)
OPERATORS = (Role.TECHNICIAN, Role.REVIEWER, Role.MANAGER)


@doors.get("/api/cases", roles=EVERY_ROLE, summary="Cases one may see, newest first")
def list_cases(
    actor: Actor,
    core: InCore,
    state: State | None = None,
    q: Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> CasesAnswer:
    found = actions.list_cases(core, actor, state=state, query=q, limit=limit, offset=offset)
    return CasesAnswer(cases=[CaseRow.of(case) for case in found])


@doors.get("/api/cases/{id}", roles=EVERY_ROLE, summary="One case; for staff with its reviews and history")
def show_case(id: Id, actor: Actor, core: InCore) -> CaseAnswer:
    return CaseAnswer.seen_by(actor, actions.show_case(core, actor, id))


@doors.get("/api/cases/{id}/progress", roles=STAFF, summary="How far the processing of a case has come")
def show_progress(id: Id, actor: Actor, core: InCore) -> ProgressAnswer:
    case = actions.show_case(core, actor, id)
    steps = steps_of(case)
    return ProgressAnswer(
        state=case.state,
        share=share_of(case, steps),
        steps=[StepAnswer(step=s.step, progress=s.progress, done=s.done) for s in steps],
    )


@doors.post(
    "/api/cases/{id}/review",
    roles=(Role.REVIEWER, Role.EXPERT),
    summary="Approve or reject; the second approval publishes",
)
def review(id: Id, asked: ReviewRequest, actor: Actor, core: InCore) -> CaseState:
    edits = asked.edits_to_keep()
    return CaseState.of(actions.decide(core, actor, id, asked.decision, note=asked.note, edits=edits))


@doors.post(
    "/api/cases/{id}/retry",
    roles=OPERATORS,
    summary="Resume a failed case where it stopped; with a reviewer's edits, from the blurring",
)
def retry(id: Id, actor: Actor, core: InCore, asked: RetryRequest | None = None) -> CaseState:
    edits = asked.edits_to_keep() if asked else None
    return CaseState.of(actions.retry_case(core, actor, id, edits=edits))


@doors.post("/api/cases/{id}/cancel", roles=OPERATORS, summary="Stop the processing of a case")
def cancel(id: Id, actor: Actor, core: InCore) -> CaseState:
    return CaseState.of(actions.cancel_case(core, actor, id))


@doors.post(
    "/api/cases/{id}/erase",
    roles=(Role.MANAGER,),
    summary="Delete everything of a withdrawn case for ever",
)
def erase(id: Id, actor: Actor, core: InCore) -> CaseState:
    return CaseState.of(actions.erase_case(core, actor, id))


@doors.post(
    "/api/cases/{id}/watch",
    roles=(Role.TRAINEE,),
    summary="Report what was really played; past the threshold it counts as one remote session",
)
def watch(id: Id, asked: WatchRequest, actor: Actor, core: InCore) -> WatchAnswer:
    spans = [list(span) for span in asked.spans]
    watched_s, counted = actions.report_watch(core, actor, id, spans)
    return WatchAnswer(watched_s=watched_s, counted=counted)
