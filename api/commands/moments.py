"""``yian case moments`` and ``yian case resolve``: what the privacy verification found, and answering for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.common import As, AsJson, CaseId, PasswordStdin, opened, operator, proven
from api.console import both, print_json, print_table, say
from archive.terms import Finding
from config.errors import RequestRejected

if TYPE_CHECKING:
    from api.actions import Moment
    from api.schemas.moments import ResolveRequest


def list_moments(case_id: CaseId, as_json: AsJson = False) -> None:
    from api import actions
    from api.schemas.moments import MomentAnswer

    with opened() as core:
        case, found = actions.list_moments(core, operator(core), case_id)
        if as_json:
            print_json([MomentAnswer.of(case.id, moment).model_dump(mode="json") for moment in found])
            return
        if not found:
            say("cli.moments.none", case=case.id)
            return
        print_table(
            (
                "cli.col.moment",
                "cli.col.when",
                "cli.col.kind",
                "cli.col.count",
                "cli.col.answer",
                "cli.col.by",
                "cli.col.reason",
            ),
            [_row(moment) for moment in found],
        )
        say("cli.moments.left", left=sum(moment.resolution is None for moment in found), case=case.id)


def _row(moment: Moment) -> tuple[Any, ...]:
    alarm, answer = moment.alarm, moment.resolution
    when = f"{alarm['first_s']:.1f}–{alarm['last_s']:.1f} s"
    said = (
        (both(f"finding.{answer.finding}"), answer.user.name, answer.reason)
        if answer
        else (both("moments.open"), "", "")
    )
    kinds = "; ".join(both(f"vision.kind.{kind}") for kind in alarm["kinds"])
    return (alarm["id"], when, kinds, alarm["count"], *said)


def resolve(
    case_id: CaseId,
    moment: Annotated[str, typer.Argument(metavar="MOMENT", help=both("cli.arg.moment"))],
    user: As,
    reason: Annotated[str, typer.Option(help=both("cli.opt.reason"))],
    finding: Annotated[Finding, typer.Option(help=both("cli.opt.finding"))] = Finding.NO_FACE,
    password_stdin: PasswordStdin = False,
) -> None:
    from api import actions

    asked = _asked(finding, reason)
    with opened() as core:
        person = proven(core, user, password_stdin)
        actions.resolve_moment(core, person, case_id, moment, asked.finding, asked.reason)
        _, found = actions.list_moments(core, person, case_id)
        left = sum(each.resolution is None for each in found)
        say("cli.moments.resolved", moment=moment)
        say("cli.moments.left" if left else "cli.moments.none-left", left=left, case=case_id)


def _asked(finding: Finding, reason: str) -> ResolveRequest:
    """The answer, held to the same rules as the web's. Raises RequestRejected."""
    from pydantic import ValidationError

    from api.schemas.moments import ResolveRequest

    try:
        return ResolveRequest(finding=finding, reason=reason)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise RequestRejected(problem=f"reason: {first['msg']}") from error
