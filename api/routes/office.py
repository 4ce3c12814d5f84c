"""The manager's side: counters, accounts, the access log; and whether the machine is well."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy import select, text

from api import actions
from api.deps import Actor, InCore
from api.doors import ANYONE, EVERY_ROLE, Doors
from api.schemas.office import AuditAnswer, AuditRow, CountersAnswer, HealthAnswer
from api.schemas.people import UserAnswer, UserRequest
from archive.models import AuditEvent
from archive.terms import Role
from config.errors import YianError

doors = Doors("office")

MANAGER = (Role.MANAGER,)


@doors.get(
    "/api/counters", roles=EVERY_ROLE, summary="Published cases and remote sessions against the targets"
)
def counters(actor: Actor, core: InCore) -> CountersAnswer:
    return CountersAnswer(bases=[base.to_dict() for base in actions.counters(core, actor)])


@doors.post("/api/users", roles=MANAGER, summary="Add an account", status_code=201)
def create_user(asked: UserRequest, actor: Actor, core: InCore) -> UserAnswer:
    user = actions.create_user(
        core, actor, username=asked.username, name=asked.name, role=asked.role, password=asked.password
    )
    return UserAnswer.of(user)


@doors.get("/api/audit", roles=MANAGER, summary="The access log, newest first")
def read_audit(
    core: InCore,
    before: Annotated[int | None, Query(ge=1)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AuditAnswer:
    wanted = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit + 1)
    if before is not None:
        wanted = wanted.where(AuditEvent.id < before)
    with core.catalog.read() as session:
        found = list(session.scalars(wanted))
    rows = [
        AuditRow(**{name: getattr(event, name) for name in AuditRow.model_fields}) for event in found[:limit]
    ]
    return AuditAnswer(events=rows, next_before=rows[-1].id if len(found) > limit else None)


@doors.get(
    "/api/health",
    roles=ANYONE,
    summary="Whether catalogue and store answer; says nothing more",
    response_model=HealthAnswer,
)
def health(core: InCore) -> JSONResponse:
    try:
        with core.catalog.read() as session:
            session.execute(text("select 1"))
        core.store.stat("health")
    except YianError:
        return JSONResponse({"ok": False}, status_code=503)
    return JSONResponse({"ok": True})


@doors.get("/api/openapi.json", roles=EVERY_ROLE, summary="This description", response_model=None)
def describe(request: Request) -> dict[str, Any]:
    described: dict[str, Any] = request.app.openapi()
    return described
