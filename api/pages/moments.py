"""The part of a case's page on which a failed privacy verification is answered."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Form
from fastapi.responses import RedirectResponse, Response

from api import actions
from api.core import Core
from api.deps import Actor, InCore
from api.doors import Doors
from api.schemas.base import Id, MomentId, Reason
from archive.alarms import waits_for_answers
from archive.models import Case, User
from archive.terms import Finding, Role, State
from config.errors import ConsentRefused

doors = Doors("pages", in_schema=False)

REVIEWED = frozenset({State.IN_REVIEW, State.EXPERT_REVIEW})


@doors.post(
    "/cases/{id}/moments/{moment}/resolve",
    roles=(Role.REVIEWER,),
    summary="Answer for a moment from the page",
)
def resolve(
    id: Id,
    moment: MomentId,
    actor: Actor,
    core: InCore,
    finding: Annotated[Finding, Form()],
    reason: Annotated[Reason, Form()],
    edit: Annotated[int, Form()],
) -> Response:
    actions.resolve_moment(core, actor, id, moment, finding, reason, edit)
    return RedirectResponse(f"/cases/{id}#{moment}", status_code=303)


def shown_moments(core: Core, actor: User, case: Case) -> dict[str, Any] | None:
    """What the page shows of the moments of ``case``; None when there are none, or none for this person."""
    waits = waits_for_answers(case)
    resolved = case.state in REVIEWED and case.summary.get("verification", {}).get("verdict") == "resolved"
    if actor.role not in actions.VIEWERS or not (waits or resolved):
        return None
    try:
        _, found = actions.list_moments(core, actor, case.id)
    except ConsentRefused:
        return None
    if not found:
        return None
    return {
        "all": found,
        "left": sum(moment.resolution is None for moment in found),
        "edit": case.edit,
        "tracked": actions.tracked_faces(core, case) if waits else {},
        "waits": waits,
        "may_resolve": waits and actor.role is Role.REVIEWER and not actions.is_producer(core, case, actor),
    }
