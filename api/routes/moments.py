"""Moments of a failed privacy verification: seen, and answered for by name."""

from __future__ import annotations

from fastapi.responses import Response

from api import actions
from api.deps import Actor, InCore
from api.doors import Doors
from api.schemas.base import Id, MomentId
from api.schemas.moments import MomentAnswer, MomentsAnswer, ResolutionAnswer, ResolveRequest
from archive.terms import Role

doors = Doors("moments")


@doors.get(
    "/api/cases/{id}/moments",
    roles=actions.VIEWERS,
    summary="What the privacy verification of the current edit found, and who has answered for it",
)
def list_moments(id: Id, actor: Actor, core: InCore) -> MomentsAnswer:
    case, found = actions.list_moments(core, actor, id)
    return MomentsAnswer(
        edit=case.edit,
        left=sum(moment.resolution is None for moment in found),
        moments=[MomentAnswer.of(case.id, moment) for moment in found],
    )


@doors.get(
    "/api/cases/{id}/moments/{moment}/thumbnail",
    roles=actions.VIEWERS,
    summary="The picture of one moment, with what was found hidden",
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}},
)
def thumbnail(id: Id, moment: MomentId, actor: Actor, core: InCore) -> Response:
    return Response(actions.moment_thumbnail(core, actor, id, moment), media_type="image/jpeg")


@doors.post(
    "/api/cases/{id}/moments/{moment}/resolve",
    roles=(Role.REVIEWER,),
    summary="Answer for one moment; once all are answered for, the case can be retried",
    status_code=201,
)
def resolve(id: Id, moment: MomentId, asked: ResolveRequest, actor: Actor, core: InCore) -> ResolutionAnswer:
    return ResolutionAnswer.of(
        actions.resolve_moment(core, actor, id, moment, asked.finding, asked.reason, asked.edit)
    )
