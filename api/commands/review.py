"""``yian review``: the two signatures of the double review."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from api.commands.common import As, CaseId, PasswordStdin, opened, proven
from api.console import both, say
from archive.edits import SPEECH
from archive.terms import Decision
from config.errors import EditsRejected
from config.problem import first_problem

app = typer.Typer(no_args_is_help=True)
Note = Annotated[str, typer.Option(help=both("cli.opt.note"))]


def _decide(
    case_id: str, username: str, from_stdin: bool, decision: Decision, note: str, edits: dict[str, Any] | None
) -> None:
    from api import actions

    with opened() as core:
        user = proven(core, username, from_stdin)
        case = actions.decide(core, user, case_id, decision, note=note, edits=edits)
        say("cli.review.done", case=case.id, state=both(f"state.{case.state}"))


@app.command(help=both("cli.review.approve"))
def approve(case_id: CaseId, user: As, note: Note = "", password_stdin: PasswordStdin = False) -> None:
    _decide(case_id, user, password_stdin, Decision.APPROVE, note, None)


@app.command(help=both("cli.review.reject"))
def reject(
    case_id: CaseId,
    user: As,
    note: Note,
    edits: Annotated[Path | None, typer.Option(help=both("cli.opt.edits"))] = None,
    password_stdin: PasswordStdin = False,
) -> None:
    _decide(case_id, user, password_stdin, Decision.REJECT, note, read_edits(edits))


def read_edits(path: Path | None) -> dict[str, Any] | None:
    """A file of edits by camera, and of ``speech`` beside them, held to the same rules as the web's. Raises EditsRejected."""
    from pydantic import ValidationError

    from api.schemas.review import RetryRequest

    if path is None:
        return None
    try:
        edits = json.loads(path.read_text())
        speech = edits.pop(SPEECH, None) if isinstance(edits, dict) else None
        return RetryRequest.model_validate({"edits": edits, "speech": speech}).edits_to_keep()
    except ValidationError as error:
        raise EditsRejected(problem=first_problem(error)) from error
    except (OSError, ValueError) as error:
        raise EditsRejected(problem=str(error)) from error
