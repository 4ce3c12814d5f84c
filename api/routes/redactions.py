"""What was taken out of text and sound, for those who have to check it."""

from __future__ import annotations

from api import actions
from api.deps import Actor, InCore
from api.doors import Doors
from api.schemas.base import Id
from api.schemas.redactions import RedactionAnswer, RedactionsAnswer
from archive.terms import Role

doors = Doors("redactions")


@doors.get(
    "/api/cases/{id}/redactions",
    roles=(Role.REVIEWER, Role.EXPERT),
    summary="What identifies the patient in what was said, with the words; every reading is logged",
)
def list_redactions(id: Id, actor: Actor, core: InCore) -> RedactionsAnswer:
    case, found = actions.list_redactions(core, actor, id)
    told = [RedactionAnswer(**{name: span[name] for name in RedactionAnswer.model_fields}) for span in found]
    return RedactionsAnswer(edit=case.edit, redactions=told)
